"""The sections of the settings: one model for each part of the engine.

Every description, limit and default is written here once.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from napari_cyclegan3d.engine.settings import Settings

GeneratorKind = Literal["unet", "unet11", "resnet", "unet_strided", "srresnet"]
Norm = Literal["none", "instance", "instance_affine", "batch", "affine"]
Upsampler = Literal["subpixel", "subpixel_nn", "resize"]
Schedule = Literal["constant", "linear", "cosine", "step", "inverse_time", "plateau"]
Width = Annotated[int, Field(ge=2, le=1024)]
Stride = Annotated[int, Field(ge=1, le=2)]

# what a term of an image loss looks like: kind, channels if not all, weight if not 1
_WEIGHT = r"(\d{1,4}(\.\d*)?|\.\d+)(e-?\d)?"
TERM = rf"(l1|mse|gradient|tv|ssim|fsc)(\[\d+(\+\d+)*\])?(\*{_WEIGHT})?"
Term = Annotated[str, StringConstraints(strip_whitespace=True, pattern=f"^{TERM}$")]
Terms = Annotated[tuple[Term, ...], Field(min_length=1)]
TERM_HELP = "Terms l1, mse, gradient, tv, ssim, fsc, with weights as in l1,ssim*0.5."


class GeneratorConfig(Settings):
    """The generators; each kind is that of a published project."""

    kind: GeneratorKind = Field(
        "unet",
        description="unet: pooled U-Net (3DCycleGaN), 1x, 2x and 4x; unet11: its deep "
        "VGG-like sister; resnet: residual blocks (CycleGAN); unet_strided: strided "
        "U-Net (pix2pix); srresnet: residual blocks, then enlargement (SRGAN).",
    )
    filters: int = Field(
        8,
        ge=2,
        le=128,
        description="Width of the first layers; 3DCycleGaN used 32. Not used by "
        "unet_strided.",
    )
    norm: Norm = Field(
        "none",
        description="Normalisation after the convolutions. instance (also "
        "instance_affine, with a learned scale and shift) makes results depend on the "
        "tile; batch keeps running statistics; affine is a learned scale and shift "
        "alone.",
    )
    blocks: int = Field(
        6, ge=1, le=32, description="Residual blocks of resnet and srresnet."
    )
    encoder: Annotated[tuple[Width, ...], Field(min_length=2, max_length=7)] = Field(
        (64, 128, 128, 128, 128),
        description="Channels of the reducing layers of unet_strided.",
    )
    decoder: Annotated[tuple[Width, ...], Field(min_length=1, max_length=6)] = Field(
        (128, 128, 128, 64),
        description="Channels of the enlarging layers of unet_strided, one fewer than "
        "the encoder has.",
    )
    bias: bool = Field(
        True,
        description="Biases in all convolutions of unet_strided; the last always has "
        "one.",
    )
    upsampler: Upsampler = Field(
        "subpixel",
        description="How srresnet enlarges: pixel shuffle; transposed convolution "
        "that starts as nearest neighbour (no checkerboard); or resize and convolve.",
    )
    output: Literal["linear", "tanh"] = Field(
        "linear",
        description="Last layer: linear, or tanh, which cannot leave -1 to 1 (use "
        "percentile or minmax intensities).",
    )
    noise: bool = Field(
        True,
        description="Feed a channel of random numbers to the B-to-A generator, so that "
        "it can invent the noise of A instead of hiding it in the image.",
    )

    @model_validator(mode="after")
    def _matching_lists(self) -> Self:
        if len(self.decoder) != len(self.encoder) - 1:
            raise ValueError(
                f"generator.decoder has {len(self.decoder)} entries for an encoder of "
                f"{len(self.encoder)}; give {len(self.encoder) - 1}"
            )
        return self


class DiscriminatorConfig(Settings):
    """The discriminators."""

    kind: Literal["patch", "critic"] = Field(
        "patch",
        description="patch: judges overlapping patches (PatchGAN); critic: one "
        "judgement of the whole patch (SRGAN).",
    )
    filters: int = Field(16, ge=2, le=128, description="Channels of the first layer.")
    layers: int = Field(
        2,
        ge=1,
        le=4,
        description="patch: layers after the first; each doubles the channels. "
        "critic: pairs of layers, plain and strided.",
    )
    strides: tuple[Stride, ...] | None = Field(
        None,
        description="patch: stride of each of the layers + 2 convolutions; by default "
        "2 but for the last two.",
    )
    norm: Norm = Field("affine", description="Normalisation inside the discriminators.")
    bias: bool = Field(
        False,
        description="patch: biases in the normalised convolutions as well; the "
        "first and the last always have one.",
    )
    slope: float = Field(0.2, ge=0, lt=1, description="Slope of the leaky ReLUs.")
    head: Literal["pool", "dense"] = Field(
        "pool",
        description="critic: mean over the patch, or a dense layer over all of it, "
        "which ties the model to this patch size.",
    )

    @model_validator(mode="after")
    def _one_stride_each(self) -> Self:
        if self.strides is not None and len(self.strides) != self.layers + 2:
            raise ValueError(
                f"discriminator.strides {self.strides}: give {self.layers + 2} strides "
                f"for layers {self.layers}, or none for the usual ones"
            )
        return self


class LossConfig(Settings):
    """Terms of the objective and their weights."""

    adversarial: Literal["lsgan", "bce"] = Field(
        "lsgan",
        description="Adversarial loss: least squares, or cross-entropy of a logit.",
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
    identity_a: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Weight of |b_to_a(real_a) − real_a|: what is already in domain A "
        "stays as it is. At 2x and 4x real_a is enlarged first.",
    )
    identity_b: float = Field(
        5.0,
        ge=0,
        le=1000,
        description="Weight of |a_to_b(real_b) − real_b|: what is already in domain B "
        "stays as it is. At 2x and 4x real_b is reduced first.",
    )
    paired: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Weight of |fake_b − real_b| where A and B are pairs; the content "
        "loss of srgan.",
    )
    judge: float = Field(
        1.0, gt=0, le=1000, description="Weight of the discriminators' own loss."
    )
    total: float = Field(
        0.0,
        ge=0,
        le=10000,
        description="Rescale all weights so that they sum to this; 0: as they are.",
    )
    cycle_losses: Terms = Field(
        ("l1",), description=f"What the cycles are compared by. {TERM_HELP}"
    )
    identity_losses: Terms = Field(
        ("l1",), description=f"What the identities are compared by. {TERM_HELP}"
    )
    paired_losses: Terms = Field(
        ("l1",), description=f"What pairs are compared by. {TERM_HELP}"
    )
    label_real: tuple[float, float] = Field(
        (1.0, 1.0),
        description="Range from which the target of a real patch is drawn: 0.7, 1.2 "
        "makes soft labels.",
    )
    label_fake: tuple[float, float] = Field(
        (0.0, 0.0), description="Range from which the target of a fake is drawn."
    )
    label_flip: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="Chance that a discriminator is shown a patch with the wrong "
        "label, drawn anew for each patch.",
    )

    @model_validator(mode="after")
    def _channels_that_there_are(self) -> Self:
        for term in (*self.cycle_losses, *self.identity_losses, *self.paired_losses):
            channels = term.partition("[")[2].partition("]")[0]
            if channels not in ("", "0"):
                raise ValueError(
                    f"loss term {term}: volumes have one channel; leave out "
                    f"[{channels}]"
                )
        return self

    @model_validator(mode="after")
    def _ordered_labels(self) -> Self:
        for name in ("label_real", "label_fake"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(
                    f"loss.{name} ({low:g}, {high:g}): the lower limit comes first"
                )
        low, high = self.label_fake[0], self.label_real[1]
        if self.adversarial == "bce" and (low < 0 or high > 1):
            raise ValueError(
                f"labels from {low:g} to {high:g} with bce: cross-entropy has no "
                "minimum beyond 0 and 1; stay within, or use lsgan"
            )
        if self.label_fake[1] >= self.label_real[0]:
            raise ValueError(
                f"loss.label_fake up to {self.label_fake[1]:g} reaches label_real from "
                f"{self.label_real[0]:g}: the discriminators could learn nothing; keep "
                "them apart"
            )
        return self


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
    accumulate: int = Field(
        1,
        ge=1,
        le=1024,
        description="Batches per step, one after the other: as one batch so many times "
        "as large, in the memory of one.",
    )
    recompute: bool = Field(
        False,
        description="Keep nothing inside the generators between a pass and its way "
        "back: up to a quarter more work, for patches that do not fit into memory.",
    )
    update: Literal["alternating", "simultaneous"] = Field(
        "alternating",
        description="alternating: the generators answer to the discriminators as just "
        "updated; simultaneous: to those before the update.",
    )
    schedule: Schedule = Field(
        "cosine",
        description="Learning rate over the run: constant; linear to zero over the "
        "second half; half a cosine; step: times decay_rate every decay_steps; "
        "inverse_time: 1 / (1 + decay_rate · step / decay_steps); plateau: times "
        "decay_rate when nothing got better for decay_steps.",
    )
    decay_rate: float = Field(
        0.5, gt=0, le=1, description="By how much step, inverse_time and plateau decay."
    )
    decay_steps: int = Field(
        5000, ge=1, le=100_000_000, description="Steps between such decays."
    )
    ema: float = Field(
        0.995,
        ge=0,
        lt=1,
        description="Decay of the running mean of the generator weights that the "
        "model keeps; 0: keep the last weights.",
    )
    init: Literal["kaiming", "normal", "xavier", "orthogonal"] = Field(
        "kaiming",
        description="Weights at the start; normal: deviation 0.02, as in CycleGAN.",
    )
    kickstart: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None,
        description="First steps in which cycles may start from the resized real "
        "image instead of the fake: keeps the contrast from being inverted, and gets "
        "2x and 4x going. By default 150 at 2x and 4x, 0 at 1x.",
    )
    kickstart_chance: float = Field(
        0.7, gt=0, le=1, description="Chance of that, at each of those steps."
    )
    freeze_steps: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None,
        description="Last steps, in which generators with instance norm learn on with "
        "its mean statistics frozen, so that no tile shows in results. By default a "
        "twentieth of the steps, from 50 to 500 and at most half of them; 0: keep "
        "instance norm.",
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
    pairs: bool = Field(
        False,
        description="Draw A and B at the same place: volumes are paired by their "
        "names (sub-01_T1w, sub-01_T2w) and lie on the same grid.",
    )


class AugmentConfig(Settings):
    """Random changes of patches; both members of a pair get the same."""

    flips: bool = Field(True, description="Mirror patches at random along each axis.")
    rotations: bool = Field(
        True,
        description="Turn patches at random by multiples of 90 degrees in planes of "
        "equal voxel size.",
    )
    angle: float = Field(
        0.0,
        ge=0,
        le=45,
        description="Turn patches by up to this many degrees in such a plane; what "
        "turns in from outside is read from the volume.",
    )
    zoom: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Cut away up to this share of a patch's sides and enlarge the "
        "rest to the whole patch.",
    )
    contrast: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Multiply contrasts by 1 ± up to this share, about the mean.",
    )
    gamma: float = Field(
        0.0, ge=0, lt=1, description="Bend grey values by an exponent of 1 ± this."
    )
    noise: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Add Gaussian noise of up to this deviation to patches of A "
        "(normalised units).",
    )


class DegradeConfig(Settings):
    """How srgan makes A from B, where A is not given; the same in evaluation."""

    blur: float = Field(
        1.0, ge=0, le=10, description="Gaussian blur before reduction (voxels of B)."
    )
    noise: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Noise after reduction (deviations of the B volume).",
    )


class ValidationConfig(Settings):
    """Scores on volumes that are not trained on, where there are any."""

    every: int = Field(
        500, ge=0, le=1_000_000, description="Steps between validations; 0: none."
    )
    patches: int = Field(
        8, ge=1, le=1000, description="Fixed patches that are scored, of each domain."
    )
    keep: int = Field(3, ge=1, le=100, description="Best models kept, in best/.")


class BalanceConfig(Settings):
    """Automatic balancing: watches the training, rolls back and changes weights."""

    enabled: bool = Field(False, description="Watch and change the training.")
    every: int = Field(100, ge=10, le=1_000_000, description="Steps between checks.")
    start: int = Field(250, ge=50, le=1_000_000, description="Step of the first check.")
    back: int = Field(
        200, ge=10, le=1_000_000, description="How far a failed training goes back."
    )
    inversion: bool = Field(
        True,
        description="Take inverted contrast for a failure; switch off where the "
        "contrast of B is that of A inverted (T1 to T2).",
    )


class RecordConfig(Settings):
    """What a training writes beside its model."""

    tensorboard: bool = Field(
        False, description="Write events for TensorBoard (extra: tensorboard)."
    )
    animation: bool = Field(
        False, description="Keep a GIF of the previews with their histograms."
    )
