"""Previews that are kept as volumes, to go back to."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_cyclegan3d.engine import events
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.steps import RecordConfig
from napari_cyclegan3d.io import previews
from napari_cyclegan3d.io.journal import Journal
from napari_cyclegan3d.io.previews import (
    MOST_KEPT,
    read_preview,
    save_preview,
    saved_previews,
)

NAMES = ("real_a", "fake_b", "cyclic_a", "real_b", "fake_a", "cyclic_b")


def images(seed: int = 0, shape: tuple[int, ...] = (4, 5, 6)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name in NAMES}


def steps(run: Path) -> list[int]:
    return [step for step, _ in saved_previews(run)]


@pytest.mark.parametrize("shape", [(4, 5, 6), (5, 6)], ids=["volumes", "slices"])
def test_a_preview_is_read_back_as_it_was_but_for_rounding(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    made = images(shape=shape)
    made["fake_a"] = made["fake_a"].T.copy().T  # another order in memory
    path = save_preview(tmp_path, 100, made)
    assert saved_previews(tmp_path) == [(100, path)]
    found = read_preview(path)
    assert list(found) == list(made)
    for name, image in made.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], image, rtol=1e-3, atol=1e-6)


def test_numbers_beyond_float16_are_kept_as_its_largest(tmp_path: Path) -> None:
    lost = np.array([[np.nan, np.inf, -1e30]], np.float32)
    (found,) = read_preview(save_preview(tmp_path, 1, {"real_a": lost})).values()
    np.testing.assert_array_equal(found, [[np.nan, 65504, -65504]])


@pytest.mark.parametrize("count", [10, 64, 65, 129, 300])
def test_of_a_long_training_few_previews_stay_evenly_spread(
    tmp_path: Path, count: int
) -> None:
    small = {"real_a": np.zeros((2, 2), np.float32)}
    for number in range(1, count + 1):
        save_preview(tmp_path, 10 * number, small)
    kept = steps(tmp_path)
    assert (kept[0], kept[-1]) == (10, 10 * count)
    assert min(count, MOST_KEPT // 2) <= len(kept) <= MOST_KEPT
    gaps = np.diff(kept)[:-1]  # the newest may be nearer
    assert len(set(gaps.tolist())) == 1
    assert kept[-1] - kept[-2] <= gaps[0]


def test_a_resumed_training_drops_the_previews_that_come_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, RecordConfig())
    journal.handle(events.Started(0, 100, "cpu"))
    for step in (10, 20, 30):
        journal.handle(events.PreviewReady(step, images(step)))
    Journal(tmp_path, RecordConfig()).handle(events.Started(25, 100, "cpu"))
    assert steps(tmp_path) == [10, 20]


def test_a_training_that_went_back_drops_the_previews_that_come_again(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, RecordConfig())
    for step in (10, 20, 30):
        journal.handle(events.PreviewReady(step, images(step)))
    journal.handle(events.Balanced(10, "it diverged"))
    assert steps(tmp_path) == [10]


def test_a_folder_without_previews_has_none(tmp_path: Path) -> None:
    assert saved_previews(tmp_path) == []
    (tmp_path / "previews").mkdir()
    for name in ("step_00000001.png", "step_1.npz", "other.npz"):
        (tmp_path / "previews" / name).write_bytes(b"")
    assert saved_previews(tmp_path) == []


def member(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array)
    return out.getvalue()


def archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return out.getvalue()


HALF = np.zeros((3, 4), np.float16)
PROMISE = member(HALF).replace(b"(3, 4)", b"(9999999, 99999999)")
JUNK = {
    "empty": b"",
    "text": b"no archive",
    "objects": archive(a=b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O'}\n"),
    "doubles": archive(a=member(HALF.astype(np.float64))),
    "flat": archive(a=member(HALF.ravel())),
    "promise": archive(a=PROMISE),
    "cut off": archive(a=member(HALF)[:-3]),
    "many": archive(**{f"a{i}": member(HALF) for i in range(20)}),
    "damaged": archive(a=member(np.arange(999, dtype=np.float16)[None]))[:-200],
}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK.keys())
def test_a_file_that_is_no_preview_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "step_00000001.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"step_00000001.npz: is no preview .* remove"):
        read_preview(path)


def test_a_preview_with_any_flipped_byte_is_read_or_refused(tmp_path: Path) -> None:
    path = save_preview(tmp_path, 1, {"real_a": np.ones((2, 3, 4), np.float32)})
    sound = path.read_bytes()
    refused = 0
    for place in range(len(sound)):
        changed = bytearray(sound)
        changed[place] ^= 0xFF
        path.write_bytes(bytes(changed))
        try:
            read_preview(path)
        except InputError:
            refused += 1
    assert refused > len(sound) // 3


def test_a_preview_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_preview(tmp_path, 1, images(shape=(32, 32, 32)))
    monkeypatch.setattr(previews, "LARGEST", 100_000)
    with pytest.raises(InputError, match="is no preview"):
        read_preview(path)
