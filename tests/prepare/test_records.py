import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from napari_cyclegan3d import io, prepare
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare import STEPS, Saved, Working

Limited = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def file(ball: Volume, tmp_path: Path) -> Path:
    path = tmp_path / "ball.nii.gz"
    io.write(ball, path)
    return path


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".tif", ".h5", ".ome.zarr"])
def test_the_next_step_finds_what_was_done_before(file: Path, suffix: str) -> None:
    volume = prepare.run(prepare.opened(str(file)), "pad", multiple=8)
    out = file.with_name(f"padded{suffix}")
    prepare.write(volume, out)
    beside = prepare.records_path(out)
    assert beside.name == f"padded{suffix}.prepared.json"
    again = prepare.opened(str(out))
    assert again.metadata["prepared"] == volume.metadata["prepared"]
    np.testing.assert_array_equal(again.read(), volume.read())
    twice = prepare.run(again, "crop", margin=0)
    records = twice.metadata["prepared"]
    assert [one.step for one in records] == ["pad", "crop"]
    assert records[1].source.name == out.name


def test_a_record_says_what_was_done_to_which_file(file: Path) -> None:
    volume = prepare.run(prepare.opened(str(file)), "pad", margin=(1, 2, 3))
    (record,) = volume.metadata["prepared"]
    assert record.settings["margin"] == [1, 2, 3]
    assert record.source.name == "ball.nii.gz"
    assert record.source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record.source.bytes == file.stat().st_size
    assert record.date.startswith("20")
    assert record.before.unit == "millimeter"


def test_writing_tells_how_far_it_is(file: Path) -> None:
    volume = prepare.run(prepare.opened(str(file)), "pad")
    *before, last = prepare.save(volume, file.with_name("out.tif"))
    assert before
    assert all(isinstance(one, Working) for one in before)
    assert isinstance(last, Saved)
    assert last.path.exists()
    assert last.records.exists()


@pytest.mark.parametrize("name", ["out.tif", "out.zarr"])
def test_of_a_missing_folder_the_volume_is_named_and_not_its_records(
    name: str, file: Path
) -> None:
    volume = prepare.run(prepare.opened(str(file)), "pad")
    path = file.parent / "nowhere" / name
    with pytest.raises(InputError) as refusal:
        prepare.write(volume, path)
    assert str(refusal.value).startswith(f"{path}: the folder {path.parent} does not")


def test_file_and_records_come_together_or_not_at_all(
    file: Path, limited: Limited
) -> None:
    volume = prepare.run(prepare.opened(str(file)), "pad", margin=(9, 9, 9))
    out = file.with_name("out.nii")
    before = sorted(file.parent.iterdir())
    with limited(10_000), pytest.raises(InputError, match="could not be written"):
        prepare.write(volume, out)
    assert sorted(file.parent.iterdir()) == before
    events = prepare.save(volume, out)
    next(events)
    events.close()
    assert sorted(file.parent.iterdir()) == before
    prepare.write(volume, out)
    content = out.read_bytes(), prepare.records_path(out).read_bytes()
    with pytest.raises(InputError, match="exists already; replace it with --overwrite"):
        prepare.write(volume, out)
    with limited(10_000), pytest.raises(InputError, match="could not be written"):
        prepare.write(volume, out, overwrite=True)
    assert (out.read_bytes(), prepare.records_path(out).read_bytes()) == content


def test_records_of_a_file_that_was_replaced_are_passed_over(file: Path) -> None:
    out = file.with_name("out.nii.gz")
    prepare.write(prepare.run(prepare.opened(str(file)), "pad"), out)
    io.write(Volume(np.zeros((4, 4, 4))), out)
    assert "prepared" not in prepare.opened(str(out)).metadata


def test_a_part_of_a_prepared_volume_has_no_records(file: Path) -> None:
    out = file.with_name("out.nii.gz")
    prepare.write(prepare.run(prepare.opened(str(file)), "pad"), out)
    assert "prepared" not in prepare.opened(f"{out}[0:4,:,:]").metadata


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"format": 1, "records": [{}]}', b"\xff\xfe\x00", b"[" * 9999],
)
def test_damaged_records_are_refused_in_one_sentence(
    file: Path, content: bytes
) -> None:
    prepare.records_path(file).write_bytes(content)
    with pytest.raises(InputError, match="is no list of preparation steps"):
        prepare.opened(str(file))


def test_records_are_plain_json(file: Path) -> None:
    out = file.with_name("out.nii.gz")
    volume = prepare.run(prepare.opened(str(file)), "slices")
    prepare.write(volume, out)
    content = json.loads(prepare.records_path(out).read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert content["records"][0]["kept"]["axis"] == "z"
    assert prepare.read_records(prepare.records_path(out)) == tuple(
        volume.metadata["prepared"]
    )


def test_every_grid_can_be_gone_back_to(file: Path) -> None:
    """Whatever is done, undo gives the first grid, right in the world."""
    source = prepare.opened(str(file))
    affine = source.affine @ np.diag([2, 2, 2, 1])
    grid = Volume(np.arange(729.0).reshape(9, 9, 9), affine, "millimeter")
    for name, step in STEPS.items():
        if name in ("n4", "undo"):
            continue
        partner = grid if step.partner == "required" else None
        result = prepare.run(source, name, partner)
        out = file.with_name(f"{name}.nii.gz")
        prepare.write(result, out)
        back = prepare.run(prepare.opened(str(out)), "undo")
        assert back.shape == source.shape, name
        np.testing.assert_allclose(back.affine, source.affine, atol=1e-9)
