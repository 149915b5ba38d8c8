"""Where the voxels of a layer lie in the viewer's world."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import ArrayLike, NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.layers import finest
from napari_cyclegan3d.gui.views.shown import Shown

if TYPE_CHECKING:
    from napari.viewer import Viewer


@dataclass(frozen=True, eq=False)
class Grid:
    """An upright grid: voxel i of an axis has its centre at origin + i · spacing.

    Attributes:
        shape: Voxels (z, y, x).
        spacing: Between the centres, in the world; negative where the axis runs back.
        origin: Centre of the first voxel.
    """

    shape: tuple[int, int, int]
    spacing: NDArray[np.float64]
    origin: NDArray[np.float64]

    def to_voxels(self, world: ArrayLike) -> NDArray[np.float64]:
        """World positions (…, 3) in voxels."""
        return (np.asarray(world, np.float64) - self.origin) / self.spacing

    def to_world(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Voxels (…, 3) as world positions."""
        return self.origin + np.asarray(voxels, np.float64) * self.spacing

    def voxel_at(self, world: ArrayLike) -> tuple[int, int, int] | None:
        """The voxel that a world position lies in; None: it lies outside."""
        z, y, x = (int(one) for one in np.floor(self.to_voxels(world) + 0.5))
        inside = all(
            0 <= one < size for one, size in zip((z, y, x), self.shape, strict=True)
        )
        return (z, y, x) if inside else None

    @property
    def edges(self) -> NDArray[np.float64]:
        """Lowest and highest world position (2, 3) that is still in a voxel."""
        ends = self.to_world(np.array([np.zeros(3), self.shape]) - 0.5)
        return np.sort(ends, axis=0)


def grid_of(layer: Image | Labels) -> Grid:
    """The grid of a layer as it is drawn.

    Raises:
        InputError: It is no upright volume.
    """
    if getattr(layer, "rgb", False) or layer.ndim != 3:
        raise InputError(
            f"{layer.name}: is no single volume of grey values; the views need 3D "
            "layers (z, y, x)"
        )
    ends = [np.asarray(layer.data_to_world(one)) for one in (np.zeros(3), *np.eye(3))]
    axes = np.array(ends[1:]) - ends[0]
    spacing = np.diag(axes)
    if np.abs(axes - np.diag(spacing)).max() > 1e-6 * np.abs(spacing).min():
        raise InputError(
            f"{layer.name}: is rotated or sheared in the viewer; take that away, for "
            "the views need upright layers"
        )
    z, y, x = finest(layer).shape
    return Grid((int(z), int(y), int(x)), spacing, ends[0])


def check_shown(shown: Shown) -> None:
    """Refuse layers that no view could draw over each other.

    Raises:
        InputError: One is no upright volume, or the two do not cover the same place.
    """
    raw, enhanced = grid_of(shown.raw), grid_of(shown.enhanced)
    for layer in (shown.residual, shown.suspects, shown.truth):
        if layer is not None:
            grid_of(layer)
    voxel = np.maximum(np.abs(raw.spacing), np.abs(enhanced.spacing))
    if (np.abs(raw.edges - enhanced.edges) > voxel).any():
        raise InputError(
            f"{shown.enhanced.name}: does not lie over {shown.raw.name}; choose the "
            "volume that it was made from"
        )


def in_plane(viewer: "Viewer") -> tuple[int, int] | None:
    """Which axes (0: z) run down and to the right on the canvas; None: in 3D.

    Also None where another axis, such as time, lies in the plane.
    """
    extra = viewer.dims.ndim - 3  # axes that only other layers have
    axes = [axis - extra for axis in viewer.dims.displayed]
    flat = extra >= 0 and len(axes) == 2 and min(axes) >= 0
    return (axes[0], axes[1]) if flat else None
