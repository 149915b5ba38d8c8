"""How the learning rates change over a training."""

import math
from collections.abc import Mapping

from napari_cyclegan3d.engine.config import TrainConfig

# a value counts as better if it is lower by this share of the best one
PLATEAU_THRESHOLD = 0.01
# least factor when statistics are frozen: decaying schedules would leave nothing to
# learn with, and what was normalised has to settle
FROZEN_RATE = 0.1


class LearningRate:
    """The factor of the learning rates at each step.

    Every schedule but plateau follows from the step alone. plateau multiplies by
    decay_rate when no observed value was better than the best so far, by 1 % of it, for
    decay_steps steps, and then waits as long again. From the step at which instance
    norms are frozen, no schedule goes below a tenth.

    Args:
        config: steps, freeze_at, and optim.schedule, decay_rate and decay_steps are
            used.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.steps, self.optim = config.steps, config.optim
        self.freeze_at = config.freeze_at
        self.plateau_factor, self.best, self.since = 1.0, math.inf, 0

    def factor(self, step: int) -> float:
        """Learning rate at `step` (from 0) over the one at the start."""
        scheduled = self._scheduled(step)
        if self.freeze_at is None or step < self.freeze_at:
            return scheduled
        return max(scheduled, FROZEN_RATE)

    def _scheduled(self, step: int) -> float:
        rate, decays = self.optim.decay_rate, step / self.optim.decay_steps
        progress = min(1.0, step / self.steps)
        match self.optim.schedule:
            case "linear":
                return min(1.0, 2 * (1 - progress))
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * progress))
            case "step":
                return float(rate ** math.floor(decays))
            case "inverse_time":
                return 1 / (1 + rate * decays)
            case "plateau":
                return self.plateau_factor
            case "constant":
                return 1.0

    def observe(self, step: int, value: float) -> None:
        """Tell how good the training is; only plateau listens.

        Args:
            step: Steps done.
            value: Lower is better; one that is not finite is no improvement.
        """
        if self.optim.schedule != "plateau":
            return
        slack = 0.0 if math.isinf(self.best) else PLATEAU_THRESHOLD * abs(self.best)
        if math.isfinite(value) and value < self.best - slack:
            self.best, self.since = value, step
        elif step - self.since >= self.optim.decay_steps:
            self.plateau_factor *= self.optim.decay_rate
            self.since = step

    def state_dict(self) -> dict[str, float]:
        """All that is needed to go on as if nothing had happened: plain numbers."""
        return {
            "plateau_factor": self.plateau_factor,
            "best": self.best,
            "since": self.since,
        }

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from `state_dict`.

        Raises:
            KeyError: The state is that of something else.
        """
        self.plateau_factor = float(state["plateau_factor"])
        self.best, self.since = float(state["best"]), int(state["since"])
