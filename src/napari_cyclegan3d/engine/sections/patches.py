"""Settings of what the networks get to see."""

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_cyclegan3d.engine.settings import Settings


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
