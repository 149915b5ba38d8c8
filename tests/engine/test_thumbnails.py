"""Small pictures in a model file, its date and its score."""

import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d.engine.checkpoint import (
    HEADER_KEY,
    Model,
    load_model,
    save_model,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.thumbnails import SHOWN, Thumbnail, thumbnails
from napari_cyclegan3d.engine.training import Domains, PreviewReady, Validated, train

ConfigMaker = Callable[..., TrainConfig]
ModelMaker = Callable[..., Model]


def images(shape: tuple[int, ...], scale: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    large = tuple(scale * side for side in shape)
    sizes = {"real_a": shape, "fake_b": large, "real_b": large}
    return {
        name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()
    }


def test_a_thumbnail_shows_the_middle_slice() -> None:
    made = images((5, 6, 7))
    for name, one in thumbnails(made).items():
        grey, plane = one.image().astype(float), made[name][2]
        assert grey.shape == (6, 7)
        inner = (grey > 0) & (grey < 255)
        line = np.polyfit(plane[inner], grey[inner], 1)
        np.testing.assert_allclose(np.polyval(line, plane[inner]), grey[inner], atol=1)


@pytest.mark.parametrize("shape", [(200, 130), (64, 64), (3, 500), (1, 1)])
def test_no_thumbnail_is_larger_than_64_pixels(shape: tuple[int, int]) -> None:
    for one in thumbnails(images(shape)).values():
        grey = one.image()
        assert max(grey.shape) <= 64
        assert (
            grey.shape[0] / grey.shape[1] == pytest.approx(shape[0] / shape[1], rel=0.1)
            or 1 in grey.shape
        )


def test_fake_and_real_share_one_grey_window() -> None:
    made = images((4, 8, 8))
    made["fake_b"] = made["real_b"] / 2
    small = {name: one.image().astype(float) for name, one in thumbnails(made).items()}
    assert small["fake_b"].std() < 0.7 * small["real_b"].std()


def test_images_without_numbers_have_a_black_thumbnail() -> None:
    made = {name: np.full((4, 4), np.nan, np.float32) for name in SHOWN}
    assert thumbnails(made)["real_a"].image().max() == 0


def test_a_trained_model_carries_its_date_and_what_its_previews_show(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    events = list(train(tiny(steps=2, preview_every=2), blobs, tmp_path / "run"))
    made = load_model(tmp_path / "run" / "model.safetensors").header.provenance
    (preview,) = (e for e in events if isinstance(e, PreviewReady))
    assert made.thumbnails == thumbnails(preview.images)
    assert made.date is not None
    age = datetime.now(UTC) - datetime.fromisoformat(made.date)
    assert timedelta(seconds=-1) < age < timedelta(minutes=5)
    assert made.score is None


@pytest.mark.parametrize("given", ["1700000000", "", "soon", "9" * 30])
def test_a_date_can_be_given_so_that_models_are_equal_to_the_bit(
    given: str,
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    list(train(tiny(steps=1), blobs, tmp_path / "run"))
    date = load_model(tmp_path / "run" / "model.safetensors").header.provenance.date
    known = date == "2023-11-14T22:13:20+00:00"
    assert known == (given == "1700000000")


def test_a_model_carries_the_newest_score_also_after_a_resume(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    validated = Domains(blobs.a, blobs.b, blobs.a, blobs.b)
    config = tiny(steps=3, validation={"every": 2, "patches": 1}, checkpoint_every=1)
    events = train(config, validated, tmp_path / "run")
    score = next(e.scores["score"] for e in events if isinstance(e, Validated))
    events.close()
    (best,) = RunFolder(tmp_path / "run").best_models()
    assert load_model(best).header.provenance.score == score
    resumed = train(config, validated, tmp_path / "run", resume=True)
    next(resumed)
    resumed.close()
    made = load_model(tmp_path / "run" / "model.safetensors").header.provenance
    assert (made.steps, made.score) == (2, score)


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a model file with another header."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    values = json.loads(header["__metadata__"][HEADER_KEY])
    change(values)
    header["__metadata__"][HEADER_KEY] = json.dumps(values)
    text = json.dumps(header).encode()
    other = path.with_name("other.safetensors")
    other.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    return other


def test_a_model_of_an_earlier_version_has_neither_date_nor_pictures(
    tmp_path: Path, random_model: ModelMaker
) -> None:
    save_model(random_model(), tmp_path / "model.safetensors")

    def as_before(values: dict[str, Any]) -> None:
        for key in ("date", "score", "thumbnails"):
            del values["provenance"][key]
        for key in ("preview_a", "preview_b"):
            del values["config"][key]

    path = rewritten(tmp_path / "model.safetensors", as_before)
    made = load_model(path).header.provenance
    assert (made.date, made.score, made.thumbnails) == (None, None, {})


GREY = Thumbnail.of(np.zeros((4, 5), np.uint8)).model_dump()


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 5},
        {"rows": 65, "columns": 64, "grey": "A" * 5548},
        {"grey": "AAA"},
        {"grey": "?" * 28},
        {"grey": "A" * 10**6},
        {"rows": 0},
    ],
    ids=["size", "large", "cut off", "no base64", "long", "empty"],
)
def test_a_model_with_an_impossible_picture_is_refused(
    tmp_path: Path, random_model: ModelMaker, changes: dict[str, Any]
) -> None:
    save_model(random_model(), tmp_path / "model.safetensors")

    def spoil(values: dict[str, Any]) -> None:
        values["provenance"]["thumbnails"] = {"fake_b": GREY | changes}

    path = rewritten(tmp_path / "model.safetensors", spoil)
    with pytest.raises(InputError, match="header of the model is damaged"):
        load_model(path)


def test_a_model_with_sound_pictures_gives_them_back(
    tmp_path: Path, random_model: ModelMaker
) -> None:
    save_model(random_model(), tmp_path / "model.safetensors")

    def show(values: dict[str, Any]) -> None:
        values["provenance"]["thumbnails"] = {"fake_b": GREY}

    path = rewritten(tmp_path / "model.safetensors", show)
    found = load_model(path).header.provenance.thumbnails
    assert found["fake_b"].image().shape == (4, 5)
