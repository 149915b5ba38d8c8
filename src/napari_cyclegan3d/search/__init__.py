"""Search for settings: many short trainings, scored on volumes apart.

Whoever calls owns the loop, as with a training: closing the iterator stops, and the
same call goes on.
"""

import math
import shutil
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.sections.steps import RecordConfig
from napari_cyclegan3d.engine.training import Domains, StepDone, Validated, train

try:
    from optuna.trial import Trial

    from napari_cyclegan3d.search import report
    from napari_cyclegan3d.search.space import (
        SearchConfig,
        default_vary,
        distributions,
        parse_vary,
        with_settings,
    )
    from napari_cyclegan3d.search.study import Result, Study, plain
except ModuleNotFoundError as error:
    raise InputError(
        f"search: needs {error.name}; install it with: "
        "pip install 'napari-cyclegan3d[search]'"
    ) from None

__all__ = [
    "SearchConfig",
    "SearchDone",
    "TrialDone",
    "TrialProgress",
    "TrialStarted",
    "parse_vary",
    "search",
]
# validations of a trial: at each, it can be pruned
VALIDATIONS = 5
# settings that change no score of a trial
UNSCORED = {
    "steps", "device", "preview_every", "preview_a", "preview_b", "checkpoint_every",
    "keep", "record",
}  # fmt: skip


@dataclass(frozen=True)
class TrialStarted:
    """A short training begins; `number` counts from 1."""

    number: int
    trials: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class TrialProgress:
    """One step of a trial; `score` is its best so far, None before the first."""

    number: int
    step: int
    steps: int
    score: float | None


@dataclass(frozen=True)
class TrialDone:
    """A trial ended; `best` tells whether it leads, `pruned` whether it was given up.

    `value` is its best score, None if it failed; then `reason` says why.
    """

    number: int
    value: float | None
    settings: Mapping[str, Any]
    pruned: bool
    reason: str
    best: bool


@dataclass(frozen=True)
class SearchDone:
    """The search is over; `config` is the file with the best settings."""

    best: Result
    config: Path
    remarks: tuple[str, ...]


Returned = TypeVar("Returned")
Steps = Generator[TrialProgress, None, Returned]
SearchEvent = TrialStarted | TrialProgress | TrialDone | SearchDone


def search(
    space: SearchConfig, base: TrainConfig, domains: Domains, out: Path
) -> Iterator[SearchEvent]:
    """Try settings in short trainings; the same call again goes on.

    Writes study.jsonl, trials/NNN/ (the run folders, with a model only of the best),
    trials.csv, best.yaml (for `train --config`), history.png, slices.png and
    importances.png.

    Args:
        space: What to vary, and how long.
        base: All other settings; `base.seed` makes the search repeatable.
        domains: Volumes to learn from, and those to score on.
        out: Folder of the search.

    Yields:
        For each trial TrialStarted, a TrialProgress per step and TrialDone; SearchDone
        at the end.

    Raises:
        InputError: Nothing to score on, impossible settings, a folder of another
            search, no trial with a score, or a trial met what is no fault of its
            settings.
    """
    if not domains.can_validate:
        raise InputError(
            "search: has no volumes to score on; give some with --validate-a and "
            "--validate-b that are not trained on"
        )
    domains.check(base)
    running = _Search(space, base, domains, out)
    started = time.monotonic()
    remarks: tuple[str, ...] = ()
    try:
        while len(running.study.results()) < space.trials:
            if space.minutes and time.monotonic() - started > 60 * space.minutes:
                break
            yield from running.trial()
    finally:
        remarks = running.draw()
    best = running.best()
    if best is None:
        reasons = [one.reason for one in running.study.results()]
        last = reasons[-1] if reasons else "none was finished"
        raise InputError(
            f"search: no trial gave a score ({last}); vary less, or change the base "
            "settings"
        )
    yield SearchDone(best, out / "best.yaml", remarks)


class _Search:
    """A search in progress and its folder."""

    def __init__(
        self, space: SearchConfig, base: TrainConfig, domains: Domains, out: Path
    ) -> None:
        self.config, self.base, self.domains, self.out = space, base, domains, out
        vary = space.vary or default_vary(base)
        self.space = distributions(vary, base)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{out}: cannot be made ({error.strerror}); choose another folder"
            ) from None
        study = out / "study.jsonl"
        if not study.exists() and any(out.iterdir()):
            raise InputError(
                f"{out}: is not empty and holds no search to go on with; choose "
                "another folder"
            )
        self.study = Study(
            study,
            self._identity(),
            base.seed,
            warm_up=space.steps // 3,
        )

    def trial(self) -> Iterator[SearchEvent]:
        """The next trial; one that does not end is forgotten."""
        number, trial = self.study.ask(self.space)
        outcome = None
        try:
            yield TrialStarted(number, self.config.trials, dict(trial.params))
            outcome = yield from self._outcome(number, trial)
        finally:
            if outcome is None:
                self.study.interrupt(trial)
        pruned, reason = outcome
        self.study.tell(trial, pruned=pruned, reason=reason)
        best = self.best()
        self._keep_only_best(best)
        report.write_tables(self.out, self.base, self.study.results(), best)
        result = self.study.results()[-1]
        yield TrialDone(**vars(result), best=best == result)

    def best(self) -> Result | None:
        """The trial with the highest score; the first of equals."""
        return max(self._scored(), key=lambda one: one.value or 0, default=None)

    def draw(self) -> tuple[str, ...]:
        """Draw what is known; tells what could not be drawn."""
        scored = self._scored()
        if not scored:
            return ()
        report.draw_history(self.out / "history.png", scored)
        report.draw_slices(self.out / "slices.png", scored, self.space)
        importances = self.study.importances()
        if not importances:
            return ("no importances.png: needs two complete trials that differ",)
        report.draw_importances(self.out / "importances.png", importances)
        return ()

    def _outcome(self, number: int, trial: Trial) -> Steps[tuple[bool, str]]:
        """Train; gives whether the trial was given up, and why if it failed."""
        try:
            config = self._config(trial.params)
        except InputError as error:  # each is possible, but not all together
            return True, str(error)
        try:
            return (yield from self._train(number, trial, config)), ""
        except MemoryShortageError as error:
            return True, str(error)
        except InputError as error:
            # everything else would meet the next trial as well
            if "diverged" not in str(error):
                raise
            return True, str(error)

    def _train(self, number: int, trial: Trial, config: TrainConfig) -> Steps[bool]:
        """Train, and report scores; gives whether the trial was pruned."""
        run = self._run(number)
        shutil.rmtree(run, ignore_errors=True)  # of an interrupted trial
        best: float | None = None
        with closing(train(config, self.domains, run)) as events:
            for event in events:
                if isinstance(event, StepDone):
                    yield TrialProgress(number, event.step, event.steps, best)
                elif isinstance(event, Validated):
                    score = event.scores["score"]
                    if not math.isfinite(score):
                        raise InputError(f"training diverged: its score is {score}")
                    best = score if best is None else max(best, score)
                    trial.report(score, event.step)
                    if event.step < config.steps and trial.should_prune():
                        return True
        return False

    def _config(self, settings: Mapping[str, Any]) -> TrainConfig:
        """Settings of a trial: the whole training in few steps, validated often."""
        steps, every = self.config.steps, self.base.validation.every
        often = max(1, steps // VALIDATIONS)
        validation = self.base.validation.model_copy(
            update={"every": min(often, every or often), "keep": 1}
        )
        return with_settings(self.base, settings).model_copy(
            update={
                "steps": steps,
                "preview_every": 0,
                "checkpoint_every": steps,
                "keep": 1,
                "validation": validation,
                "record": RecordConfig(),
            }
        )

    def _identity(self) -> dict[str, Any]:
        """What scores depend on, beside what is varied; as plain values."""
        domains = self.domains
        volumes = {
            "volumes A": domains.a,
            "volumes B": domains.b,
            "validation volumes A": domains.validate_a,
            "validation volumes B": domains.validate_b,
        }
        identity: dict[str, Any] = {
            name: [[one.name, *one.shape] for one in found]
            for name, found in volumes.items()
        }
        settings = self.base.model_dump(mode="json")
        identity |= {
            f"setting {name}": value
            for name, value in settings.items()
            if name not in UNSCORED
        }
        return identity | {"trial steps": self.config.steps, "vary": plain(self.space)}

    def _keep_only_best(self, best: Result | None) -> None:
        """Models are large: only the best trial keeps its own."""
        for result in self.study.results():
            run = self._run(result.number)
            shutil.rmtree(run / "checkpoints", ignore_errors=True)
            if best is None or result.number != best.number:
                shutil.rmtree(run / "best", ignore_errors=True)
                (run / "model.safetensors").unlink(missing_ok=True)

    def _scored(self) -> list[Result]:
        return [one for one in self.study.results() if one.value is not None]

    def _run(self, number: int) -> Path:
        return self.out / "trials" / f"{number:03d}"
