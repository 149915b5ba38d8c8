"""What napari finds in the manifest, used as napari uses it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from napari.layers import Image, Labels
from npe2 import PluginManager, PluginManifest

import napari_cyclegan3d
from napari_cyclegan3d import io, samples
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui import contributions
from napari_cyclegan3d.gui.domains.lists import DomainList
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.layers import stem, to_layer_data, to_volume
from napari_cyclegan3d.gui.train.dock import TrainDock

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

PLUGIN = "napari-cyclegan3d"
Viewers = Callable[..., Any]
MASK = ("scale", "translate", "units", "axis_labels", "metadata")


def test_the_manifest_is_valid_and_every_command_exists() -> None:
    path = Path(napari_cyclegan3d.__file__).parent / "napari.yaml"
    manifest = PluginManifest.from_file(path)
    manifest.validate_imports()
    assert manifest.name == PLUGIN
    installed = PluginManifest.from_distribution(PLUGIN)
    assert installed.contributions == manifest.contributions
    used = {
        item.command
        for kind in ("widgets", "readers", "writers", "sample_data")
        for item in getattr(manifest.contributions, kind)
    }
    used |= {
        item.command for menu in manifest.contributions.menus.values() for item in menu
    }
    assert used == {command.id for command in manifest.contributions.commands}


def test_the_manifest_names_exactly_the_files_that_can_be_read_and_written() -> None:
    contributed = PluginManifest.from_distribution(PLUGIN).contributions
    reader, reports = contributed.readers
    # single pictures and tensors are no volumes; folders of them are
    volumes = {one for row in io.FORMATS if not row.slice for one in row.suffixes}
    assert set(reader.filename_patterns) == {f"*{one}" for one in volumes}
    assert ".gz" not in volumes
    assert reports.filename_patterns == ["*inspection.json"]
    assert [one.layer_types for one in contributed.writers] == [["image"], ["labels"]]
    for writer in contributed.writers:
        assert set(writer.filename_extensions) == set(io.WRITABLE_SUFFIXES)


@pytest.mark.parametrize(
    "name", ["scan.tif", "scan.ome.tif", "scan.nii.gz", "SCAN.OME.ZARR", "scan.ome"]
)
def test_a_layer_is_named_after_its_file_without_all_of_its_suffix(name: str) -> None:
    assert stem(name).lower() == ("scan.ome" if name == "scan.ome" else "scan")


def slice_folder(volume: Volume, folder: Path) -> Path:
    folder.mkdir()
    for z in range(volume.shape[0]):
        plane = (slice(z, z + 1), slice(None), slice(None))
        io.write(volume.crop(plane), folder / f"s{z}.tif")
    return folder


@pytest.mark.parametrize("name", ["scan.tif", "SCAN.TIFF", "scan.nii", "scan.nii.gz"])
def test_a_file_opens_as_a_layer_with_voxel_size_place_and_unit(
    name: str, upright: Volume, make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    io.write(upright, tmp_path / name)
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(tmp_path / name, plugin=PLUGIN)
    assert np.array_equal(layer.data, upright.read())
    assert np.allclose(layer.scale, upright.spacing)
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert layer.name == name.split(".")[0]
    if "nii" in name:
        assert np.allclose(layer.translate, upright.origin)


def test_a_folder_of_slices_opens_as_one_layer(
    upright: Volume, make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    folder = slice_folder(upright, tmp_path / "stack")
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(folder, plugin=PLUGIN)
    assert np.array_equal(layer.data, upright.read())
    assert np.allclose(layer.scale, upright.spacing)
    assert layer.name == "stack"


def test_the_reader_leaves_other_files_to_others(tmp_path: Path) -> None:
    (tmp_path / "table.csv").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").touch()
    for path in ("table.csv", "folder", "nowhere.gif"):
        assert contributions.get_reader(str(tmp_path / path)) is None


def test_a_sample_that_is_opened_saved_and_read_has_the_same_voxels_and_affine(
    make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    path = tmp_path / "again.nii.gz"
    viewer = make_napari_viewer_proxy()
    layer, _ = viewer.open_sample(PLUGIN, "head")
    assert layer.save(str(path), plugin=PLUGIN) == [str(path)]
    before, after = samples.head_t1(), io.read(path)
    assert np.array_equal(after.read(), before.read())
    assert after.dtype == before.dtype
    assert np.allclose(after.affine, before.affine, atol=1e-4)
    assert after.unit == before.unit


def test_a_file_that_is_opened_and_saved_keeps_its_header_and_orientation(
    make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    affine = np.array([[-2, 0, 0.1, 9], [0, 0.2, 3, 8], [0.1, -1, 0, 7], [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels, affine)
    image.header["descrip"] = b"scanner 7"
    nib.save(image, tmp_path / "one.nii")
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(tmp_path / "one.nii", plugin=PLUGIN)
    layer.save(str(tmp_path / "two.nii"), plugin=PLUGIN)
    again = nib.load(tmp_path / "two.nii")
    assert np.array_equal(np.asanyarray(again.dataobj), voxels)
    assert np.allclose(again.affine, affine, atol=1e-5)
    assert again.header["descrip"].item() == b"scanner 7"


def test_the_fibre_sample_opens_and_can_be_saved_as_tiff(
    make_napari_viewer_proxy: Viewers, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    layers = viewer.open_sample(PLUGIN, "fibre")
    names = ["fibre_fast", "fibre_fast_truth", "fibre_slow"]
    assert [layer.name for layer in layers] == names
    layers[0].save(str(tmp_path / "fast.tif"), plugin=PLUGIN)
    after = io.read(tmp_path / "fast.tif")
    assert np.array_equal(after.read(), layers[0].data)
    assert np.allclose(after.spacing, layers[0].scale)
    assert after.unit == "micrometer"


@pytest.mark.parametrize("shape", [(5, 6, 7), (40, 40, 3)])
def test_any_3d_layer_is_written_with_its_scale_units_and_orientation(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    data = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    layer = Image(
        data, rgb=False, scale=(2, 3, 4), rotate=turn, units=("mm",) * 3, name="made"
    )
    path = tmp_path / "made.nii.gz"
    values, attributes, _ = layer.as_layer_data_tuple()
    assert contributions.write_image(str(path), values, attributes) == [str(path)]
    after = io.read(path)
    assert np.array_equal(after.read(), data)
    assert np.allclose(after.affine, to_volume(layer).affine, atol=1e-4)
    assert after.unit == "millimeter"


@pytest.mark.parametrize("suffix", io.WRITABLE_SUFFIXES)
def test_a_mask_is_written_in_every_format_and_read_again(
    suffix: str, upright: Volume, tmp_path: Path
) -> None:
    PluginManager.instance().discover()
    path = tmp_path / f"mask{suffix}"
    data = (upright.read() > 100).astype(np.uint8)
    _, attributes, _ = to_layer_data(upright)
    mask = Labels(data, **{name: attributes[name] for name in MASK})
    assert mask.save(str(path), plugin=PLUGIN) == [str(path)]
    assert np.array_equal(io.read(path).read(), data)
    assert np.allclose(io.read(path).affine, upright.affine)


@pytest.mark.parametrize(
    "layer",
    [
        Image(np.zeros((8, 9)), name="slice"),
        Image(np.zeros((40, 40, 3), np.uint8), rgb=True, name="photo"),
    ],
    ids=lambda layer: layer.name,
)
def test_what_cannot_be_written_leaves_the_older_file(
    layer: Image, tmp_path: Path
) -> None:
    path = tmp_path / "out.tif"
    path.write_bytes(b"older")
    data, attributes, _ = layer.as_layer_data_tuple()
    with pytest.raises(InputError, match=layer.name):
        contributions.write_image(str(path), data, attributes)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "kind"), [("Train", TrainDock), ("Enhance", EnhanceDock)]
)
def test_a_dock_opens_from_the_menu_offers_the_layers_and_fits_a_small_screen(
    name: str, kind: type, upright: Volume, make_napari_viewer_proxy: Viewers
) -> None:
    viewer = make_napari_viewer_proxy()
    data, attributes, _ = to_layer_data(upright)
    layer = viewer.add_image(data, **attributes)
    viewer.add_labels(np.zeros((4, 4, 4), int))
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    assert isinstance(dock, kind)
    parts = dock.data.findChildren(DomainList) if kind is TrainDock else [dock]
    assert len(parts) == (4 if kind is TrainDock else 1)

    def offered() -> list[list[Any]]:
        if kind is TrainDock:
            return [part.add_bar.offered() for part in parts]
        return [list(dock.source.layer_choice.choices)]

    assert offered() == [[layer]] * len(parts)
    later = viewer.add_image(np.zeros((4, 5, 6)), name="later")
    assert offered() == [[layer, later]] * len(parts)
    viewer.layers.remove(layer)
    assert offered() == [[later]] * len(parts)
    # of 800 points, napari's title, menu and status bar and the system's take some
    assert dock.minimumSizeHint().height() <= 700
    assert dock.minimumSizeHint().width() <= 420
