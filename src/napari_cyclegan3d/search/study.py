"""Trials on disk: what has been tried, what came of it, and what to try next.

Bayesian search by tree-structured Parzen estimators (Bergstra et al. 2011) with median
pruning, both of Optuna (Akiba et al. 2019, arXiv:1907.10902).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.search.space import Distribution

# trials drawn by chance before the search learns from them, and before it prunes
STARTUP, UNPRUNED = 8, 4
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes:
        number: Which trial, from 1.
        value: Best score of the trial, higher is better; None if it failed.
        settings: What was varied.
        pruned: It was given up, as it was behind the others or failed.
        reason: Why it failed; empty if it did not.
    """

    number: int
    value: float | None
    settings: Mapping[str, Any]
    pruned: bool
    reason: str


class Study:
    """The search in a folder, begun or continued.

    A trial that was interrupted is done again: the numbers that a trial draws depend on
    the seed and on the finished trials only.

    Args:
        path: Its file; made if it is not there.
        identity: Plain values that decide the scores; they cannot change later.
        seed: Seed of the settings that are tried.
        warm_up: Steps of a trial before it can be pruned.

    Raises:
        InputError: The file is damaged, or of a search with another identity.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, Any], seed: int, warm_up: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.path, self.seed = path, seed
        try:
            _drop_cut_line(path)
            self.optuna = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name="search",
                load_if_exists=True,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(UNPRUNED, warm_up),
            )
        except (ValueError, LookupError, TypeError, AttributeError):
            raise InputError(
                f"{path}: damaged, or no file of a search; give another --out folder"
            ) from None
        self._check(identity)
        for trial in self.optuna.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING:
                self.optuna.tell(trial.number, state=TrialState.FAIL)

    def ask(self, space: Mapping[str, Distribution]) -> tuple[int, Trial]:
        """Number and settings of the next trial."""
        number = len(self._finished()) + 1
        seed = np.random.SeedSequence([self.seed, number]).generate_state(1)[0]
        self.optuna.sampler = optuna.samplers.TPESampler(
            seed=int(seed), n_startup_trials=STARTUP
        )
        return number, self.optuna.ask(dict(space))

    def tell(self, trial: Trial, *, pruned: bool, reason: str = "") -> None:
        """Note how a trial ended, and why if it failed."""
        if reason:
            trial.set_user_attr("reason", reason)
        if pruned:
            self.optuna.tell(trial, state=TrialState.PRUNED)
        else:
            known = self.optuna.get_trials(deepcopy=False)[trial.number]
            self.optuna.tell(trial, max(known.intermediate_values.values()))

    def interrupt(self, trial: Trial) -> None:
        """Forget a trial that did not end."""
        self.optuna.tell(trial, state=TrialState.FAIL)

    def results(self) -> list[Result]:
        """What came of the finished trials, in their order."""
        return [
            _result(number, trial)
            for number, trial in enumerate(self._finished(), start=1)
        ]

    def importances(self) -> dict[str, float]:
        """Share of each setting in the differences between scores, largest first.

        PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255). Empty if fewer than two
        complete trials differ in score.
        """
        complete = [t for t in self._finished() if t.state == TrialState.COMPLETE]
        if len({trial.value for trial in complete}) < 2:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return dict(
            optuna.importance.get_param_importances(self.optuna, evaluator=evaluator)
        )

    def _finished(self) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False, states=FINISHED)

    def _check(self, identity: Mapping[str, Any]) -> None:
        known = self.optuna.user_attrs.get("identity")
        if known is None:
            self.optuna.set_user_attr("identity", dict(identity))
            return
        for key, value in identity.items():
            if known.get(key) != value:
                raise InputError(
                    f"{self.path}: a search with {key} {_short(known.get(key))}, not "
                    f"{_short(value)}; continue it with the same data and settings, or "
                    "give another --out folder"
                )


def _drop_cut_line(path: Path) -> None:
    """A process that was killed may leave the start of a line; Optuna refuses it.

    Raises:
        ValueError: It is no file of lines of JSON.
    """
    if not path.exists():
        return
    *lines, rest = path.read_bytes().split(b"\n")
    if not all(isinstance(json.loads(line), dict) for line in lines) or not lines:
        raise ValueError("no JSON lines")
    if rest:
        os.truncate(path, path.stat().st_size - len(rest))


def plain(space: Mapping[str, Distribution]) -> dict[str, Any]:
    """What is varied, as plain values."""
    return {
        name: list(one.choices)
        if isinstance(one, CategoricalDistribution)
        else [one.low, one.high, one.log]
        for name, one in space.items()
    }


def _result(number: int, trial: FrozenTrial) -> Result:
    reason = str(trial.user_attrs.get("reason", ""))
    scores = trial.intermediate_values.values()
    value = None if reason or not scores else max(scores)
    pruned = trial.state == TrialState.PRUNED
    return Result(number, value, dict(trial.params), pruned, reason)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
