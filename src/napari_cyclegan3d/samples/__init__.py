"""Seeded sample volumes: a composite scanned fast and slowly, a head in T1 and T2.

All of them are computed, so that they can be given away, made again and, for the fast
scan, compared with the truth.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.samples.fibres import fibre_composite
from napari_cyclegan3d.samples.head import T1_SIGNAL, T2_SIGNAL, head_mri
from napari_cyclegan3d.samples.scanner import fast_scan, slow_scan

FIBRE_SHAPE: Shape = (96, 128, 128)
FIBRE_SPACING = 1.6
"""Voxel size of the composite scans, micrometres."""
HEAD_SHAPE: Shape = (72, 96, 80)
HEAD_SPACING = (2.4, 2.0, 2.0)
"""Voxel size of the head along z, y and x, millimetres."""
HEAD_TILT = 15.0
"""The head's grid is turned by so many degrees about the x and then the z axis."""

# one specimen per domain: what is scanned fast is never scanned slowly
_FAST_SPECIMEN, _SLOW_SPECIMEN = 1, 2
_FAST_SCAN, _SLOW_SCAN = 11, 12
_T1_HEAD, _T2_HEAD = 21, 22


def fibre_fast() -> Volume:
    """The first composite in the fast scanner: domain A, uint16, 1.6 micrometres."""
    return _fibre_volume("fibre_fast", fast_scan(_specimen(_FAST_SPECIMEN), _FAST_SCAN))


def fibre_truth() -> Volume:
    """The first composite as the slow scanner would show it without any noise."""
    scan = slow_scan(_specimen(_FAST_SPECIMEN), _SLOW_SCAN, noise=0)
    return _fibre_volume("fibre_fast_truth", scan)


def fibre_slow() -> Volume:
    """The second composite in the slow scanner: domain B, uint16, 1.6 micrometres."""
    return _fibre_volume("fibre_slow", slow_scan(_specimen(_SLOW_SPECIMEN), _SLOW_SCAN))


def head_t1() -> Volume:
    """One head, T1-weighted: int16, 2.4 × 2 × 2 millimetres on an oblique grid."""
    image = head_mri(HEAD_SHAPE, HEAD_SPACING, _T1_HEAD, T1_SIGNAL)
    return Volume(image, oblique_affine(), "millimeter", name="head_t1")


def head_t2() -> Volume:
    """Another head, T2-weighted, on the same grid."""
    image = head_mri(HEAD_SHAPE, HEAD_SPACING, _T2_HEAD, T2_SIGNAL)
    return Volume(image, oblique_affine(), "millimeter", name="head_t2")


SAMPLES: dict[str, Callable[[], Volume]] = {
    "fibre_fast.tif": fibre_fast,
    "fibre_fast_truth.tif": fibre_truth,
    "fibre_slow.tif": fibre_slow,
    "head_t1.nii.gz": head_t1,
    "head_t2.nii.gz": head_t2,
}
"""File name of each sample and the function that computes it."""


def write_samples(folder: Path) -> list[Path]:
    """Compute all samples and write them into a folder, which is made if need be.

    Returns:
        The files written, one per entry of `SAMPLES`.

    Raises:
        InputError: The folder cannot be made, or a file in it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); name another folder"
        ) from error
    paths = [folder / name for name in SAMPLES]
    for path in paths:
        io.write(SAMPLES[path.name](), path)
    return paths


def oblique_affine() -> NDArray[np.float64]:
    """Voxel (z, y, x) to world (z, y, x) in mm; the middle of the head's grid is 0."""
    cosine, sine = np.cos(np.radians(HEAD_TILT)), np.sin(np.radians(HEAD_TILT))
    about_x = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    about_z = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag(HEAD_SPACING)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(HEAD_SHAPE) - 1) / 2
    return affine


@cache
def _specimen(seed: int) -> NDArray[np.float32]:
    """The density of a composite, kept because two scans show the same one."""
    density = fibre_composite(FIBRE_SHAPE, seed)
    density.flags.writeable = False
    return density


def _fibre_volume(name: str, scan: NDArray[np.uint16]) -> Volume:
    affine = np.diag([FIBRE_SPACING, FIBRE_SPACING, FIBRE_SPACING, 1.0])
    return Volume(scan, affine, "micrometer", name=name)
