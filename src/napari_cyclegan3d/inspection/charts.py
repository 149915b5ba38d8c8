"""Small line and point charts as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from napari_cyclegan3d.inspection.markup import Safe, element, joined

WIDTH, HEIGHT = 380, 240
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 42
# Okabe and Ito, without green and red: neither safe nor contradicted is meant
COLOURS = ("#0072b2", "#e69f00", "#555555", "#cc79a7", "#56b4e9", "#b08d00")
_STEPS = (1, 2, 2.5, 5, 10)
# of the key: its beginning, the height and width of an entry
_KEY, _KEY_ROW, _KEY_WIDTH = 12, 15, 184

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line, or points, of a chart.

    Attributes:
        name: In the key; "": not there.
        points: Pairs of x and y; lines go through them in this order.
        colour: Of line or points.
        dashed: Whether the line is.
        dots: Draw points, no line.
        width: Of the line, in pixels.
    """

    name: str
    points: Sequence[Point]
    colour: str = COLOURS[0]
    dashed: bool = False
    dots: bool = False
    width: float = 1.6


@dataclass(frozen=True)
class Area:
    """A filled band between two lines over the same x."""

    name: str
    low: Sequence[Point]
    high: Sequence[Point]
    colour: str = "#0072b2"


@dataclass(frozen=True)
class _Frame:
    """From values to pixels."""

    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, point: Point) -> tuple[float, float]:
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    def path(self, points: Sequence[Point]) -> str:
        return " ".join("{:.1f},{:.1f}".format(*self.place(point)) for point in points)


def chart(
    title: str,
    labels: tuple[str, str],
    series: Sequence[Series],
    *,
    areas: Sequence[Area] = (),
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> Safe:
    """A chart with axes and a key; what is not finite is left out.

    Args:
        title: Read out where the picture cannot be seen.
        labels: Of the horizontal and the vertical axis.
        series: What is drawn, the last one on top.
        areas: Bands behind them.
        x_range: Ends of the axis; by default those of the points.
        y_range: The same, upwards.
    """
    series = [_finite(one) for one in series]
    points = [point for one in series for point in one.points]
    points += [point for one in areas for point in (*one.low, *one.high)]
    frame = _Frame(
        x_range or _ends([x for x, _ in points]),
        y_range or _ends([y for _, y in points]),
    )
    drawn = [_area(one, frame) for one in areas] + [_line(one, frame) for one in series]
    named = [(one.name, one.colour, "band") for one in areas if one.name]
    named += [
        (one.name, one.colour, "dot" if one.dots else "dash" if one.dashed else "line")
        for one in series
        if one.name
    ]
    height = HEIGHT + _KEY_ROW * math.ceil(len(named) / 2) + 4
    return element(
        "svg",
        element("title", title),
        *_axes(frame, *labels),
        element("svg", *drawn, **_plot_box(frame)),
        *_key(named),
        viewBox=f"0 0 {WIDTH} {height}",
        class_="chart",
        role="img",
    )


def _plot_box(frame: _Frame) -> dict[str, object]:
    """Cuts off what leaves the axes."""
    left, top = frame.place((frame.x[0], frame.y[1]))
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    box = {"x": left, "y": top, "width": width, "height": height}
    return {**box, "viewBox": f"{left} {top} {width} {height}"}


def _finite(series: Series) -> Series:
    points = [one for one in series.points if all(map(math.isfinite, one))]
    return Series(
        series.name, points, series.colour, series.dashed, series.dots, series.width
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis: a little more than the values need."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return low - room, high + room


def _ticks(ends: tuple[float, float]) -> list[float]:
    """About five round numbers between two ends."""
    span = ends[1] - ends[0]
    power = 10 ** math.floor(math.log10(span / 5))
    step = next(one * power for one in _STEPS if one * power * 5 >= span * 0.999)
    first = math.ceil(ends[0] / step - 1e-9)
    last = math.floor(ends[1] / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _axes(frame: _Frame, x_label: str, y_label: str) -> list[Safe]:
    bottom, left = HEIGHT - BOTTOM, LEFT
    parts = []
    for x in _ticks(frame.x):
        place = f"{frame.place((x, frame.y[0]))[0]:.1f}"
        parts.append(_rule(place, place, str(TOP), str(bottom)))
        parts.append(_text(f"{x:g}", place, bottom + 14, "middle"))
    for y in _ticks(frame.y):
        place = f"{frame.place((frame.x[0], y))[1]:.1f}"
        parts.append(_rule(str(left), str(WIDTH - RIGHT), place, place))
        parts.append(_text(f"{y:g}", left - 6, float(place) + 4, "end"))
    parts.append(_text(x_label, (left + WIDTH - RIGHT) / 2, bottom + 31, "middle"))
    middle = (TOP + bottom) / 2
    turned = {"transform": f"rotate(-90 13 {middle})"}
    parts.append(_text(y_label, 13, middle, "middle", **turned))
    return parts


def _rule(x1: str, x2: str, y1: str, y2: str) -> Safe:
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, stroke="#ddd")


def _text(text: str, x: object, y: object, anchor: str, **more: object) -> Safe:
    return element("text", text, x=x, y=y, text_anchor=anchor, **more)


def _line(series: Series, frame: _Frame) -> Safe:
    if series.dots:
        return joined(
            element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3, fill=series.colour)
            for x, y in map(frame.place, series.points)
        )
    dashes = {"stroke_dasharray": "5 4"} if series.dashed else {}
    return element(
        "polyline",
        points=frame.path(series.points),
        fill="none",
        stroke=series.colour,
        stroke_width=series.width,
        **dashes,
    )


def _area(area: Area, frame: _Frame) -> Safe:
    around = [*area.low, *reversed(area.high)]
    return element(
        "path",
        d=f"M{frame.path(around).replace(' ', ' L')}Z",
        fill=area.colour,
        fill_opacity=0.15,
    )


def _key(named: Sequence[tuple[str, str, str]]) -> list[Safe]:
    """What the colours mean, in two columns below the chart."""
    parts = []
    for index, (name, colour, kind) in enumerate(named):
        x = _KEY + (index % 2) * _KEY_WIDTH
        y = HEIGHT + _KEY_ROW * (index // 2) + 6
        middle = y - 4
        if kind == "dot":
            parts.append(element("circle", cx=x + 10, cy=middle, r=3, fill=colour))
        else:
            dashes = {"stroke_dasharray": "5 4"} if kind == "dash" else {}
            if kind == "band":
                dashes = {"stroke_opacity": "0.2"}
            parts.append(
                element(
                    "line",
                    x1=x,
                    x2=x + 20,
                    y1=middle,
                    y2=middle,
                    stroke=colour,
                    stroke_width=9 if kind == "band" else 2,
                    **dashes,
                )
            )
        parts.append(_text(name, x + 26, y, "start"))
    return parts
