"""Libraries that only some users need, and what to do when they are not there."""

import importlib
from types import ModuleType

from napari_cyclegan3d.engine.errors import InputError


def needed(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a library of an extra of this package.

    Args:
        module: Name of the library to import.
        extra: The extra that brings it.
        purpose: What it is needed for, as the begin of a sentence: "N4".

    Raises:
        InputError: It is not installed; the sentence says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise InputError(
            f"{purpose} needs {library}, which is not installed: "
            f"pip install 'napari-cyclegan3d[{extra}]'"
        ) from None
