"""How a result is inspected."""

from typing import Literal

from pydantic import Field

from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.settings import Settings

Mode = Literal["quick", "standard", "thorough"]
Span = tuple[int, int]


class InspectConfig(Settings):
    """Everything that decides an inspection, beside the volumes and the model."""

    mode: Mode = Field(
        "standard",
        description="quick: the two volumes alone; standard: about 5 more passes of "
        "the networks, one of them on independent noise; thorough: about 10.",
    )
    relation: Literal["auto", "degraded", "modality"] = Field(
        "auto",
        description="How the raw volume follows from the enhanced one. degraded: the "
        "same grey values, blurred and noisy; modality: other grey values, as T1 and "
        "T2; auto: by the model's data and the fit.",
    )
    noise_region: tuple[Span, Span, Span] | None = Field(
        None,
        description="A part of the raw volume without structure, such as air, where "
        "the noise is measured: first and last+1 voxel along z, y, x.",
    )
    alpha: float = Field(
        0.01,
        ge=1e-4,
        le=0.2,
        description="How often an invented object may be called supported.",
    )
    false_alarms: float = Field(
        1.0,
        ge=0.01,
        le=100.0,
        description="False alarms to allow per 64³ voxels of the raw volume.",
    )
    tile: int = Field(
        128,
        ge=32,
        le=512,
        description="Side of the parts that are worked on at a time, in raw voxels.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of all random numbers.")
    enhance: EnhanceConfig = EnhanceConfig()
