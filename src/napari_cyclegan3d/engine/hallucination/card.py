"""The detectability card: what would be found in this very volume.

Fibres and balls are drawn into copies of parts of the enhanced volume (inserted), and
their traces are added to the raw one (deleted: it shows what the enhanced one lacks).
The detector searches these parts as it searches the whole volume. What it lists where
the enhanced volume is the truth, degraded by the fitted operator and noise, are its
false alarms.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from napari_cyclegan3d.engine.hallucination.alarms import CUBE, Alarms
from napari_cyclegan3d.engine.hallucination.beds import MARGIN, Bed, Seed
from napari_cyclegan3d.engine.hallucination.findings import CardRow, Triple
from napari_cyclegan3d.engine.hallucination.maps import contrast_of
from napari_cyclegan3d.engine.hallucination.plants import Figure, structure_contrast
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.hallucination.trials import SIDE, Model, regions
from napari_cyclegan3d.engine.volume import Volume

PARTS = 8
# in raw voxels
DIAMETERS: dict[Figure, tuple[float, ...]] = {
    "fibre": (1.0, 2.0, 4.0),
    "ball": (2.0, 4.0, 6.0),
}
CONTRASTS = (0.5, 1.0)
ROWS = [
    (figure, diameter, contrast)
    for figure, diameters in DIAMETERS.items()
    for diameter, contrast in product(diameters, CONTRASTS)
]
# plants of each kind, and plants that a part holds at a time
EACH, HELD = {"quick": 8, "standard": 12, "thorough": 32}, 20


@dataclass(frozen=True)
class Detection:
    """Something that a detector lists.

    Attributes:
        place: On the raw grid (z, y, x).
        score: Larger is surer.
        inserted: Whether the enhanced volume has too much there; else too little.
    """

    place: Triple
    score: float
    inserted: bool


@dataclass(frozen=True)
class Harvest:
    """A plant: what it was, its d′, and whether it was found."""

    seed: Seed
    power: float
    found: bool


Detect = Callable[[Volume, Volume], Sequence[Detection]]
Part = tuple[Volume, Volume]


def card(
    raw: Volume,
    enhanced: Volume,
    model: Model,
    detect: Detect,
    config: InspectConfig,
    random: np.random.Generator,
) -> Generator[float, None, tuple[CardRow, ...]]:
    """Plant and search, in at most 8 parts of the volumes.

    Args:
        raw: The raw volume.
        enhanced: The enhanced one.
        model: How raw follows from enhanced.
        detect: Lists what is wrong in parts of the two volumes.
        config: The false alarms to allow; its mode decides how much is planted.
        random: Chooses parts, places and noise.

    Yields:
        The share that is done.

    Returns:
        The rows; none where the enhanced volume shows no structure to compare with, or
        is too small to plant in.
    """
    scale = model.operator.scale
    places = regions(raw, SIDE, PARTS, random)
    parts = [(raw.crop(one), enhanced.crop(finer(one, scale))) for one in places]
    contrasts = [one for one in (_contrast(part, model) for part in parts) if one]
    if min(parts[0][0].shape) < 4 * MARGIN or not contrasts:
        return ()
    runs = _runs(EACH[config.mode], random)
    work = len(parts) + len(runs)
    clean = []
    for number, (_, high) in enumerate(parts):
        yield number / work
        clean.append(detect(model.degraded(high, random), high))
    limits = _limits(clean, parts, config.false_alarms / CUBE)
    search = Search(model, float(np.median(contrasts)), detect, limits)
    harvest: list[Harvest] = []
    for number, seeds in enumerate(runs):
        yield (len(parts) + number) / work
        harvest += search.harvest(parts[number % len(parts)], seeds, random)
    step = float(np.prod(raw.spacing)) ** (1 / 3)
    rows = [_row(*one, harvest, step, config.false_alarms) for one in ROWS]
    return tuple(row for row in rows if row is not None)


@dataclass(frozen=True)
class Search:
    """How plants are made and searched for.

    Attributes:
        model: How raw follows from enhanced.
        contrast: Of the volume's structures, in grey values of the enhanced one.
        detect: Lists what is wrong.
        limits: Score from which an insertion (True) or deletion (False) is reported.
    """

    model: Model
    contrast: float
    detect: Detect
    limits: dict[bool, float]

    def harvest(
        self, part: Part, seeds: Sequence[Seed], random: np.random.Generator
    ) -> list[Harvest]:
        """Plant seeds in one part and see which are found."""
        bed = Bed.of(*part, self.model)
        powers = [
            bed.plant(seed, number, self.contrast, random)
            for number, seed in enumerate(seeds, 1)
        ]
        low, high = part
        listed = self.detect(
            replace(low, array=bed.raw), replace(high, array=bed.enhanced)
        )
        found = {
            (int(bed.owner[_voxel(one.place, low)]), one.inserted)
            for one in listed
            if one.score >= self.limits[one.inserted]
        }
        return [
            Harvest(seed, power, (number, seed.inserted) in found)
            for number, (seed, power) in enumerate(zip(seeds, powers, strict=True), 1)
            if power is not None
        ]


def _contrast(part: Part, model: Model) -> float:
    block = finite(part[1].read())[0]
    contrast = contrast_of(block, model.threshold, model.operator.scale)
    return structure_contrast(contrast, model.threshold)


def _runs(each: int, random: np.random.Generator) -> list[list[Seed]]:
    """All seeds in random order, as many at a time as a part holds."""
    seeds = [
        Seed(*row, inserted)
        for row, inserted, _ in product(ROWS, (True, False), range(each))
    ]
    mixed = [seeds[number] for number in random.permutation(len(seeds))]
    return [mixed[start : start + HELD] for start in range(0, len(mixed), HELD)]


def _limits(
    clean: Sequence[Sequence[Detection]], parts: Sequence[Part], rate: float
) -> dict[bool, float]:
    """Scores that as many detections reach as are allowed where nothing is wrong."""
    voxels = tuple(int(np.prod(low.shape)) for low, _ in parts)
    return {
        inserted: Alarms(
            tuple(
                np.array(
                    [one.score for one in listed if one.inserted == inserted],
                    np.float32,
                )
                for listed in clean
            ),
            voxels,
        ).threshold(rate)
        for inserted in (True, False)
    }


def _voxel(place: Triple, volume: Volume) -> tuple[int, int, int]:
    z, y, x = (
        min(max(round(at), 0), size - 1)
        for at, size in zip(place, volume.shape, strict=True)
    )
    return z, y, x


def _row(
    figure: Figure,
    diameter: float,
    contrast: float,
    harvest: Sequence[Harvest],
    step: float,
    false_alarms: float,
) -> CardRow | None:
    """One row; None: there was no room for any of its plants."""
    mine = [
        one
        for one in harvest
        if (one.seed.figure, one.seed.diameter, one.seed.contrast)
        == (figure, diameter, contrast)
    ]
    if not mine:
        return None
    inserted = [one.found for one in mine if one.seed.inserted]
    deleted = [one.found for one in mine if not one.seed.inserted]
    return CardRow(
        shape=figure,
        diameter=diameter * step,
        contrast=contrast,
        power=float(np.median([one.power for one in mine])),
        inserted=float(np.mean(inserted)) if inserted else None,
        deleted=float(np.mean(deleted)) if deleted else None,
        count=min(len(inserted), len(deleted)),
        false_alarms=false_alarms,
    )
