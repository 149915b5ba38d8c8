"""Copies what is set in the Train dock to the clipboard."""

from collections.abc import Mapping, Sequence

from qtpy.QtWidgets import QApplication

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.gui.train.commands import settings_yaml, train_command
from napari_cyclegan3d.gui.train.work import Plan

LAYER_SUFFIX = ".tif"
Texts = Mapping[str, Sequence[str | None]]


def copy_command(plan: Plan, known: Texts, resumed: TrainConfig | None) -> str:
    """Copy the line that does the same in a terminal.

    A layer without a file gets the name of one, which is to be saved.

    Args:
        plan: What would be trained.
        known: By domain, what the command line takes for each source; None for a
            layer without a file.
        resumed: Settings that are in the run already, if it is to be gone on with.

    Returns:
        A sentence for the user.
    """
    texts: dict[str, list[str]] = {}
    unsaved: list[str] = []
    for key, sources in plan.sources.items():
        names = [f"{one.name}{LAYER_SUFFIX}" for one in sources]
        found = list(zip(known[key], names, strict=True))
        texts[key] = [text or name for text, name in found]
        unsaved += [name for text, name in found if text is None]
    _copy(train_command(plan.config, texts, plan.run, resumed))
    if not unsaved:
        return "Copied the command."
    return f"Copied the command; before it is run, save as files: {', '.join(unsaved)}"


def copy_yaml(config: TrainConfig) -> str:
    """Copy the settings that differ from the defaults; gives a sentence back."""
    _copy(settings_yaml(config))
    return "Copied the settings, for --config FILE."


def _copy(text: str) -> None:
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    clipboard.setText(text)
