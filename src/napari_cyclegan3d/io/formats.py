"""The table of all formats: suffixes, functions, and what of a volume they keep.

Reading, writing, what napari is told, the page about formats and the tests that run
every case against every format come from these rows.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import (
    bitmaps,
    dicom,
    hdf5,
    mrc,
    nifti,
    npy,
    ome_zarr,
    png,
    raw,
    tensors,
    tiff,
)
from napari_cyclegan3d.io.blocks import Sink

Kept = Literal["yes", "here", "no"]
Create = Callable[[Volume, Path], AbstractContextManager[Sink]]

_COMMON = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_ALL = ("bool", *_COMMON, "int64", "uint64", "float16")


@dataclass(frozen=True)
class Format:
    """One row of the table.

    What is kept of a volume is "yes" if any program finds it in the file, "here" if it
    is in a note that only this package reads, and "no" if it is lost.

    Attributes:
        name: What people call it.
        suffixes: Ends of file names, in lower case.
        read: Opens a file, or with a second argument what that names, see `inside`.
        create: Lends a sink for what is written; None if it is only read.
        dtypes: Types of voxels that are written and come back the same.
        widened: Types that come back as wider ones with the same values.
        spacing: Whether the voxel size is kept.
        origin: Whether the place of the first voxel is kept.
        rotation: Whether oblique and mirrored axes are kept.
        unit: Whether the unit of lengths is kept.
        series: Whether a file may hold several volumes (4D).
        inside: What a name after `::` chooses inside a file; empty if nothing.
        slice: Whether a file is one slice of a volume, and the volume is a folder.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[..., Volume]
    create: Create | None = None
    dtypes: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()
    spacing: Kept = "no"
    origin: Kept = "no"
    rotation: Kept = "no"
    unit: Kept = "no"
    series: bool = False
    inside: str = ""
    slice: bool = False


FORMATS: tuple[Format, ...] = (
    Format(
        "TIFF",
        (".tif", ".tiff"),
        tiff.read,
        tiff.create,
        ("bool", *_COMMON),
        spacing="yes",
        origin="here",
        rotation="here",
        unit="yes",
        series=True,
    ),
    Format(
        "NIfTI",
        (".nii", ".nii.gz"),
        nifti.read,
        nifti.create,
        _COMMON,
        spacing="yes",
        origin="yes",
        rotation="yes",
        unit="yes",
        series=True,
    ),
    Format(
        "HDF5",
        (".h5", ".hdf5"),
        hdf5.read,
        hdf5.create,
        _ALL,
        spacing="yes",
        origin="here",
        rotation="here",
        unit="here",
        series=True,
        inside="dataset",
    ),
    Format("NeXus", (".nxs",), hdf5.read, series=True, inside="dataset"),
    Format(
        "OME-Zarr",
        (".zarr",),
        ome_zarr.read,
        ome_zarr.create,
        _ALL,
        spacing="yes",
        origin="yes",
        rotation="here",
        unit="yes",
        series=True,
    ),
    Format(
        "MRC",
        (".mrc", ".map", ".rec"),
        mrc.read,
        mrc.create,
        mrc.TYPES,
        widened=mrc.WIDENED,
        spacing="yes",
        origin="yes",
        rotation="here",
        unit="here",
        series=True,
    ),
    Format(
        "NumPy",
        (".npy",),
        npy.read,
        npy.create,
        _ALL,
        spacing="here",
        origin="here",
        rotation="here",
        unit="here",
        series=True,
    ),
    Format(
        "raw with a sidecar",
        (".raw", ".vol"),
        raw.read,
        raw.create,
        _ALL,
        spacing="here",
        origin="here",
        rotation="here",
        unit="here",
    ),
    Format("DICOM series", dicom.SUFFIXES, dicom.read, inside="series"),
    Format("PNG", (".png",), png.read, slice=True),
    Format("BMP", (".bmp",), bitmaps.read, slice=True),
    Format("JPEG", (".jpg", ".jpeg"), bitmaps.read, slice=True),
    Format("PyTorch tensor", (".pt",), tensors.read, slice=True),
)


def format_of(path: Path) -> Format | None:
    """The row of a path's suffix, in any case; None if it is unknown."""
    name = path.name.lower()
    return next((row for row in FORMATS if name.endswith(row.suffixes)), None)
