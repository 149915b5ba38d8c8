"""Automatic balancing: notices a training that fails, and changes weights and rates.

After the HPoptimizer of 3DCycleGaN (tests for inverted contrast, exploding losses and
drifting cycles; return to an earlier state with other weights), without its randomness
while all is well. Knows numbers only: the training saves, returns and applies.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.sections.steps import BalanceConfig

# windows, in steps
RECENT, SHORT, TREND, BLOCK = 100, 20, 200, 50
BLOCKS = 400  # means of blocks that are remembered
INVERTED = -0.2  # mean correlation of fakes with their source
DRIFT, DRIFT_OFFSET = 1.4, 0.1
EXPLOSION = 4.0
# below these, a loss that multiplies is no danger yet: a discriminator that is no
# longer perfect lets its loss grow tenfold
FLOOR_JUDGED, FLOOR_IMAGE = 2.5, 0.25
RECOGNISED, UNSURE, SURE = 0.25, 0.6, 0.85
NUDGE, PUSH, SPREAD, RATE_NUDGE = 0.2, 0.3, 0.5, 1.1
WEIGHT_RANGE, RATIO_RANGE, RATE_FLOOR = 10.0, 4.0, 0.02
MOST_ROLLBACKS = 10
KICKSTART = 150


@dataclass(frozen=True)
class Decision:
    """What the training is to do.

    Attributes:
        kind: rollback: return to the newest saved state at or before `step_back_to`,
            then `forget_after` that state's step; adjust: go on from here.
        weights: Weights of all terms from now on, by name.
        rates: lr_generator and lr_discriminator from now on, before the schedule.
        reason: A sentence for the log.
        step_back_to: Only of a rollback; 0 is the start of the training.
        kickstart: Steps, from where the training goes on, in which cycles may start
            from the resized source: what turns an inverted contrast.
    """

    kind: Literal["rollback", "adjust"]
    weights: Mapping[str, float]
    rates: Mapping[str, float]
    reason: str
    step_back_to: int | None = None
    kickstart: int = 0


@dataclass(frozen=True)
class _Failure:
    kind: Literal["inversion", "explosion", "drift"]
    terms: tuple[str, ...]
    reason: str


class Balancer:
    """Watches the terms of a cyclegan training.

    Args:
        config: When to check, and how far to go back.
        weights: Weights at the start: adversarial_a … judge_b. A term of weight 0
            stays switched off; no weight leaves a tenth to ten times its start, and
            their sum is kept.
        rates: lr_generator and lr_discriminator at the start.
    """

    def __init__(
        self,
        config: BalanceConfig,
        weights: Mapping[str, float],
        rates: Mapping[str, float],
    ) -> None:
        self.config = config
        self.initial_weights, self.initial_rates = dict(weights), dict(rates)
        self.weights, self.rates = dict(weights), dict(rates)
        self.stopped = False
        self._history = _History()
        self._rollbacks = 0  # of the whole training: each draws other numbers
        self._failures = 0  # since the training last got further
        self._furthest = 0

    def add(self, step: int, terms: Mapping[str, float]) -> None:
        """Note the terms of a step: losses, shares seen as real, contrasts."""
        self._history.add(step, terms)

    def check(self, step: int) -> Decision | None:
        """What to change now, after `step`; None: nothing, or no check is due."""
        start, every = self.config.start, self.config.every
        if self.stopped or step < start or (step - start) % every != 0:
            return None
        if len(self._history.recent) < SHORT:  # just after a return
            return None
        failure = _failure(self._history, inversion=self.config.inversion)
        if failure is not None:
            return self._failed(step, failure)
        if step >= self._furthest:
            self._failures = 0
        return self._adjusted()

    def diverged(self, step: int) -> Decision:
        """What to do after a step whose numbers are not finite.

        An adjust means that balancing has given up and nothing is to be done.
        """
        return self._failed(step, _Failure("explosion", (), "a loss is not finite"))

    def forget_after(self, step: int) -> None:
        """Drop all that was noted after `step`: the training returned to it."""
        self._history.forget_after(step)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on, as plain numbers."""
        return {
            "weights": dict(self.weights),
            "rates": dict(self.rates),
            "stopped": self.stopped,
            "rollbacks": self._rollbacks,
            "failures": self._failures,
            "furthest": self._furthest,
            "recent": [[step, dict(terms)] for step, terms in self._history.recent],
            "blocks": [[step, dict(terms)] for step, terms in self._history.blocks],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`.

        Raises:
            LookupError, TypeError, ValueError: It is no such state.
        """
        self.weights = _same_names(state["weights"], self.initial_weights)
        self.rates = _same_names(state["rates"], self.initial_rates)
        self.stopped = bool(state["stopped"])
        self._rollbacks = int(state["rollbacks"])
        self._failures = int(state["failures"])
        self._furthest = int(state["furthest"])
        for name in ("recent", "blocks"):
            kept = getattr(self._history, name)
            kept.clear()
            kept.extend((int(step), dict(terms)) for step, terms in state[name])

    def _failed(self, step: int, failure: _Failure) -> Decision:
        self._furthest = max(self._furthest, step)
        if self.stopped or self._failures >= MOST_ROLLBACKS:
            self.stopped = True
            self.weights = dict(self.initial_weights)
            self.rates = dict(self.initial_rates)
            return self._decision(
                "adjust",
                f"{failure.reason}, again after {self._failures} rollbacks without "
                "getting further: balancing stops, with the first weights and rates",
            )
        self._rollbacks += 1
        self._failures += 1
        target = max(0, step - self.config.back * self._failures)
        again = f", failure {self._failures} in a row" if self._failures > 1 else ""
        if self._failures > 1:
            self.weights = dict(self.initial_weights)
            self.rates = dict(self.initial_rates)
        self._change_after(failure)
        decision = self._decision(
            "rollback",
            f"{failure.reason} at step {step}{again}: back to step {target} with "
            f"{_listed(self.weights | self.rates)}",
            target,
        )
        steps = KICKSTART if failure.kind == "inversion" else 0
        return replace(decision, kickstart=steps)

    def _change_after(self, failure: _Failure) -> None:
        """Other weights by chance, and more of what acts against the failure."""
        random = np.random.default_rng(self._rollbacks)
        factors = {
            name: float(random.uniform(1 - SPREAD, 1 + SPREAD)) for name in self.weights
        }
        against = failure.terms if failure.kind == "drift" else ()
        if failure.kind == "inversion":  # an identity cannot invert
            against = ("identity_a", "identity_b")
        factors |= {name: 1 + PUSH for name in against if name in factors}
        self.weights = self._multiplied(factors)
        if failure.kind == "explosion":
            slower = 0.5**self._failures
            self.rates = {
                name: max(rate * slower, RATE_FLOOR * self.initial_rates[name])
                for name, rate in self.rates.items()
            }

    def _adjusted(self) -> Decision | None:
        before = self.weights | self.rates
        factors, reasons = _nudges(self._history)
        if factors:
            self.weights = self._multiplied(factors)
        accuracy = (self._history.accuracy("a") + self._history.accuracy("b")) / 2
        if accuracy > SURE:
            self._shift_rates(1 / RATE_NUDGE)
            reasons.append(f"discriminators right in {accuracy:.0%}")
        elif accuracy < UNSURE:
            self._shift_rates(RATE_NUDGE)
            reasons.append(f"discriminators right in {accuracy:.0%} only")
        after = self.weights | self.rates
        changed = {
            name: value
            for name, value in after.items()
            if not np.isclose(value, before[name], rtol=1e-6, atol=0)
        }
        if not changed:
            return None
        return self._decision("adjust", f"{'; '.join(reasons)}: {_listed(changed)}")

    def _multiplied(self, factors: Mapping[str, float]) -> dict[str, float]:
        """The weights times the factors, rescaled to the same sum and within limits."""
        names = list(self.weights)
        first = np.array([self.initial_weights[name] for name in names])
        wanted = np.array([self.weights[name] * factors.get(name, 1) for name in names])
        low, high = first / WEIGHT_RANGE, first * WEIGHT_RANGE
        total = first.sum()
        # the sum of what is clipped grows with the common factor: halve its interval
        below, above = -np.log(1e6), np.log(1e6)
        for _ in range(60):
            middle = (below + above) / 2
            if np.clip(wanted * np.exp(middle), low, high).sum() < total:
                below = middle
            else:
                above = middle
        fitted = np.clip(wanted * np.exp(above), low, high)
        return dict(zip(names, fitted.tolist(), strict=True))

    def _shift_rates(self, factor: float) -> None:
        """The discriminators' rate over the generators' times `factor`, in limits."""
        first = (
            self.initial_rates["lr_discriminator"]
            / (self.initial_rates["lr_generator"])
        )
        ratio = self.rates["lr_discriminator"] / self.rates["lr_generator"]
        wanted = np.clip(ratio * factor, first / RATIO_RANGE, first * RATIO_RANGE)
        half = float(np.sqrt(wanted / ratio))
        self.rates = {
            "lr_generator": self.rates["lr_generator"] / half,
            "lr_discriminator": self.rates["lr_discriminator"] * half,
        }

    def _decision(
        self, kind: Literal["rollback", "adjust"], reason: str, back: int | None = None
    ) -> Decision:
        return Decision(kind, dict(self.weights), dict(self.rates), reason, back)


class _History:
    """Terms of the last steps, and means of blocks of the steps before."""

    def __init__(self) -> None:
        self.recent: deque[tuple[int, dict[str, float]]] = deque(maxlen=TREND)
        self.blocks: deque[tuple[int, dict[str, float]]] = deque(maxlen=BLOCKS)

    def add(self, step: int, terms: Mapping[str, float]) -> None:
        self.recent.append((step, dict(terms)))
        if step % BLOCK == 0:
            means = {name: float(self.last(name, BLOCK).mean()) for name in terms}
            self.blocks.append((step, means))

    def forget_after(self, step: int) -> None:
        for kept in (self.recent, self.blocks):
            while kept and kept[-1][0] > step:
                kept.pop()

    def losses(self) -> list[str]:
        return [
            name
            for name in self.recent[-1][1]
            if not name.endswith("_seen_real") and not name.startswith("contrast_")
        ]

    def last(self, name: str, steps: int) -> NDArray[np.float64]:
        """Values of a term in the last steps, oldest first."""
        rows = list(self.recent)[-steps:]
        return np.array([terms[name] for _, terms in rows if name in terms])

    def earlier(self, name: str) -> NDArray[np.float64]:
        """Means of a term over blocks, oldest first."""
        return np.array([means[name] for _, means in self.blocks if name in means])

    def accuracy(self, side: str) -> float:
        """Share of the discriminator's judgements that were right; 0 to 1."""
        real = self.last(f"real_{side}_seen_real", RECENT).mean()
        fake = self.last(f"fake_{side}_seen_real", RECENT).mean()
        return float(real + 1 - fake) / 2


def _failure(history: _History, *, inversion: bool) -> _Failure | None:
    """What is wrong with the training, if anything."""
    for name in history.losses():
        found = _exploded(history, name)
        if found is not None:
            return _Failure("explosion", (name,), found)
    if inversion:
        means = {side: history.last(f"contrast_{side}", RECENT).mean() for side in "ab"}
        inverted = [side for side, mean in means.items() if mean < INVERTED]
        if inverted:
            listed = ", ".join(f"fake_{side} {means[side]:.2f}" for side in inverted)
            reason = f"contrast inverted (correlation with the source: {listed})"
            return _Failure("inversion", (), reason)
    drifts = {name: _drifted(history, name) for name in ("cycle_a", "cycle_b")}
    found_drifts = {name: text for name, text in drifts.items() if text is not None}
    if found_drifts:
        return _Failure("drift", tuple(found_drifts), ", ".join(found_drifts.values()))
    return None


def _exploded(history: _History, name: str) -> str | None:
    before = history.earlier(name)
    if len(before) < 2:
        return None
    # the lower quartile is that of before even if most of what is known is after
    usual = float(np.quantile(before, 0.25))
    judged = name.startswith(("judge_", "adversarial_"))
    limit = EXPLOSION * max(usual, FLOOR_JUDGED if judged else FLOOR_IMAGE)
    mean = float(history.last(name, SHORT).mean())
    return f"{name} exploded to {mean:.3g} from {usual:.3g}" if mean > limit else None


def _drifted(history: _History, name: str) -> str | None:
    blocks = history.earlier(name)
    if len(blocks) < 2:
        return None
    best = float(((blocks[1:] + blocks[:-1]) / 2).min())
    mean = float(history.last(name, RECENT).mean())
    if mean <= DRIFT * (best + DRIFT_OFFSET):
        return None
    return f"{name} drifted to {mean:.3g} from {best:.3g} at best"


def _nudges(history: _History) -> tuple[dict[str, float], list[str]]:
    """Factors of the weights that are too small, and why."""
    factors, reasons = {}, []
    for side in "ab":
        values = history.last(f"cycle_{side}", TREND)
        first, second = values[: TREND // 2], values[TREND // 2 :]
        if len(second) == TREND // 2 and _rises(first, second):
            factors[f"cycle_{side}"] = 1 + NUDGE
            reasons.append(
                f"cycle_{side} rises from {first.mean():.3g} to {second.mean():.3g}"
            )
        seen = history.last(f"fake_{side}_seen_real", RECENT).mean()
        if seen < RECOGNISED:
            factors[f"adversarial_{side}"] = 1 + NUDGE
            reasons.append(f"fake_{side} taken for real in {seen:.0%} only")
        accuracy = history.accuracy(side)
        if accuracy < UNSURE:
            factors[f"judge_{side}"] = 1 + NUDGE
            reasons.append(f"judge_{side} right in {accuracy:.0%} only")
    return factors, reasons


def _rises(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> bool:
    """Whether the mean grew by more than chance (three standard errors) and 5 %."""
    chance = np.sqrt(first.var() / len(first) + second.var() / len(second))
    growth = second.mean() - first.mean()
    return bool(growth > max(3 * chance, 0.05 * first.mean()))


def _same_names(
    values: Mapping[str, float], expected: Mapping[str, float]
) -> dict[str, float]:
    if values.keys() != expected.keys():
        raise ValueError(f"{sorted(values)} instead of {sorted(expected)}")
    return {name: float(values[name]) for name in expected}


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items())
