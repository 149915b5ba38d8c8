"""Networks of other programs, carried inside a model file as graphs.

A graph is TorchScript or ONNX: a program of tensor operations. No Python of a stranger
is run, nothing is unpickled in Python, and graphs that name files are refused.
"""

from napari_cyclegan3d.engine.foreign.description import ForeignGraph, Side, Step
from napari_cyclegan3d.engine.foreign.network import ForeignGenerator
from napari_cyclegan3d.engine.foreign.steps import check_steps, fit_foreign

__all__ = [
    "ForeignGenerator",
    "ForeignGraph",
    "Side",
    "Step",
    "check_steps",
    "fit_foreign",
]
