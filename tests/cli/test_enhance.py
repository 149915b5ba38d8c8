import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume

Command = Callable[..., Any]
# which format is faster may change from one moment to the next
FP32 = "--precision=fp32"
MAIN = "import sys; from napari_cyclegan3d.cli import main; sys.exit(main())"
# the same, and the most memory that the process had
PEAK = f"{MAIN[:-16]}code = main(); print(open('/proc/self/status').read()); exit(code)"


def engine_result(source: Path, model: Path, config: EnhanceConfig) -> Volume:
    events = list(enhance(io.read(source), load_model(model), config))
    assert isinstance(events[-1], EnhanceDone)
    return events[-1].volume


def corners(volume: Volume) -> np.ndarray:
    """World positions of the outer corners of a volume's first and last voxel."""
    ends = np.array([[-0.5] * 3, [n - 0.5 for n in volume.shape]])
    return np.column_stack([ends, [1, 1]]) @ volume.affine.T


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("fast.tif", "out.tif"),
        ("fast.tif", "out.nii.gz"),
        ("fast.tif", "out.h5"),
        ("fast.tif", "out.zarr"),
        ("oblique.nii.gz", "out.nii"),
        ("oblique.nii.gz", "out.nii.gz"),
    ],
)
def test_the_result_is_the_engines_and_lies_exactly_over_its_source(
    source: str,
    output: str,
    command: Command,
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    model = run_1x / "model.safetensors"
    outcome = command(
        "enhance", scans / source, "--model", model, "-o", tmp_path / output, FP32
    )
    assert outcome.code == 0, outcome.err
    before, after = io.read(scans / source), io.read(tmp_path / output)
    assert after.dtype == np.float32
    assert after.shape == before.shape
    assert np.allclose(after.affine, before.affine, atol=1e-4)
    assert after.unit == before.unit
    expected = engine_result(scans / source, model, EnhanceConfig(precision="fp32"))
    assert np.array_equal(after.read(), expected.read())
    assert list(tmp_path.iterdir()) == [tmp_path / output]


@pytest.mark.parametrize(
    ("source", "output"), [("fast.tif", "out.tif"), ("oblique.nii.gz", "out.nii.gz")]
)
def test_a_2x_model_doubles_the_shape_halves_the_spacing_and_covers_the_same_place(
    source: str,
    output: str,
    command: Command,
    scans: Path,
    run_2x: Path,
    tmp_path: Path,
) -> None:
    model = run_2x / "model.safetensors"
    outcome = command(
        "enhance", scans / source, "--model", model, "-o", tmp_path / output
    )
    assert outcome.code == 0, outcome.err
    before, after = io.read(scans / source), io.read(tmp_path / output)
    assert after.shape == tuple(2 * side for side in before.shape)
    assert np.allclose(after.spacing, np.divide(before.spacing, 2), rtol=1e-5)
    assert np.allclose(corners(after), corners(before), atol=1e-3)


def test_all_options_of_enhance_reach_the_engine(
    command: Command, scans: Path, run_1x: Path, tmp_path: Path
) -> None:
    config = EnhanceConfig(
        direction="b_to_a",
        mode="blend",
        tile=(12, 16, 20),
        overlap=0.3,
        memory=8,
        precision="fp32",
        device="cpu",
    )
    options = ["--direction=b_to_a", "--mode=blend", "--tile=12,16,20"]
    options += ["--overlap=0.3", "--memory=8GB", "--device=cpu", FP32]
    model, output = run_1x / "model.safetensors", tmp_path / "out.tif"
    volume = scans / "slow.tif"
    outcome = command("enhance", volume, "--model", model, "-o", output, *options)
    assert outcome.code == 0, outcome.err
    result = io.read(output).read()
    assert np.array_equal(result, engine_result(volume, model, config).read())
    # each of them matters to the result, but memory and device
    for change in ({"direction": "a_to_b"}, {"mode": "exact"}, {"overlap": 0.7}):
        other = engine_result(volume, model, config.model_copy(update=change))
        assert not np.array_equal(result, other.read())


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("2:22,3:27,4:30", (slice(2, 22), slice(3, 27), slice(4, 30))),
        (":, 4:, :-6", (slice(None), slice(4, None), slice(None, -6))),
    ],
)
def test_a_region_gives_the_same_as_a_file_that_holds_only_it(
    text: str,
    region: tuple[slice, slice, slice],
    command: Command,
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    model = run_1x / "model.safetensors"
    io.write(io.read(scans / "oblique.nii.gz").crop(region), tmp_path / "cut.nii.gz")
    for source, output in (
        (f"{scans / 'oblique.nii.gz'}[{text}]", "by_region.nii"),
        (tmp_path / "cut.nii.gz", "by_file.nii"),
    ):
        arguments = ["enhance", source, "--model", model, "-o", tmp_path / output]
        assert command(*arguments, FP32).code == 0
    one, two = io.read(tmp_path / "by_region.nii"), io.read(tmp_path / "by_file.nii")
    assert np.array_equal(one.read(), two.read())
    assert np.allclose(one.affine, two.affine, atol=1e-4)


def test_a_file_whose_name_looks_like_a_region_is_that_file(
    command: Command, scans: Path, run_1x: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "slices[0:4,0:4,0:4]"
    folder.mkdir()
    volume = io.read(scans / "fast.tif")
    for z in range(20):
        plane = (slice(z, z + 1), slice(None), slice(None))
        io.write(volume.crop(plane), folder / f"s{z}.tif")
    arguments = ["--model", run_1x / "model.safetensors", "-o", tmp_path / "out.tif"]
    assert command("enhance", folder, *arguments).code == 0
    assert io.read(tmp_path / "out.tif").shape == (20, 28, 30)


def test_overwrite_replaces_the_output(
    command: Command, scans: Path, run_1x: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.tif"
    output.write_bytes(b"something older")
    arguments = ["enhance", scans / "fast.tif", "--model", run_1x / "model.safetensors"]
    assert command(*arguments, "-o", output, "--overwrite").code == 0
    assert io.read(output).shape == (26, 28, 30)


@pytest.mark.parametrize("options", [("--mode=blend", "--tile=12,16,20"), ()])
def test_any_mode_can_be_written_to_an_ome_zarr_and_replaces_an_older_one(
    options: tuple[str, ...],
    command: Command,
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    model, output = run_1x / "model.safetensors", tmp_path / "out.zarr"
    io.write(io.read(scans / "slow.tif"), output)
    arguments = ["enhance", scans / "fast.tif", "--model", model, FP32, "-o", output]
    assert "--overwrite" in command(*arguments, *options).sentence
    outcome = command(*arguments, *options, "--overwrite")
    assert outcome.code == 0, outcome.err
    command(*arguments[:-1], tmp_path / "out.tif", *options)
    assert np.array_equal(io.read(output).read(), io.read(tmp_path / "out.tif").read())
    assert {path.name for path in tmp_path.iterdir()} == {"out.zarr", "out.tif"}


def test_workers_give_what_one_process_gives(
    process: Command, command: Command, scans: Path, run_1x: Path, tmp_path: Path
) -> None:
    arguments = ["enhance", scans / "fast.tif", FP32]
    arguments += ["--model", run_1x / "model.safetensors", "-o"]
    several = process(MAIN, *arguments, tmp_path / "out.zarr", "--workers=2")
    assert several.code == 0, several.err
    assert "on 2 workers; fp32" in several.out
    assert "Traceback" not in several.err
    command(*arguments, tmp_path / "out.tif")
    result = io.read(tmp_path / "out.zarr").read()
    assert np.array_equal(result, io.read(tmp_path / "out.tif").read())


@pytest.mark.parametrize("suffix", [".tif", ".nii", ".h5", ".zarr"])
def test_the_input_is_not_replaced_by_its_own_result(
    suffix: str,
    command: Command,
    contents: Callable[[Path], dict[str, str]],
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    volume = tmp_path / f"scan{suffix}"
    io.write(io.read(scans / "fast.tif"), volume)
    before = contents(tmp_path)
    arguments = ["--model", run_1x / "model.safetensors", "-o", volume, "--overwrite"]
    assert "is the input, too" in command("enhance", volume, *arguments).sentence
    assert contents(tmp_path) == before


def test_a_result_is_not_put_among_the_slices_of_its_input(
    command: Command,
    contents: Callable[[Path], dict[str, str]],
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    for number, plane in enumerate(io.read(scans / "fast.tif").read()):
        tifffile.imwrite(folder / f"{number:03}.tif", plane)
    before = contents(tmp_path)
    arguments = ["--model", run_1x / "model.safetensors", "-o", folder / "x.tif"]
    assert "among the slices" in command("enhance", folder, *arguments).sentence
    assert contents(tmp_path) == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("suffix", [".tif", ".nii", ".h5", ".zarr"])
def test_the_program_stays_under_its_memory_whatever_the_size_of_the_volume(
    suffix: str, process: Command, run_1x: Path, tmp_path: Path
) -> None:
    # 512 planes of 300 × 300: the result has 184 MB, twice what remains for the work
    plane = np.random.default_rng(0).integers(0, 4000, (1, 300, 300), dtype=np.uint16)
    volume, output = tmp_path / f"large{suffix}", tmp_path / f"out{suffix}"
    io.write(Volume(np.broadcast_to(plane, (512, 300, 300))), volume)
    arguments = [volume, "--model", run_1x / "model.safetensors", "-o", output]
    outcome = process(PEAK, "enhance", *arguments, "--memory=600MB", "--device=cpu")
    assert outcome.code == 0, outcome.err
    peak = re.search(r"VmHWM:\s*(\d+) kB", outcome.out)
    assert peak is not None
    assert int(peak[1]) / 1e6 * 1.024 < 0.6
    shutil.rmtree(tmp_path)
