import os
from pathlib import Path

import pytest

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path


class InterruptedWriting(Exception):
    """Stands for anything that goes wrong while a file is written."""


def test_the_file_appears_with_what_was_written(tmp_path: Path) -> None:
    target = tmp_path / "scan.nii.gz"
    with atomic_path(target) as lent:
        lent.write_bytes(b"new")
        assert not target.exists()
        assert lent.parent == target.parent
        assert lent.name.endswith(".nii.gz")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_old_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "scan.tif"
    target.write_bytes(b"old")
    with atomic_path(target) as lent:
        lent.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")
def test_whoever_reads_the_old_file_meanwhile_reads_it_to_the_end(
    tmp_path: Path,
) -> None:
    target = tmp_path / "scan.tif"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        with atomic_path(target) as lent:
            lent.write_bytes(b"new")
        assert reader.read() == b"old"


@pytest.mark.parametrize("error", [InterruptedWriting, KeyboardInterrupt, InputError])
def test_an_old_file_survives_a_failure_and_nothing_is_left_beside_it(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "scan.tif"
    target.write_bytes(b"old")

    def fail() -> None:
        with atomic_path(target) as lent:
            lent.write_bytes(b"half of the n")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_system_call_becomes_a_sentence_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    target = tmp_path / "scan.tif"

    def fail() -> None:
        with atomic_path(target) as lent:
            lent.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"scan\.tif.*No space left on device"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_target_do_not_share_a_temporary(tmp_path: Path) -> None:
    target = tmp_path / "scan.tif"
    with atomic_path(target) as first, atomic_path(target) as second:
        assert first != second
        first.write_bytes(b"1")
        second.write_bytes(b"2")
    assert target.read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_refused_before_the_block_runs(tmp_path: Path) -> None:
    target = tmp_path / "missing" / "scan.tif"
    with pytest.raises(InputError, match="missing"), atomic_path(target):
        pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_target_is_refused_and_stays(tmp_path: Path) -> None:
    target = tmp_path / "scan"
    target.mkdir()
    with pytest.raises(InputError, match="scan"), atomic_path(target):
        pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_larger_than_the_disk_is_refused_before_the_block_runs(
    tmp_path: Path,
) -> None:
    target = tmp_path / "scan.tif"
    target.write_bytes(b"old")
    with (
        pytest.raises(InputError, match=r"scan\.tif: needs 1e\+09 GB"),
        atomic_path(target, 10**18),
    ):
        pytest.fail("the block ran")
    assert target.read_bytes() == b"old"


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "scan.tif", tmp_path / "link.tif"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_path(link) as lent:
        lent.write_bytes(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
