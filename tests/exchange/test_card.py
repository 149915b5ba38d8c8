"""A model card tells what the training and the model know, and what they do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from napari_cyclegan3d.engine.checkpoint import Model, load_model, save_model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.exchange.card import write_card
from napari_cyclegan3d.exchange.credits import Credits, authors_in
from napari_cyclegan3d.exchange.runs import Run, run_of

ModelMaker = Callable[..., Model]


def test_a_card_shows_data_settings_curves_scores_and_limits(
    training: Path, tmp_path: Path
) -> None:
    model = load_model(training / "model.safetensors")
    pictures = write_card(model, tmp_path / "card.md", Run(training))
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert [path.name for path in pictures] == ["card_preview.png", "card_curves.png"]
    for path in pictures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"]({path.name})" in text
    assert "| A | a1.tif | 1 × 1 × 1 micrometer" in text
    assert "| `generator.filters` | 2 | 8 |" in text
    assert "On patches of a2.tif, b2.tif that it was not trained on" in text
    assert "| score |" in text
    assert "It can invent structures" in text
    assert "| training | 3 of 3 steps |" in text


def test_a_card_is_called_after_its_file_or_after_the_training_if_that_says_more(
    training: Path, tmp_path: Path
) -> None:
    file, run = training / "model.safetensors", Run(training)
    fibres = tmp_path / "fibres.safetensors"
    fibres.write_bytes(file.read_bytes())
    for model, place, credits, title in (
        (file, run, None, training.name),
        (file, None, None, "model"),
        (fibres, run, None, "fibres"),
        (file, run, Credits(name="Glass fibres"), "Glass fibres"),
    ):
        write_card(load_model(model), tmp_path / "card.md", place, credits)
        text = (tmp_path / "card.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {title}\n")


def test_the_settings_in_a_card_are_those_of_the_training(
    training: Path, tmp_path: Path
) -> None:
    model = load_model(training / "model.safetensors")
    write_card(model, tmp_path / "card.md", None)
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    found = text.partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(found) == model.header.config.model_dump(mode="json")


def test_without_its_training_a_card_shows_the_models_thumbnails(
    training: Path, tmp_path: Path
) -> None:
    model = load_model(training / "model.safetensors")
    (picture,) = write_card(model, tmp_path / "card.md")
    assert picture.name == "card_preview.png"
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "not at hand: no curves" in text
    assert "Score at its step" in text


def test_a_card_names_what_a_model_cannot_do(
    model_of: ModelMaker, tmp_path: Path
) -> None:
    model = model_of(dims=2, patch=(1, 32, 32), slice_axis="y")
    assert write_card(model, tmp_path / "card.md") == []
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "100 of 10000 steps" in text
    assert "may not fit together along y" in text
    assert "not scored on volumes that it was not trained on" in text


def test_a_card_takes_credits_and_no_markup_of_strangers(
    model_of: ModelMaker, tmp_path: Path
) -> None:
    model = model_of("x](http://a) <script>\n# y")
    credits = Credits(authors_in("Anna Meier (ESRF)"), "MIT")
    write_card(model, tmp_path / "card.md", None, credits)
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "<script>" not in text.replace("\\<script", "")
    assert "](http" not in text.replace("\\](http", "")
    assert text.splitlines()[0].startswith("# x\\]")
    assert "\n# y" not in text
    assert "Authors: Anna Meier (ESRF)" in text
    assert "Licence: MIT" in text


def test_a_model_finds_the_training_that_it_lies_in(
    training: Path, model_of: ModelMaker, tmp_path: Path
) -> None:
    assert run_of(training / "model.safetensors") == Run(training)
    assert run_of(training / "best" / "step_00000002.safetensors") == Run(training)
    save_model(model_of(), tmp_path / "alone.safetensors")
    assert run_of(tmp_path / "alone.safetensors") is None
    assert run_of(tmp_path / "alone.safetensors", training) == Run(training)
    with pytest.raises(InputError, match="holds no training"):
        run_of(tmp_path / "alone.safetensors", tmp_path)
