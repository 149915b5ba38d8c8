"""The previews that one can go back to: the newest in memory, the others on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.progress.preview import CYCLES, ENLARGEMENT, Images
from napari_cyclegan3d.io.previews import read_preview, saved_previews

MOST_BYTES = 2**26
KINDS = tuple({name for row in rows for name in row} for rows in (CYCLES, ENLARGEMENT))


@dataclass(frozen=True, eq=False)
class Found:
    """A preview from disk: its step and images, and the steps of all that are there."""

    step: int
    images: Images
    saved: Sequence[int]


class PreviewMemory:
    """Previews by their step.

    Attributes:
        run: Folder of the run, where previews are saved; None: not known.

    Args:
        most: Bytes that the images in memory may take; the newest stays in any case.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.run: Path | None = None
        self._most, self._bytes = most, 0
        self._images: dict[int, Images] = {}
        self._saved: set[int] = set()

    def steps(self) -> list[int]:
        """The steps whose previews can be seen, in order."""
        return sorted(self._saved | self._images.keys())

    def images(self, step: int) -> Images | None:
        """The images of a step, if they are in memory."""
        return self._images.get(step)

    def add(self, step: int, images: Images) -> None:
        """Keep a new preview, and forget the oldest if that is too much."""
        self._forget(step)
        self._images[step] = images
        self._bytes += _size(images)
        while self._bytes > self._most and len(self._images) > 1:
            oldest = min(self._images)
            self._forget(oldest)
            if self.run is not None:
                self._saved.add(oldest)

    def set_saved(self, steps: Sequence[int]) -> None:
        """The steps that are found on disk now."""
        self._saved = set(steps)

    def rewind(self, step: int) -> None:
        """Forget what came after a step to which the training goes back."""
        for later in [one for one in self._images if one > step]:
            self._forget(later)
        self._saved = {one for one in self._saved if one <= step}

    def _forget(self, step: int) -> None:
        images = self._images.pop(step, None)
        if images is not None:
            self._bytes -= _size(images)


def read_nearest(run: Path, step: int) -> Iterator[Found]:
    """The saved preview nearest to a step, as the only event.

    Fewer stay on disk, the longer a training is; hence the nearest.

    Raises:
        InputError: There is none, or it is damaged.
    """
    saved = saved_previews(run)
    if not saved:
        raise InputError(f"{run}: has no saved previews")
    nearest, path = min(saved, key=lambda one: abs(one[0] - step))
    images = read_preview(path)
    dimensions = {image.ndim for image in images.values()}
    whole = all(image.size for image in images.values())
    if set(images) not in KINDS or len(dimensions) != 1 or not whole:
        raise InputError(f"{path}: is no preview of a training; remove it")
    yield Found(nearest, images, [one for one, _ in saved])


def _size(images: Images) -> int:
    return sum(image.nbytes for image in images.values())
