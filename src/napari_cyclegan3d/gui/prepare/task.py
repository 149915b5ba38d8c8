"""What is asked of the worker, and what it tells at the end."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from napari.layers import Image, Labels

from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.gui.enhance.view import Place
from napari_cyclegan3d.gui.layers import LayerData
from napari_cyclegan3d.prepare.steps import Step

SOURCE_KEY = "napari-cyclegan3d-prepared-from"
Grey: TypeAlias = Image | Labels


@dataclass(frozen=True, eq=False)
class Task:
    """One step on one layer.

    Attributes:
        layer: What is prepared.
        step: The step.
        settings: Its settings.
        partner: The second volume, where the step takes one.
        around: A place in the layer, in voxels (z, y, x), around which the result is
            wanted; None: all of it.
        frame: Which frame of a series; None: all of them.
    """

    layer: Grey
    step: Step
    settings: Settings
    partner: Grey | None = None
    around: Place | None = None
    frame: int | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """A prepared volume, as a layer that lies where it belongs.

    Attributes:
        task: What was done.
        data: The layer.
        remarks: What is worth knowing about it.
    """

    task: Task
    data: LayerData
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """Files are in their places, all that `sentence` tells of."""

    sentence: str


@dataclass(frozen=True, eq=False)
class Opened:
    """The layers of a file."""

    layers: list[LayerData]


def made_from(layer: Grey) -> str | None:
    """The name that the layer had which a layer was prepared from."""
    kept: Any = layer.metadata.get(SOURCE_KEY)
    return None if kept is None else str(kept)
