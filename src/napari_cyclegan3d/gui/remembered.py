"""What the docks remember between two starts of napari.

Small plain values in a text file of the user's settings; what is damaged or missing
is forgotten.
"""

import json
from typing import Any

from qtpy.QtCore import QSettings

APPLICATION = "napari-cyclegan3d"


def recall(key: str, default: Any = None) -> Any:
    """What was remembered under a key such as train/run_folder."""
    try:
        return json.loads(str(_settings().value(key)))
    except ValueError:
        return default


def remember(key: str, value: Any) -> None:
    """Keep a value: texts, numbers, booleans, None, and lists and dicts of them."""
    _settings().setValue(key, json.dumps(value))


def _settings() -> QSettings:
    return QSettings(
        QSettings.Format.IniFormat,
        QSettings.Scope.UserScope,
        APPLICATION,
        "docks",
    )
