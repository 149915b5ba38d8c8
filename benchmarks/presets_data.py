"""Real volumes that presets are trained and scored on, from a folder of the user's.

Nothing of a part that scores are taken on is trained on. Of the parts to score on, the
first may choose settings; the second is only for the result.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.degrade import degraded
from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.training import Domains
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.evaluate import Case
from napari_cyclegan3d.io import read

FIBRES = "microct_fibre_gpl3/fibre_crop_z000-127_y0-255_x0-255_u16.tif"
HEAD, OTHER_HEAD = "mri_stroke_mit", "mri_openms_p26_ccby"
# of a fast scan of fibres: blur in voxels of B, noise in deviations of B
FAST_SCAN = DegradeConfig(blur=1.0, noise=0.5)
CHOOSING, FRESH = "choosing", "fresh"
ALL = slice(None)
# slices of the head to learn from and to choose by, with some between them
LEARNED, HELD_BACK = slice(0, 112), slice(120, 160)


@dataclass(frozen=True)
class Material:
    """What a preset learns from, and what it is scored on.

    Attributes:
        domains: Volumes to learn from.
        cases: Volumes with their truths, named CHOOSING and FRESH.
        note: Where all that comes from.
    """

    domains: Domains
    cases: tuple[Case, Case]
    note: str


def material(folder: Path, name: str, config: TrainConfig) -> Material:
    """The volumes that the preset `name` is tried on.

    Raises:
        InputError: A volume is missing in `folder`.
    """
    if name.startswith("fibre"):
        return _fibres(folder, config.scale)
    if config.method == "srgan":
        return _fine_heads(folder)
    return _t1_and_t2(folder)


def _fibres(folder: Path, scale: int) -> Material:
    """A: another part of the scan than B, blurred, reduced by the scale, noisy."""
    scan = read(folder / FIBRES)

    def fast(volume: Volume, seed: int) -> Volume:
        return degraded(volume, scale, FAST_SCAN, seed)

    def case(name: str, region: Region, seed: int) -> Case:
        truth = scan.crop(region)
        return Case(name, truth, fast(truth, seed))

    domain_a = fast(scan.crop((ALL, slice(0, 120), slice(0, 180))), 1)
    domain_b = scan.crop((ALL, slice(136, 256), slice(0, 180)))
    return Material(
        Domains([domain_a], [domain_b]),
        (
            case(CHOOSING, (slice(0, 96), slice(64, 192), slice(184, 256)), 2),
            case(FRESH, (ALL, slice(0, 64), slice(184, 256)), 3),
        ),
        "glass fibres (microCT)",
    )


def _t1_and_t2(folder: Path) -> Material:
    """T1 and T2 of one head; the fresh part is another head on another scanner."""
    t1, t2 = (read(folder / HEAD / f"{kind}.nii.gz") for kind in ("T1", "T2"))
    other = [read(folder / OTHER_HEAD / f"{kind}.nii.gz") for kind in ("T1", "T2")]
    return Material(
        Domains([_coronal(t1, LEARNED)], [_coronal(t2, LEARNED)]),
        (
            _brain(CHOOSING, _coronal(t2, HELD_BACK), _coronal(t1, HELD_BACK)),
            _brain(FRESH, other[1], other[0]),
        ),
        "T1 and T2 of one head",
    )


def _fine_heads(folder: Path) -> Material:
    """Three contrasts of one head; what is fresh is the T1 of another one."""
    kinds = [read(folder / HEAD / f"{kind}.nii.gz") for kind in ("T1", "T2", "FLAIR")]
    return Material(
        Domains([], [_coronal(volume, LEARNED) for volume in kinds]),
        (
            _brain(CHOOSING, _coronal(kinds[0], HELD_BACK)),
            _brain(FRESH, read(folder / OTHER_HEAD / "T1.nii.gz")),
        ),
        "T1, T2 and FLAIR of one head",
    )


def _coronal(volume: Volume, slices: slice) -> Volume:
    return volume.crop((ALL, slices, ALL))


def _brain(name: str, truth: Volume, source: Volume | None = None) -> Case:
    """The box around a brain without skull, compared inside the brain."""
    brain = truth.read() != 0
    box = _even_box(brain)
    # the geometry of the truth, so that the mask lies over it
    mask = truth.resampled(brain.astype(np.uint8), 1).crop(box)
    given = None if source is None else source.crop(box)
    return Case(name, truth.crop(box), given, mask)


def _even_box(inside: NDArray[np.bool_]) -> Region:
    """The smallest box, in multiples of four voxels from its start."""
    box = find_objects(inside.astype(np.uint8))[0]
    z, y, x = (
        slice(part.start, min(size, part.start + -(-(part.stop - part.start) // 4) * 4))
        for part, size in zip(box, inside.shape, strict=True)
    )
    return z, y, x
