"""Series, versions of OME-Zarr, and real oddities, from the input to the output."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.frames import Series
from napari_cyclegan3d.io.ome_metadata import NOTE
from napari_cyclegan3d.io.series import read_series, write_series

Command = Callable[..., Any]
ODD = Path(__file__).parents[2].parent / "shared" / "data" / "odd_nifti"
FP32 = "--precision=fp32"
LPS = np.diag([-1.0, -1.0, 1.0])


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """Three frames of 12 × 14 × 16 voxels, 2 s apart."""
    random = np.random.default_rng(0)
    voxels = random.normal(1000, 200, (3, 12, 14, 16)).astype(np.int16)
    told = {"series": Series("t", (3,), 2.0, "second")}
    affine = np.diag([2.0, 1.5, 1.0, 1])
    frames = [Volume(one, affine, "millimeter", metadata=told) for one in voxels]
    write_series(frames, tmp_path / "movie.nii.gz")
    return tmp_path / "movie.nii.gz"


@pytest.mark.parametrize("suffix", [".nii.gz", ".tif", ".h5", ".zarr", ".mrc", ".npy"])
def test_every_frame_of_a_series_is_enhanced_into_a_series(
    suffix: str, command: Command, movie: Path, run_2x: Path, tmp_path: Path
) -> None:
    model, output = run_2x / "model.safetensors", tmp_path / f"out{suffix}"
    outcome = command("enhance", movie, "--model", model, "-o", output, FP32)
    assert outcome.code == 0, outcome.err
    assert "3 frames of (24, 28, 32) voxels of 1 × 0.75 × 0.5 millimeter" in outcome.out
    frames = read_series(output)
    # neither MRC nor NumPy has room for the time between frames
    step = (1.0, "pixel") if suffix in (".mrc", ".npy") else (2.0, "second")
    assert frames[0].metadata["series"] == Series("t", (3,), *step)
    alone = tmp_path / "alone.nii"
    outcome = command("enhance", f"{movie}::1", "--model", model, "-o", alone, FP32)
    assert outcome.code == 0, outcome.err
    assert np.array_equal(frames[1].read(), io.read(alone).read())
    assert not np.array_equal(frames[0].read(), frames[1].read())


def test_an_interrupted_series_goes_on_where_it_was(
    command: Command, movie: Path, run_1x: Path, tmp_path: Path
) -> None:
    model, output = run_1x / "model.safetensors", tmp_path / "out.zarr"
    arguments = ("enhance", movie, "--model", model, "-o", output, FP32)
    assert command(*arguments).code == 0
    expected = [frame.read() for frame in read_series(output)]
    # as it is left by a process that was killed in the last frame
    group = zarr.open_group(output, mode="r+")
    note: Any = group.attrs[NOTE]
    group.attrs[NOTE] = {**note, "state": "unfinished"}
    shutil.rmtree(output / "0" / "c" / "2")
    outcome = command(*arguments)
    assert outcome.code == 0, outcome.err
    assert "goes on; 2 of 3 chunks are there" in outcome.out
    for frame, before in zip(read_series(output), expected, strict=True):
        assert np.array_equal(frame.read(), before)


def test_several_processes_share_the_frames_of_a_series(
    command: Command, movie: Path, run_1x: Path, tmp_path: Path
) -> None:
    model = run_1x / "model.safetensors"
    for name, options in (("one", ()), ("two", ("--workers=2",))):
        output = tmp_path / f"{name}.zarr"
        outcome = command(
            "enhance", movie, "--model", model, "-o", output, FP32, *options
        )
        assert outcome.code == 0, outcome.err
    one, two = (read_series(tmp_path / f"{name}.zarr") for name in ("one", "two"))
    for frame, other in zip(one, two, strict=True):
        assert np.allclose(frame.read(), other.read(), atol=1e-3)


def test_the_version_of_an_ome_zarr_is_chosen(
    command: Command, scans: Path, run_1x: Path, tmp_path: Path
) -> None:
    model, source = run_1x / "model.safetensors", scans / "fast.tif"
    older, newer = tmp_path / "older.zarr", tmp_path / "newer.zarr"
    arguments = ("enhance", source, "--model", model, FP32)
    assert command(*arguments, "-o", older, "--zarr-version=0.4").code == 0
    assert command(*arguments, "-o", newer).code == 0
    assert (older / ".zattrs").is_file()
    assert (newer / "zarr.json").is_file()
    assert np.array_equal(io.read(older).read(), io.read(newer).read())
    outcome = command(*arguments, "-o", tmp_path / "a.tif", "--zarr-version=0.4")
    assert "a.tif is no OME-Zarr; give a name that ends in .zarr" in outcome.sentence


def edges(affine: NDArray[Any], shape: Any) -> NDArray[np.float64]:
    """World positions of the eight outer corners, in one order for all orientations."""
    ends = itertools.product(*((-0.5, size - 0.5) for size in shape))
    found = np.array([(affine @ [*end, 1])[:3] for end in ends])
    return found[np.lexsort(np.round(found, 1).T)]


@pytest.mark.parametrize("output", ["out.nii", "out.nii.gz"])
@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("nibabel_anatomical.nii", None),
        ("nibabel_example_nifti2.nii.gz", None),
        ("nibabel_example4d.nii.gz", (slice(3, 9), slice(20, 44), slice(30, 51))),
        (
            "openms_raw_p12_study1_T1W.nii.gz",
            (slice(9, 20), slice(99, 131), slice(130)),
        ),
        (
            "openms_raw_p12_study1_T2W.nii.gz",
            (slice(20, 25), slice(97, 140), slice(150, 348)),
        ),
    ],
)
def test_real_oddities_keep_their_eight_corners_at_twice_the_size(
    name: str,
    region: Any,
    output: str,
    command: Command,
    run_2x: Path,
    tmp_path: Path,
) -> None:
    """Read, enhanced, written: SimpleITK and nibabel find the corners of the source."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    if not ODD.exists():
        pytest.skip("needs odd_nifti in the folder shared/data beside the checkout")
    source = nib.load(ODD / name)
    text = str(ODD / name)
    start, stop = np.zeros(3), np.array(source.shape[:3])
    if region is not None:
        # the region is along z y x of the volume, nearest to RAS
        text += f"[{','.join(f'{one.start or 0}:{one.stop}' for one in region)}]"
        signs = nib.orientations.io_orientation(source.affine)
        for axis, (world, sign) in enumerate(signs):
            part = region[2 - int(world)]
            low, high = part.start or 0, part.stop
            size = source.shape[axis]
            start[axis], stop[axis] = (
                (low, high) if sign > 0 else (size - high, size - low)
            )
    model, path = run_2x / "model.safetensors", tmp_path / output
    outcome = command("enhance", text, "--model", model, "-o", path, FP32)
    assert outcome.code == 0, outcome.err
    moved = source.affine.copy()
    moved[:3, 3] += moved[:3, :3] @ start
    expected = edges(moved, stop - start)
    image = nib.load(path)
    assert image.shape[:3] == tuple(2 * (stop - start).astype(int))
    assert image.shape[3:] == source.shape[3:]
    for affine in (image.get_sform(), image.get_qform()):
        assert np.abs(edges(affine, image.shape[:3]) - expected).max() < 1e-3
    if isinstance(image, nib.Nifti2Image):
        return  # which ITK does not know
    read = sitk.ReadImage(str(path))
    turn = np.array(read.GetDirection()).reshape(read.GetDimension(), -1)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = LPS @ turn @ np.diag(read.GetSpacing()[:3])
    affine[:3, 3] = LPS @ read.GetOrigin()[:3]
    assert np.abs(edges(affine, read.GetSize()[:3]) - expected).max() < 1e-3
