"""A line with something that a user may want to do next, and a button that does it."""

from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_cyclegan3d.gui.parts import small_button, status_line


class Offer(QWidget):
    """Hidden until something is offered, and again when it is taken or declined."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._accept: Callable[[], None] | None = None
        self._decline: Callable[[], None] | None = None
        self.line = status_line()
        self.accept_button = small_button("", "")
        self.decline_button = small_button("✕", "Not now")
        self.decline_button.setAccessibleName("Not now")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, stretch=1)
        row.addWidget(self.accept_button)
        row.addWidget(self.decline_button)
        self.hide()

        self.accept_button.clicked.connect(lambda: self._answer(self._accept))
        self.decline_button.clicked.connect(lambda: self._answer(self._decline))

    def make(
        self,
        sentence: str,
        button: str,
        accept: Callable[[], None],
        decline: Callable[[], None] | None = None,
    ) -> None:
        """Offer something instead of what was offered before.

        Args:
            sentence: What it is about.
            button: What will be done.
            accept: Does it.
            decline: Called if the user does not want it.
        """
        self._accept, self._decline = accept, decline
        self.line.setText(sentence)
        self.accept_button.setText(button)
        self.show()

    def withdraw(self) -> None:
        """Offer nothing any more."""
        self._accept = self._decline = None
        self.hide()

    def _answer(self, call: Callable[[], None] | None) -> None:
        self.withdraw()
        if call is not None:
            call()
