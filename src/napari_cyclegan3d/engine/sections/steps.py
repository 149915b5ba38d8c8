"""Settings of the optimiser, and of what watches over the training."""

from typing import Annotated, Literal

from pydantic import Field

from napari_cyclegan3d.engine.settings import Settings

Schedule = Literal["constant", "linear", "cosine", "step", "inverse_time", "plateau"]


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
