"""A preview as layers of the viewer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cyclegan3d.gui.progress.contrast import Levels
from napari_cyclegan3d.gui.progress.preview import Images, difference_levels

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


def add_layers(
    viewer: "napari.viewer.Viewer",
    images: Images,
    title: str,
    levels: Levels,
    differences: Mapping[str, tuple[str, str]],
) -> list["Image"]:
    """Add images to the viewer, all over each other in the middle of what is seen.

    Their voxels are cubes of the finest spacing that there is in the viewer, and those
    of the smaller images so much larger that all have one size in the world. Camera
    and sliders stay where the user has put them.

    Args:
        viewer: Gets the layers.
        images: Volumes (z, y, x) by name.
        title: Stands before each name.
        levels: Contrast of the images.
        differences: Names of two images, by the name of their absolute difference.
    """
    voxel, point, words = _surroundings(viewer)
    place = viewer.dims.point
    largest = np.max([image.shape for image in images.values()], axis=0)
    # a voxel is where the sliders are, so that they need not move
    start = np.zeros(3) if point is None else point - voxel * (largest // 2)
    edge = start - voxel / 2
    layers = [
        viewer.add_image(
            image,
            name=f"{title} {name}",
            colormap=colours,
            contrast_limits=contrast,
            scale=voxel * largest / image.shape,
            translate=edge + voxel * largest / image.shape / 2,
            rgb=False,
            **words,
        )
        for name, (image, colours, contrast) in _shown(
            images, levels, differences
        ).items()
    ]
    if point is not None and viewer.dims.point[-len(place) :] != place:
        viewer.dims.point = (*viewer.dims.point[: -len(place)], *place)
    return layers


def _shown(
    images: Images, levels: Levels, differences: Mapping[str, tuple[str, str]]
) -> dict[str, tuple[Any, str, Levels]]:
    """Images and differences by name, with their colours and contrast."""
    shown = {name: (image, "gray", levels) for name, image in images.items()}
    for one, other in differences.values():
        off = np.abs(images[one] - images[other])
        shown[f"|{one} − {other}|"] = off, "inferno", difference_levels(levels)
    return shown


def _surroundings(viewer: "napari.viewer.Viewer") -> tuple[float, Any, dict[str, Any]]:
    """Voxel size that suits the other layers, the place that is seen, and their words.

    With other units than theirs the viewer would lose its scale bar, with other labels
    its sliders their names.
    """
    if not len(viewer.layers):
        return 1.0, None, {"axis_labels": ("z", "y", "x")}
    spacing = min(float(np.abs(layer.scale).min()) for layer in viewer.layers)
    point = np.asarray(viewer.dims.point, dtype=np.float64)[-3:]
    point = np.concatenate([np.zeros(3 - len(point)), point])
    solid = [layer for layer in viewer.layers if layer.ndim >= 3]
    if not solid:
        return spacing, point, {}
    units, labels = solid[0].units[-3:], solid[0].axis_labels[-3:]
    return spacing, point, {"units": units, "axis_labels": labels}
