"""What the name and the size of a raw file say about its voxels."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# width × height × depth, as programs write it into names; z comes first with us
_SIZES = re.compile(r"(?<!\d)(\d{1,6})[x×](\d{1,6})[x×](\d{1,6})(?!\d)", re.IGNORECASE)
# no word may be a part of another one: 16 is also in 1600, float in no name of bits
_TYPES = {
    "uint8": r"u(int)?8|8bit|byte|uchar",
    "uint16": r"u(int)?16|16bit|ushort",
    "int16": r"s?int16|i16|short",
    "uint32": r"u(int)?32",
    "float32": r"f(loat)?32|32bit|float|single|32f",
    "float64": r"f(loat)?64|64bit|double|64f",
}
_BIG = r"be|big|bigendian|big-endian|msb"
_WIDTHS = {1: "uint8", 2: "uint16", 4: "float32", 8: "float64"}


def guessed(path: Path, last: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a `RawLayout` to begin with; nobody says that they are right.

    Args:
        path: The file; only its name and its size are looked at.
        last: The layout that was used last. It is taken if it fits the size.
    """
    size, name = path.stat().st_size, path.stem
    kind = _named_type(name)
    order = "big" if _has(name, _BIG) else "little"
    found = _SIZES.search(name)
    if found:
        width, height, depth = (max(1, int(one)) for one in found.groups())
        kind = kind or _WIDTHS.get(size // (depth * height * width), "uint16")
        return {"shape": (depth, height, width), "dtype": kind, "byte_order": order}
    if last is not None and _bytes(last) == size:
        return dict(last)
    return {**_cube(size, kind), "byte_order": order}


def _named_type(name: str) -> str | None:
    return next((kind for kind, words in _TYPES.items() if _has(name, words)), None)


def _has(name: str, words: str) -> bool:
    return bool(re.search(rf"(?<![a-z0-9])({words})(?![a-z0-9])", name.lower()))


def _bytes(layout: Mapping[str, Any]) -> int:
    """Size of the file of a layout; 0 where it is none."""
    try:
        voxels = int(np.prod([int(one) for one in layout["shape"]]))
        width = np.dtype(str(layout["dtype"])).itemsize
        return int(layout.get("offset", 0)) + voxels * width
    except (KeyError, TypeError, ValueError):
        return 0


def _cube(size: int, kind: str | None) -> dict[str, Any]:
    """A cube that fills the file, or else one slice of one row."""
    kinds = [kind] if kind else ["uint16", "uint8", "float32"]
    for one in kinds:
        voxels, rest = divmod(size, np.dtype(one).itemsize)
        side = round(voxels ** (1 / 3))
        if not rest and side and side**3 == voxels:
            return {"shape": (side, side, side), "dtype": one}
    voxels = max(1, size // np.dtype(kinds[0]).itemsize)
    return {"shape": (1, 1, voxels), "dtype": kinds[0]}
