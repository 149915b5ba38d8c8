"""Pairs of a raw and an enhanced volume of which the truth is known."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.filters import Array, smooth
from napari_cyclegan3d.engine.hallucination.maps import contrast_of
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.passes import Pass, Translate
from napari_cyclegan3d.engine.hallucination.plants import plant, structure_contrast
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

Mask = NDArray[np.bool_]
Rung = Literal[1, 2, 3, 4, 5]

# of a part, in raw voxels
SIDE = 72
# share of the contrast of structures that makes an error
ERROR = 0.3
# that the generator may have without being wrong
GAINS = (0.5, 2.0)
# trials to make, if need be several of the same part
LEAST = 6
# parts looked at for each one that is wanted
CANDIDATES = 3


@dataclass(frozen=True)
class Trial:
    """A part of a volume of which the truth is known.

    Attributes:
        raw: On the raw grid.
        enhanced: What was made of it.
        truth: What should have been made of it, on the same grid as `enhanced`.
        volume: Number of the volume that it is part of.
    """

    raw: Volume
    enhanced: Volume
    truth: Volume
    volume: int = 0


@dataclass(frozen=True)
class Material:
    """What there is to calibrate with.

    Attributes:
        raw: The inspected raw volume.
        enhanced: The inspected enhanced one.
        translate: The network; None: there is no model.
        pairs: Raw volumes and their truths, neither seen in training.
        clean: Volumes of domain B, not seen in training.
        most: Trials to make at most.
    """

    raw: Volume
    enhanced: Volume
    translate: Translate | None = None
    pairs: Sequence[tuple[Volume, Volume]] = ()
    clean: Sequence[Volume] = ()
    most: int = 9

    @property
    def rung(self) -> Rung:
        """The best rung of the ladder that this reaches."""
        if self.translate is None:
            return 4
        return 1 if self.pairs else 2 if self.clean else 3


@dataclass(frozen=True)
class Model:
    """How trials are made of volumes whose truth is known.

    Attributes:
        operator: How raw follows from enhanced.
        noise: Of the raw volume.
        threshold: Contrast in the enhanced volume that makes a structure.
    """

    operator: Operator
    noise: Noise
    threshold: float

    def degraded(self, truth: Volume, random: np.random.Generator) -> Volume:
        """A raw volume as it might have been made of a true one."""
        scale = self.operator.scale
        mean = self.operator.apply(finite(truth.read())[0])
        array = mean + self.noise.draw(_shape(mean), random, mean)
        made = truth.resampled(array, Fraction(1, scale))
        return replace(made, name=f"{truth.name}, degraded")

    def planted(self, truth: Volume, random: np.random.Generator) -> Volume:
        """The volume with pieces of its structures inserted and deleted."""
        scale, array = self.operator.scale, finite(truth.read())[0]
        contrast = contrast_of(array, self.threshold, scale)
        return replace(
            truth, array=plant(array, contrast, self.threshold, scale, random)
        )

    def wrong(self, trial: Trial) -> Mask:
        """Where a trial's enhanced volume is wrong, on the raw grid.

        Wrong is what differs from the truth by more than 0.3 of the contrast of its
        structures, over about a raw voxel, after gain and offset are fitted.
        """
        scale = self.operator.scale
        truth, made = finite(trial.truth.read())[0], finite(trial.enhanced.read())[0]
        contrast = contrast_of(truth, self.threshold, scale)
        least = ERROR * max(
            abs(structure_contrast(contrast, self.threshold)), self.threshold
        )
        centred = truth - truth.mean()
        gain = float(np.vdot(centred, made) / max(np.vdot(centred, centred), 1e-12))
        error = made - made.mean() - np.float32(np.clip(gain, *GAINS)) * centred
        there = np.abs(ndimage.gaussian_filter(error, scale)) > least
        z, y, x = (size // scale for size in there.shape)
        return np.asarray(there.reshape(z, scale, y, scale, x, scale).any((1, 3, 5)))


def regions(
    volume: Volume, side: int, number: int, random: np.random.Generator, step: int = 1
) -> list[Region]:
    """Parts that do not overlap, those in which a volume shows most.

    Args:
        volume: Where to look.
        side: Of a part, less where the volume has less.
        number: Of parts at most.
        random: Chooses the candidates.
        step: The sides and places are multiples of it.
    """
    axes = []
    for size in volume.shape:
        one = min(side, size) // step * step
        starts = range(0, size - one + 1, one)
        spare = (size - starts[-1] - one) // 2 // step * step
        axes.append([slice(start + spare, start + spare + one) for start in starts])
    lattice = [(z, y, x) for z, y, x in product(*axes)]
    chosen = random.permutation(len(lattice))[: CANDIDATES * number]
    shown = {
        int(n): float(smooth(finite(volume.read(lattice[n]))[0], 2.0).std())
        for n in chosen
    }
    best = sorted(shown, key=lambda n: -shown[n])[:number]
    return [lattice[n] for n in best]


def trials(
    model: Model,
    material: Material,
    random: np.random.Generator,
) -> Generator[float, None, list[Trial]]:
    """Make trials, by the best rung that the material reaches.

    Args:
        model: How raw volumes are made.
        material: What there is to make them of.
        random: Chooses parts, noise and plants.

    Yields:
        The share that is done.
    """
    done: list[Trial] = []
    sources = list(_sources(model.operator.scale, material, random))
    if material.rung > 1:
        # the noise and plants are new each time
        sources *= -(-min(LEAST, material.most) // len(sources))
    for number, (low, truth, volume) in enumerate(sources):
        yield number / len(sources)
        low = model.degraded(truth, random) if low is None else low
        if material.translate is None:
            made = model.planted(truth, random)
        else:
            made = yield from _within(
                material.translate(low), number / len(sources), 1 / len(sources)
            )
        done.append(Trial(low, made, truth, volume))
    return done


def _sources(
    scale: int, material: Material, random: np.random.Generator
) -> Iterator[tuple[Volume | None, Volume, int]]:
    """Raw part, if it is known, its truth, and the number of their volume."""
    if material.rung == 1:
        each = -(-material.most // len(material.pairs))
        for number, (low, truth) in enumerate(material.pairs):
            for part in regions(low, SIDE, each, random):
                yield low.crop(part), truth.crop(finer(part, scale)), number
    elif material.rung == 2:
        each = -(-material.most // len(material.clean))
        for number, truth in enumerate(material.clean):
            for part in regions(truth, SIDE * scale, each, random, scale):
                yield None, truth.crop(part), number
    else:
        for part in regions(material.raw, SIDE, material.most, random):
            yield None, material.enhanced.crop(finer(part, scale)), 0


def _within(work: Pass, start: float, share: float) -> Pass:
    """The same work, as a part of a larger one."""
    while True:
        try:
            done = next(work)
        except StopIteration as end:
            made: Volume = end.value
            return made
        yield start + share * done


def _shape(block: Array) -> Shape:
    z, y, x = block.shape
    return z, y, x
