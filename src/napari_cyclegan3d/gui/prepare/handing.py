"""Hands what was prepared over to the Train dock."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from napari_cyclegan3d.gui.prepare.task import Grey

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLUGIN, NAME = "napari-cyclegan3d", "Train"


class Trains(Protocol):
    """What the Train dock, which knows this one, offers to it."""

    def choose(
        self,
        sources: Mapping[str, Sequence[Grey | Path]],
        *,
        pairs: bool,
    ) -> bool:
        """Choose what is trained on."""


def train_on_pair(viewer: "Viewer", a: Grey, b: Grey) -> None:
    """Add a pair to domains A and B of the Train dock, and train on pairs."""
    _opened(viewer).choose({"a": [a], "b": [b]}, pairs=True)


def train_on_lists(viewer: "Viewer", lists: Mapping[str, Path]) -> None:
    """Choose lists in the Train dock instead of what is in their domains.

    Args:
        viewer: Its viewer.
        lists: By domain (a, b, validate_a, validate_b).
    """
    _opened(viewer).choose({key: [path] for key, path in lists.items()}, pairs=False)


def _opened(viewer: "Viewer") -> Trains:
    """The Train dock of a viewer, in front of others."""
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, NAME, tabify=True)
    holder.show()
    holder.raise_()
    return cast(Trains, dock)
