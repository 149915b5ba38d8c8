"""What a search varies: ranges and choices, checked against the settings."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import yaml
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Field

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import Settings, merged, parse

RANGE = re.compile(r"(?P<low>[^.].*?)\.\.(?P<high>[^:]+?)(?P<log>:log)?")
Distribution = FloatDistribution | IntDistribution | CategoricalDistribution
# with other values of these, scores would be of other patches, or of other units
FIXED = {
    "method", "dims", "slice_axis", "scale", "patch", "steps", "seed", "device",
    "precision", "preview_every", "preview_a", "preview_b", "checkpoint_every", "keep",
    "intensity", "sampling.pairs", "degrade", "validation", "record",
}  # fmt: skip
# after the search of MRI_T1_T2_CycleGAN, about the defaults of this package
COMMON = {
    "optim.lr_generator": "1e-4..1e-3:log",
    "optim.lr_discriminator": "1e-4..1e-3:log",
    "optim.beta1": "0.2..0.6",
    "optim.beta2": "0.9..0.9999",
}
CYCLES = {
    "loss.cycle_a": "1..10:log",
    "loss.cycle_b": "5..40:log",
    "loss.identity_b": "0.5..10:log",
}
PAIRED = {"loss.adversarial_b": "1e-3..1:log"}
FILTERS = {"generator.filters": "6..16"}
BLOCKS = {"generator.blocks": "5..9"}


class SearchConfig(Settings):
    """How long to search, and among which settings."""

    trials: int = Field(20, ge=1, le=100_000, description="Short trainings to do.")
    steps: int = Field(200, ge=1, le=100_000_000, description="Steps of each of them.")
    minutes: float | None = Field(
        None, gt=0, description="Begin no further trial after so many minutes."
    )
    vary: dict[str, str] = Field(
        {},
        description="Setting → LOW..HIGH, LOW..HIGH:log or ONE,OTHER; by default "
        "learning rates, momenta, weights and the size of the generators.",
    )


def parse_vary(texts: list[str]) -> dict[str, str]:
    """`NAME=VALUES` of the command line as a mapping.

    Raises:
        InputError: A text is none, or a name is given twice.
    """
    vary: dict[str, str] = {}
    for text in texts:
        name, separator, values = text.partition("=")
        if not separator:
            raise InputError(
                f"--vary {text}: write NAME=VALUES, as in optim.beta1=0.2..0.6"
            )
        if name in vary:
            raise InputError(f"--vary {name}: is given twice; give all values at once")
        vary[name] = values
    return vary


def default_vary(base: TrainConfig) -> dict[str, str]:
    """What is varied where nothing is asked for."""
    vary = COMMON | (CYCLES if base.method == "cyclegan" else PAIRED)
    kind = base.generator.kind
    if kind != "unet_strided":
        vary |= FILTERS
    if kind in ("resnet", "srresnet"):
        vary |= BLOCKS
    return vary


def distributions(
    vary: Mapping[str, str], base: TrainConfig
) -> dict[str, Distribution]:
    """What Optuna draws from; every end and every choice is tried on the settings.

    Raises:
        InputError: A name is no setting, or a value is not possible.
    """
    found = {}
    for name, text in vary.items():
        kind = _kind(name)
        distribution = _range(name, text, kind) or _choices(name, text)
        ends: Sequence[Any]
        if isinstance(distribution, CategoricalDistribution):
            ends = distribution.choices
        else:
            ends = (distribution.low, distribution.high)
        for end in ends:
            with_settings(base, {name: end})
        found[name] = distribution
    return found


def with_settings(base: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """The base with some settings replaced, by their full names.

    Raises:
        InputError: They are not possible together.
    """
    changed = base.model_dump()
    for name, value in values.items():
        section, _, leaf = name.rpartition(".")
        change = {section: {leaf: value}} if section else {leaf: value}
        changed = merged(changed, change)
    return parse(TrainConfig, changed)


def _kind(name: str) -> Any:
    """The type of a setting that may be varied: a number, a word, true or false."""
    section, _, leaf = name.rpartition(".")
    if {name, section or name} & FIXED:
        raise InputError(
            f"--vary {name}: scores with other values of it cannot be compared; "
            "search once for each"
        )
    model: Any = TrainConfig
    if section:
        model = getattr(model.model_fields.get(section), "annotation", None)
    fields = getattr(model, "model_fields", {})
    if leaf not in fields:
        raise InputError(
            f"--vary {name}: no such setting; names are those of the options, as in "
            "optim.lr_generator or loss.cycle_b"
        )
    kind = fields[leaf].annotation
    if kind not in (int, float, bool) and get_origin(kind) is not Literal:
        raise InputError(
            f"--vary {name}: is no single number or word; set it in the base settings"
        )
    return kind


def _range(name: str, text: str, kind: Any) -> Distribution | None:
    match = RANGE.fullmatch(text.strip())
    if match is None:
        return None
    try:
        if kind not in (int, float):
            raise ValueError("a range of words")
        low, high = kind(match["low"]), kind(match["high"])
        make = IntDistribution if kind is int else FloatDistribution
        if not low < high:
            raise ValueError("an empty range")
        return make(low, high, log=match["log"] is not None)
    except ValueError:
        numbers = "whole numbers" if kind is int else "numbers"
        usual = f"{numbers} as LOW..HIGH or, above zero, LOW..HIGH:log"
        raise InputError(
            f"--vary {name}={text}: no range; write "
            f"{usual if kind in (int, float) else ','.join(_words(kind))}"
        ) from None


def _choices(name: str, text: str) -> CategoricalDistribution:
    try:
        choices = yaml.safe_load(f"[{text}]")
    except (yaml.YAMLError, ValueError, RecursionError):
        choices = None
    simple = isinstance(choices, list) and all(
        isinstance(one, (bool, int, float, str)) for one in choices
    )
    if not simple or len(set(choices)) < 2:
        raise InputError(
            f"--vary {name}={text}: nothing to choose from; write LOW..HIGH, "
            "LOW..HIGH:log, or at least two values as ONE,OTHER"
        )
    return CategoricalDistribution(choices)


def _words(kind: Any) -> list[str]:
    return ["true", "false"] if kind is bool else [str(one) for one in get_args(kind)]
