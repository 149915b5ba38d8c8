"""Checks and repetitions of an inspection."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.checks import (
    check_model,
    check_same_grid,
    checked_scale,
)
from napari_cyclegan3d.engine.hallucination.cycle import ALARM, fill_cycle
from napari_cyclegan3d.engine.hallucination.findings import NoiseFit
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.passes import (
    Translate,
    flipped,
    plain,
    translated,
)
from napari_cyclegan3d.engine.hallucination.realism import can_judge, fill_realism
from napari_cyclegan3d.engine.hallucination.resolution import (
    claimed_resolution,
    confirmed_resolution,
)
from napari_cyclegan3d.engine.hallucination.stability import fill_instability
from napari_cyclegan3d.engine.hallucination.store import (
    blocks,
    finer,
    forget_pages,
    new_map,
)
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.settling import resident_bytes
from napari_cyclegan3d.engine.volume import Shape, Volume

ModelMaker = Callable[..., Model]
SIDES = (32, 40, 36)


def texture(shape: Shape, sigma: float, seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(noise, sigma)
    return (100 + 20 * smooth / smooth.std()).astype(np.float32)


def ended(steps: Generator[float, None, Any]) -> Any:
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            return end.value
        assert 0 <= share <= 1


def white(sigma: float) -> Noise:
    return Noise(
        NoiseFit(
            sigma=sigma,
            level=100,
            frequency=(0.0, 0.9),
            power=(1.0, 1.0),
            how="given",
            whiteness=1.0,
        )
    )


def test_blocks_cover_a_volume_once_and_stay_inside_it() -> None:
    seen = np.zeros((37, 64, 20), int)
    for block in blocks((37, 64, 20), 16, 5):
        seen[block.core] += 1
        read = seen[block.read]
        assert read[block.inner].shape == seen[block.core].shape
        assert max(part.stop - part.start for part in block.core) <= 16
    assert (seen == 1).all()


@pytest.mark.parametrize("size", [33, 47, 64, 77])
def test_blocks_begin_at_even_voxels_where_that_is_asked_for(size: int) -> None:
    seen = np.zeros((size, 5, 5), int)
    for block in blocks((size, 5, 5), 16, 6, step=2):
        seen[block.core] += 1
        assert block.core[0].start % 2 == block.read[0].start % 2 == 0
        assert block.core[0].stop - block.core[0].start <= 17
    assert (seen == 1).all()


def test_a_map_holds_what_is_written_and_starts_with_zeros() -> None:
    out = new_map((3, 4, 5))
    assert out.dtype == np.float16
    assert not out.any()
    out[1, 2, 3] = 7
    assert out.sum() == 7


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells")
def test_pages_of_maps_that_are_forgotten_take_no_memory_and_lose_nothing() -> None:
    out = new_map((64, 512, 512), np.float32)  # 67 MB
    counted = np.arange(out.size, dtype=np.float32).reshape(out.shape)
    before = resident_bytes()
    out[:] = counted
    assert resident_bytes() - before > 60e6
    forget_pages()
    assert resident_bytes() - before < 10e6
    assert np.array_equal(out, counted)


def test_a_finer_region_is_the_same_place() -> None:
    region = (slice(1, 3), slice(0, 5), slice(2, 4))
    assert finer(region, 2) == (slice(2, 6), slice(0, 10), slice(4, 8))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_result_that_lies_over_its_source_has_its_scale(scale: int) -> None:
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    raw = Volume(texture((16, 18, 20), 1, 0), affine, "mm")
    fine = zoom(raw.read(), scale, order=0)
    assert checked_scale(raw, raw.resampled(fine, scale)) == scale


def test_a_volume_of_another_shape_is_refused_with_both_shapes() -> None:
    raw = Volume(texture((16, 18, 20), 1, 0), name="fast")
    other = Volume(texture((16, 18, 30), 1, 0), name="slow")
    with pytest.raises(InputError, match=r"slow: shape \(16, 18, 30\), but fast has"):
        checked_scale(raw, other)


def test_a_volume_in_another_place_is_refused_with_the_distance() -> None:
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    raw = Volume(texture((16, 18, 20), 1, 0), affine, "mm", name="fast")
    moved = affine.copy()
    moved[0, 3] = 7
    with pytest.raises(InputError, match="lies up to 7 mm away"):
        checked_scale(raw, Volume(raw.array, moved, "mm", name="slow"))


def test_a_volume_that_says_nothing_of_its_place_is_taken_at_its_word() -> None:
    raw = Volume(texture((16, 18, 20), 1, 0), np.diag([2.0, 1.0, 1.0, 1.0]), "mm")
    assert checked_scale(raw, Volume(raw.array)) == 1


def test_constant_small_and_misplaced_volumes_are_refused() -> None:
    raw = Volume(texture((16, 18, 20), 1, 0), name="fast")
    flat = Volume(np.full((16, 18, 20), 3.0), name="flat")
    with pytest.raises(InputError, match="flat: every voxel is 3"):
        checked_scale(raw, flat)
    with pytest.raises(InputError, match="at least 16 voxels"):
        checked_scale(Volume(texture((8, 18, 20), 1, 0)), raw)
    with pytest.raises(InputError, match="as truth, but fast has"):
        check_same_grid(Volume(texture((16, 18, 24), 1, 0)), raw, "truth")


def test_a_model_of_another_scale_is_refused(random_model: ModelMaker) -> None:
    with pytest.raises(InputError, match="has scale 2, but the enhanced volume is 1"):
        check_model(random_model(2), 1)
    check_model(random_model(2), 2)


def test_a_pass_of_a_model_gives_what_enhance_gives(random_model: ModelMaker) -> None:
    volume, model = Volume(texture((16, 20, 24), 1, 0)), random_model()
    config = EnhanceConfig(device="cpu", precision="fp32")
    *_, last = enhance(volume, model, config)
    assert isinstance(last, EnhanceDone)
    result = ended(translated(model, config)(volume))
    assert np.array_equal(result.read(), last.volume.read())


def test_a_flipped_volume_is_flipped_wherever_it_is_read() -> None:
    grey = texture((16, 18, 20), 1, 0)
    volume = flipped(Volume(grey), (0, 2))
    wanted = grey[::-1, :, ::-1]
    assert np.array_equal(volume.read(), wanted)
    part = (slice(2, 5), slice(3, 9), slice(11, 20))
    assert np.array_equal(volume.read(part), wanted[part])


@pytest.mark.parametrize("scale", [1, 2])
def test_what_comes_back_is_stable_and_what_does_not_is_not(scale: int) -> None:
    sides = tuple(n * scale for n in SIDES)
    grey = texture((sides[0], sides[1], sides[2]), 1.2 * scale, 0)
    other = grey.copy()
    changed = slice(8 * scale, 20 * scale)
    other[changed] = texture((sides[0], sides[1], sides[2]), 1.2 * scale, 1)[changed]
    out = new_map(SIDES)
    volumes = [Volume(one) for one in (grey, other)]
    fill_instability(out, volumes[0], volumes[1:], scale, 16)
    assert out[11:17].mean() > 0.6
    assert out[24:].mean() < 0.05
    fill_instability(out, volumes[0], volumes[:1], scale, 16)
    assert out.max() < 0.01


def test_instability_does_not_depend_on_the_tiles() -> None:
    one, other = (Volume(texture(SIDES, 1.2, seed)) for seed in (0, 1))
    maps = [new_map(SIDES, np.float32) for _ in range(2)]
    fill_instability(maps[0], one, [other], 1, 16)
    fill_instability(maps[1], one, [other], 1, 64)
    assert np.abs(maps[0] - maps[1]).max() < 0.02


def coding(code: NDArray[np.float32]) -> Translate:
    """A way back that reads a faint checkerboard code beside the blurred structure."""
    pattern = np.indices(code.shape).sum(0) % 2 * 2 - 1

    def back(enhanced: NDArray[np.float32]) -> NDArray[np.float32]:
        hidden = gaussian_filter(enhanced * pattern, 1.0) / 0.02
        return gaussian_filter(enhanced, 1.0) + hidden.astype(np.float32)

    return plain(back)


def test_a_hidden_code_raises_the_alarm_and_an_honest_cycle_does_not() -> None:
    truth = texture(SIDES, 2.0, 0)
    detail = texture(SIDES, 2.0, 1) - 100
    raw = Volume(gaussian_filter(truth, 1.0) + detail)
    pattern = np.indices(SIDES).sum(0) % 2 * 2 - 1
    coded = Volume(truth + 0.02 * detail * pattern)
    out = new_map(SIDES)
    gap = ended(fill_cycle(out, raw, coded, coding(detail), white(5.0), 32))
    assert gap > ALARM
    noise = np.random.default_rng(5).normal(0, 5, SIDES).astype(np.float32)
    honest = Volume(gaussian_filter(truth, 1.0) + noise)
    blur = plain(lambda grey: gaussian_filter(grey, 1.0))
    gap = ended(fill_cycle(out, honest, Volume(truth), blur, white(5.0), 32))
    assert 0.9 < gap < ALARM


def test_the_cycle_error_is_large_where_structure_was_invented() -> None:
    truth = texture(SIDES, 2.0, 0)
    raw = Volume(gaussian_filter(truth, 1.0))
    invented = truth.copy()
    invented[12:20, 16:24, 14:22] += 60
    out = new_map(SIDES)
    blur = plain(lambda grey: gaussian_filter(grey, 1.0))
    ended(fill_cycle(out, raw, Volume(invented), blur, white(5.0), 24))
    assert out[14:18, 18:22, 16:20].mean() > 5
    assert out[26:].mean() < 0.6


def test_the_discriminator_marks_a_place_unlike_the_rest(
    random_model: ModelMaker,
) -> None:
    model = random_model()
    assert can_judge(model)
    grey = texture((48, 48, 48), 1.5, 0) / 100 - 1
    grey[20:32, 20:32, 20:32] = np.indices((12, 12, 12)).sum(0) % 2 * 8 - 4
    out = new_map((48, 48, 48))
    fill_realism(out, Volume(grey), model, 1)
    marked = np.abs(out.astype(np.float32))
    assert marked[22:30, 22:30, 22:30].mean() > 3 * np.median(marked)


@pytest.mark.parametrize("scale", [1, 2])
def test_confirmed_resolution_falls_with_noise_and_invention_does_not_help(
    scale: int,
) -> None:
    sides = (48 * scale,) * 3
    truth = texture((sides[0], sides[1], sides[2]), 1.0 * scale, 0)
    from napari_cyclegan3d.engine.hallucination.reduction import reduced

    clean = reduced(truth, scale)
    random = np.random.default_rng(2)
    found = [
        confirmed_resolution(
            Volume(truth), Volume(clean + random.normal(0, sd, clean.shape)), scale
        )
        for sd in (5, 40)
    ]
    assert found[0] < found[1] < 30
    fine = truth + 20 * (texture((sides[0], sides[1], sides[2]), 0.5, 3) - 100) / 20
    noisy = Volume(clean + random.normal(0, 40, clean.shape))
    invented = confirmed_resolution(Volume(fine), noisy, scale)
    assert invented > 0.9 * found[1]


def test_a_blurred_volume_claims_less_than_a_sharp_one() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (64, 64, 64))
    claims = [
        claimed_resolution(Volume(gaussian_filter(noise, sd) * 100 + 1e-3 * noise))
        for sd in (1.0, 2.0, 4.0)
    ]
    assert claims[0] < claims[1] < claims[2]
    assert claims[0] < 4
