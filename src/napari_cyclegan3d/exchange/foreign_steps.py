"""Steps on grey values, from the words of bioimage.io."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign import Step

# what bioimageio.core adds to a fixed deviation
EPSILON = 1e-6
FLOATS = ("float32", "float64", "float16")
Words = Mapping[str, Any]


def steps_of(words: object) -> tuple[Step, ...]:
    """The steps of a list of pre- or postprocessing.

    Raises:
        InputError: A step is not known, or means something else for one grey image.
    """
    found: list[Step] = []
    for one in words if isinstance(words, list) else []:
        if not isinstance(one, Mapping):
            raise InputError("a step on grey values in the description is none")
        name = str(one.get("id", one.get("name")))
        kwargs = one.get("kwargs") or {}
        if name not in STEPS or not isinstance(kwargs, Mapping):
            raise InputError(
                f"it needs the step {name[:40]} on grey values, which cannot be done "
                f"here; known are {', '.join(STEPS)}"
            )
        try:
            found += STEPS[name](kwargs)
        except (ValidationError, ValueError, TypeError, ArithmeticError, KeyError):
            raise InputError(f"its step {name} has impossible settings") from None
    return tuple(found)


def _linear(words: Words) -> Sequence[Step]:
    return [
        Step(
            kind="linear",
            gain=_one(words.get("gain", 1.0)),
            offset=_one(words.get("offset", 0.0)),
        )
    ]


def _fixed(words: Words) -> Sequence[Step]:
    mean, deviation = _one(words["mean"]), _one(words["std"]) + EPSILON
    return [Step(kind="linear", gain=1 / deviation, offset=-mean / deviation)]


def _moments(words: Words) -> Sequence[Step]:
    if words.get("mode") == "fixed":
        return _fixed(words)
    return [Step(kind="moments", epsilon=words.get("eps", EPSILON))]


def _range(words: Words) -> Sequence[Step]:
    if words.get("reference_tensor") is not None:
        raise InputError(
            "its step scale_range looks at another image than it changes, which "
            "cannot be done here"
        )
    return [
        Step(
            kind="range",
            low=words.get("min_percentile", 0.0),
            high=words.get("max_percentile", 100.0),
            epsilon=words.get("eps", EPSILON),
        )
    ]


def _clip(words: Words) -> Sequence[Step]:
    low, high = words.get("min"), words.get("max")
    if words.get("min_percentile") or words.get("max_percentile"):
        raise InputError(
            "its step clip cuts at percentiles, which cannot be done here; only fixed "
            "limits can"
        )
    if low is None and high is None:
        raise ValueError("no limits")
    return [Step(kind="clip", low=low, high=high)]


def _sigmoid(_: Words) -> Sequence[Step]:
    return [Step(kind="sigmoid")]


def _dtype(words: Words) -> Sequence[Step]:
    if str(words.get("dtype")) not in FLOATS:
        raise InputError(
            f"it works with whole numbers ({str(words.get('dtype'))[:20]}); only "
            "models of float32 can be used here"
        )
    return []


def _one(value: object) -> float:
    """A number, or the one number of a list: there is one channel."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no number: {value!r:.40}")
    return float(value)


STEPS = {
    "scale_linear": _linear,
    "zero_mean_unit_variance": _moments,
    "fixed_zero_mean_unit_variance": _fixed,
    "scale_range": _range,
    "clip": _clip,
    "sigmoid": _sigmoid,
    "ensure_dtype": _dtype,
}
