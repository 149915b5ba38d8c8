"""What layers tell about themselves: which model made them, what inspected them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.layers import source_name

if TYPE_CHECKING:
    from napari.layers import Image, Layer

MODEL_KEY = "napari-cyclegan3d-model"
INSPECTED_KEY = "napari-cyclegan3d-inspected"


@dataclass(frozen=True)
class Maker:
    """How an enhanced layer was made.

    Attributes:
        path: The model's file.
        sha256: Of its weights.
        config: The settings.
    """

    path: Path
    sha256: str
    config: EnhanceConfig

    def metadata(self) -> dict[str, Any]:
        """What the layer keeps of it: plain values."""
        values = {
            "path": str(self.path),
            "sha256": self.sha256,
            "config": self.config.model_dump(mode="json"),
        }
        return {MODEL_KEY: values}


def maker_of(layer: "Layer") -> Maker | None:
    """How a layer was made; None: not by a model, or that is not known."""
    kept = layer.metadata.get(MODEL_KEY)
    if not isinstance(kept, Mapping):
        return None
    try:
        config = parse(EnhanceConfig, kept["config"])
        return Maker(Path(str(kept["path"])), str(kept["sha256"]), config)
    except (InputError, KeyError):
        return None


def source_of(layer: "Image", layers: list["Image"]) -> "Image | None":
    """The layer that a layer was made from, if it is among these."""
    name = source_name(layer)
    return next((one for one in layers if one.name == name), None)


def is_of_inspection(layer: "Layer") -> bool:
    """Whether a layer is itself a part of an inspection."""
    return INSPECTED_KEY in layer.metadata
