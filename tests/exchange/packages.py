"""Packages of bioimage.io, as other people make them, for the tests of the import."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bioimageio.spec as spec
import numpy as np
import onnx
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

Words = dict[str, Any]
MOMENTS: Words = {"id": "zero_mean_unit_variance", "kwargs": {}}
GAIN: Words = {"id": "scale_linear", "kwargs": {"gain": 0.5, "offset": 3.0}}


class Doubling(nn.Module):
    """A network that sees two voxels around, and enlarges."""

    def __init__(self, dims: int, scale: int = 1, norm: bool = False) -> None:
        super().__init__()
        conv = nn.Conv3d if dims == 3 else nn.Conv2d
        torch.manual_seed(1)
        self.first, self.last = conv(1, 4, 3, padding=1), conv(4, 1, 3, padding=1)
        norms = nn.InstanceNorm3d if dims == 3 else nn.InstanceNorm2d
        self.norm: nn.Module = norms(4) if norm else nn.Identity()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(torch.relu(self.norm(self.first(x))))
        for axis in range(2, x.ndim) if self.scale > 1 else ():
            x = x.repeat_interleave(self.scale, axis)
        return x


def torchscript(network: nn.Module, dims: int) -> bytes:
    """A network as TorchScript."""
    buffer = io.BytesIO()
    traced = torch.jit.trace(network.eval(), torch.randn(1, 1, *(8,) * dims))
    torch.jit.save(traced, buffer)
    return buffer.getvalue()


def onnx_graph(network: Doubling, dims: int) -> bytes:
    """The same two convolutions as ONNX, written by hand."""
    helper = onnx.helper
    space = [f"s{n}" for n in range(dims)]
    shape = ["b", 1, *space]
    arrays = {
        f"{name}{part}": getattr(getattr(network, name), part).detach().numpy()
        for name in ("first", "last")
        for part in ("weight", "bias")
    }
    conv = {"pads": [1] * 2 * dims, "kernel_shape": [3] * dims}
    nodes = [
        helper.make_node("Conv", ["x", "firstweight", "firstbias"], ["a"], **conv),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "lastweight", "lastbias"], ["y"], **conv),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(
        graph, opset_imports=opset, ir_version=8
    ).SerializeToString()


def grey(shape: Sequence[int], seed: int = 0) -> NDArray[np.float32]:
    """Grey values as of a scan."""
    noise = np.random.default_rng(seed).normal(100, 20, shape)
    return noise.astype(np.float32)


def package(
    folder: Path,
    content: bytes,
    dims: int,
    *,
    form: str = "torchscript",
    scale: int = 1,
    before: Sequence[Words] = (MOMENTS,),
    after: Sequence[Words] = (GAIN,),
    size: Any = None,
    halo: int = 2,
    is_tried: bool = False,
    **changes: Any,
) -> Path:
    """Write the folder of a package, with its description; gives the folder.

    Args:
        is_tried: With an example, whose result is that of bioimageio.core.
        changes: Keys of the description that are replaced.
    """
    folder.mkdir(exist_ok=True)
    axes = "zyx"[3 - dims :]
    size = size or {"min": 16, "step": 4}
    length = size if isinstance(size, int) else size["min"] + 2 * size["step"]
    image = grey((1, 1, *(length,) * dims))
    weights = {"torchscript": "weights.pt", "onnx": "weights.onnx"}[form]
    (folder / weights).write_bytes(content)
    (folder / "README.md").write_text("# Test", encoding="utf-8")
    np.save(folder / "input.npy", image)
    ends = (1, 1, *(length * scale,) * dims)
    np.save(folder / "output.npy", grey(ends))
    version = {"pytorch_version": "2.0"} if form == "torchscript" else {}
    opset = {"opset_version": 17} if form == "onnx" else {}
    leading = [{"type": "batch"}, {"type": "channel", "channel_names": ["grey"]}]
    words: Words = {
        "type": "model",
        "format_version": "0.5.0",
        "name": "A test network",
        "description": "for tests",
        "authors": [{"name": "Anna Meier"}],
        "license": "CC-BY-4.0",
        "cite": [{"text": "no paper", "doi": "10.1234/abcd"}],
        "documentation": "README.md",
        "inputs": [
            {
                "id": "raw",
                "axes": [
                    *leading,
                    *({"type": "space", "id": a, "size": size} for a in axes),
                ],
                "data": {"type": "float32"},
                "test_tensor": _file(folder / "input.npy"),
                "preprocessing": list(before),
            }
        ],
        "outputs": [
            {
                "id": "better",
                "axes": [
                    *leading,
                    *(
                        {
                            "type": "space",
                            "id": a,
                            "size": {"tensor_id": "raw", "axis_id": a},
                            **({"halo": halo * scale} if halo else {}),
                            "scale": 1 / scale,
                        }
                        for a in axes
                    ),
                ],
                "data": {"type": "float32"},
                "test_tensor": _file(folder / "output.npy"),
                "postprocessing": list(after),
            }
        ],
        "weights": {form: {**_file(folder / weights), **version, **opset}},
        **changes,
    }
    write(folder, words)
    if is_tried:
        np.save(folder / "output.npy", predicted(folder, image))
        words["outputs"][0]["test_tensor"] = _file(folder / "output.npy")
    else:
        for one in (*words["inputs"], *words["outputs"]):
            one.pop("test_tensor")
    write(folder, words)
    return folder


def _file(path: Path) -> Words:
    return {
        "source": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def write(folder: Path, words: Words) -> None:
    """Write the description of a package."""
    (folder / "rdf.yaml").write_text(
        yaml.safe_dump(words, sort_keys=False), encoding="utf-8"
    )


def changed(folder: Path, **changes: Any) -> Path:
    """The same package with another description."""
    words = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
    write(folder, {**words, **changes})
    return folder


def predicted(folder: Path, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """What bioimageio.core makes of an image (1, 1, (z,) y, x)."""
    from bioimageio.core import predict

    model = spec.load_model_description(folder / "rdf.yaml", perform_io_checks=True)
    sample = predict(model=model, inputs=image)
    return np.asarray(sample.members["better"].data.data, dtype=np.float32)


def zipped(folder: Path, path: Path) -> Path:
    """The package as bioimageio.spec makes one file of it."""
    model = spec.load_model_description(folder / "rdf.yaml")
    spec.save_bioimageio_package(model, output_path=path)
    return path
