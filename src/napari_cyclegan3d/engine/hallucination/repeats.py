"""What only further passes of the networks can tell."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.cycle import fill_cycle
from napari_cyclegan3d.engine.hallucination.passes import Networks, flipped
from napari_cyclegan3d.engine.hallucination.plan import Plan
from napari_cyclegan3d.engine.hallucination.realism import can_judge, fill_realism
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.splitting import Split, split, two_scans
from napari_cyclegan3d.engine.hallucination.stability import fill_instability
from napari_cyclegan3d.engine.hallucination.store import new_map
from napari_cyclegan3d.engine.hallucination.survey import Fitted, Repeated
from napari_cyclegan3d.engine.volume import Volume

Map = NDArray[Any]
Result = TypeVar("Result")
Progress = Generator[float, None, None]


@dataclass(eq=False)
class Repeats:
    """Repetitions of an enhancement.

    Attributes:
        raw: The raw volume.
        enhanced: The enhanced one.
        fitted: How they belong together.
        config: Settings.
        maps: Maps made of repetitions, by name.
        repeated: Independent tests.
        gap: Hardened over plain cycle error; None: there was no cycle.
    """

    raw: Volume
    enhanced: Volume
    fitted: Fitted
    config: InspectConfig
    maps: dict[str, Map] = field(default_factory=dict)
    repeated: list[Repeated] = field(default_factory=list)
    gap: float | None = None

    def second_scan(self, second: Volume, random: np.random.Generator) -> None:
        """Test against another scan of the same object.

        Raises:
            InputError: It is the same scan, or nothing can be fitted to it.
        """
        two = two_scans(
            self.raw, second, self.fitted.noise, self.enhanced, self.config, random
        )
        self.repeated.append(Repeated.of(two, self.enhanced))

    def repeat(self, networks: Networks, plan: Plan) -> Progress:
        """Do all passes of a plan; yields the share that is done."""
        again: list[Volume] = []
        steps = Steps(plan.passes)
        for number in range(plan.splits):
            part = self._split(number)
            made = yield from steps.of(networks.forth(part.first))
            again.append(made)
            if not self._has_scan:
                self.repeated.append(Repeated.of(part, made))
        for axes in plan.flips:
            mirrored = yield from steps.of(networks.forth(flipped(self.raw, axes)))
            again.append(flipped(mirrored, axes))
        for other in networks.others[: plan.others]:
            again.append((yield from steps.of(other(self.raw))))
        self._instability(again)
        if plan.cycle and networks.back is not None:
            self.maps["cycle"] = new_map(self.raw.shape)
            self.gap = yield from steps.of(
                fill_cycle(
                    self.maps["cycle"],
                    self.raw,
                    self.enhanced,
                    networks.back,
                    self.fitted.noise,
                    self.config.tile,
                ),
                passes=2,
            )
        if networks.model is not None and can_judge(networks.model):
            self.maps["realism"] = new_map(self.raw.shape)
            scale = self.fitted.operator.scale
            fill_realism(self.maps["realism"], self.enhanced, networks.model, scale)

    @property
    def _has_scan(self) -> bool:
        return any(one.enhanced is self.enhanced for one in self.repeated)

    def _split(self, number: int) -> Split:
        """Two by two the same noise, with other signs: each half is enhanced once."""
        operator, noise = self.fitted.operator, self.fitted.noise
        seed = self.config.seed + number // 2
        parts = split(self.raw, noise, operator, self.enhanced, seed)
        return parts.swapped() if number % 2 else parts

    def _instability(self, again: list[Volume]) -> None:
        if not again:
            return
        self.maps["instability"] = new_map(self.raw.shape)
        fill_instability(
            self.maps["instability"],
            self.enhanced,
            again,
            self.fitted.operator.scale,
            self.config.tile,
        )


class Steps:
    """The share of several passes that is done.

    Args:
        passes: How many there will be.
    """

    def __init__(self, passes: int) -> None:
        self._passes, self._done = max(passes, 1), 0

    def of(
        self, work: Generator[float, None, Result], passes: int = 1
    ) -> Generator[float, None, Result]:
        """Go through the next pass, or a few at once; gives its result."""
        while True:
            try:
                share = next(work)
            except StopIteration as end:
                self._done += passes
                result: Result = end.value
                return result
            yield (self._done + share * passes) / self._passes
