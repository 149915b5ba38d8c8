"""What is set in the Inspect dock: checked as it is chosen, and remembered."""

import getpass
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import yaml
from napari.layers import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.plan import WORK
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.inspect.progress import duration
from napari_cyclegan3d.gui.inspect.work import Task
from napari_cyclegan3d.gui.layers import finest, to_volume
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.remembered import recall, remember

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.inspect.dock import InspectDock

SETTINGS_KEY, REVIEWER_KEY = "inspect/settings", "inspect/reviewer"
FOLDS_KEY = "inspect/unfolded"
PASSES = {
    "quick": "no pass of the network",
    "standard": "about 5 passes of the network over the volume",
    "thorough": "about 10 passes of the network over the volume",
}


class InspectSettings:
    """Says at once what is wrong with what is chosen.

    Args:
        dock: The dock.
    """

    def __init__(self, dock: "InspectDock") -> None:
        self._dock = dock
        self._problem = ""
        self._usual: dict[str, Any] = {}
        self._is_restored = False
        dock.choice.changed.connect(self.on_change)
        dock.findings.reviewer.editingFinished.connect(self._keep_reviewer)

    def task(self) -> Task:
        """What is to be inspected.

        Raises:
            InputError: Something is missing, or cannot be inspected.
        """
        choice = self._dock.choice
        raw, enhanced = choice.layer("raw"), choice.layer("enhanced")
        if raw is None or enhanced is None:
            raise InputError("Open the raw and the enhanced volume as layers first.")
        if raw is enhanced:
            raise InputError(
                f"{raw.name}: is chosen as raw and as enhanced; choose the volume that "
                "it was made from"
            )
        path = choice.model_path
        if path is not None and not path.is_file():
            raise InputError(f"{path}: no such model file; choose it, or none")
        return Task(
            to_volume(raw),
            to_volume(enhanced),
            path,
            choice.model_sha256,
            _volume(choice.layer("truth")),
            _volume(choice.layer("second")),
            choice.config(),
            preferences().folder,
        )

    def on_change(self) -> None:
        """Show what the settings mean, and what is wrong with them."""
        dock = self._dock
        problem = ""
        try:
            dock.choice.cost.setText(self._cost(dock.choice.config()))
            if dock.choice.layer("raw") is not None:
                self.task()
        except InputError as error:
            problem = str(error)
        if problem or self._problem:
            dock.status.say(problem)
        self._problem = problem
        self._keep()

    def text(self) -> str:
        """The settings for a report, as YAML."""
        values = InspectConfig.model_construct(**self._dock.choice.form.values())
        model = self._dock.choice.model_path
        plain = {"model": str(model), **values.model_dump(mode="json", warnings=False)}
        return yaml.safe_dump(plain)

    def restore(self) -> None:
        """Set what was remembered, over the preferences."""
        preferred, form = preferences(), self._dock.choice.form
        enhance = {"device": preferred.device, "memory": preferred.memory}
        with suppress(InputError):
            form.set_value(parse(InspectConfig, {"enhance": enhance}))
        self._usual = _own(form.values())
        kept, folds = recall(SETTINGS_KEY, {}), recall(FOLDS_KEY)
        with suppress(InputError, TypeError):
            form.set_value(parse(InspectConfig, {**form.values(), **kept}))
        if isinstance(folds, list):
            form.unfold([str(one) for one in folds])
        self._dock.findings.reviewer.setText(str(recall(REVIEWER_KEY) or _user()))
        self._is_restored = True
        self.on_change()

    def _cost(self, config: InspectConfig) -> str:
        """What the inspection will take, before it begins."""
        choice = self._dock.choice
        raw = choice.layer("raw")
        model, second = choice.model_path, choice.layer("second")
        alone = config.mode != "quick" and model is None
        text = f"Takes {PASSES['quick' if alone else config.mode]}"
        if raw is not None:
            seconds = WORK[config.mode] * prod(finest(raw).shape[-3:])
            text += f" and about {duration(seconds)} of other work"
        if alone and second is None:
            text += ". Without a model, nothing can be called supported"
        return f"{text}."

    def _keep(self) -> None:
        if not self._is_restored:
            return
        form = self._dock.choice.form
        values = _own(form.values())
        changed = {k: v for k, v in values.items() if v != self._usual[k]}
        for key, value in ((SETTINGS_KEY, changed), (FOLDS_KEY, form.unfolded())):
            if recall(key) != value:
                remember(key, value)

    def _keep_reviewer(self) -> None:
        remember(REVIEWER_KEY, self._dock.findings.reviewer.text().strip())


def _volume(layer: Image | None) -> Volume | None:
    return None if layer is None else to_volume(layer)


def _own(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them, without those of the model and of these volumes."""
    left_out = ("enhance", "noise_region")
    return {key: value for key, value in values.items() if key not in left_out}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name
        return ""
