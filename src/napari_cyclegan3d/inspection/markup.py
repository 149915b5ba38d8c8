"""HTML in which text from outside cannot become markup.

Every text is escaped, unless it was made here: then it is `Safe`.
"""

import html
from collections.abc import Iterable, Mapping, Sequence

# beside what Python's own escaping leaves: what no XML may hold
_UNPRINTABLE = {code: " " for code in (*range(32), *range(127, 160)) if code != 10}
_EMPTY = {"meta", "image", "path", "line", "rect", "circle", "polyline", "br"}


class Safe(str):
    """Text that is markup already."""

    __slots__ = ()


def escaped(text: object) -> Safe:
    """What a reader sees as this text; markup stays as it is."""
    if isinstance(text, Safe):
        return text
    shown = str(text).translate(_UNPRINTABLE)
    return Safe(html.escape(shown.encode("utf-8", "replace").decode()))


def element(name: str, /, *children: object, **attributes: object) -> Safe:
    """One element.

    Args:
        name: Of the element.
        children: Texts, which are escaped, and elements.
        attributes: Values are escaped; `class_` is `class`, `stroke_width` is
            `stroke-width`.
    """
    parts = [name]
    for key, value in attributes.items():
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{escaped(value)}"')
    start = " ".join(parts)
    if name in _EMPTY:
        return Safe(f"<{start}/>")
    return Safe(f"<{start}>{joined(children)}</{name}>")


def joined(parts: Iterable[object]) -> Safe:
    """Parts one after the other."""
    return Safe("".join(escaped(part) for part in parts))


def section(title: str, *children: object, name: str) -> Safe:
    """A part of the page under a heading, which links to `#name` find."""
    return element("section", element("h2", title), *children, id=name)


def table(
    heads: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "plain"
) -> Safe:
    """A table that scrolls where it is too wide for the screen.

    Args:
        heads: Of the columns.
        rows: A cell for each of them.
        kind: Class of the table.
    """
    head = element("tr", *(element("th", one, scope="col") for one in heads))
    body = (element("tr", *(element("td", one) for one in row)) for row in rows)
    inner = element(
        "table", element("thead", head), element("tbody", *body), class_=kind
    )
    return element("div", inner, class_="wide")


def facts(values: Mapping[str, object]) -> Safe:
    """A table of names and values; what is None is left out."""
    rows = (
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in values.items()
        if value is not None
    )
    return element("table", element("tbody", *rows), class_="facts")


def listed(items: Iterable[object]) -> Safe:
    """A list of points."""
    return element("ul", *(element("li", item) for item in items))
