from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import numpy as np
import pytest
from scipy import ndimage, stats

from napari_cyclegan3d.engine.hallucination import card as cards
from napari_cyclegan3d.engine.hallucination.beds import Bed, Seed
from napari_cyclegan3d.engine.hallucination.card import Detection, card
from napari_cyclegan3d.engine.hallucination.findings import (
    CardRow,
    NoiseFit,
    OperatorFit,
)
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.trials import Model
from napari_cyclegan3d.engine.volume import Volume

T = TypeVar("T")


def returned(work: Generator[float, None, T]) -> T:
    """What a generator returns; its shares rise from 0 to 1."""
    shares = []
    while True:
        try:
            shares.append(next(work))
        except StopIteration as end:
            assert shares == sorted(shares)
            assert all(0 <= share <= 1 for share in shares)
            result: T = end.value
            return result


def model(scale: int = 1, sigma: float = 0.3) -> Model:
    fit = OperatorFit(
        relation="degraded",
        scale=scale,
        gain=2.0,
        offset=5.0,
        blur=(0.8, 0.8, 0.8),
        shift=(0, 0, 0),
        correlation=0.9,
    )
    noise = NoiseFit(
        sigma=2 * sigma,
        level=0,
        frequency=(0.0, 0.9),
        power=(1.0, 1.0),
        how="known",
        whiteness=1,
    )
    return Model(Operator(fit), Noise(noise), 0.3)


def volumes(
    kind: Model, raw_side: int, random: np.random.Generator
) -> tuple[Volume, Volume]:
    """A volume with a few fat lines, and its noisy raw volume of 2 µm."""
    scale = kind.operator.scale
    array = np.zeros((raw_side * scale,) * 3, np.float32)
    for place in range(10 * scale, raw_side * scale, 30 * scale):
        array[place : place + 3 * scale, place : place + 3 * scale] = 1
    affine = np.diag([2 / scale, 2 / scale, 2 / scale, 1])
    enhanced = Volume(array, affine, "micrometer")
    return kind.degraded(enhanced, random), enhanced


def searching(kind: Model) -> Callable[[Volume, Volume], Sequence[Detection]]:
    """Peaks of the blurred difference of two volumes."""

    def detect(raw: Volume, enhanced: Volume) -> list[Detection]:
        rest = raw.read() - kind.operator.apply(enhanced.read())
        found = []
        for sign in (1, -1):
            smooth = ndimage.gaussian_filter(sign * rest, 1.2)
            best = ndimage.maximum_filter(smooth, 7) == smooth
            for z, y, x in np.argwhere(best):
                found.append(
                    Detection((z, y, x), float(smooth[z, y, x]), inserted=sign < 0)
                )
        return found

    return detect


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> tuple[CardRow, ...]:
    monkeypatch.setattr(cards, "PARTS", 2)
    random = np.random.default_rng(1)
    kind = model()
    raw, enhanced = volumes(kind, 72, random)
    config = InspectConfig(mode="quick")
    return returned(card(raw, enhanced, kind, searching(kind), config, random))


def test_what_shows_clearly_is_found_and_what_hardly_shows_is_not(
    rows: tuple[CardRow, ...],
) -> None:
    assert len(rows) == 12
    power = [row.power for row in rows]
    for kind in ("inserted", "deleted"):
        found = [getattr(row, kind) for row in rows]
        assert stats.spearmanr(power, found).statistic > 0.7
        assert found[int(np.argmax(power))] > 0.8
        assert found[int(np.argmin(power))] < 0.4


def test_rows_are_in_the_unit_of_the_volume_and_power_grows_with_contrast(
    rows: tuple[CardRow, ...],
) -> None:
    assert {row.diameter for row in rows if row.shape == "fibre"} == {2, 4, 8}
    for half, whole in zip(rows[::2], rows[1::2], strict=True):
        assert (half.contrast, whole.contrast) == (0.5, 1.0)
        assert whole.power == pytest.approx(2 * half.power, rel=0.15)
    assert all(row.count >= 4 for row in rows)


@pytest.mark.parametrize("scale", [1, 2])
def test_the_power_of_a_plant_is_that_of_the_ideal_observer(scale: int) -> None:
    random = np.random.default_rng(0)
    kind = model(scale)
    raw, enhanced = volumes(kind, 48, random)
    for inserted in (True, False):
        bed = Bed.of(raw, enhanced, kind)
        power = bed.plant(Seed("ball", 4.0, 1.0, inserted), 1, 1.0, random)
        changed = bed.raw - raw.read()
        changed -= kind.operator.apply(bed.enhanced - enhanced.read()) - 5
        # the raw volume is 0.6 noisy, and the noise is white
        assert power == pytest.approx(np.linalg.norm(changed) / 0.6, rel=0.02)
        assert (changed.sum() < 0) == inserted
        places = np.argwhere(bed.owner == 1).mean(axis=0)
        heart = ndimage.center_of_mass(np.abs(changed))
        np.testing.assert_allclose(places, heart, atol=0.3)


def test_the_volumes_stay_as_they_are() -> None:
    random = np.random.default_rng(0)
    kind = model()
    raw, enhanced = volumes(kind, 40, random)
    before = raw.read().copy(), enhanced.read().copy()
    for number in range(4):
        bed = Bed.of(raw, enhanced, kind)
        bed.plant(Seed("fibre", 2.0, 1.0, number % 2 == 0), 1, 1.0, random)
    np.testing.assert_array_equal(raw.read(), before[0])
    np.testing.assert_array_equal(enhanced.read(), before[1])


def test_no_card_of_a_volume_without_structures_or_too_small_to_plant_in() -> None:
    random = np.random.default_rng(0)
    kind, config = model(), InspectConfig(mode="quick")
    raw, enhanced = volumes(kind, 24, random)
    assert returned(card(raw, enhanced, kind, searching(kind), config, random)) == ()
    flat = Volume(np.zeros((48,) * 3, np.float32))
    raw = kind.degraded(flat, random)
    assert returned(card(raw, flat, kind, searching(kind), config, random)) == ()
