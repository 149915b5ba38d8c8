"""A line that says what memory a device has left."""

from collections.abc import Callable

import torch
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QLabel, QWidget

from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.memory import free_memory

EVERY_MS = 2000


class MemoryLabel(QLabel):
    """Free memory of the device that is set, looked up while one can see it.

    Args:
        device: Gives the setting, such as auto or cuda:1.
        parent: Parent widget.
    """

    def __init__(
        self, device: Callable[[], str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._device = device
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setToolTip("Memory that nothing uses now, on the device that computes")
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.look)

    def look(self) -> None:
        """Look the free memory up and show it."""
        self.setText(memory_left(self._device()))

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self.look()
        self._timer.start()

    def hideEvent(self, event: QHideEvent | None) -> None:
        super().hideEvent(event)
        self._timer.stop()


def memory_left(setting: str) -> str:
    """The device of a setting and the memory that it has free, in words.

    A GPU that nothing has used yet is not taken into use for this.
    """
    asked = setting.startswith(("auto", "cuda")) and torch.cuda.is_available()
    if asked and not torch.cuda.is_initialized():
        return "GPU not in use yet"
    try:
        device, _ = choose_device(setting)
        free = free_memory(device)
    except (InputError, RuntimeError):  # RuntimeError: no such device
        return ""
    return str(device) if free is None else f"{device}: {free / 1e9:.1f} GB free"
