"""`enhance --cycle`: the result, and its translation back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume

Command = Callable[..., Any]
FP32 = "--precision=fp32"


def result(volume: Volume, model: Path, direction: str) -> Volume:
    config = EnhanceConfig(direction=direction, precision="fp32")
    *_, last = enhance(volume, load_model(model), config)
    assert isinstance(last, EnhanceDone)
    return last.volume


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz", ".h5", ".zarr"])
@pytest.mark.parametrize("direction", ["a_to_b", "b_to_a"])
def test_the_cyclic_volume_is_the_result_translated_back_and_lies_over_the_input(
    suffix: str,
    direction: str,
    command: Command,
    scans: Path,
    run_2x: Path,
    tmp_path: Path,
) -> None:
    model, volume = run_2x / "model.safetensors", scans / "fast.tif"
    there, back = tmp_path / f"there{suffix}", tmp_path / f"back{suffix}"
    arguments = ["--model", model, "-o", there, "--cycle", back, FP32]
    outcome = command("enhance", volume, *arguments, "--direction", direction)
    assert outcome.code == 0, outcome.err
    scan, one, two = (io.read(path) for path in (volume, there, back))
    other = "b_to_a" if direction == "a_to_b" else "a_to_b"
    assert np.array_equal(one.read(), result(scan, model, direction).read())
    assert np.array_equal(two.read(), result(one, model, other).read())
    assert two.shape == scan.shape
    assert np.allclose(two.affine, scan.affine, atol=1e-4)
    assert {path.name for path in tmp_path.iterdir()} == {there.name, back.name}


def test_a_tile_is_given_in_voxels_of_the_input_on_both_ways(
    command: Command, scans: Path, run_2x: Path, tmp_path: Path
) -> None:
    model, volume = run_2x / "model.safetensors", scans / "fast.tif"
    there, back = tmp_path / "there.tif", tmp_path / "back.tif"
    arguments = ["--model", model, "-o", there, "--cycle", back, "--tile=8,12,16"]
    outcome = command("enhance", volume, *arguments)
    assert outcome.code == 0, outcome.err
    assert "tiles of 8×12×16" in outcome.out or "×12×16 on" in outcome.out
    assert "×24×32 on" in outcome.out


@pytest.mark.parametrize(
    ("cycle", "reason"),
    [
        ("out.tif", "is the output, too"),
        ("input.tif", "is the input, too"),
        ("there.tif", "exists already"),
        ("back.xyz", "cannot be written"),
    ],
)
def test_a_place_where_the_cycle_cannot_be_written_is_refused_before_the_work(
    cycle: str,
    reason: str,
    command: Command,
    contents: Callable[[Path], dict[str, str]],
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    io.write(io.read(scans / "fast.tif"), tmp_path / "input.tif")
    (tmp_path / "there.tif").write_bytes(b"older")
    overwrite = ["--overwrite"] if cycle == "input.tif" else []
    before = contents(tmp_path)
    arguments = ["--model", run_1x / "model.safetensors", "-o", tmp_path / "out.tif"]
    arguments += ["--cycle", tmp_path / cycle, *overwrite]
    outcome = command("enhance", tmp_path / "input.tif", *arguments)
    assert outcome.code != 0
    assert reason in outcome.sentence
    assert contents(tmp_path) == before
