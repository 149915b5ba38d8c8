"""Writes docs/formats.md from round trips through every format.

    python scripts/formats_page.py

The test `tests/io/test_formats_page.py` makes the same page and compares.
"""

import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import conversion
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.io.series import read_series, write_series

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip
UNITS = ("micrometer", "millimeter")
SHAPE = (5, 6, 7)
# parts of the bytes of our own notes: without them a file is what others find in it
OWN = ((b"napari_cyclegan3d", b"xapari_cyclegan3d"), (b"napari-cyclegan3d", b"x" * 17))
OWN_ATTRIBUTES = ("affine_zyx", "spacing", "unit")
UPRIGHT = np.diag([2.5, 0.5, 0.25, 1])
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
LARGE = (64, 512, 512)

TOP = """\
# Formats

<!-- written by scripts/formats_page.py from round trips; do not edit -->

What is written here and read again, measured by writing and reading files
(`python scripts/formats_page.py`; a test fails where the page says something else).
**yes**: the property comes back, and any program finds it in the file. **here**: it
comes back through a note beside the voxels that only this package reads. **no**: it is
lost.
"""

BOTTOM = """\
All types of voxels not listed are refused with a sentence that names those that can be
written. Numbers of any byte order are read; what is written has the machine's. NIfTI
and OME-Zarr that were read go back as they came: NIfTI on its own grid, with its own
header and both forms equal, OME-Zarr in its version. Units are those of length;
NIfTI knows meter, millimeter and micrometer, and gets others converted.

## Series

A file with more axes than z y x holds frames. `FILE::3` names one
(`FILE.h5::dataset::3` in HDF5) wherever a volume is named; `enhance FILE` translates
all of them and writes a series; in a domain they are all trained on. Channels are of
different kinds and are never taken together: name one. In napari a series is a layer
with t before z y x, of which a training takes all frames as well, and channels are
layers. MRC (as a stack of volumes) and NumPy keep no time between frames. Python:
`io.series.read_series`, `write_series`.

## OME-Zarr

Version 0.5 is written, or 0.4 with `--zarr-version 0.4`. The pyramid is made of means
of 2×2×2 voxels; axes of fewer than 32 voxels are not halved. A level's voxels are
`s·2^i` wide and begin at `t + s·(2^i − 1)/2`, so that all levels lie over each other.
Beyond 4 GiB, chunks of 64³ share files of 64 × 128 × 128 voxels (shards, 0.5 only).
Whatever is interrupted goes on when the same command comes again, the pyramid too.
OME-Zarr knows no rotation: others find the nearest upright grid.

## HDF5

The usual places are looked at first: `data`, `exchange/data`, `entry/data/data`,
`entry1/tomo_entry/data/data`, `entry1/data/data`, ESRF's
`entry0000/reconstruction/results/data`, Fiji's `t0/channel0`, ilastik's
`exported_data`; else the only dataset with three axes. `FILE.h5::group/dataset` names
any other. The voxel size comes from our attributes, from `element_size_um`,
`voxel_size`, `spacing` or `resolution` (z, y, x), or from the axes of NeXus (NXdata).

## Other programs

`tests/io/test_other_readers.py` and `tests/cli/test_enhance_series.py` let SimpleITK,
nibabel, mrcfile, napari-ome-zarr and ImageJ read what is written here, and compare
voxel size, origin, orientation and voxels. Known limits: napari-ome-zarr takes no
translations; ITK does not know NIfTI-2; ImageJ without Bio-Formats opens only the
types uint8, uint16 and float32 of TIFF (the others are OME-TIFF), and reads no origin.
The qform of NIfTI-1 holds a rotation in 32 bits: near half turns its corners differ
from those of the sform by some micrometers, and nearer than about a milliradian
readers round it to the half turn.
"""


def page() -> str:
    """The page, from what round trips find now."""
    rows = [
        "| format | voxel size | origin | rotation, mirroring | unit | types that come "
        "back | NaN, ∞ | 4D | a slice alone is read |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, suffix, metadata) in enumerate(_kinds()):
            place = Path(folder) / str(number)
            place.mkdir()
            rows.append(_row(name, _Trip(place, suffix, metadata)))
    only_read = [
        f"{row.name} ({', '.join(row.suffixes)}{'; a folder is a volume' * row.slice})"
        for row in io.FORMATS
        if row.create is None
    ]
    read = f"Only read: {'; '.join(only_read)}.\n"
    return "\n".join([TOP, *rows, "", read, BOTTOM])


def _kinds() -> list[tuple[str, str, dict[str, str]]]:
    """What is tried: a title, a suffix, and metadata of the volume."""
    kinds: list[tuple[str, str, dict[str, str]]] = []
    for row in io.FORMATS:
        if row.create is None:
            continue
        suffixes = ", ".join(f"`{one}`" for one in row.suffixes)
        if row.name == "NIfTI":
            kinds += [(f"NIfTI `{one}`", one, {}) for one in row.suffixes]
        elif row.name == "OME-Zarr":
            kinds.append(("OME-Zarr 0.5 `.zarr`", ".zarr", {}))
            older = {"ome_zarr_version": "0.4"}
            kinds.append(("OME-Zarr 0.4 `.zarr`", ".zarr", older))
        else:
            kinds.append((f"{row.name} {suffixes}", row.suffixes[0], {}))
    return kinds


class _Trip:
    """Volumes that are written in a format and read again."""

    def __init__(self, folder: Path, suffix: str, metadata: dict[str, str]) -> None:
        self.folder, self.suffix, self.metadata = folder, suffix, metadata
        self.number = 0

    def written(self, volume: Volume) -> Path:
        self.number += 1
        path = self.folder / f"{self.number}{self.suffix}"
        io.write(
            Volume(volume.array, volume.affine, volume.unit, metadata=self.metadata),
            path,
        )
        return path

    def keeps(self, volume: Volume, same: Callable[[Volume, Volume], bool]) -> str:
        """Whether a property comes back, and whether others find it."""
        path = self.written(volume)
        if not same(volume, io.read(path)):
            return "no"
        _spoil(path)
        try:
            return "yes" if same(volume, io.read(path)) else "here"
        except InputError:
            return "here"


def _row(name: str, trip: _Trip) -> str:
    voxels = np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE)
    moved, turned = UPRIGHT.copy(), UPRIGHT.copy()
    moved[:3, 3] = (-31.5, 12.25, 88)
    turned[:3, :3] = TURN @ np.diag([2.5, -0.5, 0.25])
    kept = [
        trip.keeps(Volume(voxels, UPRIGHT, "micrometer"), _same_size),
        trip.keeps(Volume(voxels, moved, "micrometer"), _same_origin),
        trip.keeps(Volume(voxels, turned, "micrometer"), _same_corners),
        _worst(trip.keeps(Volume(voxels, UPRIGHT, unit), _same_unit) for unit in UNITS),
    ]
    cells = [*kept, _types(trip), _numbers(trip), _frames(trip), _pieces(trip)]
    return f"| {name} | {' | '.join(cells)} |"


def _worst(answers: Any) -> str:
    found = set(answers)
    return next(one for one in ("no", "here", "yes") if one in found)


def _in_micrometers(volume: Volume) -> NDArray[np.float64]:
    affine = volume.affine.copy()
    if volume.unit != "pixel":
        affine[:3] *= conversion(volume.unit, "micrometer")
    return affine


def _same_size(one: Volume, other: Volume) -> bool:
    sizes = (np.linalg.norm(_in_micrometers(v)[:3, :3], axis=0) for v in (one, other))
    return np.allclose(*sizes, rtol=1e-5)


def _same_origin(one: Volume, other: Volume) -> bool:
    return np.allclose(
        _in_micrometers(one)[:3, 3], _in_micrometers(other)[:3, 3], atol=1e-3
    )


def _same_corners(one: Volume, other: Volume) -> bool:
    """Whether the extreme voxels lie where they were, with their grey values."""
    if sorted(one.shape) != sorted(other.shape):
        return False
    ends = np.array(
        [[0, 0, 0, 1], [*(n - 1 for n in SHAPE), 1], [0, SHAPE[1] - 1, 0, 1]]
    )
    world = ends @ _in_micrometers(one).T
    index = (world @ np.linalg.inv(_in_micrometers(other)).T)[:, :3]
    nearest = np.rint(index).astype(int)
    if np.abs(index - nearest).max() > 1e-2 or nearest.min() < 0:
        return False
    if (nearest >= other.shape).any():
        return False
    values = one.read()[tuple(ends[:, :3].T)]
    return bool(np.array_equal(values, other.read()[tuple(nearest.T)]))


def _same_unit(one: Volume, other: Volume) -> bool:
    return one.unit == other.unit


def _types(trip: _Trip) -> str:
    """The types that come back without a change."""
    kept = []
    for dtype in TYPES:
        voxels = (np.arange(24).reshape(2, 3, 4) % 2).astype(dtype)
        try:
            again = io.read(trip.written(Volume(voxels)))
        except InputError:
            continue
        if again.dtype == voxels.dtype and np.array_equal(again.read(), voxels):
            kept.append(dtype)
    missing = [dtype for dtype in TYPES if dtype not in kept]
    return "all" if not missing else ", ".join(kept)


def _numbers(trip: _Trip) -> str:
    voxels = np.zeros((2, 3, 4), np.float32)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    again = io.read(trip.written(Volume(voxels))).read()
    return "yes" if np.array_equal(again, voxels, equal_nan=True) else "no"


def _frames(trip: _Trip) -> str:
    voxels = np.arange(3 * np.prod(SHAPE), dtype=np.uint8).reshape(3, *SHAPE)
    told = dict(trip.metadata)
    frames = [Volume(one, UPRIGHT, "micrometer", metadata=told) for one in voxels]
    path = trip.folder / f"frames{trip.suffix}"
    try:
        write_series(frames, path)
    except InputError:
        reads = next(row for row in io.FORMATS if trip.suffix in row.suffixes).series
        return "read" if reads else "no"
    again = [frame.read() for frame in read_series(path)]
    return "read, written" if np.array_equal(again, voxels) else "no"


class _Ones:
    """Voxels that take no memory until they are read."""

    shape = LARGE
    dtype = np.dtype(np.uint8)

    def __getitem__(self, region: Region) -> NDArray[np.uint8]:
        shape = [len(range(*p.indices(n))) for p, n in zip(region, LARGE, strict=True)]
        return np.ones(shape, np.uint8)


def _pieces(trip: _Trip) -> str:
    """Whether a slice is read without the rest of the volume."""
    path = trip.written(Volume(_Ones()))
    tracemalloc.start()
    try:
        io.read(path).read((slice(7, 8), slice(None), slice(None)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # chunks of 32 slices are read for one of them
    return "yes" if peak < 0.8 * np.prod(LARGE) else "no"


def _spoil(path: Path) -> None:
    """Make a file what it is to others: take our own notes out of it."""
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            for name in OWN_ATTRIBUTES:
                del file["data"].attrs[name]
        return
    files: Sequence[Path] = [path]
    if path.is_dir():
        files = [*path.glob("*.json"), *path.glob(".z*")]
    for file in files:
        data = file.read_bytes()
        for own, other in OWN:
            data = data.replace(own, other)
        file.write_bytes(data)
    path.with_name(f"{path.name}.json").unlink(missing_ok=True)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
