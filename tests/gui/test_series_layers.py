"""Series and pyramids as layers: at their place, lazy, and back into files."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui import contributions
from napari_cyclegan3d.gui.history import saved
from napari_cyclegan3d.gui.layers import (
    finest,
    pyramid_layer_data,
    result_layer_data,
    series_layer_data,
    to_volume,
)
from napari_cyclegan3d.io import ome_zarr
from napari_cyclegan3d.io.frames import Series
from napari_cyclegan3d.io.series import read_series, write_series
from napari_cyclegan3d.prepare import STEPS, read_records, records_path
from napari_cyclegan3d.prepare.series import prepared_series

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

Viewers = Callable[..., Any]
PLUGIN = "napari-cyclegan3d"
OBLIQUE = np.array(
    [[2.4, 0.1, -0.1, 11], [0.3, 0.5, 0.1, -7], [-0.2, 0.1, 0.3, 5], [0, 0, 0, 1]]
)


@pytest.fixture
def movie() -> list[Volume]:
    """Three frames on an oblique grid, 2.5 s apart."""
    voxels = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)
    told = {"series": Series("t", (3,), 2.5, "second")}
    return [Volume(one, OBLIQUE, "millimeter", metadata=told) for one in voxels]


def stacked(frames: list[Volume]) -> NDArray[Any]:
    return np.stack([frame.read() for frame in frames])


@pytest.mark.parametrize("suffix", [".nii.gz", ".tif", ".h5", ".zarr"])
def test_a_series_opens_as_one_layer_with_time_first_and_is_saved_as_it_was(
    suffix: str, movie: list[Volume], make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    path, again = tmp_path / f"movie{suffix}", tmp_path / f"again{suffix}"
    write_series(movie, path)
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(path, plugin=PLUGIN)
    frames = read_series(path)
    assert np.array_equal(np.asarray(layer.data), stacked(frames))
    assert np.allclose(layer.scale, (2.5, *frames[0].spacing))
    assert np.allclose(layer.translate[1:], frames[0].origin)
    units = [str(unit) for unit in layer.units]
    assert units == ["second", *["millimeter"] * 3]
    assert layer.axis_labels == ("t", "z", "y", "x")
    assert layer.name == "movie"
    for number, frame in enumerate(frames):
        volume = to_volume(layer, number)
        assert np.array_equal(volume.read(), frame.read())
        assert np.allclose(volume.affine, frame.affine)
    assert layer.save(str(again), plugin=PLUGIN) == [str(again)]
    for frame, copy in zip(frames, read_series(again), strict=True):
        assert np.array_equal(copy.read(), frame.read())
        assert np.allclose(copy.affine, frame.affine, atol=1e-4)
        assert copy.metadata["series"] == Series("t", (3,), 2.5, "second")


def test_a_series_comes_with_its_history_and_is_saved_with_it(
    movie: list[Volume], make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    source, path, again = (tmp_path / f"{name}.nii" for name in ("a", "b", "c"))
    write_series(movie, source)
    frames, none = read_series(source), [None] * 3
    settings = parse(STEPS["pad"].settings, {"multiple": 4})
    list(prepared_series(frames, "pad", settings, none, path))
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(path, plugin=PLUGIN)
    records = read_records(records_path(path))
    for number in range(3):
        assert to_volume(layer, number).metadata["prepared"] == records
    layer.save(str(again), plugin=PLUGIN)
    assert read_records(records_path(again)) == records


def test_a_series_saved_into_no_folder_is_refused_by_its_name(
    movie: list[Volume], tmp_path: Path
) -> None:
    data, attributes, _ = series_layer_data(movie)
    path = tmp_path / "nowhere" / "a.nii"
    with pytest.raises(InputError) as refusal:
        list(saved(Image(data, **attributes), path))
    assert str(refusal.value).startswith(f"{path}: the folder {path.parent} does not")


def test_a_series_beside_a_volume_keeps_the_units_of_both(
    movie: list[Volume], make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    write_series(movie, tmp_path / "movie.nii")
    io.write(movie[0], tmp_path / "still.nii")
    viewer = make_napari_viewer_proxy()
    layers = [
        viewer.open(tmp_path / name, plugin=PLUGIN)[0]
        for name in ("movie.nii", "still.nii")
    ]
    assert [[str(unit) for unit in layer.units][-3:] for layer in layers] == [
        ["millimeter"] * 3
    ] * 2
    assert viewer.dims.ndim == 4


def test_only_the_frames_that_are_shown_are_read(movie: list[Volume]) -> None:
    read: list[int] = []

    class Watched:
        shape = (4, 5, 6)
        dtype = np.dtype(np.int16)

        def __init__(self, number: int) -> None:
            self.number = number

        def __getitem__(self, region: Any) -> Any:
            read.append(self.number)
            return movie[self.number].read(region)

    frames = [Volume(Watched(number)) for number in range(3)]
    data, _, _ = series_layer_data(frames)
    read.clear()
    assert np.array_equal(np.asarray(data[1, 2]), movie[1].read()[2])
    assert set(read) == {1}


def test_channels_open_as_layers_of_their_own(
    make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    voxels = np.arange(2 * 5 * 20 * 24, dtype=np.uint16).reshape(5, 2, 20, 24)
    metadata = {"axes": "ZCYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", voxels, imagej=True, metadata=metadata)
    viewer = make_napari_viewer_proxy()
    layers = viewer.open(tmp_path / "a.tif", plugin=PLUGIN)
    assert len(layers) == 2
    for number, layer in enumerate(layers):
        assert np.array_equal(layer.data, voxels[:, number])


def test_a_result_of_a_series_keeps_the_true_place_of_its_frames(
    movie: list[Volume],
) -> None:
    data, attributes, _ = series_layer_data(movie)
    layer = Image(data, **attributes)
    first = to_volume(layer, 0)
    larger = np.zeros((3, 8, 10, 12), np.float32)
    result = first.resampled(larger[0], 2)
    data, attributes, _ = result_layer_data(
        layer, result, Fraction(2), (0, 0, 0, 0), larger
    )
    shown = Image(data, **attributes)
    assert np.allclose(to_volume(shown, 1).affine, result.affine)
    assert shown.units == layer.units


def test_a_pyramid_lies_over_its_volume_and_is_read_lazily(
    make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (40, 150, 140), np.uint8)
    affine = np.diag([2.0, 0.5, 0.25, 1])
    path = tmp_path / "a.zarr"
    io.write(Volume(voxels, affine, "micrometer"), path)
    volume = io.read(path)
    data, attributes, _ = pyramid_layer_data(volume, ome_zarr.levels(path))
    viewer = make_napari_viewer_proxy()
    layer = viewer.add_image(data, **attributes)
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(40, 150, 140), (20, 75, 70)]
    assert np.array_equal(np.asarray(finest(layer)), voxels)
    assert np.allclose(layer.scale, volume.spacing)
    assert np.allclose(to_volume(layer).affine, affine)
    assert np.allclose(layer.extent.world[1], np.array([39, 149, 139]) * volume.spacing)


def test_a_small_image_is_no_pyramid_so_that_3d_shows_all_of_it(
    tmp_path: Path,
) -> None:
    """napari draws only the smallest level of a pyramid in 3D."""
    io.write(Volume(np.zeros((40, 150, 140), np.uint8)), tmp_path / "a.zarr")
    ((data, attributes, _),) = contributions.layers_of(str(tmp_path / "a.zarr"))
    assert isinstance(data, np.ndarray)
    assert "multiscale" not in attributes
