"""What napari calls by the manifest: readers, writers, sample data."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_cyclegan3d import io, samples
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.choosing import asked_now
from napari_cyclegan3d.gui.history import frames_of, saved, with_history
from napari_cyclegan3d.gui.layers import (
    LayerData,
    is_large,
    is_series,
    pyramid_layer_data,
    series_layer_data,
    to_layer_data,
    to_volume,
)
from napari_cyclegan3d.io import ome_zarr
from napari_cyclegan3d.io.domains import open_frames
from napari_cyclegan3d.io.frames import series_of
from napari_cyclegan3d.io.series import write_series

Paths = str | Sequence[str]
# what napari takes for: read, but there is no layer to add
NO_LAYERS: list[Any] = [(None,)]


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Napari's question whether this plugin reads a path."""
    return read if all(io.can_read(one) for one in _listed(path)) else None


def read(path: Paths) -> list[LayerData]:
    """Volumes as layers, with voxel size, position and units.

    What a path leaves open is asked for: which of several datasets or series, and how
    the voxels of a raw file lie that nothing describes.
    """
    layers: list[LayerData] = []
    for one in _listed(path):
        meant = asked_now(Path(one))
        if isinstance(meant, Volume):
            layers.append(to_layer_data(meant))
        elif meant is not None:
            layers += layers_of(meant)
    return layers or NO_LAYERS


def layers_of(text: str) -> list[LayerData]:
    """The layers of what a text names, as `open_volume` takes it; asks nothing.

    Raises:
        InputError: It names nothing that can be opened.
    """
    frames = open_frames(text, channels=True)
    with suppress(InputError):  # it can be looked at without its history
        frames[0] = with_history(frames[0])
    if len(frames) == 1:
        return [_volume_layer(frames[0])]
    series = series_of(frames)
    if not series.has_channels:
        return [series_layer_data(frames)]
    # channels are the last axis before those of space
    channels = series.shape[-1] if series.axes.endswith("c") else series.count
    groups = [frames[number::channels] for number in range(channels)]
    return [
        series_layer_data(one) if one[1:] else to_layer_data(one[0]) for one in groups
    ]


def _volume_layer(volume: Volume) -> LayerData:
    """A volume; a large one with its pyramid, if it has one."""
    files = [Path(file) for file in volume.metadata.get("files", ())]
    whole = "region" not in volume.metadata
    if whole and len(files) == 1 and is_large(volume) and ome_zarr.is_store(files[0]):
        levels = ome_zarr.levels(files[0], volume.metadata.get("frame", 0))
        if len(levels) > 1:
            return pyramid_layer_data(volume, levels)
    return to_layer_data(volume)


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save an image or labels layer with its voxel size and orientation."""
    known = {
        key: attributes[key]
        for key in ("name", "scale", "translate", "rotate", "shear", "affine")
        if key in attributes
    }
    layer = Image(
        data,
        **known,
        metadata=attributes.get("metadata", {}),
        units=attributes.get("units"),
        axis_labels=attributes.get("axis_labels"),
        multiscale=attributes.get("multiscale", False),
        rgb=attributes.get("rgb", False),
    )
    volume = to_volume(layer, 0)
    if "prepared" in volume.metadata:
        list(saved(layer, Path(path)))
    elif is_series(layer):
        write_series(frames_of(layer), Path(path))
    else:
        io.write(volume, Path(path))
    return [path]


def fibre_sample() -> list[LayerData]:
    """The synthetic fibre composite: fast scan, its truth, and a slow scan."""
    volumes = (samples.fibre_fast(), samples.fibre_truth(), samples.fibre_slow())
    return [to_layer_data(volume) for volume in volumes]


def head_sample() -> list[LayerData]:
    """The synthetic head: T1-like and T2-like, on an oblique grid."""
    return [to_layer_data(volume) for volume in (samples.head_t1(), samples.head_t2())]


def _listed(path: Paths) -> Sequence[str]:
    return [path] if isinstance(path, str) else path
