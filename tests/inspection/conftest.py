from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from napari_cyclegan3d import inspection
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Finding, Inspection, Review
from napari_cyclegan3d.engine.volume import Volume

Pair = tuple[Volume, Volume]


@pytest.fixture
def pair(inspected: Inspected) -> Pair:
    """The raw and the enhanced volume that `inspected` is about."""
    rng = np.random.default_rng(5)
    labels = inspected.labels
    enhanced = 100 * (labels.read() > 0).astype(np.float32)
    raw = enhanced / 2 + rng.normal(0, 20, labels.shape).astype(np.float32)
    place = (labels.affine, labels.unit)
    return (
        Volume(raw, *place, name="fast scan"),
        Volume(enhanced, *place, name="fast scan enhanced"),
    )


@pytest.fixture
def report(inspected: Inspected, pair: Pair, tmp_path: Path) -> Path:
    """A report that was saved."""
    return inspection.save(inspected, *pair, tmp_path / "report").folder


Reviewed = Callable[..., Inspection]


@pytest.fixture
def reviewed() -> Reviewed:
    """A function that gives findings of an inspection their reviews."""

    def with_reviews(
        before: Inspection, reviews: Mapping[int, Review | None]
    ) -> Inspection:
        findings = tuple(
            Finding.model_copy(one, update={"review": reviews.get(one.id, one.review)})
            for one in before.findings
        )
        return before.model_copy(update={"findings": findings})

    return with_reviews
