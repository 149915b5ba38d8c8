"""Settings of the objective."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from napari_cyclegan3d.engine.settings import Settings

# what a term of an image loss looks like: kind, channels if not all, weight if not 1
_WEIGHT = r"(\d{1,4}(\.\d*)?|\.\d+)(e-?\d)?"
TERM = rf"(l1|mse|gradient|tv|ssim|fsc)(\[\d+(\+\d+)*\])?(\*{_WEIGHT})?"
Term = Annotated[str, StringConstraints(strip_whitespace=True, pattern=f"^{TERM}$")]
Terms = Annotated[tuple[Term, ...], Field(min_length=1)]
TERM_HELP = "Terms l1, mse, gradient, tv, ssim, fsc, with weights as in l1,ssim*0.5."


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
