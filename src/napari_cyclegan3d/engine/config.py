"""What decides a training and an enhancement.

Settings are written once: command line, forms, YAML and model files all use them.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import ByteSize, Field, TypeAdapter, field_validator, model_validator

from napari_cyclegan3d.engine.sections.losses import LossConfig
from napari_cyclegan3d.engine.sections.networks import (
    DiscriminatorConfig,
    GeneratorConfig,
)
from napari_cyclegan3d.engine.sections.patches import (
    AugmentConfig,
    DegradeConfig,
    IntensityConfig,
    SamplingConfig,
)
from napari_cyclegan3d.engine.sections.steps import (
    BalanceConfig,
    OptimConfig,
    RecordConfig,
    ValidationConfig,
)
from napari_cyclegan3d.engine.settings import Settings

# of 3D inputs narrower than the kernel PyTorch 2.13 computes wrong gradients in bf16
# on the CPU, hence every convolution of a discriminator gets 4 voxels
SMALLEST_INPUT = 4
Index = Annotated[int, Field(ge=0, le=2**31 - 1)]
Place = tuple[Index, Index, Index, Index]
DEVICE = r"^(auto|cpu|mps|cuda(:\d+)?)$"


class TrainConfig(Settings):
    """Everything that decides a training, beside the volumes themselves."""

    method: Literal["cyclegan", "srgan"] = Field(
        "cyclegan",
        description="cyclegan: unpaired, both directions; srgan: paired enlargement, "
        "A is made from B where it is not given.",
    )
    dims: Literal[2, 3] = Field(
        3, description="3: volumes; 2: slice by slice, along slice_axis."
    )
    slice_axis: Literal["z", "y", "x"] = Field(
        "z", description="Axis across the slices of a 2D network."
    )
    scale: Literal[1, 2, 4] = Field(1, description="Size of B over size of A per axis.")
    patch: tuple[int, int, int] = Field(
        (32, 32, 32),
        description="Voxels of a training patch of A (z, y, x); for 2D networks "
        "(1, rows, columns) of a slice.",
    )
    batch: int = Field(1, ge=1, le=256, description="Patches per step.")
    steps: int = Field(
        10000, ge=1, le=100_000_000, description="Training steps of the whole run."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of all random numbers.")
    device: str = Field(
        "auto", pattern=DEVICE, description="auto, cpu, mps, cuda or cuda:1 …"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Number format of the networks' work; auto takes bf16 where the "
        "processor computes with it. Weights and losses are always fp32.",
    )
    preview_every: int = Field(
        100, ge=0, le=1_000_000, description="Steps between previews; 0: none."
    )
    preview_a: Place | None = Field(
        None,
        description="Where previews show A: number of the volume, from 0, then the "
        "centre z, y, x in its voxels. Of pairs, B is shown at the same place.",
    )
    preview_b: Place | None = Field(
        None,
        description="The same of B. Of pairs, it counts where preview_a is not given.",
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
    augment: AugmentConfig = AugmentConfig()
    degrade: DegradeConfig = DegradeConfig()
    validation: ValidationConfig = ValidationConfig()
    balance: BalanceConfig = BalanceConfig()
    record: RecordConfig = RecordConfig()

    @model_validator(mode="after")
    def _method_fits_the_networks(self) -> Self:
        kind, scale = self.generator.kind, self.scale
        if self.dims == 2 and scale != 1:
            raise ValueError(
                f"scale {scale} with dims 2: slices would be enlarged, but not the "
                "distance between them; use dims 3"
            )
        if self.method == "cyclegan" and kind != "unet" and scale != 1:
            raise ValueError(
                f"generator.kind {kind} with scale {scale}: only unet learns "
                "to enlarge and to reduce; use it, or method srgan"
            )
        if self.method == "srgan" and kind not in ("srresnet", "unet"):
            raise ValueError(
                f"generator.kind {kind} with method srgan: use srresnet or unet"
            )
        if kind == "srresnet" and scale == 1:
            raise ValueError(
                "generator.kind srresnet with scale 1: it enlarges; use scale 2 or 4"
            )
        if self.method == "srgan" and self.loss.paired == 0:
            raise ValueError(
                "loss.paired 0 with method srgan: nothing ties fake_b to B; use 1"
            )
        if self.method == "cyclegan" and self.loss.paired and not self.sampling.pairs:
            raise ValueError(
                f"loss.paired {self.loss.paired:g} without sampling.pairs: nothing "
                "is paired; switch sampling.pairs on, or set loss.paired to 0"
            )
        if self.balance.enabled and self.method != "cyclegan":
            raise ValueError("balance.enabled: balances cyclegan only; switch it off")
        return self

    @model_validator(mode="after")
    def _freezes_what_there_is(self) -> Self:
        last, norm = self.optim.freeze_steps, self.generator.norm
        if last and norm in ("none", "batch"):  # a frozen model's settings say affine
            raise ValueError(
                f"optim.freeze_steps {last} with generator.norm {norm}: only instance "
                "norm has statistics to freeze; leave it out"
            )
        if last is not None and last >= self.steps:
            raise ValueError(
                f"optim.freeze_steps {last} with steps {self.steps}: nothing would be "
                f"learned before; give at most {self.steps // 2}"
            )
        return self

    @model_validator(mode="after")
    def _patch_fits_the_networks(self) -> Self:
        smallest, multiple = self.smallest_patch, self.patch_multiple
        sides = self.patch[3 - self.dims :]
        if self.dims == 2 and self.patch[0] != 1:
            raise ValueError(
                f"patch {self.patch}: a 2D network sees one slice; give "
                f"(1, {self.patch[1]}, {self.patch[2]})"
            )
        if all(side % multiple == 0 and side >= smallest for side in sides):
            return self
        nearest = (1,) * (3 - self.dims) + tuple(
            max(smallest, multiple * round(side / multiple)) for side in sides
        )
        raise ValueError(
            f"patch {self.patch}: each side must be a multiple of {multiple} and "
            f"at least {smallest}; nearest is {nearest}"
        )

    @property
    def freeze_at(self) -> int | None:
        """Steps after which instance norms are frozen; None: there are none, or 0."""
        if self.generator.norm not in ("instance", "instance_affine"):
            return None
        last = self.optim.freeze_steps
        if last is None:
            last = min(max(50, min(500, self.steps // 20)), self.steps // 2)
        return self.steps - last if last else None

    @property
    def patch_multiple(self) -> int:
        """What the sides of a patch of A must be multiples of, for the generators."""
        return {
            "unet": 4,
            "unet11": 32,
            "resnet": 4,
            "unet_strided": 1 << len(self.generator.encoder),
            "srresnet": 1,
        }[self.generator.kind]

    @property
    def patch_b(self) -> tuple[int, int, int]:
        """Voxels of a patch of B (z, y, x)."""
        z, y, x = self.patch
        factor = self.scale
        return (z if self.dims == 2 else z * factor, y * factor, x * factor)

    @property
    def smallest_patch(self) -> int:
        """Shortest side of a patch of A that gives every convolution enough voxels."""
        judged = self.scale if self.method == "srgan" else 1  # srgan judges B only
        side = self._smallest_input
        while not _judges(self.discriminator, side * judged):
            side += self.patch_multiple
        return side

    @property
    def _smallest_input(self) -> int:
        """Shortest side that leaves the generator's deepest layer a whole kernel."""
        if self.dims == 3 and self.precision != "fp32":
            deepest = {"unet_strided": 2}.get(self.generator.kind, 3)
        else:  # reflection needs more than it pads by
            deepest = 2 if self.generator.kind == "resnet" else 1
        return self.patch_multiple * deepest


def _judges(config: DiscriminatorConfig, side: int) -> bool:
    """Whether every convolution of a discriminator gets enough voxels."""
    if config.kind == "critic":  # kernel 3, padding 1: each stride halves, rounding up
        return math.ceil(side / (1 << (config.layers - 1))) >= SMALLEST_INPUT
    for stride in config.strides or (*(2,) * config.layers, 1, 1):
        if side < SMALLEST_INPUT:
            return False
        side = (side - 2) // stride + 1  # kernel 4, padding 1
    return True


class EnhanceConfig(Settings):
    """How a volume is translated by tiles."""

    direction: Literal["a_to_b", "b_to_a"] = Field(
        "a_to_b", description="Which of the model's two generators to use."
    )
    mode: Literal["exact", "blend"] = Field(
        "exact",
        description="exact: each tile reads all that its output depends on, so no "
        "tile shows; blend: overlapping tiles are averaged.",
    )
    slices: Literal["trained", "z", "y", "x", "all"] = Field(
        "trained",
        description="2D networks: the axis across the slices, or the mean over all "
        "three.",
    )
    tile: tuple[int, int, int] | None = Field(
        None,
        description="Voxels of the input that one tile yields (z, y, x), along z of no "
        "matter where planes stream; by default what means least work under memory.",
    )
    overlap: float = Field(
        0.5, ge=0.1, le=0.75, description="Share of a tile that overlaps in blend mode."
    )
    memory: float = Field(
        2.0,
        ge=0.1,
        le=1024,
        description="Memory for the work, on the device and beside it, in GB; also as "
        "2GB or 500MB.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Number format of the network's work; auto tries both for a moment "
        "and takes the faster one.",
    )
    device: str = Field(
        "auto", pattern=DEVICE, description="auto, cpu, mps, cuda or cuda:1 …"
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        """2GB, 500 MB or 1.5 GiB as a number of GB."""
        if isinstance(value, str) and value.lower().endswith("b"):
            return TypeAdapter(ByteSize).validate_python(value) / 1e9
        return value

    @model_validator(mode="after")
    def _positive_tile(self) -> Self:
        if self.tile is not None and min(self.tile) < 1:
            raise ValueError(f"tile {self.tile}: each side must be at least 1")
        return self
