"""What other programs make of the files that are written here.

Voxel size, origin and orientation as SimpleITK, nibabel, napari-ome-zarr, mrcfile and
ImageJ read them. A program that is not installed is left out, with a reason.
"""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.frames import Series
from napari_cyclegan3d.io.series import write_series

Coordinates = Callable[..., NDArray[Any]]

TO_XYZ = np.eye(4)[[2, 1, 0, 3]]
# ITK counts towards left and posterior
LPS = np.diag([-1.0, -1.0, 1.0])
JAR = Path("/usr/share/java/ij.jar")
MACRO = """
names = split(getArgument(), "|");
for (i = 0; i < names.length; i++) {
    open(names[i]);
    getVoxelSize(w, h, d, unit);
    getDimensions(width, height, channels, slices, frames);
    setSlice(nSlices);
    print(d2s(w, 9), d2s(h, 9), d2s(d, 9), unit, width, height, slices, frames,
        getPixel(1, 2), d2s(Stack.getFrameInterval(), 6));
    close();
}
"""


def placed(angles: Sequence[float], spacing: Sequence[float]) -> NDArray[np.float64]:
    affine = np.eye(4)
    turn = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = (-31.5, 12.25, 88)
    return affine


AFFINES = {
    "upright": placed((0, 0, 0), (2.5, 0.5, 0.25)),
    "oblique": placed((19, -7, 11), (2.5, 0.7, 0.33)),
    "turned over": placed((100, 170, -80), (2, 1, 0.5)),
    "flipped": placed((0, 0, 0), (2, -1, 0.5)),
}


def corners(shape: Sequence[int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*((0, size - 1) for size in shape)))


def by_place(
    shape: Sequence[int],
    world: Callable[[tuple[int, ...]], NDArray[np.float64]],
    value: Callable[[tuple[int, ...]], float],
) -> dict[tuple[float, ...], float]:
    """Grey values of the eight corner voxels by their world position, to 0.01."""
    return {
        tuple((np.round(world(index), 2) + 0.0).tolist()): float(value(index))
        for index in corners(shape)
    }


def expected(volume: Volume) -> dict[tuple[float, ...], float]:
    """The same of a volume, with positions x y z towards right, anterior, superior."""
    voxels = volume.read()
    return by_place(
        volume.shape,
        lambda index: (TO_XYZ @ volume.affine @ [*index, 1])[:3],
        lambda index: voxels[index],
    )


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("case", AFFINES)
def test_simpleitk_and_nibabel_find_every_corner_of_a_nifti_at_its_place(
    case: str, suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    volume = Volume(coordinates((5, 6, 7)), AFFINES[case], "millimeter")
    path = tmp_path / f"a{suffix}"
    io.write(volume, path)
    image = nib.load(path)
    for affine in (image.get_sform(), image.get_qform()):
        found = by_place(
            image.shape,
            lambda index, affine=affine: (affine @ [*index, 1])[:3],
            lambda index: image.dataobj[index],
        )
        assert found == expected(volume)
    read = sitk.ReadImage(str(path))
    found = by_place(
        read.GetSize(),
        lambda index: LPS @ read.TransformIndexToPhysicalPoint(index),
        lambda index: read[index],
    )
    assert found == expected(volume)
    assert sorted(read.GetSpacing()) == pytest.approx(sorted(volume.spacing))


def test_simpleitk_reads_a_series_with_its_step(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    voxels = coordinates((3, 5, 6, 7))
    told = {"series": Series("t", (3,), 2.5, "second")}
    frames = [
        Volume(one, AFFINES["oblique"], "millimeter", metadata=told) for one in voxels
    ]
    write_series(frames, tmp_path / "a.nii.gz")
    read = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert read.GetSize() == (7, 6, 5, 3)
    assert read.GetSpacing() == pytest.approx((0.33, 0.7, 2.5, 2.5))
    assert np.array_equal(sitk.GetArrayFromImage(read), voxels)


@pytest.mark.parametrize("shape", [(5, 6, 7), (40, 140, 260)])
def test_mrcfile_and_simpleitk_find_the_voxel_size_of_an_mrc(
    shape: tuple[int, int, int], tmp_path: Path, coordinates: Coordinates
) -> None:
    mrcfile = pytest.importorskip("mrcfile", reason="mrcfile is not installed")
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    affine = np.diag([2.5, 0.5, 0.25, 1])
    voxels = coordinates(shape, "float32")
    io.write(Volume(voxels, affine, "nanometer"), tmp_path / "a.mrc")
    with mrcfile.open(tmp_path / "a.mrc") as opened:
        sizes = [opened.voxel_size[axis].item() for axis in "zyx"]
        assert sizes == pytest.approx([25, 5, 2.5])
        assert np.array_equal(opened.data, voxels)
    read = sitk.ReadImage(str(tmp_path / "a.mrc"), imageIO="MRCImageIO")
    assert np.array_equal(sitk.GetArrayFromImage(read), voxels)
    assert read.GetSpacing() == pytest.approx((2.5, 5, 25))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("series", [False, True])
def test_napari_ome_zarr_finds_scale_units_and_all_levels(
    series: bool, version: str, tmp_path: Path
) -> None:
    """Its reader takes no translations, which is known; those are checked elsewhere."""
    reader = pytest.importorskip("napari_ome_zarr", reason="napari-ome-zarr is missing")
    voxels = np.random.default_rng(0).integers(0, 999, (2, 40, 150, 140), np.uint16)
    told = {
        "ome_zarr_version": version,
        "series": Series("t", (2,), 2.5, "second"),
    }
    affine = np.diag([2.5, 0.5, 0.25, 1])
    frames = [Volume(one, affine, "micrometer", metadata=told) for one in voxels]
    path = tmp_path / "a.zarr"
    write_series(frames if series else frames[:1], path)
    read = reader.napari_get_reader(str(path))
    assert read is not None
    ((data, told_layer, kind),) = read(str(path))
    whole = voxels if series else voxels[0]
    first = (2.5,) if series else ()
    assert kind == "image"
    assert [level.shape[-3:] for level in data] == [(40, 150, 140), (20, 75, 70)]
    assert np.array_equal(np.asarray(data[0]), whole)
    assert tuple(told_layer["scale"]) == (*first, 2.5, 0.5, 0.25)
    units = [str(unit) for unit in told_layer["units"]]
    assert units == [*(["second"] if series else []), *["micrometer"] * 3]
    assert tuple(told_layer["axis_labels"]) == tuple("tzyx" if series else "zyx")


def test_ome_zarr_attributes_are_what_the_specification_asks_for(
    tmp_path: Path,
) -> None:
    """Keys that validators check, for lack of the validator itself."""
    io.write(Volume(np.zeros((40, 150, 140), np.uint8)), tmp_path / "a.zarr")
    content = json.loads(
        (tmp_path / "a.zarr" / "zarr.json").read_text(encoding="utf-8")
    )
    assert (content["zarr_format"], content["node_type"]) == (3, "group")
    (image,) = content["attributes"]["ome"]["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    for level in image["datasets"]:
        kinds = [step["type"] for step in level["coordinateTransformations"]]
        assert kinds == ["scale", "translation"]
        array = json.loads(
            (tmp_path / "a.zarr" / level["path"] / "zarr.json").read_text(
                encoding="utf-8"
            )
        )
        assert array["dimension_names"] == ["z", "y", "x"]
        assert array["chunk_key_encoding"]["configuration"]["separator"] == "/"


def imagej(tmp_path: Path, paths: Sequence[Path]) -> list[list[str]]:
    """What ImageJ prints of each file: its voxel size, unit, dimensions and a voxel."""
    if not JAR.exists() or shutil.which("java") is None:
        pytest.skip("ImageJ (Debian's package imagej) is not installed")
    command = ["java", "-jar", str(JAR), "-ijpath", str(tmp_path)]
    if "DISPLAY" not in os.environ:
        if shutil.which("xvfb-run") is None:
            pytest.skip("ImageJ needs a display, or xvfb-run")
        command = ["xvfb-run", "-a", *command]
    macro = tmp_path / "facts.ijm"
    macro.write_text(MACRO, encoding="utf-8")
    names = "|".join(map(str, paths))
    done = subprocess.run(
        [*command, "-batch", str(macro), names],
        capture_output=True,
        check=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [line.split() for line in lines if line.strip()]


def test_imagej_shows_the_right_voxel_size_of_every_tiff(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    """Fiji opens these files with the same reader."""
    units = {
        "micrometer": (("µm", "um", "micron"), 1.0),
        "millimeter": (("mm",), 1.0),
        "nanometer": (("nm",), 1.0),
    }
    paths = []
    for unit in units:
        for dtype in ("uint8", "uint16", "float32"):
            paths.append(tmp_path / f"{unit}_{dtype}.tif")
            affine = placed((19, -7, 11), (2.5, 0.598958, 0.25))
            io.write(Volume(coordinates((5, 6, 7), dtype), affine, unit), paths[-1])
    answers = imagej(tmp_path, paths)
    assert len(answers) == len(paths)
    for path, answer in zip(paths, answers, strict=True):
        unit, dtype = path.stem.split("_")
        sizes = [float(one) for one in answer[:3]]
        assert sizes == pytest.approx([0.25, 0.598958, 2.5], rel=1e-6)
        assert answer[3].replace("Âµ", "µ") in units[unit][0]
        assert [int(one) for one in answer[4:8]] == [7, 6, 5, 1]
        last_plane = coordinates((5, 6, 7), dtype)[4]
        assert float(answer[8]) == pytest.approx(float(last_plane[2, 1]))


def test_imagej_shows_the_frames_of_a_series_and_their_step(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 5, 6, 7))
    told = {"series": Series("t", (3,), 2.5, "second")}
    affine = np.diag([2.0, 0.5, 0.25, 1])
    frames = [Volume(one, affine, "micrometer", metadata=told) for one in voxels]
    write_series(frames, tmp_path / "a.tif")
    ((*sizes, _, width, height, slices, count, grey, step),) = imagej(
        tmp_path, [tmp_path / "a.tif"]
    )
    assert [float(one) for one in sizes] == pytest.approx([0.25, 0.5, 2])
    assert [int(one) for one in (width, height, slices, count)] == [7, 6, 5, 3]
    assert float(grey) == voxels[2, 4, 2, 1]
    assert float(step) == 2.5
