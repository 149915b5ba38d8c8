"""Arrays of NumPy, and the sidecar that places them."""

import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import npy
from napari_cyclegan3d.io.series import read_series, write_series

Coordinates = Callable[..., NDArray[Any]]
AFFINE = np.array([[0, 0, 2, 5], [0, -1, 0, 6], [3, 0, 0, 7], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("dtype", [*npy.TYPES, ">u2", ">i4", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numpy_are_read_in_either_order_of_axes_and_of_bytes(
    dtype: str, order: Any, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5), np.dtype(dtype).name)
    np.save(tmp_path / "a.npy", np.asarray(voxels, dtype, order=order))
    volume = io.read(tmp_path / "a.npy")
    assert volume.dtype == voxels.dtype
    assert np.array_equal(volume.read(), voxels)
    region = (slice(1, 3), slice(None, None, 2), slice(2, 4))
    assert np.array_equal(volume.read(region), voxels[region])
    assert (volume.spacing, volume.unit) == ((1, 1, 1), "pixel")


def test_an_image_is_one_slice_and_axes_of_length_one_are_dropped(
    tmp_path: Path,
) -> None:
    for shape in ((4, 5), (1, 4, 5), (1, 1, 1, 4, 5)):
        np.save(tmp_path / "a.npy", np.ones(shape))
        assert io.read(tmp_path / "a.npy").shape == (1, 4, 5)


def test_the_second_version_of_the_format_is_read(tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, voxels, version=(2, 0))
    assert np.array_equal(io.read(tmp_path / "a.npy").read(), voxels)


def test_numpy_reads_what_is_written(tmp_path: Path, coordinates: Coordinates) -> None:
    voxels = coordinates((3, 4, 5), "float32")
    io.write(Volume(voxels, AFFINE, "micrometer"), tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), voxels)


def test_frames_are_read_one_by_one(tmp_path: Path, coordinates: Coordinates) -> None:
    voxels = coordinates((2, 3, 4, 5))
    np.save(tmp_path / "a.npy", voxels)
    frames = npy.read_series(tmp_path / "a.npy")
    assert len(frames) == 2
    for frame, expected in zip(frames, voxels, strict=True):
        assert np.array_equal(frame.read(), expected)


def test_frames_are_written_as_one_array(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((2, 3, 4, 5), "float32")
    frames = [Volume(one, AFFINE, "micrometer") for one in voxels]
    write_series(frames, tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), voxels)
    for frame in read_series(tmp_path / "a.npy"):
        assert np.array_equal(frame.affine, AFFINE)


def test_more_frames_than_anybody_lists_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((70_000, 1, 1, 1), np.uint8))
    with pytest.raises(InputError, match="has 70000 volumes, more than 65536"):
        npy.read_series(tmp_path / "a.npy")


def test_a_frame_of_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5)))
    _, second = npy.read_series(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.stack([np.ones((3, 4, 5)), np.full((3, 4, 5), 2)]))
    assert (second.read() == 2).all()


def test_only_a_volume_that_has_a_place_gets_a_sidecar(tmp_path: Path) -> None:
    voxels = np.zeros((3, 4, 5), np.uint8)
    io.write(Volume(voxels), tmp_path / "plain.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["plain.npy"]
    io.write(Volume(voxels, AFFINE, "micrometer"), tmp_path / "placed.npy")
    told = json.loads((tmp_path / "placed.npy.json").read_text(encoding="utf-8"))
    assert told == {
        "spacing": [3, 1, 2],
        "unit": "micrometer",
        "origin": [5, 6, 7],
        "directions": [[0, 0, 1], [0, -1, 0], [1, 0, 0]],
    }


def test_a_sidecar_does_not_outlive_the_voxels_that_it_described(
    tmp_path: Path,
) -> None:
    voxels = np.zeros((3, 4, 5), np.uint8)
    io.write(Volume(voxels, AFFINE, "micrometer"), tmp_path / "a.npy")
    io.write(Volume(voxels), tmp_path / "a.npy")
    assert np.array_equal(io.read(tmp_path / "a.npy").affine, np.eye(4))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("affine", [np.eye(4), AFFINE])
def test_another_file_with_the_name_of_the_sidecar_is_not_touched(
    affine: NDArray[np.float64], tmp_path: Path
) -> None:
    (tmp_path / "a.npy.json").write_text('{"patient": "anna"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.npy\.json: does not describe a\.npy"):
        io.write(Volume(np.zeros((3, 4, 5)), affine), tmp_path / "a.npy")
    assert (tmp_path / "a.npy.json").read_text(
        encoding="utf-8"
    ) == '{"patient": "anna"}'
    assert not (tmp_path / "a.npy").exists()


def test_a_sidecar_written_by_hand_places_the_voxels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5)))
    (tmp_path / "a.npy.json").write_text(
        '{"spacing": [3, 1, 1], "unit": "µm"}', encoding="utf-8"
    )
    volume = io.read(tmp_path / "a.npy")
    assert (volume.spacing, volume.unit) == ((3, 1, 1), "micrometer")


def test_few_voxels_of_a_large_array_need_little_memory(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(
        tmp_path / "a.npy", "w+", np.uint16, (512, 512, 512)
    )
    array[100, 100, 100] = 7
    del array
    volume = io.read(tmp_path / "a.npy")
    tracemalloc.start()
    try:
        part = volume.read((slice(96, 128),) * 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert part.max() == 7
    assert peak < 1e6


def test_a_volume_goes_to_other_processes(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    np.save(tmp_path / "a.npy", coordinates((3, 4, 5)))
    volume = pickle.loads(pickle.dumps(io.read(tmp_path / "a.npy")))
    assert np.array_equal(volume.read(), coordinates((3, 4, 5)))
