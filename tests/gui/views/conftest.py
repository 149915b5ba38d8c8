"""Layers that are looked at, and what must be as before when nobody looks any more."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.utils.interactions import mouse_move_callbacks
from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Inspection
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.canvas import camera_of, canvas_of, text_of
from napari_cyclegan3d.gui.layers import to_layer_data
from napari_cyclegan3d.gui.views.bar import ViewsBar
from napari_cyclegan3d.gui.views.shown import Shown


@dataclass
class Scene:
    """A viewer with layers that belong together, and the views' bar in a dock."""

    viewer: Any
    shown: Shown
    bar: ViewsBar
    qtbot: Any

    def press(self, *names: str) -> None:
        """Press buttons of the bar, one after the other."""
        for name in names:
            self.bar.buttons[name].click()  # type: ignore[index]

    def point_at(self, world: Any, *modifiers: str) -> None:
        """Move the cursor to a place in the world."""
        self.qtbot.wait(50)  # longer than the views take between two moves
        event = SimpleNamespace(
            type="mouse_move",
            position=tuple(world),
            modifiers=modifiers,
            is_dragging=False,
        )
        mouse_move_callbacks(self.viewer, event)

    def state(self) -> dict[str, Any]:
        """All that views could change."""
        viewer, canvas = self.viewer, canvas_of(self.viewer)
        camera, text = camera_of(viewer), text_of(viewer)
        state: dict[str, Any] = {
            "dims": viewer.dims.model_dump(),
            "camera": (camera.center, camera.zoom, camera.angles),
            "grid": canvas.grid.model_dump(),
            "text": (text.text, text.visible, text.position),
            "chosen": sorted(layer.name for layer in viewer.layers.selection),
            "layers": [layer.name for layer in viewer.layers],
            "moves": len(viewer.mouse_move_callbacks),
            "keys": sorted(map(str, viewer.keymap)),
            "listeners": [listeners(viewer.dims), listeners(camera)],
        }
        for layer in viewer.layers:
            data, attributes, _ = layer.as_layer_data_tuple()
            attributes["bar"] = getattr(layer, "colorbar", layer.bounding_box).visible
            attributes["listeners"] = listeners(layer)
            state[layer.name] = {"voxels": id(data), **attributes}
        return state


def listeners(model: Any) -> dict[str, int]:
    """How many of the views listen to each event of a model."""
    counts = {}
    for name, emitter in model.events.emitters.items():
        callbacks = [
            one[0]() if type(one) is tuple else one for one in emitter.callbacks
        ]
        modules = [getattr(one, "__module__", None) or "" for one in callbacks]
        counts[name] = sum(one.startswith("napari_cyclegan3d") for one in modules)
    return counts


def same(before: Any, after: Any) -> bool:
    """Whether two states are equal, arrays included."""
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(
            same(before[key], after[key]) for key in before
        )
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after)
    return repr(before) == repr(after)


Scenes = Callable[..., Scene]


@pytest.fixture
def unchanged() -> Callable[[Scene], Any]:
    """A function: what must be as it is now when what it returns is called."""

    def remember(scene: Scene) -> Callable[[], None]:
        before = scene.state()

        def check() -> None:
            after = scene.state()
            changed = [
                (key, before.get(key), after.get(key))
                for key in {*before, *after}
                if not same(before.get(key), after.get(key))
            ]
            assert not changed

        return check

    return remember


def fitted(inspected: Inspected, scale: int) -> Inspection:
    """The inspection, with gain 2 and offset 10 at some scale."""
    fit = inspected.inspection.operator.model_copy(
        update={"gain": 2.0, "offset": 10.0, "scale": scale, "shift": (0, 0, 0)}
    )
    return inspected.inspection.model_copy(update={"operator": fit})


@pytest.fixture
def scenes(
    make_napari_viewer_proxy: Any, qtbot: Any, inspected: Inspected, at_once: Any
) -> Iterator[Scenes]:
    """A function: a scene of raw grey value 30 and enhanced 100 at some scale."""
    made: list[Scene] = []

    def make(scale: int = 1, *, truth: bool = False, show: bool = False) -> Scene:
        viewer = make_napari_viewer_proxy(show=show)
        residual, labels = inspected.maps["residual"], inspected.labels
        raw = replace(residual, array=np.full(residual.shape, 30.0), name="raw scan")
        fine = tuple(scale * size for size in raw.shape)
        noise = np.random.default_rng(1).normal(100, 1, fine)

        def add(volume: Volume, **changes: Any) -> Any:
            data, attributes, _ = to_layer_data(volume)
            return viewer.add_image(data, **attributes | changes)

        def finer(array: Any, name: str) -> Volume:
            return replace(raw.resampled(array, scale), name=name)

        raw_layer = add(raw, contrast_limits=(0, 255))
        enhanced = add(finer(noise, "better scan"), contrast_limits=(0, 100))
        true = add(finer(noise + 1, "true"), visible=False) if truth else None
        over = add(residual, visible=False)
        voxels = np.kron(labels.read(), np.ones((scale,) * 3, labels.dtype))
        data, attributes, _ = to_layer_data(finer(voxels, "suspects"))
        del attributes["rgb"]
        suspects = viewer.add_labels(data, **attributes)
        viewer.layers.selection.active = enhanced
        bar = ViewsBar(viewer, at_once)
        viewer.window.add_dock_widget(bar, area="right")
        shown = Shown(
            raw_layer,
            enhanced,
            over,
            suspects,
            fitted(inspected, scale),
            inspected.maps,
            true,
        )
        bar.show(shown)
        made.append(Scene(viewer, shown, bar, qtbot))
        return made[-1]

    yield make
    for scene in made:
        if isalive(scene.bar):  # type: ignore[no-untyped-call]
            scene.bar.clear()
    # as an event loop does: what a view has closed is gone before its window is
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def scene(scenes: Scenes) -> Scene:
    """A scene at scale 1."""
    return scenes()
