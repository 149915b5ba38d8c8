"""What an inspection of a mode takes, known before it begins."""

import time
from dataclasses import dataclass
from math import prod

from napari_cyclegan3d.engine.hallucination.passes import Networks, run_through
from napari_cyclegan3d.engine.hallucination.settings import Mode
from napari_cyclegan3d.engine.volume import Volume

FLIPS = ((2,), (1,), (0,), (1, 2))
# seconds per raw voxel of everything but the networks, on two cores of a common machine
WORK = {"quick": 3e-6, "standard": 6e-6, "thorough": 8e-6}
TRIAL = 48


@dataclass(frozen=True)
class Plan:
    """How often networks translate the whole volume, beyond the enhancement itself.

    Attributes:
        splits: Enhancements of data with other, independent noise.
        flips: Axes along which the volume is mirrored for each repetition.
        others: Repetitions by other models, such as earlier checkpoints.
        cycle: Whether there and back is compared, which takes two passes.
    """

    splits: int = 0
    flips: tuple[tuple[int, ...], ...] = ()
    others: int = 0
    cycle: bool = False

    @property
    def passes(self) -> int:
        """All of them."""
        return self.splits + len(self.flips) + self.others + 2 * self.cycle


def plan_of(mode: Mode, networks: Networks | None, second: bool) -> Plan:
    """What a mode does with the networks that there are.

    Args:
        mode: quick does without any.
        networks: None: there is no model.
        second: Whether there is a second scan; it replaces the splits.
    """
    if mode == "quick" or networks is None:
        return Plan()
    thorough = mode == "thorough"
    return Plan(
        splits=1 if second else (4 if thorough else 2),
        flips=FLIPS if thorough else FLIPS[:1],
        others=len(networks.others) if thorough else 0,
        cycle=networks.back is not None,
    )


def seconds_of(plan: Plan, mode: Mode, raw: Volume, networks: Networks | None) -> float:
    """About how long it will take, from a trial of the network on a small part."""
    voxels = prod(raw.shape)
    seconds = WORK[mode] * voxels
    if networks is None or not plan.passes:
        return seconds
    z, y, x = (
        slice((n - min(n, TRIAL)) // 2, (n + min(n, TRIAL)) // 2) for n in raw.shape
    )
    part = raw.crop((z, y, x))
    run_through(networks.forth(part))  # what the first call decides is not counted
    started = time.perf_counter()
    run_through(networks.forth(part))
    taken = time.perf_counter() - started
    return seconds + plan.passes * taken * voxels / prod(part.shape)
