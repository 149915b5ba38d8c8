"""Scoring models on volumes whose truth is known, beside what one has without a model.

Volumes are worked through one after the other, so that memory is bounded by one of
them (about 90 bytes per voxel of its truth); the models translate each, and the same
code scores them and the baseline.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.checkpoint import Direction, Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.inference import EnhanceDone, TileDone, Warned, enhance
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.evaluate.cases import (
    BASELINES,
    Case,
    Curve,
    Reference,
    Scores,
)

__all__ = [
    "Case",
    "CaseDone",
    "EvaluateConfig",
    "EvaluateDone",
    "Kind",
    "Row",
    "Scored",
    "Scores",
    "Warned",
    "Working",
    "evaluate",
]

Kind = Literal["baseline", "translation", "cycle"]


class EvaluateConfig(Settings):
    """How models are compared.

    Attributes:
        match_grey: Give each translation, and the baseline, the gain and offset that
            bring it closest to the truth before it is scored: scores are then about
            structure and noise, not about brightness.
        enhance: How the volumes are translated; its direction says which domain the
            truths belong to.
    """

    match_grey: bool = False
    enhance: EnhanceConfig = EnhanceConfig()


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        case: Name of the volume.
        model: Name of the model; of the baseline: identity or trilinear.
        kind: baseline: what one has without a model; translation: of the input;
            cycle: the truth translated to the other domain and back.
        scores: How close it is to the truth.
        data_range: Of PSNR and SSIM: from the 0.1th to the 99.9th percentile of the
            truth inside the mask.
        unit: Of the resolutions.
        voxels: Compared voxels, those inside the mask.
        degraded: Whether the input was made from the truth.
        grey_matched: Whether gain and offset were fitted to the truth.
    """

    case: str
    model: str
    kind: Kind
    scores: Scores
    data_range: float
    unit: str
    voxels: int
    degraded: bool
    grey_matched: bool


@dataclass(frozen=True)
class Working:
    """A model begins with the `number`th of `cases` volumes."""

    case: str
    model: str
    number: int
    cases: int


@dataclass(frozen=True)
class Scored:
    """A line of the table is known."""

    row: Row


@dataclass(frozen=True, eq=False)
class CaseDone:
    """All models have done this volume.

    Attributes:
        name: The case.
        slices: Middle slice of the truth ("truth"), of the baseline and of each
            model's translation, (1, rows, columns), as they were scored.
        curves: Fourier shell correlation of baseline and models with the truth:
            frequencies in cycles per `unit`, and correlations.
        unit: Of length.
        limits: Grey values between which the data range lies.
    """

    name: str
    slices: Mapping[str, NDArray[np.float32]]
    curves: Mapping[str, Curve]
    unit: str
    limits: tuple[float, float]


@dataclass(frozen=True)
class EvaluateDone:
    """All lines of the table."""

    rows: tuple[Row, ...]


EvaluateEvent = Working | Warned | TileDone | Scored | CaseDone | EvaluateDone


def evaluate(
    cases: Sequence[Case],
    models: Sequence[Model],
    config: EvaluateConfig | None = None,
) -> Iterator[EvaluateEvent]:
    """Score models on all cases; closing the iterator stops within one tile.

    The baseline is the input itself at scale 1, and trilinear interpolation otherwise.
    Where a model has both generators, the cycle is scored as well: the truth goes to
    the other domain by one generator and comes back by the other. There is no line for
    a cycle that has only one grey value on its way.

    Args:
        cases: Volumes with their truths. Those without an input get one, made from the
            truth by the degradation of the models' training.
        models: Models of one scale, with different names.
        config: Direction, device, matching of grey values.

    Yields:
        Working, Warned and TileDone as it goes on, Scored for each line, CaseDone for
        each volume, EvaluateDone.

    Raises:
        InputError: Volumes do not fit each other or the models, or models not each
            other.
    """
    config = config or EvaluateConfig()
    _check_names(cases, models)
    scale = _common_scale(models, config.enhance.direction)
    if any(case.input is None for case in cases):
        _check_degradation(models, config.enhance.direction)
    degrade = models[0].header.config.degrade
    rows: list[Row] = []
    for number, case in enumerate(cases, 1):
        work = _CaseWork(Reference(case, scale, degrade, number), config)
        yield work.baseline()
        for model in models:
            yield Working(case.name, model.name, number, len(cases))
            yield from work.translate(model)
            if model.b_to_a is not None:
                yield from work.cycle(model)
        yield work.done()
        rows += work.rows
    yield EvaluateDone(tuple(rows))


class _CaseWork:
    """One case, and what has been found about it so far."""

    def __init__(self, reference: Reference, config: EvaluateConfig) -> None:
        self.reference, self.config = reference, config
        self.rows: list[Row] = []
        self.curves: dict[str, Curve] = {}
        self.slices = {"truth": _middle(reference.values)}

    def baseline(self) -> Scored:
        name = self.reference.baseline
        return self._score(name, "baseline", self.reference.baseline_image())

    def translate(self, model: Model) -> Iterator[EvaluateEvent]:
        image = yield from _run(self.reference.input, model, self.config.enhance)
        yield self._score(model.name, "translation", image.read())

    def cycle(self, model: Model) -> Iterator[EvaluateEvent]:
        forth = self.config.enhance
        other = "a_to_b" if forth.direction == "b_to_a" else "b_to_a"
        back = forth.model_copy(update={"direction": other})
        between = yield from _run(self.reference.truth, model, back)
        if not _shows_something(between):
            return
        image = yield from _run(between, model, forth)
        yield self._score(model.name, "cycle", image.read())

    def done(self) -> CaseDone:
        reference = self.reference
        return CaseDone(
            reference.case.name,
            self.slices,
            self.curves,
            reference.truth.unit,
            reference.limits,
        )

    def _score(self, model: str, kind: Kind, image: NDArray[np.float32]) -> Scored:
        reference = self.reference
        # a cycle has to come back to the grey values that it started from
        matched = self.config.match_grey and kind != "cycle"
        if matched:
            image = reference.matched(image)
        scores, curve = reference.compare(image)
        if kind != "cycle":
            self.curves[model], self.slices[model] = curve, _middle(image)
        row = Row(
            case=reference.case.name,
            model=model,
            kind=kind,
            scores=scores,
            data_range=reference.data_range,
            unit=reference.truth.unit,
            voxels=int(reference.mask.sum()),
            degraded=reference.case.input is None,
            grey_matched=matched,
        )
        self.rows.append(row)
        return Scored(row)


def _run(
    volume: Volume, model: Model, config: EnhanceConfig
) -> Generator[EvaluateEvent, None, Volume]:
    """The translation of a volume; its tiles are passed on as progress."""
    result = volume
    for event in enhance(volume, model, config):
        match event:
            case TileDone() | Warned():
                yield event
            case EnhanceDone():
                result = event.volume
    return result


def _shows_something(volume: Volume) -> bool:
    values = volume.read()
    known = values[np.isfinite(values)]
    return bool(known.size and known.min() < known.max())


def _middle(image: NDArray[np.float32]) -> NDArray[np.float32]:
    middle = len(image) // 2
    return image[middle : middle + 1].copy()


def _check_names(cases: Sequence[Case], models: Sequence[Model]) -> None:
    for names, what in (
        ([case.name for case in cases], "volumes"),
        ([*BASELINES, *(model.name for model in models)], "models"),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                f"{twice}: two {what} have this name, which tables could not tell "
                "apart; give each its own"
            )
    if not (cases and models):
        raise InputError("nothing to evaluate; give at least one volume and one model")


def _common_scale(models: Sequence[Model], direction: Direction) -> Fraction:
    scale = models[0].scale(direction)
    for model in models:
        if model.scale(direction) != scale:
            raise InputError(
                f"{model.name}: scale {model.header.scale}, but {models[0].name} has "
                f"scale {models[0].header.scale}; evaluate them one after the other"
            )
    return scale


def _check_degradation(models: Sequence[Model], direction: Direction) -> None:
    if direction == "b_to_a":
        raise InputError(
            "direction b_to_a: inputs can be made from truths of B only; give the "
            "inputs, or use direction a_to_b"
        )
    for model in models:
        if model.header.config.degrade != models[0].header.config.degrade:
            raise InputError(
                f"{model.name}: was trained with another degradation than "
                f"{models[0].name}; evaluate them one after the other"
            )
