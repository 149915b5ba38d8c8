"""Settings of the networks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_cyclegan3d.engine.settings import Settings

GeneratorKind = Literal["unet", "unet11", "resnet", "unet_strided", "srresnet"]
Norm = Literal["none", "instance", "instance_affine", "batch", "affine"]
Upsampler = Literal["subpixel", "subpixel_nn", "resize"]
Width = Annotated[int, Field(ge=2, le=1024)]
Stride = Annotated[int, Field(ge=1, le=2)]


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
