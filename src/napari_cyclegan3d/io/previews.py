"""The previews of a training as volumes, to go back to: `run`/previews/step_….npz.

However long a training is, at most 64 stay, evenly spread over its steps: when there
are more, every second goes and from then on the newest replaces the one before it
until it is twice as far from its neighbour.
"""

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from statistics import median

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path

MOST_KEPT = 64
NAME = re.compile(r"step_(\d{8,})\.npz")
SUFFIX = ".npy"
# what a preview may hold: a stranger's file must not fill the memory
MOST_IMAGES, LARGEST = 8, 2**30
# what NumPy and zipfile raise on damaged files
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def save_preview(
    run: Path, step: int, images: Mapping[str, NDArray[np.float32]]
) -> Path:
    """Save the images of a `PreviewReady` as float16, and remove what is too many.

    Args:
        run: Folder of the run; its previews/ is there.
        step: Training step, for the file's name.
        images: Its images, each (z, y, x) or (rows, columns).

    Raises:
        InputError: The file could not be written.
    """
    folder = run / "previews"
    folder.mkdir(exist_ok=True)
    path = folder / f"step_{step:08d}.npz"
    most = np.finfo(np.float16).max
    small = {
        name: np.clip(image, -most, most).astype(np.float16)
        for name, image in images.items()
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **small)  # type: ignore[arg-type]
    saved = dict(saved_previews(run))
    for other in set(saved) - set(_kept(sorted(saved))):
        saved[other].unlink(missing_ok=True)
    return path


def saved_previews(run: Path) -> list[tuple[int, Path]]:
    """Step and file of each preview of a run, in order."""
    folder = run / "previews"
    if not folder.is_dir():
        return []
    found = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match[1]), path) for match, path in found if match)


def drop_previews(run: Path, step: int) -> None:
    """Remove the previews after a step, which will be trained again."""
    for number, path in saved_previews(run):
        if number > step:
            path.unlink(missing_ok=True)


def read_preview(path: Path) -> dict[str, NDArray[np.float32]]:
    """The images of a saved preview by name, each (z, y, x) or (rows, columns).

    Raises:
        InputError: The file is missing, damaged, or no preview.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if (
                len(members) > MOST_IMAGES
                or sum(one.file_size for one in members) > LARGEST
            ):
                raise ValueError("too large")
            return {
                one.filename.removesuffix(SUFFIX): _image(archive, one)
                for one in members
            }
    except DAMAGE:
        raise InputError(
            f"{path}: is no preview of a training, or damaged; remove it"
        ) from None


def _image(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.float32]:
    """One image; no more is reserved for it than the file holds."""
    with archive.open(member) as file:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("of another version")
        shape, in_columns, dtype = npy.read_array_header_1_0(file)
        if len(shape) not in (2, 3) or dtype != np.float16:
            raise ValueError("no image")
        data = file.read()
    if len(data) != prod(shape) * dtype.itemsize:
        raise ValueError("cut off")
    image = np.frombuffer(data, dtype)
    image = image.reshape(shape[::-1]).T if in_columns else image.reshape(shape)
    return np.ascontiguousarray(image, dtype=np.float32)


def _kept(steps: Sequence[int]) -> Sequence[int]:
    """Which of these steps stay, the last one being new."""
    if len(steps) > MOST_KEPT:
        return steps[::-2]
    if len(steps) < 4:
        return steps
    gaps = np.diff(steps[:-1])
    # the one before the new one was kept only for as long as it was the newest
    crowded = gaps[-1] < median(gaps[:-1].tolist())
    return [*steps[:-2], steps[-1]] if crowded else steps
