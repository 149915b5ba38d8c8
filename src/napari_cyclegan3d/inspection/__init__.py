"""Reports of inspections: written to a folder, read back, and reviewed."""

from napari_cyclegan3d.inspection.reading import (
    Loaded,
    load,
    save_record,
    update_reviews,
)
from napari_cyclegan3d.inspection.saving import Saved, check_folder, save

__all__ = [
    "Loaded",
    "Saved",
    "check_folder",
    "load",
    "save",
    "save_record",
    "update_reviews",
]
