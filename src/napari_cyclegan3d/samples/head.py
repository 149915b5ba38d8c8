"""A head phantom: tissues from deformed ellipsoids with a folded cortex, and its MRI.

Positions are millimetres in the head's own frame, (z, y, x) = (superior, anterior,
right), measured from the middle of the brain. Surfaces are given by signed distances,
negative inside, so that a voxel cut by a surface gets its part of both tissues.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.volume import Shape

Field = NDArray[np.floating]
_Structures = tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]

TISSUES = (
    "air",
    "fat",
    "muscle",
    "bone",
    "csf",
    "grey matter",
    "white matter",
    "deep grey matter",
)
"""What a voxel of `head_tissues` may consist of, in the order of its first axis."""

T1_SIGNAL = (0.0, 0.95, 0.42, 0.10, 0.16, 0.52, 0.82, 0.64)
"""Relative signal per tissue, T1-weighted: white > grey matter > fluid."""
T2_SIGNAL = (0.0, 0.70, 0.24, 0.06, 1.00, 0.48, 0.33, 0.38)
"""Relative signal per tissue, T2-weighted: fluid > grey > white matter."""

SIGNAL_SCALE = 1_000.0
"""Signal of a tissue of relative signal 1 before bias."""
BIAS = 0.12
"""Standard deviation of the logarithm of the coil's sensitivity over the volume."""
NOISE = 0.025
"""Standard deviation of the noise in each of the two channels, relative signal."""

_CORTEX = 3.4  # thickness of the grey matter, mm
_SULCUS_WIDTH = 0.8  # half the width of the fluid in a sulcus, mm
_SULCUS_DEPTH = 16.0  # mm
_FISSURE_DEPTH = 27.0  # between the hemispheres and above the temporal lobes, mm
_FOLD_LENGTH = 4.6  # smoothing length of the pattern of folds, mm
_CEREBRUM = (57.0, 76.0, 61.0)  # semi-axes, mm

_BELOW_THE_BRAIN = (
    ("fat", (-31, 62, 31), (17, 19, 17)),  # orbits
    ("csf", (-31, 66, 31), (12, 12, 12)),  # eyes
    ("bone", (-64, 54, 0), (21, 25, 34)),  # midface
    ("air", (-60, 62, 0), (17, 24, 7)),  # nose
    ("air", (-66, 58, 26), (13, 14, 10)),  # maxillary sinuses
    ("air", (-98, 14, 0), (26, 7, 10)),  # pharynx
)
_DEEP_STRUCTURES = (
    ("white matter", (-4, 2, 20), (20, 34, 20)),  # no folds reach the middle
    ("deep grey matter", (-4, 6, 27), (12, 20, 5.5)),  # putamen
    ("deep grey matter", (9, 18, 15), (9, 15, 5)),  # caudate nucleus
    ("deep grey matter", (-3, -13, 11), (9, 15, 8.5)),  # thalamus
    ("csf", (12, 8, 8), (6, 27, 4.5)),  # lateral ventricle
    ("csf", (4, -30, 20), (8, 19, 6)),  # its occipital horn
    ("csf", (-7, 0, 0), (10, 13, 1.8)),  # third ventricle
    ("csf", (-46, -30, 0), (11, 5, 7)),  # fourth ventricle
)
"""Tissue, centre and semi-axes (z, y, x) in mm; both sides of the head are alike."""


def head_mri(
    shape: Shape,
    spacing: tuple[float, float, float],
    seed: int,
    signal: tuple[float, ...],
) -> NDArray[np.int16]:
    """A magnitude image of a random head.

    The mixture of the tissues' signals times a smooth coil sensitivity, with Rician
    noise: Gudbjartsson & Patz (1995), The Rician distribution of noisy MRI data,
    doi 10.1002/mrm.1910340618.

    Args:
        shape: Voxels along z, y and x.
        spacing: Voxel size along z, y and x in mm; the head needs about
            175 × 200 × 160 mm.
        seed: The same seed gives the same head and the same noise.
        signal: Relative signal per tissue: `T1_SIGNAL` or `T2_SIGNAL`.

    Returns:
        Signal of the given shape, 0 … about 1300.
    """
    rng = np.random.default_rng([seed, 1])
    tissues = head_tissues(shape, spacing, seed)
    image = np.tensordot(np.array(signal, np.float32), tissues, axes=1)
    image *= np.exp(BIAS * _smooth_noise(shape, spacing, 60.0, rng))
    real, imaginary = NOISE * rng.standard_normal((2, *shape))
    magnitude = np.hypot(image + real, imaginary)
    return np.asarray(np.rint(SIGNAL_SCALE * magnitude), np.int16)


def head_tissues(shape: Shape, spacing: tuple[float, float, float], seed: int) -> Field:
    """The part of each voxel that each tissue takes.

    Args:
        shape: Voxels along z, y and x.
        spacing: Voxel size along z, y and x in mm.
        seed: The same seed gives the same head.

    Returns:
        Parts in [0, 1] that add up to 1, of shape (tissues, z, y, x).
    """
    rng = np.random.default_rng([seed, 0])
    at = _positions(shape, spacing, rng)
    cerebrum, fissures = _cerebrum(at)
    cerebellum = _ellipsoid(at, (-47, -45, 0), (23, 30, 45))
    stem = _ellipsoid(at, (-62, -18, 0), (62, 11, 12))
    hull = _blend(_blend(cerebrum, cerebellum, 8), stem, 8)
    folds = np.minimum(_folds(at, cerebrum, spacing, rng), fissures)

    painter = _Painter(shape, float(np.mean(spacing)))
    painter.paint("fat", _head_outline(at, hull))
    flesh = np.maximum(_head_outline(at, hull) + 5, 8 - hull)
    strands = 5 * (_smooth_noise(shape, spacing, 5.0, rng) - 0.6)
    painter.paint("muscle", np.maximum(flesh, strands))
    painter.paint_all(at, _BELOW_THE_BRAIN)
    painter.paint("bone", hull - 9)
    painter.paint("fat", np.abs(hull - 6) - 0.7)  # marrow
    painter.paint("csf", hull - 3)
    painter.paint_folded(cerebrum, folds)
    painter.paint("csf", cerebellum - 2.5)
    painter.paint_folded(cerebellum, folds)
    painter.paint("white matter", stem)
    painter.paint_all(at, _DEEP_STRUCTURES)
    return painter.parts


class _Painter:
    """Lays one tissue over the other, each with its share of the voxels it cuts."""

    def __init__(self, shape: Shape, voxel: float) -> None:
        self.parts = np.zeros((len(TISSUES), *shape), np.float32)
        self.parts[0] = 1
        self._voxel = voxel

    def paint(self, tissue: str, distance: Field) -> None:
        """Fill the inside of a surface; `distance` in mm, negative inside."""
        inside = np.clip(0.5 - distance / self._voxel, 0, 1)
        self.parts *= 1 - inside
        self.parts[TISSUES.index(tissue)] += inside

    def paint_all(self, at: Field, structures: _Structures) -> None:
        """Fill ellipsoids on both sides of the head."""
        either_side = np.stack([at[0], at[1], np.abs(at[2])])
        for tissue, centre, semi_axes in structures:
            self.paint(tissue, _ellipsoid(either_side, centre, semi_axes))

    def paint_folded(self, surface: Field, folds: Field) -> None:
        """Fill a lobe: cortex along its surface and folds, white matter within."""
        self.paint("grey matter", surface)
        self.paint("csf", np.maximum(surface, folds - _SULCUS_WIDTH))
        depth = np.minimum(-surface, folds - _SULCUS_WIDTH)
        self.paint("white matter", _CORTEX - depth)


def _positions(
    shape: Shape, spacing: tuple[float, float, float], rng: np.random.Generator
) -> Field:
    """Where each voxel lies in the undeformed head, (3, z, y, x) in mm.

    Random heads differ in size by some percent and in shape by some millimetres.
    """
    middle = np.array([10.0, 0.0, 0.0])  # the brain lies above the middle of the image
    at = np.empty((3, *shape), np.float32)
    size = rng.normal(1, 0.02, 3)
    for axis, step in enumerate(spacing):
        line = (np.arange(shape[axis]) - (shape[axis] - 1) / 2) * step - middle[axis]
        along = np.expand_dims(line, [other for other in range(3) if other != axis])
        at[axis] = along * size[axis] + 1.5 * _smooth_noise(shape, spacing, 18.0, rng)
    return at


def _cerebrum(at: Field) -> tuple[Field, Field]:
    """Distance to the surface of the cerebrum, and to its three great fissures."""
    either_side = np.stack([at[0], at[1], np.abs(at[2])])
    base = (-at[0] - 32 + 0.24 * at[1]) / np.float32(np.hypot(1, 0.24))
    upper = -_blend(-_ellipsoid(at, (0, 0, 0), _CEREBRUM), -base, 8)
    temporal = _ellipsoid(either_side, (-29, 12, 41), (18, 37, 18))
    surface = _blend(upper, temporal, 4)
    between = np.minimum(np.abs(at[2]), np.abs(upper - temporal) / 2)
    return surface, np.maximum(between, -surface - _FISSURE_DEPTH)


def _folds(
    at: Field,
    surface: Field,
    spacing: tuple[float, float, float],
    rng: np.random.Generator,
) -> Field:
    """Distance in mm to the middle of the nearest sulcus.

    Sulci are where a random pattern on the surface of the brain changes its sign,
    continued towards its centre down to their depth.
    """
    shape = surface.shape
    pattern = _smooth_noise(shape, spacing, _FOLD_LENGTH, rng)
    wobble = [_smooth_noise(shape, spacing, 7.0, rng) for _ in range(3)]
    at = at + 4.5 * np.stack(wobble)  # no sulcus is straight
    level = np.linalg.norm(at / np.reshape(_CEREBRUM, (3, 1, 1, 1)), axis=0)
    scale = np.reshape(spacing, (3, 1, 1, 1))
    middle = (np.reshape(shape, (3, 1, 1, 1)) - 1) / 2
    radial = ndimage.map_coordinates(
        pattern, at / np.maximum(level, 0.05) / scale + middle, order=3, mode="mirror"
    )
    slope = np.linalg.norm(np.gradient(radial, *spacing), axis=0)
    sheet = np.abs(radial) / np.maximum(slope, 1e-3)
    deepest = _SULCUS_DEPTH + 4 * _smooth_noise(shape, spacing, 8.0, rng)
    distance: Field = np.maximum(sheet, -surface - deepest)
    return distance


def _head_outline(at: Field, hull: Field) -> Field:
    """Distance to the skin: the skull's shell, the face and the neck."""
    face = _ellipsoid(at, (-62, 30, 0), (58, 60, 62))
    neck = _ellipsoid(at, (-110, -12, 0), (90, 52, 52))
    return _blend(_blend(hull - 15, face, 14), neck, 14)


def _ellipsoid(
    at: Field, centre: tuple[float, ...], semi_axes: tuple[float, ...]
) -> Field:
    """Distance to an ellipsoid's surface, exact to first order near it."""
    axes = np.reshape(np.array(semi_axes, np.float32), (3, 1, 1, 1))
    unit = (at - np.reshape(np.array(centre, np.float32), (3, 1, 1, 1))) / axes
    level = np.linalg.norm(unit, axis=0)
    slope = np.linalg.norm(unit / axes, axis=0)
    distance: Field = (level - 1) * level / np.maximum(slope, 1e-6)
    return distance


def _blend(first: Field, second: Field, width: float) -> Field:
    """Distance to the union of two bodies, rounded where they meet, over `width` mm."""
    share = np.clip(0.5 + 0.5 * (second - first) / width, 0, 1)
    union: Field = second + share * (first - second) - width * share * (1 - share)
    return union


def _smooth_noise(
    shape: Shape,
    spacing: tuple[float, float, float],
    length: float,
    rng: np.random.Generator,
) -> Field:
    """Noise of mean 0 and variance 1, smoothed by a Gaussian of `length` mm."""
    white = rng.standard_normal(shape, np.float32)
    smooth = ndimage.gaussian_filter(white, [length / step for step in spacing])
    smooth -= smooth.mean()
    result: Field = smooth / smooth.std()
    return result
