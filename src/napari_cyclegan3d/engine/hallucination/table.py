"""The list of findings, most suspicious first, and the volume of their labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.candidates import Candidates, extreme
from napari_cyclegan3d.engine.hallucination.findings import Finding, Verdict
from napari_cyclegan3d.engine.hallucination.overlay import calm, kept, painted
from napari_cyclegan3d.engine.hallucination.verdicts import bh
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume

# how many are listed: of what is suspicious by itself, and of the others
MOST, MOST_CALM = 5000, 200
LARGEST_SUSPICION = 6.0
# fields of a finding that are means of maps
MEANS = ("rse", "prior_only", "instability", "cycle", "realism")

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """What goes into an `Inspection`.

    Attributes:
        findings: By rank; their ids are their ranks.
        labels: The findings, by their id, on the enhanced grid; int32.
        counts: All that was found, by verdict.
        warnings: What is not listed.
    """

    findings: tuple[Finding, ...]
    labels: NDArray[np.int32]
    counts: dict[Verdict, int]
    warnings: tuple[str, ...]


def assemble(
    objects: Candidates, missing: Candidates, suspects: Candidates, enhanced: Volume
) -> Table:
    """Put everything that was found into one list.

    Args:
        objects: Of the enhanced volume.
        missing: What the raw volume has and it lacks.
        suspects: Other suspicious places; those that are explained by findings of the
            first two sorts are left out.
        enhanced: The enhanced volume, for the world.
    """
    own = kept(objects, missing, suspects)
    objects = replace(objects, kind=np.where(own.faint, "changed", objects.kind))
    sorts = (objects, missing, suspects)
    everything = np.ones(len(objects), np.bool_)
    ranked = _Ranked.of(sorts, (everything, own.missing, own.suspects))
    listed, warnings = ranked.limited()
    columns = [_columns(one, enhanced) for one in sorts]
    findings = tuple(
        _finding(columns[sort], row, rank, q)
        for rank, (sort, row, q) in enumerate(listed.rows(), 1)
    )
    numbers = [listed.numbers(n, len(one)) for n, one in enumerate(sorts)]
    # an object that is sound by itself gives way to what is found in it
    above = np.where(calm(objects), 0, numbers[0])
    layers = [*zip(sorts, [above, *numbers[1:]], strict=True), (objects, numbers[0])]
    labels = painted(layers, enhanced.shape, missing.times)
    verdicts = np.concatenate(
        [objects.verdict, missing.verdict[own.missing], suspects.verdict[own.suspects]]
    )
    counts = {one: int(np.sum(verdicts == one)) for one in get_args(Verdict)}
    return Table(findings, labels, counts, warnings)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Candidates of all sorts, the most suspicious first.

    Attributes:
        sort: Which sort each is of.
        row: Its row there.
        q: Its false-discovery rate.
        calm: Whether it is not suspicious by itself.
    """

    sort: NDArray[np.int64]
    row: NDArray[np.int64]
    q: Numbers
    calm: NDArray[np.bool_]

    @classmethod
    def of(
        cls, sorts: Sequence[Candidates], keep: Sequence[NDArray[np.bool_]]
    ) -> "_Ranked":
        """Rank by odds; what is supported comes last."""
        rows = [np.flatnonzero(one) for one in keep]
        pairs = list(zip(sorts, rows, strict=True))
        sort = np.repeat(np.arange(len(sorts)), [len(one) for one in rows])
        row = np.concatenate(rows)
        odds = np.concatenate([one.odds[at] for one, at in pairs])
        # false alarms to expect of all sorts together, down to each
        expected = np.concatenate([one.p[at] * one.tests for one, at in pairs])
        q = bh(expected * len(sorts) / max(len(row), 1))
        verdict = np.concatenate([one.verdict[at] for one, at in pairs])
        order = np.lexsort((row, sort, -odds, verdict == "supported"))
        restful = np.concatenate([calm(one)[at] for one, at in pairs])
        return cls(sort[order], row[order], q[order], restful[order])

    def limited(self) -> tuple["_Ranked", tuple[str, ...]]:
        """As many as can be listed, and what is said of the others."""
        suspicious = ~self.calm & (np.cumsum(~self.calm) <= MOST)
        listed = suspicious | (self.calm & (np.cumsum(self.calm) <= MOST_CALM))
        rest = int(np.sum(~self.calm)) - MOST
        warnings = (
            (f"{rest} more suspicious places are not listed, only the first {MOST}",)
            if rest > 0
            else ()
        )
        chosen = (self.sort[listed], self.row[listed], self.q[listed])
        return _Ranked(*chosen, self.calm[listed]), warnings

    def rows(self) -> Iterator[tuple[int, int, float]]:
        """Sort, row and false-discovery rate, by rank."""
        yield from zip(
            self.sort.tolist(), self.row.tolist(), self.q.tolist(), strict=True
        )

    def numbers(self, sort: int, count: int) -> NDArray[np.int32]:
        """The rank of each candidate of a sort; 0: it is not listed."""
        numbers = np.zeros(count, np.int32)
        mine = self.sort == sort
        numbers[self.row[mine]] = np.flatnonzero(mine) + 1
        return numbers


def _columns(one: Candidates, enhanced: Volume) -> dict[str, NDArray[Any]]:
    """Fields of findings by name, as arrays; NaN: not measured."""
    tally, axes = one.tally, enhanced.affine[:3, :3]
    voxels = tally.voxels * one.times**3
    volume = voxels * abs(np.linalg.det(axes))
    low, high = tally.low * one.times, tally.high * one.times
    columns: dict[str, NDArray[Any]] = {
        "kind": one.kind,
        "verdict": one.verdict,
        "p": np.clip(one.p, 0, 1),
        "voxels": voxels,
        "volume": volume,
        "diameter": np.cbrt(6 * volume / np.pi),
        "elongation": tally.elongation(axes),
        "centre": one.centre,
        "world": one.centre @ axes.T + enhanced.affine[:3, 3],
        "box": np.stack([low, high], 2),
        "touches_border": ((low == 0) | (high == enhanced.shape)).any(1),
        **one.columns,
    }
    if "suspicion" in tally.largest:
        columns["suspicion"] = np.clip(tally.largest["suspicion"], 0, LARGEST_SUSPICION)
    if "residual" in tally.largest:
        columns["residual_z"] = extreme(tally, "residual")
    for name in MEANS:
        if name in tally.total:
            columns[name] = tally.mean(name)
    return columns


def _finding(
    columns: dict[str, NDArray[Any]], row: int, rank: int, q: float
) -> Finding:
    values = {name: column[row].tolist() for name, column in columns.items()}
    known = {
        name: value
        for name, value in values.items()
        if not (isinstance(value, float) and not np.isfinite(value))
    }
    return parse(Finding, {"suspicion": 0.0, **known, "id": rank, "rank": rank, "q": q})
