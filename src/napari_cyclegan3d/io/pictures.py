"""Pictures of slices, as PNG: previews of a training, and rows to compare."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_cyclegan3d.engine.files import atomic_path

PREVIEW_ROWS = (("real_a", "fake_b", "cyclic_a"), ("real_b", "fake_a", "cyclic_b"))
CONTRAST = (0.5, 99.5)
MARGIN, CAPTION = 6, 20
SIDE = 256
BACKGROUND, INK = 24, 230

Panel = tuple[str, NDArray[np.uint8]]


def write_preview(
    run: Path, step: int, images: Mapping[str, NDArray[np.float32]]
) -> Path:
    """Draw the middle slices of both cycles into `run`/previews.

    Args:
        run: Folder of the run.
        step: Training step, for the file's name.
        images: The six volumes (z, y, x) of a `PreviewReady`.

    Returns:
        The PNG file.

    Raises:
        InputError: The file could not be written.
    """
    reals = np.concatenate([images["real_a"].ravel(), images["real_b"].ravel()])
    low, high = np.percentile(reals, CONTRAST)
    rows = [
        [(name.replace("_", " "), panel(images[name], low, high)) for name in names]
        for names in PREVIEW_ROWS
    ]
    path = run / "previews" / f"step_{step:08d}.png"
    write_grid(rows, path)
    return path


def panel(
    volume: NDArray[np.floating] | NDArray[np.integer],
    low: float,
    high: float,
    side: int = SIDE,
) -> NDArray[np.uint8]:
    """The middle slice of a volume (z, y, x), enlarged to `side` pixels, as 8-bit grey.

    Voxels are repeated, never interpolated: a picture must not look smoother than its
    data. `low` becomes black, `high` white.
    """
    plane = volume[volume.shape[0] // 2].astype(np.float64)
    grey = np.clip((plane - low) / max(high - low, np.finfo(np.float64).tiny), 0, 1)
    factor = max(1, side // max(plane.shape))
    grey = np.nan_to_num(grey).repeat(factor, 0).repeat(factor, 1)
    return np.asarray(np.round(255 * grey), dtype=np.uint8)


def write_grid(rows: Sequence[Sequence[Panel]], path: Path) -> None:
    """Write rows of captioned grey panels as one PNG.

    Raises:
        InputError: The file could not be written.
    """
    height = max(image.shape[0] for row in rows for _, image in row) + CAPTION + MARGIN
    width = max(image.shape[1] for row in rows for _, image in row) + MARGIN
    columns = max(len(row) for row in rows)
    size = (columns * width + MARGIN, len(rows) * height + MARGIN)
    picture = Image.new("L", size, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=13)
    for j, row in enumerate(rows):
        for i, (caption, image) in enumerate(row):
            x, y = MARGIN + i * width, MARGIN + j * height
            draw.text((x, y), caption, fill=INK, font=font)
            picture.paste(Image.fromarray(image), (x, y + CAPTION))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
