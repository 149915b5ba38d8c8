"""The settings of the steps: their options, their help, their forms."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from napari_cyclegan3d.engine.settings import Settings

Axis = Literal["z", "y", "x"]
Interpolation = Literal["linear", "cubic", "nearest"]
Length = Annotated[float, Field(gt=0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(ge=0, le=100)]

_BETWEEN = "How values between voxels are found; nearest for labels."
_NOWHERE = "Grey value where the volume has no voxels."
_THRESHOLD = "Grey value up to which voxels are background; automatic: by Otsu's method"


class N4Settings(Settings):
    """N4 bias-field correction (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908)."""

    shrink: int = Field(
        4, ge=1, le=16, description="The field is found on every n-th voxel per axis."
    )
    levels: int = Field(
        4, ge=1, le=8, description="Resolution levels: each one halves the mesh."
    )
    iterations: int = Field(
        50, ge=1, le=1000, description="Iterations per level at most."
    )
    tolerance: float = Field(
        0.001, gt=0, lt=1, description="A level ends when the field changes by less."
    )
    result: Literal["corrected", "field"] = Field(
        "corrected", description="What comes out: the volume, or the bias field in it."
    )


class BrainMaskSettings(Settings):
    """A mask of the brain: by HD-BET, or by a threshold and its largest component."""

    method: Literal["auto", "hd-bet", "otsu"] = Field(
        "auto",
        description="auto: the program hd-bet if it is installed, else otsu: a "
        "threshold, an opening and the largest component, which is a rough head mask.",
    )
    opening: float = Field(
        2.0,
        ge=0,
        le=20,
        description="otsu: bridges thinner than twice this are cut (finest voxels).",
    )
    threshold: float | None = Field(None, description=f"otsu: {_THRESHOLD}.")
    device: str = Field("auto", description="hd-bet: where its network runs.")


class MaskSettings(Settings):
    """What a mask leaves of its partner."""

    outside: float = Field(0.0, description="Grey value outside the mask.")
    inverted: bool = Field(False, description="Keep what is outside of the mask.")


class ResampleSettings(Settings):
    """A new spacing on the same field of view."""

    spacing: tuple[Length, Length, Length] | None = Field(
        None,
        description="Distance between voxels in the volume's unit (z, y, x); "
        "automatic: the finest of the three on all axes.",
    )
    interpolation: Interpolation = Field("linear", description=_BETWEEN)


class GridSettings(Settings):
    """Voxels at the places of another volume's."""

    interpolation: Interpolation = Field("linear", description=_BETWEEN)
    outside: float = Field(0.0, description=_NOWHERE)


class PadSettings(Settings):
    """Room around a volume."""

    margin: tuple[Count, Count, Count] = Field(
        (0, 0, 0), description="Voxels added at both ends of each axis (z, y, x)."
    )
    multiple: int = Field(
        16, ge=1, le=4096, description="Sizes become multiples of this; 1: any size."
    )
    filled: Literal["constant", "edge", "reflect"] = Field(
        "constant", description="What is in the room: one grey value, or what is near."
    )
    value: float = Field(0.0, description="constant: the grey value.")


class CropSettings(Settings):
    """The box around what is not background."""

    threshold: float | None = Field(
        None,
        description=f"{_THRESHOLD}. Of a mask: what is not 0 is content.",
    )
    margin: int = Field(
        5, ge=0, le=10_000, description="Voxels kept around the content."
    )


class SlicesSettings(Settings):
    """Slices that show enough, as in MRI_T1_T2_CycleGAN."""

    axis: Axis = Field("z", description="Axis across the slices.")
    background: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Slices with this share of background, or more, are left out.",
    )
    threshold: float | None = Field(
        0.0, description="Grey value up to which voxels are background; automatic: "
        "by Otsu's method.",
    )  # fmt: skip


class MatchSettings(Settings):
    """Grey values that mean the same as those of a reference."""

    method: Literal["landmarks", "histogram", "percentiles"] = Field(
        "landmarks",
        description="landmarks: deciles of the foreground (Nyúl et al. 2000); "
        "histogram: the whole histogram; percentiles: a line through two of them.",
    )
    percentiles: tuple[Share, Share] = Field(
        (1.0, 99.0), description="Lowest and highest percentile that is matched."
    )
    foreground: bool = Field(
        True, description="Compare what is above Otsu's threshold only."
    )

    @model_validator(mode="after")
    def _rising(self) -> "MatchSettings":
        low, high = self.percentiles
        if not low < high:
            raise ValueError(
                f"percentiles {low:g}, {high:g}: the first must be below the second"
            )
        return self


class DegradeSettings(Settings):
    """A low-quality volume made from a clean one, for learning to undo it."""

    binning: int = Field(
        1, ge=1, le=16, description="Voxels per axis that become one, by their mean."
    )
    blur: float = Field(
        0.0, ge=0, le=10, description="Gaussian blur before binning (fine voxels)."
    )
    projections: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Each slice across z is reconstructed from so many projections "
        "over 180 degrees; 0: slices stay as they are.",
    )
    rings: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Ring artefacts around the middle of each slice (deviations of "
        "the volume).",
    )
    photons: float = Field(
        0.0,
        ge=0,
        le=1e9,
        description="Poisson noise as of so many counts at the brightest voxels; 0: "
        "none.",
    )
    noise: float = Field(
        0.0, ge=0, le=10, description="Gaussian noise (deviations of the volume)."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of noise and rings.")


class UndoSettings(Settings):
    """Back on the grid that a record names."""

    back: int = Field(
        0, ge=0, le=1000, description="How many steps to undo; 0: all of them."
    )
    interpolation: Interpolation = Field("linear", description=_BETWEEN)
    outside: float = Field(0.0, description=_NOWHERE)
