"""A whole inspection, from two volumes to the list of findings."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.events import (
    InspectDone,
    Inspected,
    InspectEvent,
    InspectStarted,
    Working,
)
from napari_cyclegan3d.engine.hallucination.findings import Inspection
from napari_cyclegan3d.engine.hallucination.inspection import Known, cost, inspect
from napari_cyclegan3d.engine.hallucination.passes import (
    Networks,
    networks_of,
    plain,
)
from napari_cyclegan3d.engine.hallucination.reduction import reduced
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume

ModelMaker = Callable[..., Model]
SIDE = 48
AFFINE = np.diag([2.0, 1.5, 1.5, 1.0])
# middle and direction of what is inserted and deleted
INSERTED, DELETED = ((12, 12, 36), 0), ((36, 36, 12), 1)


def fibre(place: tuple[int, int, int], axis: int, scale: int = 1) -> NDArray[Any]:
    """A rod of 12 by 4 raw voxels, brightness 0 to 1."""
    grids = np.indices((SIDE * scale,) * 3, np.float32)
    away = [(g + 0.5) / scale - 0.5 - at for g, at in zip(grids, place, strict=True)]
    across = np.sqrt(sum(a**2 for n, a in enumerate(away) if n != axis))
    inside = np.clip(2.5 - across, 0, 1) * np.clip(6.5 - np.abs(away[axis]), 0, 1)
    return inside.astype(np.float32)


def truth(scale: int = 1) -> NDArray[np.float32]:
    """Rods in all directions on a background of 100."""
    random = np.random.default_rng(0)
    grey = np.zeros((SIDE * scale,) * 3, np.float32)
    middles = [(z, y, x) for z in (12, 36) for y in (12, 36) for x in (12, 36)]
    for place in middles:
        if place not in (INSERTED[0], DELETED[0]):
            grey = np.maximum(grey, fibre(place, int(random.integers(3)), scale))
    return 100 + 100 * grey


def volumes(scale: int = 1, sigma: float = 15.0) -> tuple[Volume, Volume, Volume]:
    """Raw, enhanced and true volume; the enhanced one has an error of each sort."""
    random = np.random.default_rng(1)
    deleted = 100 * fibre(*DELETED, scale)
    right = truth(scale) + deleted
    wrong = right - deleted + 100 * fibre(*INSERTED, scale)
    clean = gaussian_filter(reduced(right, scale), 1.0)
    noise = random.normal(0, sigma, clean.shape)
    raw = Volume((2 * clean + 30 + noise).astype(np.float32), AFFINE, "mm", name="fast")
    names = ("enhanced", wrong), ("slow", right)
    made = [replace(raw.resampled(one, scale), name=name) for name, one in names]
    return raw, made[0], made[1]


def done(events: Any) -> Inspected:
    *_, last = events
    assert isinstance(last, InspectDone)
    return last.inspected


def finding_at(inspected: Inspected, place: tuple[int, int, int], scale: int) -> Any:
    z, y, x = (slice(scale * (n - 1), scale * (n + 2)) for n in place)
    labels = inspected.labels.read((z, y, x))
    numbers = np.bincount(labels[labels > 0])
    return inspected.inspection.findings[int(numbers.argmax()) - 1]


QUICK = InspectConfig(mode="quick")


@pytest.mark.parametrize("scale", [1, 2])
def test_what_was_inserted_and_deleted_is_found_from_the_two_volumes(
    scale: int,
) -> None:
    raw, enhanced, right = volumes(scale)
    found = done(inspect(raw, enhanced, known=Known(truth=right), config=QUICK))
    inserted = finding_at(found, INSERTED[0], scale)
    assert (inserted.kind, inserted.verdict) == ("inserted", "contradicted")
    assert inserted.truth < 0.3
    deleted = finding_at(found, DELETED[0], scale)
    assert (deleted.kind, deleted.verdict) == ("deleted", "missing")
    assert {inserted.rank, deleted.rank} <= {1, 2, 3, 4}
    assert found.inspection.counts["supported"] == 0
    assert found.maps["error"].shape == enhanced.shape
    assert found.maps["suspicion"].shape == raw.shape


def test_the_operator_is_found_and_told() -> None:
    raw, _, right = volumes()
    fit = done(inspect(raw, right, config=QUICK)).inspection.operator
    assert fit.gain == pytest.approx(2, rel=0.05)
    assert fit.blur == pytest.approx((1, 1, 1), abs=0.2)
    assert fit.shift == pytest.approx((0, 0, 0), abs=0.1)


def test_findings_and_maps_lie_where_the_volumes_lie() -> None:
    raw, enhanced, _ = volumes(2)
    found = done(inspect(raw, enhanced, config=QUICK))
    assert np.array_equal(found.labels.affine, enhanced.affine)
    assert found.labels.shape == enhanced.shape
    assert np.array_equal(found.maps["residual"].affine, raw.affine)
    first = found.inspection.findings[0]
    world = enhanced.affine @ (*first.centre, 1)
    assert first.world == pytest.approx(tuple(world[:3]))
    assert found.labels.read()[first.centre] == first.id


def blurring(sigma: float = 1.0) -> Networks:
    """Stand-ins for networks: a sharpening way forth, a blurring way back."""

    def forth(grey: NDArray[np.float32]) -> NDArray[np.float32]:
        smooth: NDArray[np.float32] = gaussian_filter((grey - 30) / 2, sigma)
        return smooth

    return Networks(
        plain(forth), plain(lambda grey: gaussian_filter(2 * grey + 30, sigma))
    )


def test_standard_mode_supports_what_is_there_and_nothing_else() -> None:
    raw, _, right = volumes()
    networks = blurring()
    made = raw.resampled(gaussian_filter((raw.read() - 30) / 2, 1.0), 1)
    found = done(inspect(raw, made, networks, Known(truth=right)))
    inspection = found.inspection
    assert inspection.passes == 5
    assert inspection.counts["supported"] >= 6
    assert inspection.scores is not None
    assert inspection.scores.wrongly_supported in (None, 0)
    assert inspection.calibration.rung == 3
    assert {"instability", "cycle", "suspicion"} <= found.maps.keys()
    assert inspection.numbers.stego_gap == pytest.approx(1, abs=0.2)
    assert inspection.numbers.confirmed is not None
    assert inspection.card


def test_a_second_scan_takes_the_place_of_the_split() -> None:
    raw, enhanced, _ = volumes()
    again = raw.read() + np.random.default_rng(9).normal(0, 10, raw.shape)
    second = replace(raw, array=again.astype(np.float32), name="again")
    found = done(inspect(raw, enhanced, known=Known(second=second), config=QUICK))
    assert found.inspection.counts["supported"] >= 5
    assert finding_at(found, INSERTED[0], 1).verdict == "contradicted"
    assert found.inspection.second is not None


def test_a_model_of_this_package_repeats_itself(random_model: ModelMaker) -> None:
    raw, enhanced, _ = volumes()
    config = InspectConfig(enhance=EnhanceConfig(device="cpu", precision="fp32"))
    model = random_model()
    networks = networks_of(model, config.enhance)
    inspection = done(inspect(raw, enhanced, networks, config=config)).inspection
    assert inspection.model is not None
    assert len(inspection.model.sha256) == 64
    assert inspection.passes == 5


def test_events_begin_with_the_cost_and_their_share_grows_to_the_end() -> None:
    raw, enhanced, _ = volumes()
    events: list[InspectEvent] = list(inspect(raw, enhanced, config=QUICK))
    assert isinstance(events[0], InspectStarted)
    assert events[0].passes == 0
    shares = [one.share for one in events if isinstance(one, Working)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.9 < shares[-1] <= 1
    stages = [one.stage for one in events if isinstance(one, Working)]
    assert stages[0] == "measuring operator and noise"
    assert stages[-1] == "ranking"


def test_the_same_seed_gives_the_same_findings_whatever_the_tiles() -> None:
    raw, enhanced, _ = volumes()
    one, other = (
        done(inspect(raw, enhanced, config=QUICK)).inspection for _ in range(2)
    )
    assert one.findings == other.findings
    tiled = QUICK.model_copy(update={"tile": 32})
    cut = done(inspect(raw, enhanced, config=tiled)).inspection
    assert [f.verdict for f in cut.findings[:2]] == [
        f.verdict for f in one.findings[:2]
    ]


def test_the_cost_of_a_mode_is_known_before() -> None:
    raw, _, _ = volumes()
    quick = cost(raw, blurring(), config=QUICK)
    standard = cost(raw, blurring())
    thorough = cost(raw, blurring(), config=InspectConfig(mode="thorough"))
    assert (quick.passes, standard.passes, thorough.passes) == (0, 5, 10)
    assert quick.seconds is not None
    assert standard.seconds is not None
    assert 0 < quick.seconds < standard.seconds


def test_everything_said_survives_json() -> None:
    raw, enhanced, right = volumes()
    found = done(inspect(raw, enhanced, known=Known(truth=right), config=QUICK))
    text = found.inspection.model_dump_json()
    assert Inspection.model_validate_json(text) == found.inspection


def test_a_volume_without_geometry_is_placed_over_the_raw_one() -> None:
    raw, enhanced, _ = volumes()
    bare = Volume(enhanced.array, name="bare")
    found = done(inspect(raw, bare, config=QUICK))
    assert np.array_equal(found.labels.affine, raw.affine)
    assert found.labels.unit == "mm"


def test_what_cannot_be_inspected_is_refused_with_a_sentence() -> None:
    raw, enhanced, right = volumes()
    flat = replace(enhanced, array=np.full(enhanced.shape, 7.0))
    with pytest.raises(InputError, match="every voxel is 7"):
        list(inspect(raw, flat))
    cut = enhanced.crop((slice(0, 40), slice(0, 48), slice(0, 48)))
    with pytest.raises(InputError, match="must be 1, 2 or 4 times"):
        list(inspect(raw, cut))
    with pytest.raises(InputError, match="as truth"):
        list(
            inspect(
                raw,
                enhanced,
                known=Known(
                    truth=right.crop((slice(0, 40), slice(0, 48), slice(0, 48)))
                ),
            )
        )
    region = ((40, 60), (0, 10), (0, 10))
    with pytest.raises(InputError, match="noise"):
        list(inspect(raw, enhanced, config=InspectConfig(noise_region=region)))


def test_a_raw_volume_without_noise_is_refused() -> None:
    _, enhanced, _ = volumes()
    with pytest.raises(InputError, match="noise"):
        list(inspect(enhanced, enhanced, config=QUICK))


def test_closing_stops_within_a_stage() -> None:
    raw, enhanced, _ = volumes()
    events = inspect(raw, enhanced, blurring())
    for event in events:
        if isinstance(event, Working) and event.stage.startswith("repeating"):
            break
    events.close()
    with pytest.raises(StopIteration):
        next(events)
