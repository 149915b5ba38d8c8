"""The line of a dock that says what goes on, and why something did not."""

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_cyclegan3d.gui.parts import status_line
from napari_cyclegan3d.gui.report import ReportWindow
from napari_cyclegan3d.gui.worker import Failure


class StatusLine(QWidget):
    """A sentence that wraps; after a failure with a button for the whole report."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = status_line()
        self._failure: Failure | None = None
        self._settings = ""
        self.details_button = QPushButton("Details…")
        self.details_button.setToolTip("Versions, settings and traceback, to copy")
        self.details_button.hide()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line, stretch=1)
        layout.addWidget(self.details_button)

        self.details_button.clicked.connect(self.show_details)

    def text(self) -> str:
        """The sentence that is shown."""
        return self._line.text()

    def say(self, text: str) -> None:
        """Show a sentence."""
        self._line.setText(text)
        self.details_button.hide()

    def refuse(self, sentence: str) -> None:
        """Show why something cannot be done, also as a notification of napari."""
        self.say(sentence)
        show_error(sentence)

    def fail(self, failure: Failure, settings: str = "") -> None:
        """The same for what ended an engine, with a report.

        Args:
            failure: What happened.
            settings: The settings it happened with, as YAML.
        """
        self.refuse(failure.message)
        self._failure, self._settings = failure, settings
        self.details_button.show()

    def show_details(self) -> ReportWindow | None:
        """Open the report; None if there is nothing to report."""
        if self._failure is None:
            return None
        window = ReportWindow(self._failure, self._settings, self)
        window.show()
        return window
