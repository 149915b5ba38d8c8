"""Models that travel: written for other programs, and described for people.

`outgoing` says what goes out of a model; `write_torchscript`, `write_torch_export`,
`write_onnx` and `write_package` write it, `write_card` describes it.
"""
