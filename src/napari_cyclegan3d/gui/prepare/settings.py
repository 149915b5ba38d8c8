"""What is set in the Prepare dock: checked as it is chosen, and remembered."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import yaml

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.enhance.view import Place
from napari_cyclegan3d.gui.layers import to_volume
from napari_cyclegan3d.gui.prepare.task import Task
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.prepare.steps import STEPS

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.prepare.dock import PrepareDock

STEP_KEY, SETTINGS_KEY = "prepare/step", "prepare/settings"


class PrepareSettings:
    """Says at once what is wrong with what is chosen.

    Args:
        dock: The dock.
    """

    def __init__(self, dock: "PrepareDock") -> None:
        self._dock = dock

    def task(self, around: Place | None = None, frame: int | None = None) -> Task:
        """What is to be done.

        Raises:
            InputError: Something is missing, or does not fit.
        """
        layer, steps = self._dock.volume.layer, self._dock.steps
        if layer is None:
            raise InputError("Open a volume and choose its layer first.")
        to_volume(layer, 0)
        partner = steps.partner_layer()
        if partner is not None:
            to_volume(partner, 0)
        if partner is not None and partner == layer:
            raise InputError(
                f"{partner.name}: is chosen as the volume and as the "
                f"{steps.step.partner_is}; choose another {steps.step.partner_is}"
            )
        return Task(layer, steps.step, steps.settings(), partner, around, frame)

    def problem(self) -> str:
        """What is wrong with what is chosen; empty: nothing, or nothing is chosen."""
        try:
            if self._dock.volume.layer is not None:
                self.task()
        except InputError as error:
            return str(error)
        return ""

    def text(self) -> str:
        """The settings for a report, as YAML."""
        steps = self._dock.steps
        values = {"step": steps.step.name, **_plain(steps.form.values())}
        return yaml.safe_dump(values)

    def restore(self) -> None:
        """Set what was remembered."""
        kept = recall(SETTINGS_KEY, {})
        for name, values in (kept if isinstance(kept, dict) else {}).items():
            if name in STEPS and isinstance(values, dict):
                with suppress(InputError):
                    self._dock.steps.set_settings(name, values)
        self._dock.steps.choose(str(recall(STEP_KEY) or ""))

    def keep(self) -> None:
        """Remember what is set."""
        steps = self._dock.steps
        changed: dict[str, dict[str, Any]] = {}
        for name, form in steps.forms.items():
            usual = _plain(form.model().model_dump())
            values = _plain(form.values())
            own = {key: one for key, one in values.items() if one != usual[key]}
            if own:
                changed[name] = own
        for key, value in ((STEP_KEY, steps.step.name), (SETTINGS_KEY, changed)):
            if recall(key) != value:
                remember(key, value)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
