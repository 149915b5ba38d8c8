import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.degrade import reduced
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination import sampling
from napari_cyclegan3d.engine.hallucination.findings import OperatorFit
from napari_cyclegan3d.engine.hallucination.operator import Operator, fit_operator
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.volume import Volume

Array = NDArray[np.float32]


def fibres(*shape: int, seed: int = 0) -> Array:
    """Balls and rods of some thickness between 0 and 1."""
    random = np.random.default_rng(seed)
    grey = np.zeros(shape, np.float32)
    for _ in range(int(np.prod(shape)) // 3000):
        start, along = random.uniform(0, shape), random.normal(size=3)
        steps = np.arange(0, random.uniform(1, 25), 0.5)[:, None]
        path = np.rint(start + steps * along / np.linalg.norm(along)).astype(int)
        path = path[((path >= 0) & (path < shape)).all(axis=1)]
        grey[tuple(path.T)] = random.uniform(0.5, 1)
    thick: Array = ndimage.gaussian_filter(ndimage.grey_dilation(grey, 3), 0.5)
    return thick


def fitted(raw: Volume, enhanced: Volume, relation: str = "auto") -> OperatorFit:
    config = InspectConfig(relation=relation)
    return fit_operator(raw, enhanced, config, np.random.default_rng(0)).fit


def line(scale: int, blur: float = 0.8, shift: float = 0.0) -> Operator:
    return Operator(
        OperatorFit(
            relation="degraded",
            scale=scale,
            gain=2.0,
            offset=5.0,
            blur=(blur, blur, blur / 2),
            shift=(shift, 0.0, -shift),
            correlation=1.0,
        )
    )


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_operator_degrades_as_the_engine_does(scale: int) -> None:
    fine = fibres(32, 40, 36)
    blur = 0.8
    operator = Operator(
        line(scale).fit.model_copy(
            update={"gain": 1.0, "offset": 0.0, "blur": (blur, blur, blur)}
        )
    )
    known = reduced(Volume(fine), scale, DegradeConfig(blur=blur * scale, noise=0))
    np.testing.assert_allclose(operator.apply(fine), known.read(), atol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_known_operator_is_found(scale: int) -> None:
    size = {1: 64, 2: 96, 4: 128}[scale]
    fine = fibres(size, size, size)
    blur = np.array([0.9, 0.9, 0.6])
    blurred = ndimage.gaussian_filter(fine, blur * scale)
    raw = blurred.reshape(*[part for _ in range(3) for part in (size // scale, scale)])
    raw = 300 * raw.mean(axis=(1, 3, 5)) + 40
    raw += np.random.default_rng(1).normal(0, 3, raw.shape)
    volume = Volume(raw.astype(np.float32))
    fit = fitted(volume, volume.resampled(fine, scale))
    assert (fit.relation, fit.scale, fit.shift) == ("degraded", scale, (0, 0, 0))
    assert fit.gain == pytest.approx(300, rel=0.03)
    assert fit.offset == pytest.approx(40, abs=1.5)
    assert fit.blur == pytest.approx(blur, abs=0.08)


@pytest.mark.parametrize("scale", [2, 4])
def test_taking_every_nth_voxel_is_seen_as_half_a_block_of_shift(scale: int) -> None:
    fine = ndimage.gaussian_filter(fibres(96, 96, 96), scale / 2)
    raw = Volume(np.ascontiguousarray(fine[::scale, ::scale, ::scale]))
    fit = fitted(raw, raw.resampled(fine, scale))
    # the first voxel of a block lies this much before the block's centre
    assert fit.shift == pytest.approx([-(scale - 1) / (2 * scale)] * 3, abs=0.04)


def test_a_shift_between_the_volumes_is_found_below_a_voxel() -> None:
    fine = ndimage.gaussian_filter(fibres(64, 64, 64), 0.8)
    moved = ndimage.shift(fine, (2.3, 0, -0.4), order=3)
    fit = fitted(Volume(fine), Volume(moved))
    assert fit.shift == pytest.approx((2.3, 0, -0.4), abs=0.05)


def test_noise_alone_makes_no_shift() -> None:
    fine = fibres(64, 64, 64)
    random = np.random.default_rng(3)
    raw = fine + random.normal(0, 0.5, fine.shape).astype(np.float32)
    assert fitted(Volume(raw), Volume(fine)).shift == (0, 0, 0)


def test_a_curve_of_grey_values_is_found_through_the_blur() -> None:
    random = np.random.default_rng(0)
    tissue = ndimage.gaussian_filter(random.normal(size=(64, 64, 64)), 3)
    second = 100 * (0.5 + np.clip(tissue / tissue.std() / 4, -0.5, 0.5))
    # bright in the middle, dark at both ends: no line can tell
    contrast = 200 - 0.06 * (second - 50) ** 2
    raw = ndimage.gaussian_filter(contrast, 1.0) + random.normal(0, 1, tissue.shape)
    fit = fitted(Volume(raw.astype(np.float32)), Volume(second.astype(np.float32)))
    assert fit.relation == "modality"
    assert fit.correlation > 0.98
    made = np.interp([30, 50, 70], *np.array(fit.curve).T)
    assert made == pytest.approx([176, 200, 176], abs=4)


def test_inverted_contrast_is_another_modality() -> None:
    fine = fibres(48, 48, 48)
    fit = fitted(Volume(100 - 80 * fine), Volume(fine))
    assert (fit.relation, fit.gain < 0) == ("modality", True)
    values = [value for _, value in fit.curve]
    assert values == sorted(values, reverse=True)


def test_the_user_may_hold_on_to_gain_and_offset() -> None:
    fine = fibres(48, 48, 48)
    fit = fitted(Volume(100 - 80 * fine), Volume(fine), "degraded")
    assert (fit.relation, fit.curve) == ("degraded", ())
    assert fit.gain == pytest.approx(-80, rel=0.02)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_block_with_margin_equals_that_part_of_the_whole(scale: int) -> None:
    fine = fibres(60, 60, 60)
    operator = line(scale, shift=0.3)
    whole = operator.apply(fine)
    margin = operator.margin
    start, stop = 12, 20
    read = slice((start - margin) * scale, (stop + margin) * scale)
    part = operator.apply(np.ascontiguousarray(fine[read, read, read]))
    inner = (slice(margin, -margin),) * 3
    core = (slice(start, stop),) * 3
    np.testing.assert_allclose(part[inner], whole[core], rtol=1e-4)


def test_the_contribution_of_a_part_is_what_would_be_missing_without_it() -> None:
    fine = fibres(32, 32, 32)
    part = np.zeros_like(fine)
    part[10:20, 10:20, 10:20] = fine[10:20, 10:20, 10:20]
    curve = ((0.0, 10.0), (0.3, 50.0), (1.0, 20.0))
    bent = Operator(
        line(2).fit.model_copy(update={"relation": "modality", "curve": curve})
    )
    for operator in (line(2), bent):
        missing = operator.apply(fine) - operator.apply(fine - part)
        np.testing.assert_allclose(operator.linear(part, fine), missing, atol=1e-4)


def test_thin_volumes_can_be_fitted() -> None:
    fine = fibres(5, 96, 96)
    raw = 3 * ndimage.gaussian_filter(fine, (0, 1, 1)) + 1
    assert fitted(Volume(raw), Volume(fine)).correlation > 0.98


def test_voxels_that_are_no_numbers_do_not_spoil_the_fit() -> None:
    fine = fibres(48, 48, 48)
    raw = 2 * fine + 1
    raw[3, 4, 5:9] = np.nan
    raw[30, 31, 32] = np.inf
    assert fitted(Volume(raw), Volume(fine)).gain == pytest.approx(2, rel=0.03)
    block, missing = sampling.finite(raw)
    assert missing == 5
    assert np.isfinite(block).all()


def test_other_shapes_are_refused_with_a_sentence() -> None:
    with pytest.raises(InputError, match=r"\(30, 20, 20\).*not 1, 2 or 4 times"):
        fitted(Volume(fibres(20, 20, 20)), Volume(fibres(30, 20, 20)))


@pytest.mark.parametrize("constant", ["raw", "enhanced"])
def test_constant_volumes_are_refused_with_a_sentence(constant: str) -> None:
    volumes = {
        name: Volume(np.full((20, 20, 20), 7.0) if name == constant else grey)
        for name, grey in (
            ("raw", fibres(20, 20, 20)),
            ("enhanced", fibres(20, 20, 20)),
        )
    }
    with pytest.raises(InputError, match="all voxels looked at have the value 7"):
        fitted(volumes["raw"], volumes["enhanced"])
