"""The inspection of an enhanced volume, from its raw volume to the list of findings."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from napari_cyclegan3d import __version__
from napari_cyclegan3d.engine.dates import now
from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.engine.hallucination.calibration import Calibration
from napari_cyclegan3d.engine.hallucination.checks import (
    check_model,
    check_same_grid,
    checked_scale,
)
from napari_cyclegan3d.engine.hallucination.events import (
    InspectDone,
    Inspected,
    InspectEvent,
    InspectStarted,
    Working,
)
from napari_cyclegan3d.engine.hallucination.facts import (
    model_facts,
    versions,
    volume_facts,
)
from napari_cyclegan3d.engine.hallucination.findings import (
    CardRow,
    GlobalNumbers,
    Inspection,
)
from napari_cyclegan3d.engine.hallucination.judging import Judged, judged
from napari_cyclegan3d.engine.hallucination.numbers import numbers_of
from napari_cyclegan3d.engine.hallucination.passes import Networks
from napari_cyclegan3d.engine.hallucination.plan import Plan, plan_of, seconds_of
from napari_cyclegan3d.engine.hallucination.remarks import not_checked, warnings
from napari_cyclegan3d.engine.hallucination.repeats import Repeats
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.store import forget_pages
from napari_cyclegan3d.engine.hallucination.survey import Fitted, Survey, survey
from napari_cyclegan3d.engine.hallucination.trials import Material
from napari_cyclegan3d.engine.hallucination.trying import calibrated, carded
from napari_cyclegan3d.engine.volume import Volume

__all__ = ["Known", "cost", "inspect"]

Result = TypeVar("Result")
# of the work: operator, noise and constants
FITTED = 0.05


@dataclass(frozen=True)
class Known:
    """What else is known, beside the raw and the enhanced volume.

    Attributes:
        truth: What the enhanced volume should be, on its grid.
        second: Another scan of the same object, on the grid of the raw volume.
        pairs: Other raw volumes with their truths, to calibrate with.
        clean: Volumes of domain B that were not trained on, to calibrate with.
    """

    truth: Volume | None = None
    second: Volume | None = None
    pairs: Sequence[tuple[Volume, Volume]] = ()
    clean: Sequence[Volume] = ()


def cost(
    raw: Volume,
    networks: Networks | None = None,
    known: Known | None = None,
    config: InspectConfig | None = None,
) -> InspectStarted:
    """What an inspection would take; a short trial of the network is made.

    Args:
        raw: The raw volume.
        networks: As for `inspect`.
        known: The same.
        config: The same.
    """
    config, known = config or InspectConfig(), known or Known()
    plan = plan_of(config.mode, networks, known.second is not None)
    return InspectStarted(plan.passes, seconds_of(plan, config.mode, raw, networks))


def inspect(
    raw: Volume,
    enhanced: Volume,
    networks: Networks | None = None,
    known: Known | None = None,
    config: InspectConfig | None = None,
) -> Iterator[InspectEvent]:
    """Find what a network invented and deleted; closing the iterator stops it.

    Args:
        raw: What was enhanced.
        enhanced: The result, 1, 2 or 4 times the size.
        networks: What made it, for repetitions; `networks_of` takes a model. Without
            them only what the two volumes say is known, as in quick mode.
        known: Truth, a second scan, volumes to calibrate with.
        config: Mode and error rates.

    Yields:
        InspectStarted with the cost, Working, Warned, InspectDone.

    Raises:
        InputError: The volumes do not belong together, show nothing, or have no noise
            that could be measured.
    """
    config, known = config or InspectConfig(), known or Known()
    work = _Work(raw, enhanced, networks, known, config)
    yield InspectStarted(
        work.plan.passes, seconds_of(work.plan, config.mode, raw, networks)
    )
    yield from work.events()


@dataclass(eq=False)
class _Work:
    """One inspection while it is going on."""

    raw: Volume
    enhanced: Volume
    networks: Networks | None
    known: Known
    config: InspectConfig
    plan: Plan = field(init=False)
    scale: int = field(init=False)
    done: float = 0.0

    def __post_init__(self) -> None:
        self.scale = checked_scale(self.raw, self.enhanced)
        if self.networks is not None and self.networks.model is not None:
            check_model(self.networks.model, self.scale)
        # a file without geometry lies over what it was made from
        placed = self.raw.resampled(self.enhanced.array, self.scale)
        self.enhanced = replace(
            placed, name=self.enhanced.name, metadata=self.enhanced.metadata
        )
        if self.known.truth is not None:
            check_same_grid(self.known.truth, self.enhanced, "truth")
        if self.known.second is not None:
            check_same_grid(self.known.second, self.raw, "second scan")
        second = self.known.second is not None
        self.plan = plan_of(self.config.mode, self.networks, second)
        self.started = time.perf_counter()

    def events(self) -> Iterator[InspectEvent]:
        """All but the first event."""
        random = np.random.default_rng(self.config.seed)
        yield Working("measuring operator and noise", 0.0)
        fitted = Fitted.of(self.raw, self.enhanced, self.config, random)
        repeats = yield from self._repeats(fitted, random)
        tests = repeats.repeated
        swept = yield from self._stage(
            "comparing the volumes",
            survey(self.raw, self.enhanced, fitted, tests, self.config.tile),
            0.95 * (1 - self.done) if self.quick else 0.4 * (1 - self.done),
        )
        has_second = self.known.second is not None
        calibration = yield from self._stage(
            "calibrating",
            calibrated(
                self._material(),
                fitted,
                0 if has_second else len(tests),
                repeats.maps,
                self.config,
                random,
            ),
            0.5 * (1 - self.done),
        )
        card: tuple[CardRow, ...] = ()
        if not self.quick:
            card = yield from self._stage(
                "planting objects to see what would be found",
                carded(self.raw, self.enhanced, fitted, self.config, random),
                0.9 * (1 - self.done),
            )
        yield Working("ranking", self.done)
        swept.maps.update(repeats.maps)
        truth = self.known.truth
        found = judged(self.enhanced, fitted, swept, calibration, self.config, truth)
        numbers = numbers_of(self.enhanced, swept, repeats, self.config.tile)
        inspection = self._inspection(fitted, numbers, calibration, card, found)
        yield from (Warned(one) for one in inspection.warnings)
        yield InspectDone(self._inspected(inspection, swept, found))

    @property
    def quick(self) -> bool:
        return self.config.mode == "quick"

    def _repeats(
        self, fitted: Fitted, random: np.random.Generator
    ) -> Generator[InspectEvent, None, Repeats]:
        """A second scan and repeated enhancements, whichever there are."""
        repeats = Repeats(self.raw, self.enhanced, fitted, self.config)
        if self.known.second is not None:
            repeats.second_scan(self.known.second, random)
        self.done = FITTED
        if self.networks is not None and self.plan.passes:
            passes = repeats.repeat(self.networks, self.plan)
            share = 0.5 * self.plan.passes / (2 + self.plan.passes)
            yield from self._stage("repeating the enhancement", passes, share)
        return repeats

    def _stage(
        self, name: str, steps: Generator[float, None, Result], share: float
    ) -> Generator[InspectEvent, None, Result]:
        """Go through a part of the work that is about so much of all of it."""
        yield Working(name, self.done)
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                self.done += share
                result: Result = end.value
                return result
            forget_pages()
            yield Working(name, self.done + share * done)

    def _material(self) -> Material:
        return Material(
            self.raw,
            self.enhanced,
            None if self.networks is None else self.networks.forth,
            self.known.pairs,
            self.known.clean,
        )

    def _inspection(
        self,
        fitted: Fitted,
        numbers: GlobalNumbers,
        calibration: Calibration,
        card: tuple[CardRow, ...],
        found: Judged,
    ) -> Inspection:
        relation = fitted.operator.fit.relation
        has_second = self.known.second is not None
        return Inspection(
            **self._facts(),
            operator=fitted.operator.fit,
            noise=fitted.noise.fit,
            calibration=calibration.fit,
            numbers=numbers,
            card=card,
            scores=found.scores,
            counts=found.table.counts,
            findings=found.table.findings,
            warnings=warnings(fitted, numbers, calibration, found.warnings),
            not_checked=not_checked(self.plan, has_second, relation),
        )

    def _facts(self) -> dict[str, Any]:
        """What the inspection was about, and what it was made with."""
        model = None if self.networks is None else self.networks.model
        truth, second = self.known.truth, self.known.second
        return {
            "version": __version__,
            "versions": versions(),
            "date": now(),
            "seconds": time.perf_counter() - self.started,
            "passes": self.plan.passes,
            "config": self.config,
            "raw": volume_facts(self.raw),
            "enhanced": volume_facts(self.enhanced),
            "truth": None if truth is None else volume_facts(truth),
            "second": None if second is None else volume_facts(second),
            "model": None if model is None else model_facts(model),
            "unit": self.raw.unit,
        }

    def _inspected(
        self, inspection: Inspection, swept: Survey, found: Judged
    ) -> Inspected:
        """The result with its maps, where they lie in the world."""
        made = {**swept.maps, "suspicion": found.suspicion}
        bare = replace(self.raw, metadata={})
        maps = {
            name: replace(bare, array=array, name=name) for name, array in made.items()
        }
        over = replace(self.enhanced, metadata={})
        if found.error is not None:
            maps["error"] = replace(over, array=found.error, name="error")
        labels = replace(over, array=found.table.labels, name="suspects")
        return Inspected(inspection, maps, labels)
