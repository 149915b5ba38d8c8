"""What a user can send to those who are to find a fault: a text, in a window."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.gui.worker import Failure

PACKAGES = ("napari-cyclegan3d", "napari", "torch", "numpy", "PyQt6", "PySide6")


def report_text(failure: Failure, settings: str = "") -> str:
    """Everything that is needed to understand a failure, as plain text.

    Args:
        failure: What happened.
        settings: The settings it happened with, as YAML.
    """
    parts = [failure.message, _machine()]
    if settings:
        parts.append(f"Settings\n{settings.strip()}")
    parts.append(failure.details.strip())
    return "\n\n".join(parts) + "\n"


class ReportWindow(QDialog):
    """A sentence, and below it the whole report to copy.

    Args:
        failure: What happened.
        settings: The settings it happened with, as YAML.
        parent: Parent widget.
    """

    def __init__(
        self, failure: Failure, settings: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("What happened")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sentence = QLabel(failure.message)
        sentence.setTextFormat(Qt.TextFormat.PlainText)
        sentence.setWordWrap(True)
        self.text = QPlainTextEdit(report_text(failure, settings))
        self.text.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.copy_button = QPushButton("Copy")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)

        layout = QVBoxLayout(self)
        layout.addWidget(sentence)
        layout.addWidget(self.text, stretch=1)
        layout.addWidget(buttons)
        self.resize(640, 420)

        self.copy_button.clicked.connect(self._copy)
        buttons.rejected.connect(self.close)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.text.toPlainText())


def _machine() -> str:
    _, device = choose_device("auto")
    found = [f"{name} {_version(name)}" for name in PACKAGES if _version(name)]
    system = f"Python {platform.python_version()} on {platform.platform()}"
    return "\n".join(
        [*found, system, f"{device}, CUDA of PyTorch {torch.version.cuda}"]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
