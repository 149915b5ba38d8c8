import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.candidates import (
    Looked,
    of_missing,
    of_objects,
    of_suspects,
)
from napari_cyclegan3d.engine.hallucination.findings import Finding
from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.grading import areas, score, true_share
from napari_cyclegan3d.engine.hallucination.nulls import Normal
from napari_cyclegan3d.engine.hallucination.regions import regions
from napari_cyclegan3d.engine.hallucination.store import blocks
from napari_cyclegan3d.engine.hallucination.tally import tally_objects
from napari_cyclegan3d.engine.hallucination.truth import Truth, compared
from napari_cyclegan3d.engine.hallucination.verdicts import Tested, judge
from napari_cyclegan3d.engine.volume import Volume

RAW = (32, 48, 48)
REAL, INVENTED, GONE, HALF = (8, 8, 8), (8, 8, 36), (20, 36, 8), (20, 36, 36)
CONTRAST, THRESHOLD = 100.0, 40.0
Array = NDArray[np.float32]


def balls(places: dict[tuple[int, int, int], float], scale: int) -> Array:
    """Round structures of a contrast each, on a grid finer by `scale`."""
    axes = [(np.arange(size * scale) + 0.5) / scale - 0.5 for size in RAW]
    grid = np.meshgrid(*axes, indexing="ij", sparse=True)
    out = np.zeros([size * scale for size in RAW], np.float32)
    for place, contrast in places.items():
        square = sum((axis - at) ** 2 for axis, at in zip(grid, place, strict=True))
        out += contrast * np.exp(-square / (2 * 2.0**2))
    return out


@pytest.fixture(params=[1, 2])
def scale(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def known(scale: int) -> Truth:
    """An enhanced volume with known faults, and its truth in other grey values."""
    places = {REAL: CONTRAST, INVENTED: CONTRAST, HALF: CONTRAST}
    real = {REAL: CONTRAST, GONE: CONTRAST, HALF: 0.5 * CONTRAST}
    enhanced = Volume(200 + balls(places, scale), name="result")
    truth = Volume((balls(real, scale) - 30) / 4, name="slow scan")
    return Truth(enhanced, truth, 4.0, 230.0, scale)


def labels_at(*places: tuple[int, int, int], scale: int) -> NDArray[np.int32]:
    out = np.zeros([size * scale for size in RAW], np.int32)
    for number, place in enumerate(places, 1):
        box = tuple(slice((at - 2) * scale, (at + 3) * scale) for at in place)
        out[box] = number
    return out


def test_grey_values_are_fitted_whatever_those_of_the_truth(scale: int) -> None:
    random = np.random.default_rng(0)
    shape = [size * scale for size in RAW]
    image = gaussian_filter(random.normal(size=shape), 2).astype(np.float32)

    fit = Truth.of(Volume(700 - 50 * image), Volume(3 * image + 5), scale)

    assert fit.gain == pytest.approx(-50 / 3, rel=1e-3)
    out = np.ones(shape, np.float32)
    fit.fill_error(out)
    assert np.abs(out).max() < 0.1


def test_a_constant_truth_is_refused() -> None:
    flat = Volume(np.full(RAW, 7, np.float32), name="slow scan")

    with pytest.raises(InputError, match="slow scan: 7 everywhere as truth"):
        Truth.of(Volume(balls({REAL: 1}, 1)), flat, 1)


def test_the_share_that_is_there_is_that_of_the_contrast(
    known: Truth, scale: int
) -> None:
    labels = labels_at(REAL, INVENTED, HALF, scale=scale)

    (overlap,) = known.overlaps([(labels, 3)], THRESHOLD)

    np.testing.assert_allclose(overlap.there, [1, 0, 0.5], atol=0.1)


def test_what_is_lost_is_there_and_not_in_the_enhanced_volume(
    known: Truth, scale: int
) -> None:
    # on the raw grid: something that was deleted, a false alarm, something kept
    labels = labels_at(GONE, (20, 8, 36), REAL, scale=1)

    (overlap,) = known.overlaps([(labels, 3)], THRESHOLD)

    np.testing.assert_allclose(overlap.lost(CONTRAST**2), [1, 0, 0], atol=0.1)


def test_overlaps_do_not_depend_on_blocks(
    known: Truth, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labels_at(REAL, INVENTED, HALF, scale=scale)
    (whole,) = known.overlaps([(labels, 3)], THRESHOLD)

    monkeypatch.setattr("napari_cyclegan3d.engine.hallucination.truth.SIDE", 24 * scale)
    (tiled,) = known.overlaps([(labels, 3)], THRESHOLD)

    np.testing.assert_allclose(tiled.there, whole.there, atol=0.02)


def test_suspicion_is_scored_by_the_voxels_that_are_wrong(known: Truth) -> None:
    right = np.zeros(RAW, np.float32)
    for z, y, x in (INVENTED, GONE, HALF):
        right[z - 4 : z + 5, y - 4 : y + 5, x - 4 : x + 5] = 3
    useless = np.random.default_rng(0).uniform(0, 6, RAW).astype(np.float16)

    assert known.voxel_auroc(right, CONTRAST) > 0.97
    assert known.voxel_auroc(6 - right, CONTRAST) < 0.03
    assert known.voxel_auroc(useless, CONTRAST) == pytest.approx(0.5, abs=0.1)


def test_without_errors_there_is_no_area() -> None:
    image = Volume(balls({REAL: CONTRAST}, 1))

    assert Truth(image, image, 1, 0, 1).voxel_auroc(np.zeros(RAW), CONTRAST) is None


def test_areas_are_those_of_their_definition() -> None:
    random = np.random.default_rng(0)
    scores, wrong = random.integers(0, 8, 300), random.random(300) < 0.2
    scores[wrong] += 2
    levels = np.arange(scores.max(), -1, -1)

    auroc, auprc = areas(
        *(
            np.array([(scores[mask] == one).sum() for one in levels], np.float64)
            for mask in (wrong, ~wrong)
        )
    )

    above = scores[wrong][:, None] - scores[~wrong][None]
    assert auroc == pytest.approx(np.mean((above > 0) + 0.5 * (above == 0)))
    listed = [scores >= one for one in levels]
    recall = np.array([0, *(one[wrong].mean() for one in listed)])
    precision = [wrong[one].mean() if one.any() else 0 for one in listed]
    assert auprc == pytest.approx(np.dot(np.diff(recall), precision))


def objects_of(labels: NDArray[np.int32], again: list[float]) -> Objects:
    count = len(again)
    power, zeros = np.full(count, 10.0), np.zeros(count)
    return Objects(
        labels=labels,
        score=power**2,
        energy=power**2,
        contrast=np.full(count, CONTRAST),
        centre=np.zeros((count, 3), np.int32),
        independent=True,
        score_again=np.array(again) * power**2 / 2,
        energy_again=power**2 / 2,
        agreement=zeros + 1,
    )


def test_verdicts_are_scored_by_what_is_really_there(known: Truth, scale: int) -> None:
    objects = objects_of(labels_at(REAL, INVENTED, HALF, scale=scale), [1.0, 0.0, 1.0])
    residual = np.zeros(RAW, np.float32)
    residual[labels_at(GONE, scale=1) > 0] = 6
    maps = {"residual": residual}
    found = regions(residual, maps, list(blocks(RAW, 16, 0)), 5, 2.5)
    tally = tally_objects(objects.labels, 3, maps, scale)
    none = regions(np.zeros(RAW, np.float32), maps, list(blocks(RAW, 16, 0)))

    whole, missing, _ = compared(
        known,
        of_objects(objects, judge(objects, np.zeros(3), Tested(3.0, 1000)), tally),
        of_missing(found, Normal(0, 1, True), Looked(scale, 1000, 0)),
        of_suspects(none, 5.0, Looked(scale, 1000, 0)),
        THRESHOLD,
    )
    scores = score(whole, [], 0.9)

    assert missing.columns["truth"] == pytest.approx([1], abs=0.1)
    assert (scores.invented, scores.real) == (1, 1)
    assert (scores.auroc, scores.auprc) == (1, 1)
    assert (scores.wrongly_supported, scores.supported) == (0, 1)
    assert (scores.voxel_auroc, scores.true_share) == (0.9, None)


def test_of_the_first_findings_each_kind_is_wrong_in_its_own_way(
    inspected: object,
) -> None:
    first, *_ = inspected.inspection.findings  # type: ignore[attr-defined]

    def one(kind: str, truth: float | None) -> Finding:
        return first.model_copy(update={"kind": kind, "truth": truth})

    assert true_share([one("inserted", 0.1), one("inserted", 0.9)]) == 0.5
    assert true_share([one("deleted", 0.9), one("deleted", 0.1)]) == 0.5
    assert true_share([one("changed", 0.5), one("changed", 0.9)]) == 0.5
    assert true_share([one("inserted", None)]) is None
    assert true_share([one("inserted", 0.0)] * 20 + [one("inserted", 1.0)]) == 1
