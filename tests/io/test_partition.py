from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain, open_volume, overlaps, split

Coordinates = Callable[..., NDArray[Any]]


def save(path: Path, seed: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (6, 7, 8), np.uint8)
    io.write(Volume(noise), path)
    return str(path)


def names(volumes: list[Volume]) -> list[str]:
    return [volume.name for volume in volumes]


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_a_split_gives_each_volume_to_one_side_and_leaves_none_empty(
    share: float, tmp_path: Path
) -> None:
    volumes = open_domain([save(tmp_path / f"{index}.nii") for index in range(10)])
    train, validate = split(volumes, share, seed=3)
    assert sorted(names(train) + names(validate)) == names(volumes)
    assert len(validate) == {0.01: 1, 0.2: 2, 0.5: 5, 0.99: 9}[share]
    again = split(volumes, share, seed=3)
    assert (names(train), names(validate)) == (names(again[0]), names(again[1]))
    drawn = {tuple(names(split(volumes, share, seed)[1])) for seed in range(20)}
    assert len(drawn) > 3


def sides(volumes: list[Volume], seed: int) -> list[set[str]]:
    return [set(names(side)) for side in split(volumes, 0.5, seed)]


@pytest.mark.parametrize("seed", range(5))
def test_all_volumes_of_a_bids_subject_stay_together(seed: int, tmp_path: Path) -> None:
    texts = [
        save(tmp_path / f"sub-0{subject}" / session / f"sub-0{subject}_{session}.nii")
        for subject in range(4)
        for session in ("ses-1", "ses-2")
    ]
    train, validate = sides(open_domain(texts), seed)
    assert len(train) == len(validate) == 4
    assert not {name[:6] for name in train} & {name[:6] for name in validate}


@pytest.mark.parametrize("seed", range(5))
def test_all_volumes_in_the_folder_of_a_subject_stay_together(
    seed: int, tmp_path: Path
) -> None:
    texts = [
        save(tmp_path / patient / f"{patient}_{visit}.nii")
        for patient in "abcd"
        for visit in range(3)
    ]
    train, validate = sides(open_domain(texts), seed)
    assert len(train) == len(validate) == 6
    assert not {name[0] for name in train} & {name[0] for name in validate}


@pytest.mark.parametrize("seed", range(5))
def test_regions_of_one_file_stay_together(seed: int, tmp_path: Path) -> None:
    volumes = [
        open_volume(f"{save(tmp_path / f'{one}.nii')}[{part},:,:]")
        for one in "abcd"
        for part in ("0:3", "3:6")
    ]
    train, validate = sides(volumes, seed)
    assert len(train) == len(validate) == 2
    assert not train & validate


@pytest.mark.parametrize("seed", range(5))
def test_folders_of_slices_and_subjects_of_tensors_are_split_as_wholes(
    seed: int, tmp_path: Path
) -> None:
    for subject in range(4):
        for index in range(3):
            name = f"B_{subject:03d}_{index}_T1w.pt"
            torch.save(torch.zeros(4, 5), tmp_path / name)
    train, validate = split(open_domain([str(tmp_path)]), 0.5, seed)
    assert len(train) == len(validate) == 2
    assert all(volume.shape == (3, 4, 5) for volume in train + validate)


@pytest.mark.parametrize("seed", range(5))
def test_a_domain_with_the_same_subjects_is_split_alike(
    seed: int, tmp_path: Path
) -> None:
    drawn = []
    for contrast in ("T1", "T2"):
        for patient in ("p2", "p10", "p1", "p3"):
            save(tmp_path / contrast / patient / f"{contrast}.nii")
        drawn.append(sides(open_domain([str(tmp_path / contrast)]), seed))
    assert drawn[0] == drawn[1]


def test_a_single_subject_is_not_split(tmp_path: Path) -> None:
    file = save(tmp_path / "scan.nii")
    volumes = [open_volume(f"{file}[0:3,:,:]"), open_volume(f"{file}[3:6,:,:]")]
    with pytest.raises(InputError, match=r"scan\.nii: 1 subject .*cannot be split"):
        split(volumes, 0.5, 0)
    with pytest.raises(InputError, match="no volume: 0 subject"):
        split([], 0.5, 0)


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="give a number above 0 and below 1"):
        split([], share, 0)


@pytest.mark.parametrize(
    ("train", "validate", "shared"),
    [
        ("", "", True),
        ("[0:3,:,:]", "[3:6,:,:]", False),
        ("[0:4,:,:]", "[3:6,:,:]", True),
        ("[0:4,:,0:5]", "[3:6,:,5:]", False),
        ("", "[3:6,:,:]", True),
        ("[-2:,:,:]", "[:4,:,:]", False),
        ("[-2:,:,:]", "[:5,:,:]", True),
    ],
)
def test_regions_of_a_file_that_share_voxels_are_told(
    train: str, validate: str, shared: bool, tmp_path: Path
) -> None:
    file = save(tmp_path / "scan.nii")
    told = overlaps([open_volume(file + train)], [open_volume(file + validate)])
    assert len(told) == shared
    assert all("scan.nii is trained on" in sentence for sentence in told)


def test_a_copy_under_another_name_is_told_and_another_volume_is_not(
    tmp_path: Path,
) -> None:
    one = open_volume(save(tmp_path / "one.nii", seed=1))
    copy = tmp_path / "copy.h5"
    io.write(Volume(one.read().astype(np.float32)), copy)
    other = open_volume(save(tmp_path / "other.nii", seed=2))
    told = overlaps([other, one], [open_volume(str(copy))])
    assert len(told) == 1
    assert "copy.h5 is trained on, as one.nii: they hold the same voxels" in told[0]
    assert overlaps([one], [other]) == []


def test_volumes_without_a_file_are_compared_by_their_voxels(
    coordinates: Coordinates,
) -> None:
    voxels = coordinates((6, 7, 8))
    one, two = Volume(voxels), Volume(voxels + 1)
    assert len(overlaps([two, one], [Volume(voxels.copy())])) == 1
    assert overlaps([one], [two]) == []
    assert overlaps([Volume(voxels[:5])], [one]) == []


def test_two_empty_volumes_are_not_taken_for_the_same() -> None:
    assert overlaps([Volume(np.zeros((3, 4, 5)))], [Volume(np.zeros((3, 4, 5)))]) == []


def test_datasets_of_one_file_are_different_volumes(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"], file["rec"] = coordinates((3, 4, 5)), coordinates((3, 4, 5)) * 2
    raw, rec, again = (
        open_volume(f"{tmp_path / 'a.h5'}::{key}") for key in ("raw", "rec", "/raw")
    )
    assert overlaps([raw], [rec]) == []
    assert len(overlaps([raw], [again])) == 1
