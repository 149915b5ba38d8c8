"""What a training leaves to look at."""

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_cyclegan3d.engine import events
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.steps import RecordConfig
from napari_cyclegan3d.io import journal as journal_module
from napari_cyclegan3d.io.history import POINTS, read_curves
from napari_cyclegan3d.io.journal import Journal, write_animation
from napari_cyclegan3d.io.pictures import CYCLES, draw_grid, histogram, preview_rows

MODEL = Path("model.safetensors")


def images(seed: int = 0, shape: tuple[int, ...] = (8, 10, 12)) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    names = [name for row in CYCLES for name in row]
    return {name: rng.normal(size=shape).astype(np.float32) for name in names}


def enlargement() -> dict[str, Any]:
    small, large = images(1, (4, 5, 6)), images(2, (16, 20, 24))
    return {
        "real_a": small["real_a"],
        "fake_b": large["fake_b"],
        "real_b": large["real_b"],
    }


def step(number: int, **terms: float) -> events.StepDone:
    return events.StepDone(number, 100, terms or {"cycle_a": 1.0}, 0.1)


def write_metrics(run: Path, rows: int, names: Iterable[str] = ("cycle_a",)) -> None:
    names = list(names)
    lines = [",".join(["step", *names])]
    lines += [",".join([str(n)] + ["0.5"] * len(names)) for n in range(1, rows + 1)]
    (run / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "previews").mkdir()
    write_metrics(tmp_path, 2)
    return tmp_path


def files(run: Path) -> set[str]:
    return {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("made", "panels"),
    [
        (images(), [3, 3]),
        (images(shape=(10, 12)), [3, 3]),
        (enlargement(), [3]),
    ],
    ids=["volumes", "slices", "enlargement"],
)
def test_a_preview_shows_every_image_of_the_event(
    made: Mapping[str, Any], panels: list[int], run: Path
) -> None:
    rows = preview_rows(made)
    assert [len(row) for row in rows] == panels
    shown = [caption.replace(" ", "_") for row in rows for caption, _ in row]
    assert sorted(shown) == sorted(made)
    Journal(run, RecordConfig()).handle(events.PreviewReady(7, made))
    with Image.open(run / "previews" / "step_00000007.png") as picture:
        assert picture.mode == "L"
    assert files(run) == {
        "metrics.csv",
        "previews/step_00000007.npz",
        "previews/step_00000007.png",
    }


def test_a_slice_is_shown_as_it_is_and_a_volume_by_its_middle_slice() -> None:
    volumes = images(shape=(5, 8, 8))
    slices = {name: volume[2] for name, volume in volumes.items()}
    # the same grey window for both
    for kind in (volumes, slices):
        kind["real_a"] = kind["real_b"] = np.ones_like(kind["real_a"])
        kind["real_a"].flat[::2] = -1
    for ours, theirs in zip(preview_rows(volumes), preview_rows(slices), strict=True):
        for (name, volume), (_, plane) in zip(ours[1:], theirs[1:], strict=True):
            assert np.array_equal(volume, plane), name


def test_a_histogram_rises_where_the_grey_values_of_an_image_are() -> None:
    low = np.full((4, 4, 4), -0.9, np.float32)
    high = np.full((4, 4, 4), 0.9, np.float32)
    drawn = histogram({"real_a": low, "fake_b": high}, (-1, 1)).astype(int)
    rows, columns, _ = drawn.shape
    quarter = columns // 4
    # below the names
    foot = slice(rows // 2, rows - 4)
    blue = drawn[foot, :, 2] - drawn[foot, :, 0] > 50
    orange = drawn[foot, :, 0] - drawn[foot, :, 2] > 50
    assert blue[:, :quarter].any()
    assert not blue[:, quarter:].any()
    assert orange[:, -quarter:].any()
    assert not orange[:, :-quarter].any()


def test_the_animation_has_a_frame_for_each_preview_and_goes_on_after_a_resume(
    run: Path,
) -> None:
    config = RecordConfig(animation=True)
    for numbers in ((1, 2, 3), (4, 5)):
        journal = Journal(run, config)
        for number in numbers:
            journal.handle(events.PreviewReady(number, images(number)))
        journal.close()
        with Image.open(run / "previews" / "training.gif") as animation:
            assert animation.n_frames == numbers[-1]
            size = animation.size
    with Image.open(run / "previews" / "step_00000005.png") as preview:
        assert preview.mode == "RGB"  # the histograms are in it
        assert preview.size == size


def test_frames_of_the_animation_stand_in_the_order_of_the_steps(run: Path) -> None:
    for number, grey in ((2, 80), (10, 160), (100, 240)):
        path = run / "previews" / f"step_{number:08d}.png"
        Image.new("L", (16, 12), grey).save(path)
    with Image.open(write_animation(run / "previews")) as animation:
        found = []
        for i in range(animation.n_frames):
            animation.seek(i)
            found.append(animation.convert("L").getpixel((8, 6)))
    assert np.allclose(found, [80, 160, 240], atol=3)


def test_a_long_training_gives_an_animation_of_a_hundred_frames_from_first_to_last(
    run: Path,
) -> None:
    for number in range(256):
        path = run / "previews" / f"step_{number:08d}.png"
        Image.new("L", (4, 4), number).save(path)
    with Image.open(write_animation(run / "previews")) as animation:
        assert animation.n_frames == journal_module.MOST_FRAMES
        first = animation.convert("L").getpixel((0, 0))
        animation.seek(animation.n_frames - 1)
        assert (first, animation.convert("L").getpixel((0, 0))) == (0, 255)


def test_no_animation_is_kept_unless_it_is_asked_for(run: Path) -> None:
    journal = Journal(run, RecordConfig())
    journal.handle(events.PreviewReady(1, images()))
    journal.close()
    assert not list(run.rglob("*.gif"))


def test_the_history_is_drawn_at_a_checkpoint_and_what_came_after_it_when_closed(
    run: Path,
) -> None:
    journal = Journal(run, RecordConfig())
    picture = run / "history.png"
    journal.handle(step(1))
    assert not picture.exists()
    journal.handle(events.CheckpointSaved(1, MODEL))
    with Image.open(picture) as drawn:
        before = np.asarray(drawn)
    journal.handle(step(2))
    write_metrics(
        run, 2, ["cycle_a", "judge_a", "real_a_seen_real", "fake_a_seen_real"]
    )
    journal.close()
    with Image.open(picture) as drawn:
        assert not np.array_equal(before, np.asarray(drawn))
    picture.unlink()
    journal.close()
    assert not picture.exists()  # there is nothing new


def test_a_journal_of_a_training_that_never_stepped_writes_nothing(
    tmp_path: Path,
) -> None:
    Journal(tmp_path, RecordConfig(animation=True, tensorboard=True)).close()
    assert not list(tmp_path.iterdir())


def test_curves_are_means_of_equal_numbers_of_steps_however_many_there_are(
    tmp_path: Path,
) -> None:
    steps = 10 * POINTS
    lines = ["step,cycle_a", *(f"{n},{2 * n}" for n in range(1, steps + 1))]
    (tmp_path / "metrics.csv").write_text(
        "\n".join(lines) + "\n4001,", encoding="utf-8"
    )
    curves = read_curves(tmp_path / "metrics.csv")
    assert len(curves["step"]) <= POINTS
    assert np.allclose(curves["cycle_a"], 2 * curves["step"])
    assert curves["step"][0] == pytest.approx(6, abs=1)
    assert curves["step"][-1] > steps - 20


@pytest.mark.parametrize("text", [None, "", "step,score\n"])
def test_a_table_without_rows_has_no_curves(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "validation.csv").write_text(text, encoding="utf-8")
    assert read_curves(tmp_path / "validation.csv") == {}


def recorded(run: Path) -> dict[str, dict[int, float]]:
    """Scalars by name and step, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard")).Reload()
    return {
        name: {one.step: round(one.value, 4) for one in found.Scalars(name)}
        for name in found.Tags()["scalars"]
    }


def test_tensorboard_gets_terms_scores_and_previews(run: Path) -> None:
    journal = Journal(run, RecordConfig(tensorboard=True))
    journal.handle(events.Started(0, 2, "cpu"))
    journal.handle(step(1, cycle_a=0.5, real_a_seen_real=0.75))
    journal.handle(events.Validated(1, {"score": 0.25}, best=True))
    journal.handle(events.PreviewReady(1, images()))
    journal.close()
    assert recorded(run) == {
        "train/cycle_a": {1: 0.5},
        "train/real_a_seen_real": {1: 0.75},
        "validation/score": {1: 0.25},
    }
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard")).Reload()
    (shown,) = found.Images("preview")
    with Image.open(run / "previews" / "step_00000001.png") as picture:
        assert (shown.width, shown.height) == picture.size


def test_curves_go_on_after_a_resume_without_the_steps_that_were_lost(
    run: Path,
) -> None:
    for first, numbers in ((0, range(1, 6)), (3, range(4, 8))):
        journal = Journal(run, RecordConfig(tensorboard=True))
        journal.handle(events.Started(first, 7, "cpu"))
        for number in numbers:
            journal.handle(step(number, cycle_a=first + number / 10))
        journal.close()
    expected = {1: 0.1, 2: 0.2, 3: 0.3, 4: 3.4, 5: 3.5, 6: 3.6, 7: 3.7}
    assert recorded(run)["train/cycle_a"] == expected


def test_a_step_back_takes_the_steps_after_it_from_the_curves(run: Path) -> None:
    journal = Journal(run, RecordConfig(tensorboard=True))
    journal.handle(events.Started(0, 5, "cpu"))
    for number in (1, 2, 3, 4, 5):
        journal.handle(step(number, cycle_a=1))
    journal.handle(events.Balanced(2, "weights changed"))
    journal.handle(step(3, cycle_a=2))
    journal.close()
    assert recorded(run)["train/cycle_a"] == {1: 1, 2: 1, 3: 2}


def test_tensorboard_that_is_not_installed_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without(name: str, *given: Any) -> Any:
        return None if name == "tensorboard" else found(name, *given)

    monkeypatch.setattr(journal_module, "find_spec", without)
    with pytest.raises(InputError, match=r"tensorboard is missing; install it with"):
        Journal(tmp_path, RecordConfig(tensorboard=True))
    assert not list(tmp_path.iterdir())
    Journal(tmp_path, RecordConfig())


def test_a_long_caption_stays_above_its_own_panel() -> None:
    grey = np.zeros((40, 100), np.uint8)
    above_second = [
        np.asarray(draw_grid([[(caption, grey), ("truth", grey)]]))[:, 110:]
        for caption in ("run", "a/run/with/a/long/name/model", "")
    ]
    assert above_second[0].max() > 200  # its own caption
    for other in above_second[1:]:
        np.testing.assert_array_equal(above_second[0], other)
