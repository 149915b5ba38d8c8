"""Pictures of a crop as inline SVG: three planes of every volume, with its outline.

Voxels are drawn as they are, never smoothed: a picture must not look better than its
data.
"""

import base64
import io
import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cyclegan3d.inspection.crops import Block, Crop
from napari_cyclegan3d.inspection.markup import Safe, element
from napari_cyclegan3d.inspection.words import symbol

# pixels of the longest side of a plane; ticks that point to the finding
SIDE, TICK = 168, 9
# standard deviations at which a residual has its full colour, at least
LEAST_LIMIT = 6.0
BRIGHTER, DARKER = (0, 90, 200), (230, 120, 0)
# the axis that a plane lies across, and its name
PLANES = ((0, "plane y x"), (1, "plane z x"), (2, "plane z y"))

Colours = Callable[[Block], NDArray[np.uint8]]


def planes(crop: Crop) -> Safe:
    """A grid of pictures: a row for each volume, a column for each plane."""
    rows = []
    for name, block, colours, outlined in _rows(crop):
        cells = [
            element("td", _picture(crop, block, colours, axis, outlined=outlined))
            for axis, _ in PLANES
        ]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    heads = [element("th", name, scope="col") for _, name in PLANES]
    head = element("tr", element("td"), *heads)
    inner = element("table", element("tbody", head, *rows), class_="planes")
    return element("div", inner, class_="wide")


def _rows(crop: Crop) -> Iterator[tuple[str, Block, Colours, bool]]:
    """Name, voxels, what their colours are, and whether to outline the finding."""
    grey = partial(shades, limits=crop.limits_enhanced)
    yield "raw", crop.raw, partial(shades, limits=crop.limits_raw), False
    yield "enhanced", crop.enhanced, grey, True
    if crop.residual is not None:
        limit = max(LEAST_LIMIT, float(np.abs(crop.residual).max()))
        signed = partial(residual_colours, limit=limit)
        yield f"residual ± {limit:.0f}", crop.residual, signed, True
    if crop.truth is not None:
        yield "truth", crop.truth, grey, True


def _picture(
    crop: Crop,
    block: Block,
    colours: Colours,
    axis: int,
    *,
    outlined: bool,
) -> Safe:
    """One plane of one volume, as large as it is in the world."""
    across = [n for n in range(3) if n != axis]
    extent = [
        count * side
        for count, side in zip(crop.enhanced.shape, crop.spacing, strict=True)
    ]
    pixel = SIDE / max(extent)
    height, width = (extent[n] * pixel for n in across)
    plane = np.take(block, _index(crop, block, axis), axis)
    step_y, step_x = (crop.spacing[n] * pixel for n in across)
    parts = [
        element(
            "image",
            href=png(colours(plane)),
            width=f"{width:.2f}",
            height=f"{height:.2f}",
            preserveAspectRatio="none",
        )
    ]
    if outlined:
        path = outline(np.take(crop.inside, crop.centre[axis], axis), step_y, step_x)
        parts += [element("path", d=path, class_=c) for c in ("halo", "outline")]
    y, x = ((crop.centre[n] + 0.5) * crop.spacing[n] * pixel for n in across)
    parts.append(element("path", d=_ticks(y, x, height, width), class_="ticks"))
    return element(
        "svg", *parts, width=f"{width:.2f}", height=f"{height:.2f}", class_="plane"
    )


def _index(crop: Crop, block: Block, axis: int) -> int:
    """The plane through the centre, in a block on either grid."""
    sides: tuple[int, ...] = block.shape
    return crop.centre[axis] * sides[axis] // int(crop.enhanced.shape[axis])


def _ticks(y: float, x: float, height: float, width: float) -> str:
    return (
        f"M0 {y:.1f}h{TICK}M{width:.1f} {y:.1f}h{-TICK}"
        f"M{x:.1f} 0v{TICK}M{x:.1f} {height:.1f}v{-TICK}"
    )


def shades(plane: Block, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """8-bit grey: the first limit is black, the second white, whichever is larger."""
    low, high = limits
    span = high - low or 1.0
    grey = np.clip((plane.astype(np.float64) - low) / span, 0, 1)
    return np.asarray(np.round(255 * grey), dtype=np.uint8)


def residual_colours(plane: Block, limit: float) -> NDArray[np.uint8]:
    """Blue where the raw volume is brighter than expected, orange where darker."""
    strength = np.clip(plane.astype(np.float64) / limit, -1, 1)[..., None]
    full = np.where(strength > 0, np.array(BRIGHTER), np.array(DARKER))
    colours = 255 + np.abs(strength) * (full - 255)
    return np.asarray(np.round(colours), dtype=np.uint8)


def png(image: NDArray[np.uint8]) -> str:
    """A picture as a `data:` address."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def outline(inside: NDArray[np.bool_], step_y: float, step_x: float) -> str:
    """The border of a mask along the edges of its voxels, as an SVG path.

    Args:
        inside: The mask (rows, columns).
        step_y: Height of a voxel in pixels.
        step_x: Its width.
    """
    padded = np.pad(inside.astype(np.int8), 1)
    flat = np.argwhere(np.diff(padded, axis=0)[:, 1:-1])
    upright = np.argwhere(np.diff(padded, axis=1)[1:-1])
    parts = [f"M{x * step_x:.1f} {y * step_y:.1f}h{step_x:.1f}" for y, x in flat]
    parts += [f"M{x * step_x:.1f} {y * step_y:.1f}v{step_y:.1f}" for y, x in upright]
    return "".join(parts) or "M0 0"


def scale_bar(crop: Crop, unit: str) -> Safe:
    """A bar of a round length, as long as it is in the pictures."""
    longest = max(
        n * side for n, side in zip(crop.inside.shape, crop.spacing, strict=True)
    )
    power = 10 ** math.floor(math.log10(longest / 3))
    length = max(one * power for one in (1, 2, 5) if one * power <= longest / 3)
    width = f"{length / longest * SIDE:.1f}"
    bar = element("svg", element("rect", width=width, height=4), width=width, height=4)
    return element("p", bar, f" {length:g} {symbol(unit)}", class_="bar")
