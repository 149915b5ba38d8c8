from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination import table as table_module
from napari_cyclegan3d.engine.hallucination.candidates import (
    Candidates,
    Looked,
    of_missing,
    of_objects,
    of_suspects,
)
from napari_cyclegan3d.engine.hallucination.findings import Finding
from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.nulls import Normal
from napari_cyclegan3d.engine.hallucination.regions import regions
from napari_cyclegan3d.engine.hallucination.store import blocks
from napari_cyclegan3d.engine.hallucination.table import Table, assemble
from napari_cyclegan3d.engine.hallucination.tally import paint, tally_objects
from napari_cyclegan3d.engine.hallucination.verdicts import Tested, judge
from napari_cyclegan3d.engine.volume import Volume

RAW = (20, 24, 28)
Map = NDArray[np.float32]
# place (z, y, x) on the raw grid, power, support by own and by independent data
REAL = [((2, 2, 2), 12.0, 1.0, 1.0), ((2, 2, 10), 9.0, 1.0, 1.0)]
INVENTED = ((2, 2, 18), 8.0, 1.0, 0.0)
GONE = ((2, 12, 2), 10.0, 0.0, 0.0)
FAINT = ((2, 12, 10), 1.5, 1.0, 1.0)
ALL = [*REAL, INVENTED, GONE, FAINT]
SIDE = 3  # of each, in raw voxels


def volume(scale: int) -> Volume:
    affine = np.diag([4.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (10, -20, 30)
    raw = Volume(np.zeros(RAW, np.float32), affine, "micrometer")
    fine = np.zeros([size * scale for size in RAW], np.float32)
    return raw.resampled(fine, scale)


def box(place: tuple[int, int, int], scale: int = 1) -> tuple[slice, ...]:
    return tuple(slice(a * scale, (a + SIDE) * scale) for a in place)


def objects_of(scale: int) -> Objects:
    labels = np.zeros([size * scale for size in RAW], np.int32)
    for number, (place, *_) in enumerate(ALL, 1):
        labels[box(place, scale)] = number
    power, own, again = np.array([one[1:] for one in ALL], np.float64).T
    half = np.sqrt(0.5)
    return Objects(
        labels=labels,
        score=own * power**2,
        energy=power**2,
        contrast=np.full(len(ALL), 40.0),
        centre=np.array([one[0] for one in ALL], np.int32) * scale + scale,
        independent=True,
        score_again=again * (half * power) ** 2,
        energy_again=(half * power) ** 2,
        agreement=np.ones(len(ALL)),
    )


def candidates(
    scale: int = 1, residual: Map | None = None, suspicion: Map | None = None
) -> tuple[Candidates, Candidates, Candidates]:
    """All three sorts, made as an inspection makes them."""
    residual = np.zeros(RAW, np.float32) if residual is None else residual
    suspicion = np.zeros(RAW, np.float32) if suspicion is None else suspicion
    maps = {"residual": residual, "suspicion": suspicion}
    parts = list(blocks(RAW, 9, 0))
    objects = objects_of(scale)
    tally = tally_objects(objects.labels, len(objects), maps, scale)
    return (
        of_objects(
            objects, judge(objects, np.zeros(len(ALL)), Tested(3.0, 1000)), tally
        ),
        of_missing(
            regions(residual, maps, parts, 5, 2.5),
            Normal(0, 1, True),
            Looked(scale, 1000, 0),
        ),
        of_suspects(regions(suspicion, maps, parts), 5.0, Looked(scale, 1000, 0)),
    )


def table(scale: int = 1, **maps: Map) -> Table:
    return assemble(*candidates(scale, **maps), volume(scale))


def at(found: Table, place: tuple[int, int, int], scale: int = 1) -> Finding | None:
    number = int(found.labels[tuple((n + 1) * scale for n in place)])
    return found.findings[number - 1] if number else None


def peaks(*places: tuple[int, int, int], height: float = 6.0) -> Map:
    out = np.zeros(RAW, np.float32)
    for place in places:
        out[box(place)] = height
    return out


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_each_finding_lies_where_its_label_and_its_world_place_are(scale: int) -> None:
    residual = peaks((12, 12, 18))
    found = table(scale, residual=residual, suspicion=peaks((12, 2, 2), height=5))

    assert len(found.findings) == len(ALL) + 2
    places = {}
    for one in found.findings:
        assert found.labels[one.centre] == one.id == one.rank
        inside = np.argwhere(found.labels == one.id)
        assert [list(ends) for ends in one.box] == np.stack(
            [inside.min(0), inside.max(0) + 1], 1
        ).tolist()
        assert one.voxels == len(inside) == (SIDE * scale) ** 3
        assert one.volume == pytest.approx(SIDE**3 * 4 * 2 * 2)
        assert one.diameter == pytest.approx((6 * one.volume / np.pi) ** (1 / 3))
        middle = volume(scale).affine[:3] @ [*inside.mean(0), 1]
        places[one.id] = middle
        # the voxel to look at is one of the finding
        assert np.abs(middle - one.world).max() <= SIDE * 4 / 2
    # raw voxel (13, 13, 19) is the middle of what is missing, on any grid
    missing = next(one for one in found.findings if one.kind == "deleted")
    np.testing.assert_allclose(places[missing.id], [62, 6, 68])


def test_verdicts_and_counts_say_what_was_found() -> None:
    found = table(residual=peaks((12, 12, 18)))

    assert at(found, REAL[0][0]).verdict == "supported"
    assert at(found, INVENTED[0]).verdict == "contradicted"
    assert at(found, FAINT[0]).verdict == "unverifiable"
    missing = at(found, (12, 12, 18))
    assert (missing.verdict, missing.kind) == ("missing", "deleted")
    assert missing.residual_z == 6
    assert missing.power is None
    assert found.counts == {
        "supported": 2,
        "uncontradicted": 0,
        "contradicted": 2,
        "unverifiable": 1,
        "missing": 1,
    }


def test_the_most_suspicious_come_first_and_the_supported_last() -> None:
    found = table(residual=peaks((12, 12, 18), height=9) + peaks((12, 2, 2)))

    order = [one.verdict for one in found.findings]
    assert order[:4] == ["contradicted", "missing", "missing", "contradicted"]
    assert found.findings[1].residual_z == 9
    assert order[-2:] == ["supported", "supported"]
    assert order.index("unverifiable") == 4
    assert max(one.q for one in found.findings[:4]) < 1e-3
    assert min(one.q for one in found.findings[4:]) > 0.05


def test_a_suspicious_place_within_a_finding_is_not_listed_twice() -> None:
    found = table(suspicion=peaks(INVENTED[0], height=5.5))

    assert len(found.findings) == len(ALL)
    assert at(found, INVENTED[0]).suspicion == 5.5


def test_a_suspicious_place_in_a_supported_object_is_a_finding_of_its_own() -> None:
    residual = peaks(REAL[0][0], height=-7)

    found = table(residual=residual, suspicion=peaks(REAL[0][0], height=5.5))

    one = at(found, REAL[0][0])
    assert (one.kind, one.verdict) == ("changed", "contradicted")
    assert one.p == pytest.approx(10**-5.5)
    assert len(found.findings) == len(ALL) + 1


def test_an_object_that_the_raw_volume_has_more_of_is_changed() -> None:
    found = table(residual=peaks(REAL[1][0]))

    assert len(found.findings) == len(ALL)
    assert found.counts["missing"] == 0
    assert at(found, REAL[1][0]).kind == "changed"


def test_what_only_the_discriminator_finds_is_an_artefact() -> None:
    suspicion = peaks((12, 2, 2), height=5)
    parts = list(blocks(RAW, 9, 0))
    maps = {"residual": np.zeros(RAW), "realism": suspicion}

    found = of_suspects(regions(suspicion, maps, parts), 5.0, Looked(1, 1000, 0))

    assert found.kind.tolist() == ["artefact"]
    assert found.verdict.tolist() == ["uncontradicted"]


def test_of_too_many_findings_the_first_are_listed_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_module, "MOST", 2)
    monkeypatch.setattr(table_module, "MOST_CALM", 1)

    found = table()

    assert [one.verdict for one in found.findings] == [
        "contradicted",
        "contradicted",
        "supported",
    ]
    assert sorted(np.unique(found.labels)) == [0, 1, 2, 3]
    assert sum(found.counts.values()) == len(ALL)
    assert found.warnings == (
        "1 more suspicious places are not listed, only the first 2",
    )


def test_elongation_is_measured_in_the_world() -> None:
    # cubes of voxels that are twice as long along z
    assert {round(one.elongation, 3) for one in table().findings} == {2.0}


def test_objects_at_the_border_are_told() -> None:
    objects, missing, suspects = candidates()
    objects.tally.low[0, 1] = 0
    objects.tally.high[1, 2] = RAW[2]

    found = assemble(objects, missing, suspects, volume(1))

    assert sum(one.touches_border for one in found.findings) == 2


def test_nothing_found_gives_an_empty_table() -> None:
    objects = objects_of(1)
    none = Objects(
        np.zeros(RAW, np.int32), *[np.empty(0)] * 3, np.empty((0, 3), np.int32), False,
        *[np.empty(0)] * 3,
    )  # fmt: skip
    tally = tally_objects(none.labels, 0, {}, 1)
    _, missing, suspects = candidates()

    found = assemble(
        of_objects(none, judge(none, np.empty(0), Tested(3.0, 1000)), tally),
        missing,
        suspects,
        volume(1),
    )

    assert len(objects) == len(ALL)
    assert found.findings == ()
    assert not found.labels.any()
    assert not any(found.counts.values())


def test_columns_without_a_number_are_not_measured() -> None:
    objects, missing, suspects = candidates()
    unknown = {**objects.columns, "support": np.full(len(ALL), np.nan)}

    found = assemble(replace(objects, columns=unknown), missing, suspects, volume(1))

    assert all(one.support is None for one in found.findings)


@pytest.mark.parametrize("scale", [1, 2])
def test_painted_values_are_the_largest_within_each_raw_voxel(scale: int) -> None:
    objects = objects_of(scale)
    values = np.arange(1.0, len(ALL) + 1)
    out = np.full(RAW, 9, np.float16)

    paint(out, objects.labels, values, scale)

    for number, (place, *_) in enumerate(ALL, 1):
        assert (out[box(place)] == number).all()
    assert (out > 0).sum() == len(ALL) * SIDE**3
