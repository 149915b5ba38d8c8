"""Keys that step through the findings and decide about them, wherever the focus is."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QWidget

Keys = Mapping[str, Callable[[], None]]


def bind_in_dock(dock: QWidget, keys: Keys) -> None:
    """Let keys act while the focus is in the dock, except where one types."""
    for key, action in keys.items():
        shortcut = QShortcut(QKeySequence(key), dock)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(action)


class CanvasKeys:
    """The same keys while the focus is in the canvas.

    napari asks the active layer before the viewer, and layers have keys of their own
    (1 deletes points): so each of the layers has to know them as well.
    """

    def __init__(self) -> None:
        self._bound: list[tuple[Any, str, Any]] = []

    def bind(self, providers: Iterable[Any], keys: Keys) -> None:
        """Bind keys to a viewer and layers; what they did before comes back later."""
        for provider in providers:
            for key, action in keys.items():
                before = provider.bind_key(key, None)
                provider.bind_key(key, _ignoring_provider(action), overwrite=True)
                self._bound.append((provider, key, before))

    def release(self) -> None:
        """Leave no trace."""
        for provider, key, before in self._bound:
            provider.bind_key(key, None)
            if before is not None:
                provider.bind_key(key, before)
        self._bound.clear()


def _ignoring_provider(action: Callable[[], None]) -> Callable[[Any], None]:
    def call(_: Any) -> None:
        action()

    return call
