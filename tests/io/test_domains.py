from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain, open_volume

Coordinates = Callable[..., NDArray[Any]]


def save(path: Path, value: int = 0, shape: tuple[int, ...] = (2, 3, 4)) -> Path:
    """A volume (or a PNG slice) of one value, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.full(shape, value, np.uint8)
    if path.suffix == ".png":
        Image.fromarray(voxels[0]).save(path)
    elif path.suffix == ".pt":
        torch.save(torch.from_numpy(voxels[0].astype(np.float32)), path)
    else:
        io.write(Volume(voxels), path)
    return path


def found(*texts: object) -> list[tuple[str, tuple[int, ...], list[float]]]:
    """Name, shape and the first voxel of each slice of the volumes of a domain."""
    volumes = open_domain([str(text) for text in texts])
    return [
        (volume.name, volume.shape, volume.read()[:, 0, 0].tolist())
        for volume in volumes
    ]


@pytest.fixture
def scan(tmp_path: Path, coordinates: Coordinates) -> Path:
    io.write(Volume(coordinates((9, 10, 11))), tmp_path / "scan.h5")
    return tmp_path / "scan.h5"


def test_a_region_is_cut_out_in_place_and_remembered(
    scan: Path, coordinates: Coordinates
) -> None:
    volume = open_volume(f"{scan}[2:7, :, -4:]")
    assert np.array_equal(volume.read(), coordinates((9, 10, 11))[2:7, :, -4:])
    assert volume.origin == (2, 0, 7)
    assert volume.metadata["region"] == ((2, 7), (0, 10), (7, 11))
    assert volume.metadata["files"] == (str(scan.resolve()),)
    assert volume.metadata["dataset"] == "/data"
    (again,) = open_domain([f"{scan}::data[2:7,:,-4:]"])
    assert np.array_equal(again.read(), volume.read())


def test_a_name_that_looks_like_a_region_or_a_pattern_is_that_file(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "scan[0:1,0:1,0:1]"
    save(folder / "1.png", 1, (1, 3, 4))
    assert open_volume(str(folder)).shape == (1, 3, 4)
    assert found(folder) == [("1.png", (1, 3, 4), [1])]
    assert found(save(tmp_path / "s[12].tif", 5)) == [("s[12].tif", (2, 3, 4), [5, 5])]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{scan}[0:10,:,:]", r"goes beyond the volume of shape \(9, 10, 11\)"),
        ("{scan}[0:-10,:,:]", "goes beyond"),
        ("{scan}[:,2:4,3:12]", r"\(9, 10, 11\): 3:12 along x; correct it"),
        ("{scan}[5:5,:,:]", "holds no voxel"),
        ("{scan}[0:4,0:4]", "a region has three ranges"),
        ("{scan}[0:4,0:4,0:4:2]", "a region has three ranges"),
        ("{scan}[0-5:4,:,:]", "a region has three ranges"),
        ("{scan}::raw", "scan.h5::raw: there is no such dataset"),
        ("{folder}/gone.tif", "gone.tif: no such file or folder"),
        ("{folder}/gone.json", "gone.json: no such file or folder"),
        ("{folder}/*.png", r"\*\.png: matches no image and no folder"),
    ],
)
def test_what_names_nothing_is_refused(text: str, sentence: str, scan: Path) -> None:
    named = text.format(scan=scan, folder=scan.parent)
    with pytest.raises(InputError, match=sentence) as refusal:
        open_domain([named])
    assert len(str(refusal.value).splitlines()) == 1


def test_an_empty_name_is_not_the_current_folder(
    scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scan.parent)
    assert found(".")
    for open_text in (open_volume, lambda text: open_domain([text])):
        with pytest.raises(InputError, match="an empty name is no volume"):
            open_text("")


def test_volumes_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 9, 100):
        save(tmp_path / f"scan{index}.tif", index)
    save(tmp_path / ".hidden.tif")
    (tmp_path / "notes.txt").write_text("Monday", encoding="utf-8")
    names = [(f"scan{index}.tif", (2, 3, 4), [index] * 2) for index in (9, 10, 100)]
    assert found(tmp_path) == names
    assert found(tmp_path / "*.tif") == names
    assert found(*(tmp_path / f"scan{index}.tif" for index in (9, 10, 100))) == names
    assert found(tmp_path / "*9.tif", tmp_path / "scan10.tif") == names[:2]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_single_slices_of_a_folder_are_one_volume(suffix: str, tmp_path: Path) -> None:
    paths = [
        save(tmp_path / "Tr1" / f"Image #{index}{suffix}", index, (1, 3, 4))
        for index in (70, 9, 100)
    ]
    expected = [("Tr1", (3, 3, 4), [9, 70, 100])]
    assert found(tmp_path / "Tr1") == expected
    assert found(tmp_path / "Tr1" / f"*{suffix}") == expected
    assert found(tmp_path) == expected
    by_shell = found(paths[1], paths[0], paths[2])
    assert by_shell == expected
    assert found(paths[0]) == [(paths[0].name, (1, 3, 4), [70])]
    assert found(f"{tmp_path / 'Tr1'}[1:3,:,:]") == [("Tr1", (2, 3, 4), [70, 100])]


def test_each_folder_of_slices_is_a_volume(tmp_path: Path) -> None:
    for folder in ("b", "a10", "a9"):
        for index in range(2):
            save(tmp_path / "Tr1" / folder / f"{index}.png", index, (1, 3, 4))
    save(tmp_path / "Tr1" / ".ipynb_checkpoints" / "0.png")
    (tmp_path / "Tr1" / "empty").mkdir()
    expected = [(name, (2, 3, 4), [0, 1]) for name in ("a9", "a10", "b")]
    assert found(tmp_path / "Tr1") == expected
    assert found(tmp_path / "Tr1" / "*" / "*.png") == expected
    assert found(tmp_path / "Tr1" / "**" / "*.png") == expected
    assert found(tmp_path / "Tr1" / "a*") == expected[:2]


def test_a_folder_per_subject_gives_volumes_named_by_the_subject(
    tmp_path: Path,
) -> None:
    for value in (2, 10):
        save(tmp_path / f"patient{value}" / "T1_brain.nii.gz", value)
    expected = [(f"patient{value}", (2, 3, 4), [value] * 2) for value in (2, 10)]
    assert found(tmp_path) == expected
    assert found(tmp_path / "*" / "T1_brain.nii.gz") == expected
    save(tmp_path / "patient10" / "T1_mask.nii.gz")
    choose = r"patient10: holds several volumes \(T1_brain.nii.gz, T1_mask.nii.gz\); "
    with pytest.raises(InputError, match=choose + r"choose .*/\*/T1_brain\.nii\.gz$"):
        open_domain([str(tmp_path)])
    assert found(tmp_path / "*" / "T1_brain.nii.gz") == expected


def test_a_bids_tree_is_read_by_a_pattern(tmp_path: Path) -> None:
    for subject in ("02", "01"):
        for contrast in ("T1w", "T2w"):
            name = f"sub-{subject}_{contrast}.nii.gz"
            save(tmp_path / f"sub-{subject}" / "anat" / name)
    (tmp_path / "sub-01" / "anat" / "sub-01_T1w.json").write_text(
        "{}", encoding="utf-8"
    )
    names = [name for name, *_ in found(tmp_path / "**" / "*_T1w.*")]
    assert names == ["sub-01_T1w.nii.gz", "sub-02_T1w.nii.gz"]
    with pytest.raises(InputError, match=r"holds no volumes and no slices; .*\*\*/\*"):
        open_domain([str(tmp_path)])


def test_files_of_one_name_in_folders_of_one_name_are_called_by_their_path(
    tmp_path: Path,
) -> None:
    paths = [save(tmp_path / one / "anat" / "T1.nii") for one in ("a", "b")]
    names = [name for name, *_ in found(tmp_path / "*" / "anat" / "T1.nii")]
    assert names == [str(path.resolve()) for path in paths]


def test_images_of_several_kinds_in_a_folder_are_not_guessed_at(
    tmp_path: Path,
) -> None:
    save(tmp_path / "scan.nii", 1)
    save(tmp_path / "preview.png", 2)
    with pytest.raises(InputError, match=r"several kinds \(\.nii, \.png\); .*/\*\.nii"):
        open_domain([str(tmp_path)])
    assert found(tmp_path / "*.nii") == [("scan.nii", (2, 3, 4), [1, 1])]


def test_tensors_form_a_volume_per_subject(tmp_path: Path) -> None:
    for subject in (1, 2):
        for index in (73, 9):
            name = f"B_{subject:03d}_{index:03d}_T1w.pt"
            save(tmp_path / "T1" / name, 10 * subject + index, (1, 3, 4))
    expected = [("B_001", (2, 3, 4), [19, 83]), ("B_002", (2, 3, 4), [29, 93])]
    assert found(tmp_path / "T1") == expected
    assert found(tmp_path) == expected
    assert found(tmp_path / "T1" / "B_002_*") == expected[1:]


def test_what_the_system_says_is_told_in_a_sentence(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"cannot be opened \(File name too long\)"):
        open_domain([str(tmp_path / ("x" * 300))])


def test_real_scans_of_one_head_are_found_by_a_pattern(
    real_data: Callable[[str], Path],
) -> None:
    folder = real_data("mri_openms_p26_ccby")
    volumes = open_domain([f"{folder}/**/*.nii*"])
    assert len(volumes) >= 2
    for volume in volumes:
        (path,) = volume.metadata["files"]
        assert volume.shape == tuple(nib.load(path).shape[::-1])
