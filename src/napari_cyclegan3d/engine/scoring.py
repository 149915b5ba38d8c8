"""How good a training has become: validations, the best models, and plateaus."""

from collections.abc import Callable, Mapping
from typing import Any

from napari_cyclegan3d.engine import parallel
from napari_cyclegan3d.engine.checkpoint import Model, save_model
from napari_cyclegan3d.engine.events import TrainEvent, Validated
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.validation import Validator

# memory of the running mean that a plateau is looked for in, where nothing validates
SMOOTHING = 0.99
# what is smoothed: the term that falls as a training gets better
LEADING_TERM = {"cyclegan": "cycle_a", "srgan": "paired"}


class Scoring:
    """Scores of a training, by validation or by its own terms.

    Of several processes that train together one validates and writes.

    Args:
        folder: Where scores and the best models go.
        gan: What is trained; its schedule is told.
        model: Makes the model as it is now.

    Attributes:
        validator: What gives scores; without one, the leading term is followed.
        last: The newest score.
    """

    def __init__(self, folder: RunFolder, gan: Gan, model: Callable[[], Model]) -> None:
        self.folder, self.gan, self.model = folder, gan, model
        self.validator: Validator | None = None
        self.best: list[tuple[float, int]] = []
        self.smoothed: float | None = None
        self.last: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers from which it goes on."""
        return {
            "best": [list(one) for one in self.best],
            "smoothed": self.smoothed,
            "score": self.last,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`.

        Raises:
            KeyError, ValueError: The state is that of something else.
        """
        self.best = [(float(score), int(step)) for score, step in state["best"]]
        self.smoothed = state["smoothed"]
        self.last = state.get("score")  # states of version 0.1 have none

    def follow(self, step: int, terms: Mapping[str, float]) -> None:
        """Tell the learning rate of a step, where nothing validates."""
        if self.validator is not None:
            return
        now = terms[LEADING_TERM[self.gan.config.method]]
        before = now if self.smoothed is None else self.smoothed
        self.smoothed = SMOOTHING * before + (1 - SMOOTHING) * now
        self.gan.schedule.observe(step, self.smoothed)

    def validate(self, step: int) -> list[TrainEvent]:
        """Score, keep the best models, and tell the learning rate."""
        validator, translate = self.validator, self.gan.translate
        if validator is None:
            return []
        scores = parallel.from_writer(lambda: validator.score(translate))
        self.folder.add_validation(step, scores)
        self.last = scores["score"]
        self.gan.schedule.observe(step, -scores["score"])
        return [Validated(step, scores, self._keep_best(step, scores["score"]))]

    def _keep_best(self, step: int, score: float) -> bool:
        """Keep the model if it is among the best; the worst beyond them goes."""
        keep = self.gan.config.validation.keep
        ranked = sorted([*self.best, (score, step)], key=lambda one: (-one[0], one[1]))
        kept, dropped = ranked[:keep], ranked[keep:]
        if (score, step) not in kept:
            return False
        self.best = kept
        if parallel.is_writer():
            path = self.folder.best_path(step)
            path.parent.mkdir(exist_ok=True)
            save_model(self.model(), path)
            for _, old in dropped:
                self.folder.best_path(old).unlink(missing_ok=True)
        return True
