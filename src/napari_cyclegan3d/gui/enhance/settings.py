"""What is set in the Enhance dock: checked as it is typed, and remembered."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import yaml
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.inference import way_back
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.enhance.output import Output, beside
from napari_cyclegan3d.gui.enhance.queue_list import Entry
from napari_cyclegan3d.gui.enhance.task import Task
from napari_cyclegan3d.gui.enhance.work import FP32_BYTES
from napari_cyclegan3d.gui.inspect.provenance import Maker
from napari_cyclegan3d.gui.layers import finest, to_volume
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.remembered import recall, remember

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.enhance.dock import EnhanceDock

MODEL_KEY, SETTINGS_KEY = "enhance/model", "enhance/settings"
TARGET_KEY, FOLDS_KEY = "enhance/target", "enhance/unfolded"
BUTTON_WIDTH = 170


class EnhanceSettings:
    """Says at once what is wrong with what is set.

    Args:
        dock: The dock.
    """

    def __init__(self, dock: "EnhanceDock") -> None:
        self._dock = dock
        self._problem = ""
        self._usual: dict[str, Any] = {}
        self._is_restored = False
        for signal in (dock.form.changed, dock.target.changed, dock.source.changed):
            signal.connect(self.on_change)

    def task(self, entry: Entry) -> Task:
        """What is to be done with an entry.

        Raises:
            InputError: Something is missing, or cannot be done with this model.
        """
        model = self._dock.model.model
        if model is None:
            raise InputError("Choose a model file first.")
        config = cast(EnhanceConfig, self._dock.form.value())
        model.generator(config.direction)
        cycle = self._dock.target.cycle.isChecked()
        if cycle:
            way_back(model, config)
        output = self._dock.target.value()
        path, sha256 = self._dock.model.path, self._dock.model.sha256
        return Task(
            entry.source,
            model,
            config,
            output,
            cycle,
            entry.frames,
            None if path is None else Maker(path, sha256, config),
            self._dock.target.inspect.isChecked(),
        )

    def on_change(self) -> None:
        """Show what the settings mean, and what is wrong with them."""
        dock = self._dock
        dock.model.show_layer(dock.source.layer)
        self._name_button()
        problem = self._found()
        if problem:
            dock.status.say(problem)
        elif self._problem:
            dock.status.say("")
        self._problem = problem
        self._show_note()
        self._keep()

    def text(self) -> str:
        """The settings for a report, as YAML."""
        model = self._dock.model.path
        values = {**self._dock.form.values(), **self._dock.target.state()}
        return yaml.safe_dump({"model": str(model), **_plain(values)})

    def restore(self) -> None:
        """Set what was remembered, over the preferences."""
        preferred = preferences()
        usual = {"device": preferred.device, "memory": preferred.memory}
        with suppress(InputError):
            self._dock.form.set_value(parse(EnhanceConfig, usual))
        self._usual = _plain(self._dock.form.values())
        kept = recall(SETTINGS_KEY, {})
        with suppress(InputError, TypeError):
            self._dock.form.set_value(parse(EnhanceConfig, {**self._usual, **kept}))
        target, folds = recall(TARGET_KEY), recall(FOLDS_KEY)
        if isinstance(target, dict):
            self._dock.target.set_state(target)
        if isinstance(folds, list):
            self._dock.form.unfold([str(one) for one in folds])
        self._is_restored = True
        path = recall(MODEL_KEY)
        if isinstance(path, str) and Path(path).is_file():
            self._dock.model.select(Path(path))

    def keep_model(self) -> None:
        """Remember the model that is chosen."""
        remember(MODEL_KEY, str(self._dock.model.path))

    def _keep(self) -> None:
        if not self._is_restored:
            return
        values = _plain(self._dock.form.values())
        changed = {k: v for k, v in values.items() if v != self._usual[k]}
        for key, value in (
            (SETTINGS_KEY, changed),
            (TARGET_KEY, self._dock.target.state()),
            (FOLDS_KEY, self._dock.form.unfolded()),
        ):
            if recall(key) != value:
                remember(key, value)

    def _found(self) -> str:
        """A sentence about the first thing that is wrong; empty if nothing is."""
        try:
            self._dock.form.value()
            if self._dock.model.model is not None:
                self.task(Entry(self._dock.source.any_source()))
            if not self._dock.source.queue.waiting and self._dock.source.layer:
                self._dock.source.layer_entry()
        except InputError as error:
            return str(error)
        return ""

    def _name_button(self) -> None:
        waiting = len(self._dock.source.queue.waiting)
        layer = self._dock.source.layer
        text = "Enhance"
        if waiting:
            text = f"Enhance {waiting} in the queue"
        elif layer is not None:
            text = f"Enhance {layer.name}"
        button = self._dock.enhance_button
        middle = Qt.TextElideMode.ElideMiddle
        shown = button.fontMetrics().elidedText(text, middle, BUTTON_WIDTH)
        button.setText(shown.replace("&", "&&"))

    def _show_note(self) -> None:
        """Say where what comes next will go."""
        source, target = self._dock.source, self._dock.target
        items = [entry.source.item for entry in source.queue.waiting]
        if not items and source.layer is not None:
            items = [source.layer]
        notes, to_file = [], False
        for item in items:
            try:
                is_file, note = self._goes(item, target.value())
            except MemoryShortageError as error:
                is_file, note = False, f"{error}."
            except InputError:
                continue
            to_file = to_file or is_file
            if note not in notes:
                notes.append(note)
        target.show_note(" ".join(notes[:1]), to_file=to_file)

    def _goes(self, item: Image | str, output: Output) -> tuple[bool, str]:
        if isinstance(item, str):
            is_file = output.is_file(0, from_layer=False)
            return (
                is_file,
                "" if output.kind != "auto" else "Files are enhanced into files.",
            )
        volume = to_volume(item, 0)
        size = self._bytes(item)
        is_file = output.is_file(size, from_layer=True)
        if not is_file:
            return False, ""
        folder = output.folder or beside(volume)
        return True, f"Takes {size / 1e9:.4g} GB, goes to {folder}."

    def _bytes(self, layer: Image) -> int:
        """What the results of a layer take."""
        model = self._dock.model.model
        voxels = int(np.prod(finest(layer).shape))
        factor = 1.0
        if model is not None:
            config = cast(EnhanceConfig, self._dock.form.value())
            factor = float(model.scale(config.direction)) ** 3
        cycle = self._dock.target.cycle.isChecked()
        return round(FP32_BYTES * voxels * (factor + (1 if cycle else 0)))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
