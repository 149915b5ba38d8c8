"""How the raw volume follows from the enhanced one: grey values, blur, shift, size."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from napari_cyclegan3d.engine.hallucination import modality, registration, sampling
from napari_cyclegan3d.engine.hallucination.blurring import TRUNCATE, blurred
from napari_cyclegan3d.engine.hallucination.findings import OperatorFit, Triple
from napari_cyclegan3d.engine.hallucination.sampling import Floats, Sample
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume

# raw voxels
NARROWEST, WIDEST = 0.2, 4.0
STILL = (0.0, 0.0, 0.0)
# tiles that tell whether a curve is needed
TRIAL_TILES = 6
# standard errors of a shift: a network's result lies on its source, so none is likely;
# what another modality leaves unexplained is not white, so that its errors are larger
SURE, SURE_CURVE = 4.0, 20.0
# share of what a curve explains that a straight line must miss to be given up
CURVED = 0.1


@dataclass(frozen=True)
class Operator:
    """What makes a raw volume, without its noise, of an enhanced one.

    Attributes:
        fit: Its numbers.
    """

    fit: OperatorFit

    @property
    def scale(self) -> int:
        """Enhanced size over raw size."""
        return self.fit.scale

    @property
    def margin(self) -> int:
        """Raw voxels beyond which a voxel has no influence."""
        reach = max(
            TRUNCATE * blur + abs(shift)
            for blur, shift in zip(self.fit.blur, self.fit.shift, strict=True)
        )
        return int(np.ceil(reach)) + 2

    def apply(self, enhanced: Floats) -> Floats:
        """The raw grey values, without noise, that an enhanced block stands for.

        Args:
            enhanced: A block (z, y, x) on the enhanced grid, which begins and ends at
                edges of raw voxels.

        Returns:
            The block on the raw grid.
        """
        fit = self.fit
        if fit.relation == "modality":
            return self._blurred(modality.mapped(fit.curve, enhanced))
        result = self._blurred(enhanced)
        result *= np.float32(fit.gain)
        result += np.float32(fit.offset)
        return result

    def linear(self, change: Floats, around: Floats | None = None) -> Floats:
        """What a part of the enhanced volume contributes to the raw one.

        Args:
            change: That part, a block on the enhanced grid; 0 elsewhere.
            around: The enhanced block which holds it. With a curve of grey values the
                contribution depends on it: A(around) − A(around − change); without it
                the curve's line is taken.

        Returns:
            The contribution on the raw grid, without offset.
        """
        if self.fit.relation == "modality" and around is not None:
            curve = self.fit.curve
            touched = change != 0
            with_it = np.zeros_like(change)
            there = around[touched]
            with_it[touched] = modality.mapped(curve, there) - modality.mapped(
                curve, there - change[touched]
            )
            return self._blurred(with_it)
        return self._blurred(change) * np.float32(self.fit.gain)

    def _blurred(self, enhanced: Floats) -> Floats:
        return blurred(enhanced, self.scale, self.fit.blur, self.fit.shift)


def fit_operator(
    raw: Volume,
    enhanced: Volume,
    config: InspectConfig,
    random: np.random.Generator,
) -> Operator:
    """Fit the operator on up to 64 random tiles.

    Args:
        raw: The raw volume.
        enhanced: Its enhancement, 1, 2 or 4 times the size.
        config: `relation` decides between gain and offset and a curve of grey values.
        random: Source of the tiles' places.

    Raises:
        InputError: The shapes do not fit, or a volume is constant.
    """
    sample = sampling.draw(raw, enhanced, random)
    line = _fit_line(sample)
    if config.relation == "degraded":
        return Operator(line)
    curved = _with_curve(sample, line, TRIAL_TILES)
    best = curved.correlation**2
    bent = line.gain <= 0 or best - line.correlation**2 > CURVED * best
    if not bent and config.relation == "auto":
        return Operator(line)
    bent_tiles = modality.mapped(curved.curve, sample.enhanced)
    blur, shift = _fit_blur(sample, bent_tiles, SURE_CURVE)
    again = line.model_copy(update={"blur": blur, "shift": shift})
    return Operator(_with_curve(sample, again, len(sample.raw)))


def _fit_line(sample: Sample) -> OperatorFit:
    blur, shift = _fit_blur(sample, sample.enhanced, SURE)
    model = _made(sample, sample.enhanced, blur, shift)
    gain, offset, correlation = registration.line(model, sample.raw[sample.inner])
    return OperatorFit(
        relation="degraded",
        scale=sample.scale,
        gain=gain,
        offset=offset,
        blur=blur,
        shift=shift,
        correlation=correlation,
    )


def _with_curve(sample: Sample, start: OperatorFit, tiles: int) -> OperatorFit:
    """The best curve at a blur and a shift, from a few tiles."""
    blur, shift = start.blur, start.shift
    some = sample.first(tiles)
    curve = modality.fit_curve(some, lambda one: _made(some, one, blur, shift))
    raw = sample.raw[sample.inner]
    gain, offset, _ = registration.line(
        _made(sample, sample.enhanced, blur, shift), raw
    )
    bent = _made(sample, modality.mapped(curve, sample.enhanced), blur, shift)
    return OperatorFit(
        relation="modality",
        scale=start.scale,
        gain=gain,
        offset=offset,
        blur=blur,
        shift=shift,
        curve=curve,
        correlation=registration.line(bent, raw)[2],
    )


def _made(sample: Sample, enhanced: Floats, blur: Triple, shift: Triple) -> Floats:
    """Tiles blurred, moved and reduced, without their borders."""
    return blurred(enhanced, sample.scale, blur, shift)[sample.inner]


def _fit_blur(sample: Sample, enhanced: Floats, sure: float) -> tuple[Triple, Triple]:
    """Blur and shift of enhanced tiles for which gain and offset explain most."""
    raw = sample.raw[sample.inner]

    def model(blur: Triple, shift: Triple) -> Floats:
        return blurred(enhanced, sample.scale, blur, shift)

    def lost(blur: Triple, shift: Triple) -> float:
        made = _made(sample, enhanced, blur, shift)
        return 1 - registration.line(made, raw)[2] ** 2

    shift = registration.coarse(sample, model((1.0, 1.0, 1.0), STILL), lost)
    width = optimize.minimize_scalar(
        lambda one: lost((one, one, one), shift),
        bounds=(0.0, WIDEST),
        method="bounded",
        options={"xatol": 0.05},
    ).x
    blur: Triple = (width, width, width)
    shift = registration.fine(sample, lambda move: model(blur, move), shift, sure)
    blur = _by_axis(lambda one: _made(sample, enhanced, one, shift), raw, blur)
    return blur, registration.fine(sample, lambda move: model(blur, move), shift, sure)


def _by_axis(made: Callable[[Triple], Floats], raw: Floats, start: Triple) -> Triple:
    """Blur along each axis, by steps of least squares in the Gaussians' variances."""
    best = start
    variances = np.array(start) ** 2
    lost = 2.0
    for _ in range(6):
        blur = _triple(np.sqrt(variances))
        middle = made(blur)
        now = 1 - registration.line(middle, raw)[2] ** 2
        if now >= lost:
            break
        best, gained, lost = blur, lost - now, now
        if gained < 1e-6:
            break
        columns = [middle]
        for axis in range(3):
            wider = variances.copy()
            wider[axis] += 0.1 * wider[axis] + 0.05
            columns.append(made(_triple(np.sqrt(wider))) - middle)
        found = registration.least_squares(columns, raw)[0]
        steps = (0.1 * variances + 0.05) * found[1:] / (found[0] or 1.0)
        lowest = variances / 4
        variances = np.clip(variances + steps, lowest, WIDEST**2)
    z, y, x = (width if width > NARROWEST else 0.0 for width in best)
    return z, y, x


def _triple(values: NDArray[np.float64]) -> Triple:
    z, y, x = (round(float(value), 4) for value in values)
    return z, y, x
