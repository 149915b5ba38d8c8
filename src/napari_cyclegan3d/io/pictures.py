"""Pictures of slices, as PNG: previews of a training, and rows to compare."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_cyclegan3d.engine.files import atomic_path

CYCLES = (("real_a", "fake_b", "cyclic_a"), ("real_b", "fake_a", "cyclic_b"))
ENLARGEMENT = (("real_a", "fake_b", "real_b"),)
CONTRAST = (0.5, 99.5)
MARGIN, CAPTION = 6, 20
SIDE = 256
BACKGROUND, INK = 24, 230
HISTOGRAM_SIZE = (384, 160)
BINS = 96
# real, fake and cyclic
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 190, 130))

Panel = tuple[str, NDArray[np.uint8]]


def preview_rows(
    images: Mapping[str, NDArray[np.float32]], *, histograms: bool = False
) -> list[list[Panel]]:
    """The middle slices of a `PreviewReady`, captioned, for `draw_grid`.

    Args:
        images: Its images, each (z, y, x) or (rows, columns).
        histograms: Add a row with the intensity histograms of each cycle.
    """
    reals = np.concatenate([images["real_a"].ravel(), images["real_b"].ravel()])
    low, high = map(float, np.percentile(reals, CONTRAST))
    cycles = CYCLES if "cyclic_a" in images else ENLARGEMENT
    rows = [
        [(name.replace("_", " "), panel(images[name], low, high)) for name in names]
        for names in cycles
    ]
    if histograms:
        # a fake may reach beyond the grey values of the real images
        room = (high - low) / 4
        limits = (low - room, high + room)
        rows.append(
            [
                (
                    "grey values, root of counts",
                    histogram({name: images[name] for name in names}, limits),
                )
                for names in cycles
            ]
        )
    return rows


def write_preview(
    run: Path,
    step: int,
    images: Mapping[str, NDArray[np.float32]],
    *,
    histograms: bool = False,
) -> Path:
    """Draw the middle slices of a `PreviewReady` into `run`/previews.

    Args:
        run: Folder of the run.
        step: Training step, for the file's name.
        images: Its images, each (z, y, x) or (rows, columns).
        histograms: Draw the intensity histograms below.

    Returns:
        The PNG file.

    Raises:
        InputError: The file could not be written.
    """
    path = run / "previews" / f"step_{step:08d}.png"
    write_grid(preview_rows(images, histograms=histograms), path)
    return path


def panel(
    volume: NDArray[np.floating] | NDArray[np.integer],
    low: float,
    high: float,
    side: int = SIDE,
) -> NDArray[np.uint8]:
    """The middle slice of a volume, enlarged to `side` pixels, as 8-bit grey.

    Voxels are repeated, never interpolated: a picture must not look smoother than its
    data. `low` becomes black, `high` white. A volume is (z, y, x); an image (rows,
    columns) is its own middle slice.
    """
    plane = volume if volume.ndim == 2 else volume[volume.shape[0] // 2]
    span = max(high - low, np.finfo(np.float64).tiny)
    grey = np.clip((plane.astype(np.float64) - low) / span, 0, 1)
    factor = max(1, side // max(plane.shape))
    grey = np.nan_to_num(grey).repeat(factor, 0).repeat(factor, 1)
    return np.asarray(np.round(255 * grey), dtype=np.uint8)


def histogram(
    images: Mapping[str, NDArray[np.float32]], limits: tuple[float, float]
) -> NDArray[np.uint8]:
    """Overlaid histograms of images, as a colour picture (rows, columns, 3).

    Heights are the square root of the share of voxels: next to an empty background
    the grey values of a specimen are few.
    """
    width, height = HISTOGRAM_SIZE
    shares = [
        np.sqrt(np.histogram(image, BINS, limits)[0] / image.size)
        for image in images.values()
    ]
    top = max(float(np.max(shares)), np.finfo(np.float64).tiny)
    across = np.linspace(0, width - 1, BINS)
    picture = Image.new("RGB", (width, height), (0, 0, 0))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=13)
    for i, (name, share) in enumerate(zip(images, shares, strict=True)):
        down = (height - 1) * (1 - share / top)
        points = list(zip(across.tolist(), down.tolist(), strict=True))
        draw.line(points, fill=COLOURS[i], width=2)
        draw.text((MARGIN, i * CAPTION), name.replace("_", " "), COLOURS[i], font)
    return np.asarray(picture)


def write_grid(rows: Sequence[Sequence[Panel]], path: Path) -> None:
    """Write rows of captioned panels as one PNG.

    Raises:
        InputError: The file could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        draw_grid(rows).save(temporary, format="PNG")


def draw_grid(rows: Sequence[Sequence[Panel]]) -> Image.Image:
    """Rows of captioned panels; in colour where one of them is."""
    panels = [image for row in rows for _, image in row]
    coloured = any(image.ndim == 3 for image in panels)
    heights = [max(image.shape[0] for _, image in row) for row in rows]
    widths = [max(image.shape[1] for _, image in row) + MARGIN for row in rows]
    across = max(len(row) * width for row, width in zip(rows, widths, strict=True))
    down = sum(height + CAPTION + MARGIN for height in heights)
    picture = Image.new("L", (across + MARGIN, down + MARGIN), BACKGROUND)
    if coloured:
        picture = picture.convert("RGB")
    ink = (INK,) * 3 if coloured else INK
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=13)
    y = MARGIN
    for row, width, height in zip(rows, widths, heights, strict=True):
        for i, (caption, image) in enumerate(row):
            x = MARGIN + i * width
            while len(caption) > 1 and draw.textlength(caption, font) > width - MARGIN:
                caption = f"…{caption[2:]}"  # names of runs differ at their ends
            draw.text((x, y), caption, fill=ink, font=font)
            picture.paste(Image.fromarray(image), (x, y + CAPTION))
        y += height + CAPTION + MARGIN
    return picture
