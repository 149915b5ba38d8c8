"""The colours of napari's theme, for what Qt's style sheets do not reach: plots."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from napari.utils.theme import get_theme
from qtpy.compat import isalive  # before pyqtgraph, which else picks a binding itself

import pyqtgraph as pg  # isort: skip

if TYPE_CHECKING:
    import napari

ON_DARK = (
    "#4c9be8",
    "#f28e2b",
    "#6abf5e",
    "#f0696b",
    "#c08fba",
    "#edc948",
    "#b0b0b0",
    "#76c7c2",
    "#ff9da7",
)
ON_LIGHT = (
    "#1f6fbf",
    "#c05f00",
    "#2f7d27",
    "#c62f35",
    "#8b4a86",
    "#8a7000",
    "#666666",
    "#1f7f7a",
    "#d0496a",
)


@dataclass(frozen=True)
class Colours:
    """Colours as #rrggbb.

    Attributes:
        background: Of the dock.
        text: Of words and numbers.
        faint: Of axes, and of words that matter less.
        curves: Of things drawn beside each other, easy to tell apart.
    """

    background: str
    text: str
    faint: str
    curves: tuple[str, ...]


def theme_colours(theme: str = "dark") -> Colours:
    """The colours of a theme of napari, by its name."""
    found = get_theme(theme)
    return Colours(
        _hex(found.background),
        _hex(found.text),
        _hex(found.secondary),
        ON_LIGHT if sum(found.background.as_rgb_tuple()[:3]) > 1.5 * 255 else ON_DARK,
    )


def follow_theme(
    viewer: "napari.viewer.Viewer | None", callback: Callable[[Colours], None]
) -> None:
    """Hand over the colours now, and again whenever the user changes the theme.

    It ends at the next change after the widget, which this does not keep alive. Nothing
    is done when the widget is being destroyed: whatever Python runs then may collect
    the widget as garbage, which deletes it twice.

    Args:
        viewer: Whose theme it is; None: napari's dark theme, for good.
        callback: A method of a widget.
    """
    if viewer is None:
        callback(theme_colours())
        return
    method: WeakMethod[Any] = WeakMethod(callback)
    themes = viewer.events.theme

    def tell(_: object = None) -> None:
        call = method()
        if call is None or not isalive(call.__self__):  # type: ignore[no-untyped-call]
            themes.disconnect(tell)
        else:
            call(theme_colours(viewer.theme))

    tell()
    themes.connect(tell)


def paint_plot(plot: pg.PlotItem, colours: Colours) -> None:
    """Give the axes of a plot the colours of the theme; its widget has the ground."""
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(colours.faint)
        axis.setTextPen(colours.text)


def _hex(colour: Any) -> str:
    red, green, blue = colour.as_rgb_tuple()[:3]
    return f"#{red:02x}{green:02x}{blue:02x}"
