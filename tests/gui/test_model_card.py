"""The card of a model: what it was trained on, and how that looked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QTextDocument

from napari_cyclegan3d.engine.checkpoint import Model, load_model
from napari_cyclegan3d.engine.thumbnails import SHOWN, Thumbnail
from napari_cyclegan3d.gui.enhance.model_card import NOTHING, ModelCard, describe


def plain(text: str) -> str:
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


def changed(model: Model, **values: object) -> Model:
    origin = model.header.provenance.model_copy(update=values)
    return replace(model, header=model.header.model_copy(update={"provenance": origin}))


def test_the_card_tells_day_score_and_at_most_three_names(model_1x: Path) -> None:
    model = changed(
        load_model(model_1x),
        date="2026-03-04T12:00:00+00:00",
        score=0.12345,
        volumes_a=tuple("pqrst"),
    )
    text = plain(describe(model, None))
    assert "model, 2026-03-0" in text
    assert "score in validation: 0.1235" in text
    assert "A: p, q, r and 2 more" in text


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_model_without_a_day_is_described_without_it(
    date: str | None, model_1x: Path
) -> None:
    text = plain(describe(changed(load_model(model_1x), date=date, score=None), None))
    assert text.splitlines()[0] == "model"
    assert "validation" not in text


def test_thumbnails_are_shown_where_the_model_has_them(
    model_1x: Path, qtbot: QtBot
) -> None:
    card = ModelCard()
    qtbot.addWidget(card)
    grey = np.arange(30, dtype=np.uint8).reshape(5, 6)
    pictures = {name: Thumbnail.of(grey) for name in SHOWN}
    card.show_model(changed(load_model(model_1x), thumbnails=pictures), None)
    assert card.pictures.isVisibleTo(card)
    card.show_model(changed(load_model(model_1x), thumbnails={}), None)
    assert not card.pictures.isVisibleTo(card)
    card.show_nothing()
    assert plain(card.text.text()) == NOTHING


@pytest.mark.parametrize(
    ("scale", "unit", "warned"),
    [
        ((2, 1, 1.5), "micrometer", False),
        ((4, 1, 1.5), "micrometer", True),
        ((4, 1, 1.5), "pixel", False),
    ],
)
def test_voxels_of_another_size_than_those_trained_on_are_warned_of(
    scale: tuple[float, ...], unit: str, warned: bool, model_1x: Path
) -> None:
    layer = Image(np.zeros((4, 4, 4)), scale=scale, units=unit, name="a & b")
    text = plain(describe(load_model(model_1x), layer))
    assert ("a & b has voxels of" in text) == warned
