"""A volume and its truth, brought onto one grid: what scores are taken on."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    affine_transform,
    distance_transform_edt,
    find_objects,
    zoom,
)

from napari_cyclegan3d.engine.degrade import degraded
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.metrics import (
    SSIM_RADIUS,
    fsc,
    fsc_resolution,
    match_grey,
    nrmse,
    psnr,
    ssim,
)
from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.tiling import output_shape
from napari_cyclegan3d.engine.units import conversion
from napari_cyclegan3d.engine.volume import Volume

RANGE = (0.1, 99.9)
BASELINES = ("identity", "trilinear")
FSC_LIMITS = (0.143, 0.5)
SHORTEST_SIDE = 2 * SSIM_RADIUS + 1
# voxels over which a mask fades out before a spectrum is taken: edges that two images
# share would correlate at all frequencies
FADE = 6
# shares of a voxel of the truth by which corners may lie apart
PLACE_TOLERANCE = 0.25

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Case:
    """One volume whose truth is known.

    Attributes:
        name: What the case is called in tables.
        truth: What the translation should be.
        input: The volume to translate; None: it is made from the truth, by the
            degradation that the model was trained with.
        mask: Where to compare (voxels that are not 0), on any grid in the same world.
    """

    name: str
    truth: Volume
    input: Volume | None = None
    mask: Volume | None = None


@dataclass(frozen=True)
class Scores:
    """How close an image is to its truth, inside the mask.

    Attributes:
        psnr: In dB.
        ssim: Mean structural similarity, up to 1.
        nrmse: Root mean squared error over the whole range of the truth.
        resolution_143: Length at which the Fourier shell correlation falls below 0.143,
            in the unit of the truth.
        resolution_500: The same for 0.5.
    """

    psnr: float
    ssim: float
    nrmse: float
    resolution_143: float
    resolution_500: float


class Reference:
    """The truth of a case, and all that the case is compared by.

    Attributes:
        input: The volume to translate.
        truth: What the translation should be; where the input is made from it, the
            part that is a multiple of the scale.
        values: Its voxels (z, y, x), float32.
        mask: Where to compare, on the grid of the truth.
        data_range: From the 0.1th to the 99.9th percentile of the truth in the mask.
        baseline: What one has without a model: "identity" or "trilinear".

    Args:
        case: The volumes.
        scale: Size of the truth over that of the input.
        degrade: How an input is made where there is none.
        seed: Of the noise in such an input.

    Raises:
        InputError: The volumes do not lie on fitting grids, or show nothing.
    """

    def __init__(
        self, case: Case, scale: Fraction, degrade: DegradeConfig, seed: int
    ) -> None:
        self.case, self.scale = case, scale
        if case.input is None:
            self.truth = _divisible(case.truth, scale)
            self.input = degraded(self.truth, int(scale), degrade, seed)
        else:
            self.input, self.truth = placed(case.input, case.truth, scale)
        values = self.truth.read().astype(np.float32)
        if min(_sides(values.shape)) < SHORTEST_SIDE:
            raise InputError(
                f"{self.truth.name}: shape {values.shape} is too small to be compared; "
                f"give at least {SHORTEST_SIDE} voxels per side"
            )
        grey = self.input.read()
        self._known = resized_nearest(np.isfinite(grey), scale) & np.isfinite(values)
        self.mask = self._mask()
        low, high = np.percentile(values[self.mask], RANGE)
        self.limits = (float(low), float(high))
        self.data_range = float(high) - float(low)
        if not self.data_range > 0:
            raise InputError(
                f"{self.truth.name}: the truth has the same value ({low:g}) everywhere "
                "inside the mask; there is nothing to compare"
            )
        self.values = self._filled(values)
        self.baseline = BASELINES[0] if scale == 1 else BASELINES[1]

    def _mask(self) -> NDArray[np.bool_]:
        mask = self._known
        if self.case.mask is not None:
            mask = mask & mask_on_grid(self.case.mask, self.input, self.truth)
        if not mask.any():
            raise InputError(
                f"{self.case.name}: no voxel of the truth is inside the mask and has a "
                "value; give another mask"
            )
        return mask

    def baseline_image(self) -> NDArray[np.float32]:
        """The input itself, or enlarged by trilinear interpolation."""
        grey = self.input.read().astype(np.float32)
        finite = np.isfinite(grey)
        if not finite.all():
            grey = np.where(finite, grey, grey[finite].mean())
        return interpolated(grey, self.scale)

    def matched(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The image with the gain and offset that bring it closest to the truth."""
        matched = match_grey(self._filled(image), self.values, mask=self.mask)
        return matched.astype(np.float32)

    def compare(self, image: NDArray[np.float32]) -> tuple[Scores, Curve]:
        """Scores of an image on the truth's grid, and its Fourier shell correlation."""
        image = self._filled(image)
        sides = _sides(image.shape)
        image, truth = image.reshape(sides), self.values.reshape(sides)
        mask = self.mask.reshape(sides)
        curve = self._correlation(image, truth, mask)
        return Scores(
            psnr=psnr(image, truth, self.data_range, mask),
            ssim=ssim(image, truth, self.data_range, mask),
            nrmse=nrmse(image, truth, mask),
            resolution_143=fsc_resolution(*curve, FSC_LIMITS[0]),
            resolution_500=fsc_resolution(*curve, FSC_LIMITS[1]),
        ), curve

    def _correlation(
        self,
        image: NDArray[np.float32],
        truth: NDArray[np.float32],
        mask: NDArray[np.bool_],
    ) -> Curve:
        """Fourier shell correlation of the part inside the mask, faded at its edge."""
        spacing = self.truth.spacing[3 - image.ndim :]
        if mask.all():
            return fsc(image, truth, spacing)
        box = find_objects(mask.astype(np.uint8))[0]
        inside = np.pad(mask[box], 1)  # beyond the box, all is outside
        depth = distance_transform_edt(inside)[(slice(1, -1),) * mask.ndim]
        weight = np.sin(np.pi / 2 * np.clip(depth / FADE, 0, 1)) ** 2
        parts = [
            (one[box] - one[mask].mean(dtype=np.float64)) * weight
            for one in (image, truth)
        ]
        return fsc(parts[0], parts[1], spacing)

    def _filled(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same number in both images where one of them has no value."""
        if self._known.all():
            return image
        filled = image.copy()
        filled[~self._known] = np.mean(self.limits)
        return filled


def placed(source: Volume, truth: Volume, scale: Fraction) -> tuple[Volume, Volume]:
    """A volume and its truth, which lies where the translation of `source` will.

    Of two files, one without geometry takes its place from the other; two of them are
    compared by their shapes alone.

    Raises:
        InputError: Shape or place do not fit.
    """
    expected = output_shape(source.shape, scale)
    if truth.shape != expected:
        raise InputError(
            f"{truth.name}: shape {truth.shape} does not fit {source.name} of shape "
            f"{source.shape}: at scale {scale} the truth has shape {expected}; give "
            "the volumes that belong together, or a model of another scale"
        )
    over_source = source.resampled(truth.array, scale)
    if not has_geometry(truth):
        return source, replace(truth, affine=over_source.affine, unit=source.unit)
    if not has_geometry(source):
        below_truth = truth.resampled(source.array, 1 / scale)
        return replace(source, affine=below_truth.affine, unit=truth.unit), truth
    distance = _distance(over_source, truth)
    if distance > PLACE_TOLERANCE:
        raise InputError(
            f"{truth.name}: lies up to {distance:.3g} of its voxels away from where "
            f"{source.name} lies; register the two, or correct the geometry in their "
            "files"
        )
    return source, truth


def mask_on_grid(mask: Volume, source: Volume, truth: Volume) -> NDArray[np.bool_]:
    """The mask on the truth's grid: the nearest voxel, found through the affines.

    Where the mask or the truth has no geometry, the mask lies over the volume whose
    shape it has.

    Raises:
        InputError: It has neither a place nor a fitting shape.
    """
    inside = (np.nan_to_num(mask.read()) != 0).astype(np.uint8)
    if has_geometry(mask) and has_geometry(truth):
        mask_affine = _in_unit(mask, truth.unit)
    else:
        below = next((v for v in (truth, source) if v.shape == mask.shape), None)
        if below is None:
            raise InputError(
                f"{mask.name}: shape {mask.shape} is neither that of the truth "
                f"{truth.shape} nor that of the input {source.shape}, and without "
                "voxel sizes its place is unknown; give a mask on one of these grids"
            )
        mask_affine = below.affine
    to_mask = np.linalg.inv(mask_affine) @ truth.affine
    # grid-constant: a border voxel reaches half a voxel beyond its centre
    on_truth = affine_transform(
        inside,
        to_mask[:3, :3],
        to_mask[:3, 3],
        output_shape=truth.shape,
        order=0,
        mode="grid-constant",
    )
    return np.asarray(on_truth, dtype=bool)


def has_geometry(volume: Volume) -> bool:
    """Whether a file has said how large the voxels are, and so where they lie."""
    return volume.unit != "pixel" or not np.array_equal(
        volume.affine[:3, :3], np.eye(3)
    )


def interpolated(image: NDArray[np.float32], scale: Fraction) -> NDArray[np.float32]:
    """Trilinear interpolation that keeps voxel edges in place."""
    if scale == 1:
        return image
    if scale < 1:  # what is left over at the end gives no voxel
        whole = [n // scale.denominator * scale.denominator for n in image.shape]
        image = image[tuple(slice(n) for n in whole)]
    enlarged = zoom(image, float(scale), order=1, mode="nearest", grid_mode=True)
    return np.asarray(enlarged, dtype=np.float32)


def resized_nearest(mask: NDArray[np.bool_], scale: Fraction) -> NDArray[np.bool_]:
    """A mask of known voxels at `scale` times the size; reduced: known altogether."""
    if scale >= 1:
        factor = int(scale)
        return mask.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
    step = scale.denominator
    z, y, x = (n // step for n in mask.shape)
    whole = mask[: z * step, : y * step, : x * step]
    blocks = whole.reshape(z, step, y, step, x, step)
    return np.asarray(blocks.all(axis=(1, 3, 5)))


def _divisible(truth: Volume, scale: Fraction) -> Volume:
    """The part of a truth that an input can be made from in whole voxels."""
    step = int(scale)
    z, y, x = (slice(0, n // step * step) for n in truth.shape)
    return truth.crop((z, y, x))


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A single slice is an image in 2D."""
    return shape[1:] if shape[0] == 1 else shape


def _in_unit(volume: Volume, unit: str) -> NDArray[np.float64]:
    factor = conversion(volume.unit, unit)
    return np.diag([factor, factor, factor, 1.0]) @ volume.affine


def _distance(volume: Volume, truth: Volume) -> float:
    """How far corners of two volumes of one shape lie apart, in voxels of the truth."""
    last = np.array(truth.shape) - 1
    corners = np.array([(*(np.array(c) * last), 1) for c in np.ndindex(2, 2, 2)]).T
    there = _in_unit(volume, truth.unit) @ corners
    return float(np.abs(np.linalg.inv(truth.affine) @ there - corners)[:3].max())
