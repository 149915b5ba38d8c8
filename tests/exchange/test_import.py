"""Packages of bioimage.io become models that enhance as bioimageio.core predicts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from napari_cyclegan3d import cli, io
from napari_cyclegan3d.engine.checkpoint import Model, load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import EnhanceDone, EnhanceStarted, Warned
from napari_cyclegan3d.engine.glimpse import glimpse
from napari_cyclegan3d.engine.inference import enhance
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.importing import import_beside, import_model

pytest.importorskip("bioimageio.core")
pytest.importorskip("onnxruntime")

from .packages import (  # noqa: TID252
    MOMENTS,
    Doubling,
    changed,
    grey,
    onnx_graph,
    package,
    predicted,
    torchscript,
    zipped,
)

FIXED = {"id": "scale_linear", "kwargs": {"gain": 0.05, "offset": -5.0}}
CPU = EnhanceConfig(device="cpu", precision="fp32")
FIXED_MOMENTS = {
    "id": "fixed_zero_mean_unit_variance",
    "kwargs": {"mean": 90.0, "std": 9.0},
}
PERCENTILES = {
    "id": "scale_range",
    "kwargs": {"min_percentile": 1, "max_percentile": 99},
}
Arrays = np.ndarray[Any, Any]


def result(volume: Volume, model: Model, config: EnhanceConfig = CPU) -> Arrays:
    done = list(enhance(volume, model, config))[-1]
    assert isinstance(done, EnhanceDone)
    return np.asarray(done.volume.read())


def imported(source: Path, name: str = "foreign") -> Model:
    """The model file of a package, read again."""
    target = source.parent / f"{name}.safetensors"
    import_model(source, target)
    return load_model(target)


def theirs(folder: Path, image: Arrays) -> Arrays:
    """What bioimageio.core makes of a volume, or of one slice."""
    given = image[None, None] if len(image) > 1 else image[None]
    return predicted(folder, given).reshape(-1, *predicted_sides(folder, image))


def predicted_sides(folder: Path, image: Arrays) -> tuple[int, int]:
    scale = load_scale(folder)
    return image.shape[1] * scale, image.shape[2] * scale


def load_scale(folder: Path) -> int:
    words = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
    return round(1 / words["outputs"][0]["axes"][-1]["scale"])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_a_package_enhances_as_bioimageio_predicts_whole_and_in_tiles(
    dims: int, form: str, tmp_path: Path
) -> None:
    network = Doubling(dims)
    write = torchscript if form == "torchscript" else onnx_graph
    folder = package(
        tmp_path / "made",
        write(network, dims),
        dims,
        form=form,
        before=[FIXED],
        is_tried=True,
    )
    model = imported(zipped(folder, tmp_path / "made.zip"))
    image = grey((24, 40, 44) if dims == 3 else (1, 40, 44), seed=3)
    expected = theirs(folder, image)
    for tile in (None, (8, 8, 12)):
        config = CPU.model_copy(update={"tile": tile})
        difference = result(Volume(image), model, config) - expected
        assert np.abs(difference).max() < 1e-4


def test_an_enlarging_package_puts_its_voxels_where_they_belong(tmp_path: Path) -> None:
    scale = 2
    content = torchscript(Doubling(3, scale), 3)
    folder = package(
        tmp_path / "made", content, 3, scale=scale, before=[FIXED], is_tried=True
    )
    model = imported(folder)
    image = grey((20, 16, 24), seed=3)
    volume = Volume(image, np.diag([2.0, 2.0, 2.0, 1.0]), "micrometer")
    done = list(enhance(volume, model, CPU))[-1]
    assert isinstance(done, EnhanceDone)
    assert done.volume.spacing == (2 / scale,) * 3
    expected = theirs(folder, image)
    assert np.abs(done.volume.read() - expected).max() < 1e-4


@pytest.mark.parametrize(
    "before",
    [
        [MOMENTS],
        [PERCENTILES],
        [MOMENTS, {"id": "clip", "kwargs": {"min": -1.0, "max": 1.5}}],
        [FIXED_MOMENTS, {"id": "sigmoid"}],
    ],
    ids=["moments", "percentiles", "clipped", "fixed"],
)
def test_grey_values_are_changed_as_the_package_says(
    before: list[dict[str, Any]], tmp_path: Path
) -> None:
    # without a halo bioimageio.core measures what we measure: the image alone
    content = torchscript(Doubling(3), 3)
    after = [
        {"id": "scale_linear", "kwargs": {"gain": 40.0, "offset": 7.0}},
        {"id": "clip", "kwargs": {"min": 0.0}},
    ]
    folder = package(
        tmp_path / "made", content, 3, before=before, after=after, halo=0, is_tried=True
    )
    image = grey((20, 16, 24), seed=3)
    ours = result(Volume(image), imported(folder))
    assert np.abs(ours - theirs(folder, image)).max() < 1e-4 * np.abs(ours).max()


@pytest.mark.parametrize("shape", [(3, 5, 7), (17, 30, 61), (40, 2, 33)])
def test_any_size_is_taken_and_tiles_do_not_show(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    model = imported(package(tmp_path / "made", torchscript(Doubling(3), 3), 3))
    volume = Volume(grey(shape))
    whole = result(volume, model)
    assert whole.shape == shape
    tiles = CPU.model_copy(update={"tile": (8, 8, 8)})
    assert np.abs(result(volume, model, tiles) - whole).max() < 1e-5


def test_a_package_without_a_halo_gets_the_one_that_was_measured(
    tmp_path: Path,
) -> None:
    size = {"min": 1, "step": 1}
    content = torchscript(Doubling(2), 2)
    model = imported(package(tmp_path / "made", content, 2, size=size, halo=0))
    assert model.header.foreign is not None
    assert {side.halo for side in model.header.foreign.sides} == {2}


def test_slices_are_translated_one_by_one(tmp_path: Path) -> None:
    content = torchscript(Doubling(2), 2)
    model = imported(package(tmp_path / "made", content, 2, before=[FIXED]))
    image = grey((5, 20, 24))
    together = result(Volume(image), model)
    alone = np.concatenate([result(Volume(one[None]), model) for one in image])
    assert np.allclose(together, alone, atol=1e-6)


def test_a_network_of_one_size_is_exact_where_tiles_hold_a_core(
    tmp_path: Path,
) -> None:
    model = imported(
        package(tmp_path / "made", torchscript(Doubling(3), 3), 3, size=24)
    )
    image = grey((30, 40, 26))
    volume = Volume(image)
    network = Doubling(3).eval()
    normal = (image - image.mean()) / image.std()
    with torch.inference_mode():
        expected = network(torch.from_numpy(normal)[None, None])[0, 0] * 0.5 + 3
    assert np.abs(result(volume, model) - expected.numpy()).max() < 1e-4


def test_instance_norm_is_noticed_and_blended_with_a_word(tmp_path: Path) -> None:
    content = torchscript(Doubling(2, norm=True), 2)
    model = imported(package(tmp_path / "made", content, 2))
    for side, mode in ((200, "exact"), (1400, "blend")):  # the one fits a tile
        volume = Volume(grey((1, side, side)))
        events = enhance(volume, model, EnhanceConfig(device="cpu", memory=0.1))
        started = next(events)
        assert isinstance(started, EnhanceStarted)
        assert started.mode == mode
    said = next(events)
    assert isinstance(said, Warned)
    assert "depend on the whole of a tile" in said.message


def test_a_glimpse_of_an_imported_model_is_its_result(tmp_path: Path) -> None:
    model = imported(package(tmp_path / "made", torchscript(Doubling(3), 3), 3))
    volume = Volume(grey((24, 40, 44)))
    region = slice(4, 12), slice(10, 30), slice(20, 40)
    done = list(glimpse(volume, model, CPU, region))[-1]
    assert isinstance(done, EnhanceDone)
    assert np.allclose(done.volume.read(), result(volume, model)[region], atol=1e-5)


def test_the_model_of_an_exported_package_comes_back_bit_for_bit(
    saved: Callable[..., Path], tmp_path: Path
) -> None:
    native = saved()
    folder = package(tmp_path / "made", torchscript(Doubling(3), 3), 3)
    shutil.copy(native, folder / "model.safetensors")
    changed(folder, attachments=[{"source": "model.safetensors"}])
    target = tmp_path / "back.safetensors"
    model = import_model(folder, target).model
    assert target.read_bytes() == native.read_bytes()
    assert model.b_to_a is not None


def test_an_imported_model_is_refused_where_it_cannot_work(tmp_path: Path) -> None:
    content = torchscript(Doubling(3), 3)
    model = imported(package(tmp_path / "made", content, 3))
    with pytest.raises(InputError, match="one way only"):
        model.generator("b_to_a")
    with pytest.raises(InputError, match="bf16: foreign is an imported model"):
        result(Volume(grey((20, 20, 20))), model, EnhanceConfig(precision="bf16"))
    path = tmp_path / "foreign.safetensors"
    run = ["train", "--a", "x.tif", "--b", "y.tif", "--start-from", str(path)]
    assert cli.main([*run, "--run", str(tmp_path / "run")]) == 1
    out = str(tmp_path / "again.onnx")
    assert cli.main(["export", str(path), "--format", "onnx", "-o", out]) == 1
    assert not (tmp_path / "run").exists()


def test_the_commands_import_and_enhance_into_a_store_that_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torchscript(Doubling(3), 3)
    folder = package(tmp_path / "made", content, 3, is_tried=True)
    package_file = zipped(folder, tmp_path / "denoiser.zip")
    model = tmp_path / "denoiser.safetensors"
    assert cli.main(["import", str(package_file), "-o", str(model)]) == 0
    said = capsys.readouterr().out
    assert "A test network (Anna Meier; CC-BY-4.0); 3D TorchScript at 1x" in said
    scan = Volume(grey((20, 30, 40)), name="scan")
    io.write(scan, tmp_path / "scan.tif")
    out = tmp_path / "out.ome.zarr"
    command = ["enhance", str(tmp_path / "scan.tif"), "--model", str(model)]
    assert cli.main([*command, "-o", str(out), "--device", "cpu", "--memory", "4"]) == 0
    assert np.allclose(io.read(out).read(), result(scan, load_model(model)), atol=1e-5)


def test_format_04_says_the_same_in_other_words(tmp_path: Path) -> None:
    folder = package(tmp_path / "made", torchscript(Doubling(3, 2), 3), 3, scale=2)
    new = imported(folder, "new")
    image = {"axes": "bczyx", "data_type": "float32"}
    changed(
        folder,
        format_version="0.4.9",
        inputs=[
            {
                **image,
                "name": "raw",
                "shape": {"min": [1, 1, 16, 16, 16], "step": [0, 0, 4, 4, 4]},
                "preprocessing": [
                    {
                        "name": "zero_mean_unit_variance",
                        "kwargs": {"mode": "per_sample", "axes": "czyx"},
                    }
                ],
            }
        ],
        outputs=[
            {
                **image,
                "name": "better",
                "halo": [0, 0, 4, 4, 4],
                "shape": {
                    "reference_tensor": "raw",
                    "scale": [1, 1, 2, 2, 2],
                    "offset": [0, 0, 0, 0, 0],
                },
                "postprocessing": [
                    {"name": "scale_linear", "kwargs": {"gain": [0.5], "offset": 3.0}}
                ],
            }
        ],
    )
    old, volume = imported(folder, "old"), Volume(grey((20, 24, 28)))
    inside = (slice(8, -8),) * 3  # 0.5 mirrors at the borders
    assert old.header.scale == 2
    assert np.allclose(result(volume, old)[inside], result(volume, new)[inside])


def test_what_is_imported_beside_a_package_replaces_nothing(tmp_path: Path) -> None:
    folder = package(tmp_path / "made", torchscript(Doubling(2), 2), 2)
    mine = tmp_path / "made" / "made.safetensors"
    mine.write_text("mine", encoding="utf-8")
    first = import_beside(folder / "rdf.yaml", tmp_path)
    assert (first.name, mine.read_text(encoding="utf-8")) == (
        "made-2.safetensors",
        "mine",
    )
    assert import_beside(folder / "rdf.yaml", tmp_path) == first
