"""Settings: written once here; command line, forms, YAML and model files all use them.

Descriptions and limits become command-line help, tooltips and spin-box limits. Every
model is frozen and refuses unknown keys, so that a misspelt setting cannot train the
default silently.
"""

import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from napari_cyclegan3d.engine.errors import InputError

PATCH_MULTIPLE = 4  # pooling of every generator pair of this family, in voxels of A

Norm = Literal["none", "instance", "affine"]

# a few lines of YAML aliases can name billions of values
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring = 2, 80


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=Settings)


class GeneratorConfig(Settings):
    """The two generators: pooled U-Nets of the 3DCycleGaN project."""

    filters: int = Field(
        8, ge=2, le=128, description="Width f of the U-Net; 3DCycleGaN used 32."
    )
    norm: Norm = Field(
        "none",
        description="Normalisation after each convolution. 'instance' makes results "
        "depend on the tile; 'affine' is a learned scale and shift per channel.",
    )
    noise: bool = Field(
        True,
        description="Feed a channel of random numbers to the B-to-A generator, so that "
        "it can invent the noise of A instead of hiding it in the image.",
    )


class DiscriminatorConfig(Settings):
    """The two patch discriminators (kernel 4, strided)."""

    filters: int = Field(16, ge=2, le=128, description="Channels of the first layer.")
    layers: int = Field(
        2, ge=1, le=4, description="Strided layers; each doubles the field of view."
    )
    norm: Norm = Field("affine", description="Normalisation inside the discriminators.")


class LossConfig(Settings):
    """Terms of the objective and their weights."""

    adversarial: Literal["lsgan", "bce"] = Field(
        "lsgan", description="Adversarial loss: least squares or cross-entropy."
    )
    adversarial_a: float = Field(
        5.0,
        ge=0,
        le=1000,
        description="Weight of fake_a being taken for A: how faithfully b_to_a learns "
        "the noise and blur of A.",
    )
    adversarial_b: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Weight of fake_b being taken for B: more looks sharper, less is "
        "closer to what was measured.",
    )
    cycle_a: float = Field(
        2.0, ge=0, le=1000, description="Weight of |cyclic_a − real_a|."
    )
    cycle_b: float = Field(
        20.0, ge=0, le=1000, description="Weight of |cyclic_b − real_b|."
    )
    identity: float = Field(
        5.0,
        ge=0,
        le=1000,
        description="Weight of |a_to_b(real_b) − real_b|: what is already in domain B "
        "stays as it is (only at 1x).",
    )


class OptimConfig(Settings):
    """Adam and what surrounds it."""

    lr_generator: float = Field(
        4e-4, gt=0, le=0.1, description="Learning rate of the generators."
    )
    lr_discriminator: float = Field(
        4e-4, gt=0, le=0.1, description="Learning rate of the discriminators."
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="First momentum of Adam.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Second momentum of Adam.")
    clip: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Largest gradient norm of the generators; 0: off.",
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine",
        description="Learning rate over the run: constant, falling linearly to zero "
        "over the second half, or falling along a half cosine.",
    )
    ema: float = Field(
        0.995,
        ge=0,
        lt=1,
        description="Decay of the running mean of the generator weights that the "
        "model keeps; 0: keep the last weights.",
    )


class IntensityConfig(Settings):
    """How grey values become numbers around zero, and back."""

    method: Literal["zscore", "percentile", "minmax"] = Field(
        "zscore",
        description="zscore: mean 0, deviation 1; percentile and minmax: the two "
        "limits become -1 and 1.",
    )
    scope: Literal["domain", "volume"] = Field(
        "domain",
        description="Fit once over all volumes of a domain, or on each volume alone "
        "(for scans whose grey values are not comparable, such as MRI).",
    )
    percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="Lower and upper limit of the percentile method."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(
                f"percentiles ({low:g}, {high:g}): must satisfy 0 <= lower < upper "
                "<= 100, as in (0.5, 99.5)"
            )
        return self


class SamplingConfig(Settings):
    """How patches are drawn."""

    flips: bool = Field(True, description="Mirror patches at random along each axis.")
    rotations: bool = Field(
        True,
        description="Turn patches at random by multiples of 90 degrees in planes of "
        "equal voxel size.",
    )
    min_content: float = Field(
        0.05,
        ge=0,
        le=10,
        description="Draw again when a patch's standard deviation (in normalised "
        "units) is below this: such a patch shows nothing; 0: off.",
    )
    pool: int = Field(
        32,
        ge=0,
        le=10000,
        description="Size of the pool of earlier fakes shown to the discriminators; "
        "0: off.",
    )


class TrainConfig(Settings):
    """Everything that decides a training, beside the volumes themselves."""

    scale: Literal[1, 2, 4] = Field(1, description="Size of B over size of A per axis.")
    patch: tuple[int, int, int] = Field(
        (32, 32, 32),
        description="Voxels of a training patch of A (z, y, x), multiples of 4.",
    )
    batch: int = Field(1, ge=1, le=256, description="Patches per step.")
    steps: int = Field(
        10000, ge=1, le=100_000_000, description="Training steps of the whole run."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of all random numbers.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, mps, cuda or cuda:1 …",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Number format of the networks' work; auto takes bf16 where the "
        "processor computes with it. Weights and losses are always fp32.",
    )
    preview_every: int = Field(
        100, ge=0, le=1_000_000, description="Steps between previews; 0: none."
    )
    checkpoint_every: int = Field(
        500, ge=1, le=1_000_000, description="Steps between saved states."
    )
    keep: int = Field(
        3, ge=1, le=1000, description="Numbered states kept beside the last one."
    )
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    intensity: IntensityConfig = IntensityConfig()
    sampling: SamplingConfig = SamplingConfig()

    @model_validator(mode="after")
    def _patch_fits_the_networks(self) -> Self:
        smallest = self.smallest_patch
        if all(side % PATCH_MULTIPLE == 0 and side >= smallest for side in self.patch):
            return self
        nearest = tuple(
            max(smallest, PATCH_MULTIPLE * round(side / PATCH_MULTIPLE))
            for side in self.patch
        )
        raise ValueError(
            f"patch {self.patch}: each side must be a multiple of {PATCH_MULTIPLE} and "
            f"at least {smallest}; nearest is {nearest}"
        )

    @property
    def smallest_patch(self) -> int:
        """Shortest side of a patch of A of which a discriminator can judge anything."""
        # each strided layer halves; the first unstrided kernel of 4 takes one voxel
        # and must leave 4 for the last: on smaller inputs PyTorch 2.13 computes wrong
        # bf16 gradients on the CPU
        needed = 5 << self.discriminator.layers
        return PATCH_MULTIPLE * math.ceil(needed / PATCH_MULTIPLE)


class EnhanceConfig(Settings):
    """How a volume is translated by tiles."""

    direction: Literal["a_to_b", "b_to_a"] = Field(
        "a_to_b", description="Which of the model's two generators to use."
    )
    mode: Literal["auto", "exact", "blend"] = Field(
        "auto",
        description="exact: each tile reads all that its output depends on, so no "
        "tile shows; blend: overlapping tiles are averaged. auto takes exact unless "
        "the network's output depends on the tile (instance norm).",
    )
    tile: tuple[int, int, int] | None = Field(
        None,
        description="Voxels of the input that one tile yields (z, y, x); by default "
        "the largest that the memory allows.",
    )
    overlap: float = Field(
        0.5, ge=0.1, le=0.75, description="Share of a tile that overlaps in blend mode."
    )
    memory_gb: float = Field(
        2.0, ge=0.1, le=1024, description="Memory for the network's work, in GB."
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, mps, cuda or cuda:1 …",
    )

    @model_validator(mode="after")
    def _positive_tile(self) -> Self:
        if self.tile is not None and min(self.tile) < 1:
            raise ValueError(f"tile {self.tile}: each side must be at least 1")
        return self


def parse(model: type[SettingsT], values: Mapping[str, Any]) -> SettingsT:
    """Build settings from plain values.

    Raises:
        InputError: An unknown key or an impossible value, in one sentence.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(_sentence(model, error)) from None


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, not yet checked against a settings model.

    Raises:
        InputError: The file is missing, no YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    # impossible dates and numbers, bytes that are no text: ValueError
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not a YAML file ({first})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no settings; write lines like `steps: 10000`")
    return values


def limits(info: FieldInfo) -> dict[str, float]:
    """The limits of a field, by their names in pydantic: ge, gt, le, lt."""
    found = {}
    for rule in info.metadata:
        for key in ("ge", "gt", "le", "lt"):
            limit = getattr(rule, key, None)
            if limit is not None:
                found[key] = limit
    return found


def to_yaml(config: Settings) -> str:
    """All settings as YAML, in the order of their definition."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _sentence(model: type[Settings], error: ValidationError) -> str:
    """The first problem that pydantic found, as a sentence with the remedy."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(model, problem["loc"][:-1]))
        return f"unknown setting {key!r}; known are: {known}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    value = SHORT.repr(problem["input"])
    return f"setting {key} = {value}: {message[0].lower()}{message[1:]}"


def _known_keys(model: type[Settings], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, Settings):
            model = annotation
    return list(model.model_fields)
