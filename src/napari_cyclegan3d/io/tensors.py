"""One slice in a tensor file of PyTorch (.pt): [rows, columns] or [1, rows, columns].

Such a file is a zip archive with a pickle in it. Only the pickle of a plain tensor is
accepted: PyTorch's `weights_only` reader refuses any other without running it.
"""

import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.io.guard import one_sentence

if TYPE_CHECKING:
    from torch import Tensor

# {dataset}_{subject}_{slice}_{contrast}, as MRI_T1_T2_CycleGAN names its slices
_NAME = re.compile(r"(?P<subject>.+_\d+?)_+(?P<slice>\d+)_+(?P<contrast>[A-Za-z]\w*)")
_DAMAGE = (
    EOFError,
    KeyError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
_REMEDY = (
    "is no tensor that can be read safely (damaged, or a pickle of something else); "
    "save one slice as `torch.save(slice, file)` with PyTorch 1.6 or newer"
)


def read(path: Path) -> Volume:
    """Open a tensor file as a volume of one slice; voxels are read when asked for.

    A tensor saved as a view keeps the whole storage it was cut from in its file; this
    is mapped, not loaded.

    Raises:
        InputError: The file holds something else than one grey-valued slice.
    """
    with one_sentence(path, _REMEDY, _DAMAGE):
        image = _load(path)
        return Volume(_Pixels(path, image), name=path.name)


def by_subject(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The slices of each subject in their order, by names such as `B_001_73_T1w.pt`.

    Where a name says less than that, all slices are one group with an empty name.

    Raises:
        InputError: There are slices of several contrasts among them.
    """
    matches = [(_NAME.fullmatch(path.stem), path) for path in paths]
    named = [(match, path) for match, path in matches if match]
    if len(named) < len(paths):
        return {"": list(paths)}
    contrasts = sorted({match["contrast"].upper() for match, _ in named})
    if len(contrasts) > 1:
        raise InputError(
            f"{paths[0].parent}: holds slices of several contrasts "
            f"({', '.join(contrasts)}); choose one with a pattern, as in "
            f"{paths[0].parent}/*_{named[0][0]['contrast']}.pt"
        )
    subjects: dict[str, list[Path]] = {}
    for match, path in sorted(named, key=lambda one: int(one[0]["slice"])):
        subjects.setdefault(match["subject"], []).append(path)
    return dict(sorted(subjects.items()))


def _load(path: Path) -> NDArray[Any]:
    """The slice as a view of the mapped file."""
    # PyTorch takes a second to load, and no other format needs it
    import torch

    with zipfile.ZipFile(path) as archive:
        stored = [one.compress_type == zipfile.ZIP_STORED for one in archive.infolist()]
    # what is compressed may unpack to any size
    if not all(stored):
        raise InputError(f"{path}: {_REMEDY}")
    tensor = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(tensor, torch.Tensor):
        raise InputError(f"{path}: {_REMEDY}")
    return _image(tensor, path)


def _image(tensor: "Tensor", path: Path) -> NDArray[Any]:
    shape = tuple(tensor.shape)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != 1) or 0 in shape:
        raise InputError(
            f"{path}: is a tensor of shape {shape}; save one slice per file, "
            "[1, rows, columns]"
        )
    if tensor.numel() * tensor.element_size() > path.stat().st_size:
        raise InputError(
            f"{path}: is damaged: promises {shape} values and has "
            f"{path.stat().st_size} bytes; copy it again"
        )
    image = np.asarray(tensor.detach().numpy())
    if image.dtype.kind not in "buif":
        raise InputError(
            f"{path}: values of type {image.dtype} are no grey values; save float32"
        )
    return image.reshape(1, *shape[-2:])


class _Pixels:
    """The slice in a tensor file, mapped anew for each reading."""

    def __init__(self, path: Path, image: NDArray[Any]) -> None:
        self.shape = image.shape
        self.dtype = image.dtype
        self._path = path

    def __getitem__(self, region: Region) -> NDArray[Any]:
        with one_sentence(self._path, _REMEDY, _DAMAGE):
            image = _load(self._path)
            if (image.shape, image.dtype) != (self.shape, self.dtype):
                raise InputError(f"{self._path}: has changed; open it again")
            return np.array(image[region], order="C")
