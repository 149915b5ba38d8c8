"""Series: files with more axes than z y x, as one volume for each of their frames.

A frame is named by its number behind the file: `FILE::3`, `FILE.h5::dataset::3`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.frames import Series, framed, series_of
from napari_cyclegan3d.io.guard import one_sentence

__all__ = [
    "Series",
    "check_series",
    "create_series",
    "open_frames",
    "read_series",
    "series_of",
    "volume_of",
    "write_series",
]

# the modules that read frames; they are imported where they are needed
_READING = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".nxs": "hdf5",
    ".npy": "npy",
    ".mrc": "mrc",
    ".map": "mrc",
    ".rec": "mrc",
    ".zarr": "ome_zarr",
}
_WRITING = tuple(suffix for suffix in _READING if suffix != ".nxs")


def read_series(path: str | Path, dataset: str | None = None) -> list[Volume]:
    """Open all frames of a file or folder; of a 3D one, its only volume.

    Nothing but headers is read now. Which frame a volume is, and of which `Series`, is
    in its metadata under `frame` and `series`.

    Args:
        path: The file or folder.
        dataset: Path of the voxels inside an HDF5 file; by default the usual ones.

    Raises:
        InputError: As `io.read`, but for more axes than three.
    """
    path = Path(path)
    module = _module(path)
    if module is None or (path.is_file() and path.stat().st_size == 0):
        return [io.read(path, dataset)]
    with one_sentence(path, "", ()):
        if module.__name__.endswith("hdf5"):
            frames: list[Volume] = module.read_series(path, dataset)
        elif dataset is None:
            frames = module.read_series(path)
        else:
            return [io.read(path, dataset)]
    if len(frames) > 1 and "series" not in frames[0].metadata:
        series = Series("t", (len(frames),))
        return [
            replace(framed(one, number, series), name=one.name)
            for number, one in enumerate(frames)
        ]
    return frames


def open_frames(
    path: Path, dataset: str | None = None, *, channels: bool = False
) -> list[Volume]:
    """All frames of a file, which remember it.

    Args:
        path: The file or folder.
        dataset: Path of the voxels inside an HDF5 file.
        channels: Whether they may be of several kinds.

    Raises:
        InputError: It cannot be read, or its frames are channels that may not be.
    """
    frames = _remembering(path, dataset)
    if len(frames) > 1 and series_of(frames).has_channels and not channels:
        named = f"{path.name}{'' if dataset is None else f'::{dataset}'}"
        raise InputError(
            f"{path}: has {len(frames)} channels; name one of them, as in {named}::0"
        )
    return frames


def volume_of(text: str) -> Volume:
    """The volume that `FILE::3` or `FILE.h5::dataset::3` names.

    Raises:
        InputError: It cannot be read, or there is no such frame.
    """
    base, _, number = text.rpartition("::")
    name, separator, dataset = base.rpartition("::")
    if not separator or Path(base).exists():
        frames = _remembering(Path(base), None)
    else:
        frames = _remembering(Path(name), dataset)
    if int(number) >= len(frames):
        raise InputError(
            f"{text}: has frames 0 to {len(frames) - 1}, and no frame {number}; "
            "correct the number"
        )
    return frames[int(number)]


@contextmanager
def create_series(
    volume: Volume,
    count: int,
    path: str | Path,
    fingerprint: Mapping[str, Any] | None = None,
) -> Iterator[Sequence[Sink]]:
    """Lend a sink for each frame; all are in the file when the block ends well.

    Args:
        volume: Geometry, metadata, shape and type of a frame; its voxels are not read.
        count: How many frames; of one, the file is that of a single volume.
        path: The file to create or to replace.
        fingerprint: See `io.create`.

    Raises:
        InputError: The format is unknown or cannot hold the frames, or the file could
            not be written; what was there before is unchanged.
    """
    path = Path(path)
    if count == 1:
        with io.create(volume, path, fingerprint) as sink:
            yield [sink]
        return
    check_series(path, count)
    module = _module(path, to_write=True)
    series = volume.metadata.get("series")
    if not isinstance(series, Series) or series.count != count:
        series = Series("t", (count,))
    options = {}
    if module.__name__.endswith("ome_zarr"):
        options = {"fingerprint": fingerprint}
    with module.create_series(volume, series, path, **options) as sinks:
        yield sinks


def check_series(path: Path, count: int) -> None:
    """Refuse before the work a file that cannot hold so many frames.

    Raises:
        InputError: Files of this kind hold one volume.
    """
    if count > 1 and _module(path, to_write=True) is None:
        raise InputError(
            f"{path}: {count} frames cannot be written into a file of this kind; use "
            f"one of {', '.join(_WRITING)}, or name one frame, as in FILE::0"
        )


def write_series(frames: Sequence[Volume], path: str | Path) -> None:
    """Write frames of one shape and type into one file, whole or not at all.

    Raises:
        InputError: They differ in shape, type or place, or cannot be written there.
    """
    first = frames[0]
    for frame in frames[1:]:
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise InputError(
                f"{path}: {frame.name} has {frame.shape} voxels of type {frame.dtype} "
                f"and {first.name} has {first.shape} of {first.dtype}; frames of one "
                "file are alike"
            )
    with create_series(first, len(frames), path) as sinks:
        for frame, sink in zip(frames, sinks, strict=True):
            for region in sink.parts():
                sink[region] = frame.read(region)


def _remembering(path: Path, dataset: str | None) -> list[Volume]:
    files = {"files": (str(path.resolve()),)}
    return [
        replace(one, metadata={**files, **one.metadata})
        for one in read_series(path, dataset)
    ]


def _module(path: Path, *, to_write: bool = False) -> Any:
    """The module whose files have frames; None: a file of this kind has none."""
    known = _WRITING if to_write else tuple(_READING)
    name = path.name.lower()
    suffix = next((one for one in known if name.endswith(one)), None)
    if not to_write and not path.is_file():
        from napari_cyclegan3d.io import ome_zarr

        suffix = ".zarr" if ome_zarr.is_store(path) else None
    if suffix is None:
        return None
    return import_module(f"napari_cyclegan3d.io.{_READING[suffix]}")
