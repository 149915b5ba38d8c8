import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.io import slices

Coordinates = Callable[..., NDArray[Any]]


@pytest.fixture
def folder(tmp_path: Path, coordinates: Coordinates) -> Path:
    """Slices of two subjects, cut from stacks that stay in the files."""
    for subject, voxels in enumerate(coordinates((2, 12, 6, 7), "float32")):
        stack = torch.from_numpy(voxels)
        for index in range(12):
            name = f"B_{subject + 1:03d}_{index + 95}_{'_' * (index == 3)}T1W.pt"
            torch.save(stack[index : index + 1], tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("shape", [(6, 7), (1, 6, 7)])
def test_a_tensor_is_a_volume_of_one_slice(
    shape: tuple[int, ...], tmp_path: Path, coordinates: Coordinates
) -> None:
    image = coordinates(shape, "float32")
    torch.save(torch.from_numpy(image), tmp_path / "a.pt")
    volume = io.read(tmp_path / "a.pt")
    assert volume.dtype == np.float32
    assert np.array_equal(volume.read(), image.reshape(1, 6, 7))
    part = volume.read((slice(None), slice(1, 5, 2), slice(3, None)))
    assert np.array_equal(part, image.reshape(1, 6, 7)[:, 1:5:2, 3:])
    assert part.flags.writeable


def test_slices_of_a_subject_form_a_volume_named_by_it(
    folder: Path, coordinates: Coordinates
) -> None:
    one, two = slices.stacks(slices.slice_files(folder), "T1")
    voxels = coordinates((2, 12, 6, 7), "float32")
    assert (one.name, two.name) == ("B_001", "B_002")
    assert np.array_equal(one.read(), voxels[0])
    assert np.array_equal(two.read(), voxels[1])
    assert (one.metadata["subject"], two.metadata["subject"]) == ("B_001", "B_002")


def test_a_folder_of_several_subjects_is_no_single_volume(folder: Path) -> None:
    with pytest.raises(InputError, match=r"slices of 2 subjects; .*B_001_\*\.pt"):
        io.read(folder)


def test_slices_of_two_contrasts_are_not_mixed(folder: Path) -> None:
    torch.save(torch.zeros(1, 6, 7), folder / "B_001_74_T2W.pt")
    with pytest.raises(InputError, match=r"contrasts \(T1W, T2W\); choose .*_T2W\.pt"):
        io.read(folder)


def test_slices_whose_names_say_nothing_form_one_volume_in_natural_order(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((12, 6, 7), "float32")
    for index, image in enumerate(voxels):
        torch.save(torch.from_numpy(image), tmp_path / f"slice{index}.pt")
    volume = io.read(tmp_path)
    assert volume.name == tmp_path.name
    assert np.array_equal(volume.read(), voxels)


def test_a_slice_is_read_without_the_stack_it_was_cut_from(tmp_path: Path) -> None:
    torch.save(torch.ones(64, 256, 256)[3:4], tmp_path / "a.pt")
    io.read(tmp_path / "a.pt").read()
    tracemalloc.start()
    try:
        volume = io.read(tmp_path / "a.pt")
        total = volume.read().sum()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 256 * 256
    assert peak < 4 * 256 * 256 * 8


def test_a_tensor_that_has_changed_its_size_is_named(tmp_path: Path) -> None:
    torch.save(torch.zeros(6, 7), tmp_path / "a.pt")
    volume = io.read(tmp_path / "a.pt")
    (tmp_path / "a.pt").unlink()
    torch.save(torch.zeros(6, 8), tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a\.pt: has changed"):
        volume.read()
