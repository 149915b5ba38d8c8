"""What the views change for a while and give back as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_cyclegan3d.gui.canvas import text_of
from napari_cyclegan3d.gui.views.shown import Shown

if TYPE_CHECKING:
    from napari.viewer import Viewer

COLOUR = "#ffd400"  # of what views draw; red is for what is contradicted
# in the metadata of layers that belong to a view; nobody else should use them
VIEW_KEY = "napari-cyclegan3d-view"
LINKED = {
    "image": (
        "attenuation",
        "colormap",
        "contrast_limits",
        "depiction",
        "gamma",
        "interpolation2d",
        "interpolation3d",
        "iso_threshold",
        "opacity",
        "rendering",
    ),
    "labels": ("colormap", "contour", "opacity", "selected_label"),
    "vectors": ("data", "edge_width", "opacity"),
}


class Changed:
    """Attributes that a view has set; the first values come back at its end."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, thing: Any, **values: Any) -> None:
        """Set attributes of a layer or of another model of napari."""
        for name, value in values.items():
            self._before.append((thing, name, getattr(thing, name)))
            setattr(thing, name, value)

    def restore(self) -> None:
        """Give everything back."""
        while self._before:
            thing, name, value = self._before.pop()
            setattr(thing, name, value)


class Caption:
    """Words in the canvas's corner, of several views at a time.

    What the user had written there is back when no view has any words.
    """

    def __init__(self, viewer: "Viewer") -> None:
        self._overlay = text_of(viewer)
        self._changed = Changed()
        self._lines: dict[str, str] = {}

    def say(self, view: str, words: str = "") -> None:
        """Show the words of a view; nothing takes them away."""
        had = bool(self._lines)
        self._lines = {key: one for key, one in self._lines.items() if key != view}
        if words:
            self._lines[view] = words
        if not self._lines:
            self._changed.restore()
            return
        text = "\n".join(self._lines.values())
        if had:
            self._overlay.text = text
        else:
            self._changed.set(self._overlay, position="bottom_left", text=text)
            self._changed.set(self._overlay, visible=True)


class Matched:
    """The raw volume in the contrast of the enhanced one, by the fitted gain.

    Without it, the eye sees the gain before anything else. Where the contrast is
    inverted, as between modalities, and before an inspection nothing is changed.

    Args:
        shown: The layers.
    """

    def __init__(self, shown: Shown) -> None:
        self._raw, self._enhanced = shown.raw, shown.enhanced
        fit = shown.inspection.operator if shown.inspection is not None else None
        self._fit = fit if fit is not None and fit.gain > 0 else None
        self._before = self._raw.contrast_limits, self._raw.contrast_limits_range
        self._set: Any = None
        if self._fit is not None:
            self._follow()
            self._enhanced.events.contrast_limits.connect(self._follow)

    def end(self) -> None:
        """Give the contrast back, unless the user has set another meanwhile."""
        if self._fit is None:
            return
        self._enhanced.events.contrast_limits.disconnect(self._follow)
        if list(self._raw.contrast_limits) == self._set:
            limits, span = self._before
            self._raw.contrast_limits = limits
            self._raw.contrast_limits_range = span

    def _follow(self, _: object = None) -> None:
        assert self._fit is not None
        limits = self._enhanced.contrast_limits
        self._raw.contrast_limits = [
            self._fit.gain * one + self._fit.offset for one in limits
        ]
        self._set = list(self._raw.contrast_limits)


class Mirror:
    """Two layers that look alike: what changes in one changes in the other.

    Args:
        layer: A layer.
        copy: A layer of the same kind.
    """

    def __init__(self, layer: Layer, copy: Layer) -> None:
        self._pair = layer, copy
        names = LINKED[layer.as_layer_data_tuple()[2]]
        self._links: list[tuple[Any, Callable[..., None]]] = []
        self._busy = False
        for source, target in ((layer, copy), (copy, layer)):
            for name in names:
                self._connect(source, target, name)

    def end(self) -> None:
        """Let both go their ways."""
        for event, follow in self._links:
            event.disconnect(follow)
        self._links.clear()

    def _connect(self, source: Layer, target: Layer, name: str) -> None:
        def follow(_: object = None) -> None:
            if self._busy:
                return
            self._busy = True
            try:
                setattr(target, name, getattr(source, name))
            finally:
                self._busy = False

        event = getattr(source.events, name)
        event.connect(follow)
        self._links.append((event, follow))


def duplicate(layer: Layer, part: Any = None, **changes: Any) -> Layer:
    """A layer of a view that looks like another one and shares its voxels.

    Args:
        layer: The other one.
        part: Some of its voxels, without those of a pyramid; None: all.
        changes: What differs.
    """
    data, attributes, kind = layer.as_layer_data_tuple()
    if part is not None:
        data, attributes = part, attributes | {"multiscale": False}
    attributes |= {"metadata": {VIEW_KEY: layer.name}, "visible": True} | changes
    copy = Layer.create(data, attributes, kind)
    if kind == "labels":  # which napari does not count among what makes a layer
        copy.contour, copy.selected_label = layer.contour, layer.selected_label
    return copy


def is_private(layer: Any) -> bool:
    """Whether a layer belongs to a view."""
    return VIEW_KEY in layer.metadata


def add_private(viewer: "Viewer", *new: Layer, index: int | None = None) -> None:
    """Put layers of a view in, on top or below others; the selection stays."""
    layers = viewer.layers
    with _same_selection(viewer):
        for layer in new:
            layers.insert(len(layers) if index is None else index, layer)


def remove_private(viewer: "Viewer", *old: Layer) -> None:
    """Take layers of a view away that are still there; the selection stays."""
    with _same_selection(viewer):
        for layer in old:
            if layer in viewer.layers:
                viewer.layers.remove(layer)


@contextmanager
def _same_selection(viewer: "Viewer") -> Iterator[None]:
    layers = viewer.layers
    active, chosen = layers.selection.active, set(layers.selection)
    yield
    layers.selection = {one for one in chosen if one in layers}
    if active is not None and active in layers:
        layers.selection.active = active
