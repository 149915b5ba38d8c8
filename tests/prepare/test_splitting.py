import json
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import yaml

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain, overlaps
from napari_cyclegan3d.prepare.splitting import (
    PARTS,
    Split,
    SplitSettings,
    split,
    write_split,
)


def files(folder: Path, names: list[str]) -> list[Volume]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        voxels = np.random.default_rng(crc32(name.encode())).random((4, 5, 6))
        io.write(Volume(voxels.astype(np.float32)), folder / name)
    return open_domain([str(folder / name) for name in names])


def subjects(result: Split, part: str, domain: str) -> set[str]:
    return {one.name.split("_")[0] for one in result.volumes[part][domain]}


@pytest.fixture
def domains(tmp_path: Path) -> tuple[list[Volume], list[Volume]]:
    """Ten subjects, some with two sessions; B lacks one and has one more."""
    a = [f"sub-{n:02}_ses-{s}_T1w.nii" for n in range(10) for s in (1, 2)][:-1]
    b = [f"sub-{n:02}_T2w.nii" for n in range(1, 11)]
    return files(tmp_path / "t1", a), files(tmp_path / "t2", b)


def test_no_subject_is_in_two_parts(
    domains: tuple[list[Volume], list[Volume]],
) -> None:
    result = split(*domains, SplitSettings(validation=0.2, test=0.2, seed=3))
    seen = [subjects(result, part, "a") | subjects(result, part, "b") for part in PARTS]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 11
    assert [len(one) for one in seen] == [7, 2, 2]
    for part in PARTS:
        for domain, given in zip("ab", domains, strict=True):
            assert result.volumes[part][domain], (part, domain)
            assert all(one in given for one in result.volumes[part][domain])
    total = sum(len(result.volumes[part]["a"]) for part in PARTS)
    assert total == len(domains[0])


def test_the_seed_decides(domains: tuple[list[Volume], list[Volume]]) -> None:
    one, same, other = (
        split(*domains, SplitSettings(seed=seed)).subjects for seed in (1, 1, 2)
    )
    assert one == same != other


def test_pairs_without_bids_names_stay_together(tmp_path: Path) -> None:
    a = files(tmp_path / "fast", [f"fast_{n}.tif" for n in range(9)])
    b = files(tmp_path / "slow", [f"slow_{n}.tif" for n in range(8, -1, -1)])
    result = split(a, b, SplitSettings())
    assert not result.remarks
    for part in PARTS:
        numbers = [
            {one.name.split("_")[1] for one in result.volumes[part][domain]}
            for domain in "ab"
        ]
        assert numbers[0] == numbers[1] != set()


def test_domains_without_common_names_are_split_and_told(tmp_path: Path) -> None:
    a = files(tmp_path / "a", [f"scan{n}.tif" for n in range(4)])
    b = files(tmp_path / "b", [f"other{n}.tif" for n in range(5)])
    result = split(a, b, SplitSettings(test=0))
    assert "do not say which volumes of A and B" in result.remarks[0]
    assert len(result.volumes["validation"]["a"]) == 1
    assert len(result.volumes["train"]["b"]) == 4


def test_lists_are_read_as_domains_and_leak_nothing(
    domains: tuple[list[Volume], list[Volume]], tmp_path: Path
) -> None:
    settings = SplitSettings()
    result = split(*domains, settings)
    folder = tmp_path / "lists"
    written = write_split(result, folder, settings)
    names = {"a.json", "b.json", "a_test.json", "b_test.json", "split.yaml"}
    assert {path.name for path in written} == names
    for domain in "ab":
        text = str(folder / f"{domain}.json")
        train, validate = open_domain([text]), open_domain([text], "validate")
        test = open_domain([str(folder / f"{domain}_test.json")])
        for part, volumes in zip(PARTS, (train, validate, test), strict=True):
            wanted = {one.name for one in result.volumes[part][domain]}
            assert {one.name for one in volumes} == wanted
        assert not overlaps(train, [*validate, *test])
    summary = yaml.safe_load((folder / "split.yaml").read_text(encoding="utf-8"))
    assert parse(SplitSettings, summary["settings"]) == settings
    assert sum(len(summary[part]) for part in PARTS) == 11


def test_lists_hold_when_their_folder_moves_with_the_data(tmp_path: Path) -> None:
    volumes = files(tmp_path / "all" / "data", [f"s{n}.tif" for n in range(5)])
    write_split(split(volumes, [], SplitSettings()), tmp_path / "all", SplitSettings())
    (tmp_path / "all").rename(tmp_path / "moved")
    assert len(open_domain([str(tmp_path / "moved" / "a.json")])) == 3
    assert not (tmp_path / "moved" / "b.json").exists()


def test_parts_and_datasets_of_files_are_named(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).random((8, 8, 8), np.float32)
    io.write(Volume(voxels), tmp_path / "one.h5")
    io.write(Volume(voxels[::-1]), tmp_path / "two.tif")
    one = str(tmp_path / "one.h5")
    volumes = open_domain([f"{one}[0:4,:,2:8]", str(tmp_path / "two.tif")])
    settings = SplitSettings(test=0, validation=0.5)
    write_split(split(volumes, [], settings), tmp_path, settings)
    lists = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    entries = {entry["path"]: entry for entry in lists["train"] + lists["validate"]}
    assert entries["one.h5"]["ROI2"] == [2, 8]
    shapes = {one.shape for one in open_domain([str(tmp_path / "a.json")])}
    shapes |= {v.shape for v in open_domain([str(tmp_path / "a.json")], "validate")}
    assert shapes == {(4, 8, 6), (8, 8, 8)}


def test_impossible_splits_are_refused(tmp_path: Path) -> None:
    volumes = files(tmp_path, ["a.tif", "b.tif"])
    with pytest.raises(InputError, match="leave nothing to train on"):
        split(volumes, [], SplitSettings(validation=0.6, test=0.4))
    with pytest.raises(InputError, match="domain A: 2 volumes are of too few subjects"):
        split(volumes, [], SplitSettings())
    settings = SplitSettings(test=0)
    result = split(volumes, [], settings)
    write_split(result, tmp_path / "lists", settings)
    with pytest.raises(InputError, match="exists already; replace it with --overwrite"):
        write_split(result, tmp_path / "lists", settings)
    write_split(result, tmp_path / "lists", settings, overwrite=True)


def test_of_an_earlier_split_no_list_remains_and_other_files_do(tmp_path: Path) -> None:
    volumes = files(tmp_path, [f"{name}.tif" for name in "abcdef"])
    folder, settings = tmp_path / "lists", SplitSettings(test=0.2)
    folder.mkdir()
    (folder / "b.json").write_text("mine", encoding="utf-8")
    write_split(split(volumes, [], settings), folder, settings)
    assert (folder / "b.json").read_text(encoding="utf-8") == "mine"
    both = split(volumes[:3], volumes[3:], SplitSettings(test=0, validation=0.3))
    with pytest.raises(InputError, match="exists already"):
        write_split(both, folder, settings)
    write_split(both, folder, settings, overwrite=True)
    found = sorted(path.name for path in folder.iterdir())
    assert found == ["a.json", "b.json", "split.yaml"]
