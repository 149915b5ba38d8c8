"""What is written for other programs computes what the model computes here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cyclegan3d.engine.checkpoint import Direction, Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.graph import Outgoing, outgoing
from napari_cyclegan3d.exchange.onnx import write_onnx
from napari_cyclegan3d.exchange.torch_export import write_torch_export
from napari_cyclegan3d.exchange.torchscript import FACTS, write_torchscript

ModelMaker = Callable[..., Model]
# settings of a training, direction
CASES: dict[str, tuple[dict[str, Any], Direction]] = {
    "unet": ({}, "a_to_b"),
    "unet with a channel of noise": ({}, "b_to_a"),
    "unet 2x": ({"scale": 2}, "a_to_b"),
    "unet 1/2": ({"scale": 2}, "b_to_a"),
    "unet 4x": ({"scale": 4}, "a_to_b"),
    "unet 1/4": ({"scale": 4}, "b_to_a"),
    "unet of slices": ({"dims": 2, "patch": (1, 32, 32)}, "a_to_b"),
    "unet11": ({"patch": (96, 96, 96), "generator": {"kind": "unet11"}}, "a_to_b"),
    "resnet with tanh": (
        {"generator": {"kind": "resnet", "norm": "affine", "output": "tanh"}},
        "a_to_b",
    ),
    "resnet of slices": (
        {
            "dims": 2,
            "slice_axis": "y",
            "patch": (1, 32, 32),
            "generator": {"kind": "resnet", "norm": "instance"},
        },
        "a_to_b",
    ),
    "unet_strided with batch norm": (
        {"generator": {"kind": "unet_strided", "norm": "batch"}},
        "a_to_b",
    ),
    "srresnet 2x": (
        {"method": "srgan", "scale": 2, "generator": {"kind": "srresnet"}},
        "a_to_b",
    ),
    "srresnet 4x, transposed": (
        {
            "method": "srgan",
            "scale": 4,
            "generator": {"kind": "srresnet", "upsampler": "subpixel_nn"},
        },
        "a_to_b",
    ),
    "srresnet 4x, resized": (
        {
            "method": "srgan",
            "scale": 4,
            "generator": {"kind": "srresnet", "upsampler": "resize"},
        },
        "a_to_b",
    ),
}


def out_of(model_of: ModelMaker, case: str) -> Outgoing:
    settings, direction = CASES[case]
    default = {} if "patch" in settings else {"patch": (32, 32, 32)}
    # settings are made anew: a model changes none of them
    settings = json.loads(json.dumps(settings | default))
    loss = {"loss": {"paired": 1}} if settings.get("method") == "srgan" else {}
    return outgoing(model_of(**settings, **loss), direction)


def images(out: Outgoing) -> list[Tensor]:
    """Grey values in sizes that no export was traced with, one of them of two."""
    random = torch.Generator().manual_seed(3)
    side, fit = max(out.sizes.step, 4), out.fit_in
    assert fit is not None
    greys = []
    for batch, sides in ((1, (2, 3, 2)), (2, (3, 2, 3))):
        shape = [batch, 1, *(side * one for one in sides[: out.network.dims])]
        noise = torch.randn(shape, generator=random)
        greys.append(noise * fit.gain + fit.offset)
    greys[0][0, 0, 0, 0] = torch.nan
    return greys


def agrees(out: Outgoing, image: Tensor, found: Tensor) -> None:
    expected = out.graph(image)
    assert found.shape == expected.shape
    assert torch.isfinite(expected).all()
    sides = [int(side * out.scale) for side in image.shape[2:]]
    assert list(found.shape[2:]) == sides
    assert out.fit_out is not None
    assert float((found - expected).abs().max()) <= 1e-4 * out.fit_out.gain


@pytest.mark.parametrize("case", CASES)
def test_onnx_gives_the_same_in_onnxruntime_at_any_size(
    case: str, model_of: ModelMaker, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = out_of(model_of, case)
    write_onnx(out, tmp_path / "model.onnx")
    session = runtime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (taken,) = session.get_inputs()
    assert taken.shape == ["batch", 1, *out.axes]
    facts = json.loads(session.get_modelmeta().custom_metadata_map["napari_cyclegan3d"])
    assert facts == out.facts
    for image in images(out):
        (found,) = session.run(None, {taken.name: image.numpy()})
        agrees(out, image, torch.from_numpy(found))


@pytest.mark.parametrize("case", CASES)
def test_torchscript_gives_the_same_at_any_size(
    case: str, model_of: ModelMaker, tmp_path: Path
) -> None:
    out = out_of(model_of, case)
    write_torchscript(out, tmp_path / "model.pt")
    extra = {FACTS: ""}
    loaded = torch.jit.load(tmp_path / "model.pt", _extra_files=extra)
    for image in images(out):
        agrees(out, image, loaded(image))
    facts = json.loads(extra[FACTS])
    assert facts["scale"] == str(out.scale)
    assert facts["step"] == out.network.stride


@pytest.mark.parametrize(
    "case", ["unet 1/2", "unet_strided with batch norm", "resnet of slices"]
)
def test_torch_export_gives_the_same_at_any_size(
    case: str, model_of: ModelMaker, tmp_path: Path
) -> None:
    out = out_of(model_of, case)
    write_torch_export(out, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    for image in images(out):
        agrees(out, image, loaded(image))


@pytest.mark.parametrize("direction", ["a_to_b", "b_to_a"])
def test_a_graph_gives_the_grey_values_that_an_enhancement_gives(
    direction: Direction, model_of: ModelMaker, scan: Volume
) -> None:
    model = model_of(scale=2)
    config = EnhanceConfig(device="cpu", precision="fp32", direction=direction)
    *_, done = enhance(scan, model, config)
    assert isinstance(done, EnhanceDone)
    # 24 × 40 × 40 voxels are whole strides of both generators
    grey = torch.from_numpy(scan.read())[None, None, :, :, :40]
    found = outgoing(model, direction).graph(grey)[0, 0].numpy()
    # the volume goes on along x: what that reaches is left out
    kept = found.shape[2] - int(40 * model.scale(direction))
    sees = outgoing(model, direction).sizes.seen
    width = int((40 - sees) * model.scale(direction)) if sees < 40 else 0
    assert kept == 0
    expected = done.volume.read()[:, :, :width]
    np.testing.assert_allclose(found[:, :, :width], expected, atol=2e-3)


def test_a_graph_of_a_model_that_fits_each_volume_takes_normalised_numbers(
    model_of: ModelMaker,
) -> None:
    out = outgoing(model_of(intensity={"scope": "volume"}), "a_to_b")
    assert out.graph.grey_in is None
    assert out.facts["takes"] == "normalised"
    assert any("normalised on its own" in one for one in out.remarks)
    image = torch.randn(1, 1, 8, 8, 8)
    expected = out.network(image) * 5 + 30
    assert torch.allclose(out.graph(image), expected)


def test_a_volume_freezes_the_numbers_of_a_model_that_fits_each(
    model_of: ModelMaker, scan: Volume
) -> None:
    out = outgoing(model_of(intensity={"scope": "volume"}), "a_to_b", scan)
    assert out.fit_in is not None
    assert out.fit_in.offset == pytest.approx(scan.read().mean(), rel=1e-5)
    assert out.fit_in.gain == pytest.approx(scan.read().std(), rel=1e-5)
    assert out.remarks == ()


def test_an_enlargement_that_fits_each_volume_gives_back_grey_values_of_its_input(
    model_of: ModelMaker, scan: Volume
) -> None:
    settings = {
        "method": "srgan",
        "scale": 2,
        "loss": {"paired": 1},
        "generator": {"kind": "srresnet"},
        "intensity": {"scope": "volume"},
    }
    out = outgoing(model_of(**settings), "a_to_b")
    assert out.fit_out is None
    assert any("multiply" in one for one in out.remarks)
    frozen = outgoing(model_of(**settings), "a_to_b", scan)
    assert frozen.fit_out == frozen.fit_in


def test_a_volume_freezes_instance_norm(model_of: ModelMaker, scan: Volume) -> None:
    model = model_of(generator={"norm": "instance"})
    loose = outgoing(model, "a_to_b")
    assert any("not frozen" in one for one in loose.remarks)
    frozen = outgoing(model, "a_to_b", scan)
    assert not frozen.network.tile_dependent
    assert frozen.remarks == ()


def test_a_halo_is_what_the_network_sees_unless_tiles_would_be_huge(
    model_of: ModelMaker,
) -> None:
    near = outgoing(model_of(), "a_to_b").sizes
    assert near.exact
    assert near.smallest == 2 * near.halo + near.step
    deep = model_of(patch=(96, 96, 96), generator={"kind": "unet11"})
    far = outgoing(deep, "a_to_b")
    assert not far.sizes.exact
    assert far.sizes.smallest**3 <= 2**22
    assert any(f"sees {far.sizes.seen} voxels" in one for one in far.remarks)


def test_a_direction_that_there_is_not_is_refused(model_of: ModelMaker) -> None:
    model = model_of(
        method="srgan", scale=2, loss={"paired": 1}, generator={"kind": "srresnet"}
    )
    with pytest.raises(InputError, match="a_to_b"):
        outgoing(model, "b_to_a")


def test_a_file_that_computes_something_else_is_not_written(
    model_of: ModelMaker, tmp_path: Path
) -> None:
    out = outgoing(model_of(), "a_to_b")

    class Doubtful(torch.nn.ReLU):
        """Follows the way that the traced image takes."""

        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.shape[0] == 1 else super().forward(x)

    out.network.body.dec1[1] = Doubtful()
    with pytest.raises(InputError, match="TorchScript does not compute"):
        write_torchscript(out, tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []
