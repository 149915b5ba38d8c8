"""The choice of a step, what it does, its settings, and its second volume."""

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import Settings, parse
from napari_cyclegan3d.gui.editors import QuietCombo
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.parts import status_line
from napari_cyclegan3d.gui.prepare.task import Grey
from napari_cyclegan3d.gui.prepare.volume import VolumeChooser
from napari_cyclegan3d.prepare.steps import STEPS, Step

if TYPE_CHECKING:
    from napari.viewer import Viewer


class StepsPage(QWidget):
    """One of the steps, its form and its partner.

    Args:
        viewer: Whose layers can be partners; None: there are none.
        parent: Parent widget.

    Attributes:
        partner: The choice of the second volume.
        forms: Those that were shown so far, by the names of their steps.
    """

    changed = Signal()

    def __init__(self, viewer: "Viewer | None", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choice = QuietCombo()
        self.choice.setAccessibleName("Step")
        for step in STEPS.values():
            self.choice.addItem(step.title, step.name)
        self.help = status_line()
        self.partner_title = QLabel()
        kinds = (Image, Labels)
        self.partner = VolumeChooser(viewer, "Second volume", kinds, nullable=True)
        self.forms: dict[str, SettingsForm] = {}
        # what was chosen as mask, as grid, as reference
        self._partners: dict[str, Grey | None] = {}
        self._meant = ""
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Step", self.choice)
        rows.addRow(self.help)
        rows.addRow(self.partner_title, self.partner)
        self._forms = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(rows)
        layout.addLayout(self._forms)

        self.choice.currentIndexChanged.connect(lambda _: self._show_step())
        self.partner.changed.connect(self.changed)
        self._show_step()

    @property
    def step(self) -> Step:
        """The step that is chosen."""
        return STEPS[str(self.choice.currentData())]

    @property
    def form(self) -> SettingsForm:
        """The settings of the step that is chosen."""
        return self.forms[self.step.name]

    def choose(self, name: str) -> None:
        """Choose a step, if there is one of this name."""
        index = self.choice.findData(name)
        if index >= 0:
            self.choice.setCurrentIndex(index)

    def settings(self) -> Settings:
        """The settings of the step.

        Raises:
            InputError: They contradict each other.
        """
        return self.form.value()

    def set_settings(self, name: str, values: dict[str, Any]) -> None:
        """Set settings of a step, by their names.

        Raises:
            InputError: They are no settings of this step.
        """
        form = self._form_of(STEPS[name])
        form.set_value(parse(STEPS[name].settings, {**form.values(), **values}))

    def partner_layer(self) -> Grey | None:
        """The second volume; None: the step takes none, or none is chosen.

        Raises:
            InputError: The step needs one.
        """
        step, layer = self.step, self.partner.layer
        if step.partner == "none":
            return None
        if layer is None and step.partner == "required":
            raise InputError(
                f"{step.title}: needs a second volume, the {step.partner_is}; choose "
                "its layer"
            )
        return layer

    def _show_step(self) -> None:
        step = self.step
        self._form_of(step)
        for name, form in self.forms.items():
            form.setVisible(name == step.name)
        self.help.setText(step.help)
        takes_two = step.partner != "none"
        if takes_two and step.partner_is != self._meant:
            self._partners[self._meant] = self.partner.layer
            self._meant = step.partner_is
            self.partner.choose(self._partners.get(step.partner_is))
        self.partner_title.setVisible(takes_two)
        self.partner.setVisible(takes_two)
        if takes_two:
            self.partner_title.setText(step.partner_is.capitalize())
            ending = "" if step.partner == "required" else "; may be left out"
            self.partner.explain(f"The second volume: the {step.partner_is}{ending}")
        self.changed.emit()

    def _form_of(self, step: Step) -> SettingsForm:
        """The form of a step, made when it is first wanted."""
        if step.name not in self.forms:
            form = SettingsForm(step.settings)
            form.hide()
            for lines in form.findChildren(QFormLayout):
                lines.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
            self._forms.addWidget(form)
            self.forms[step.name] = form
            form.changed.connect(self.changed)
        return self.forms[step.name]
