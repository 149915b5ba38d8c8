"""What a training leaves beside its states: pictures, previews, curves, origins."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_cyclegan3d.engine import events
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.sections.steps import RecordConfig
from napari_cyclegan3d.io.origins import write_sources
from napari_cyclegan3d.io.pictures import draw_grid, preview_rows, write_preview
from napari_cyclegan3d.io.previews import drop_previews, save_preview

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from napari_cyclegan3d.engine.sources import Domains

MOST_FRAMES = 100
FRAME_MILLISECONDS = 200
# what grows with the training is drawn again when there is so much more of it
GROWTH = 1.25


class Journal:
    """Writes what there is to see of a training from its events.

    Previews go to previews/, as pictures and as volumes, the curves to history.png,
    where the volumes came from to sources.yaml; the animation, if asked for, to
    previews/training.gif and the events for TensorBoard to tensorboard/. A training
    that is resumed goes on in the same files.

    Args:
        run: Folder of the run; made by the training.
        config: What is wanted beside the previews.
        domains: What is trained on, to be written down; None: it is not.

    Raises:
        InputError: A package for it is missing.
    """

    def __init__(
        self, run: Path, config: RecordConfig, domains: "Domains | None" = None
    ) -> None:
        if config.tensorboard and find_spec("tensorboard") is None:
            raise InputError(
                "record.tensorboard true: the package tensorboard is missing; install "
                "it with pip install tensorboard, or switch it off"
            )
        self._run, self._config, self._domains = run, config, domains
        self._scalars = Scalars(run) if config.tensorboard else None
        self._step = self._drawn_step = 0
        self._frames = self._drawn_frames = 0

    def handle(self, event: events.TrainEvent) -> None:
        """Write what this event has to show.

        Raises:
            InputError: A file could not be written.
        """
        match event:
            case events.Started():
                self._begin(event.step)
            case events.Balanced():  # it may have gone back
                drop_previews(self._run, event.step)
            case events.StepDone():
                self._step = event.step
            case events.PreviewReady():
                self._preview(event)
            case events.CheckpointSaved() if self._step >= GROWTH * self._drawn_step:
                self._draw_history()
        if self._scalars is not None:
            self._scalars.handle(event)

    def close(self) -> None:
        """Write what is not written yet; all files are complete then.

        The training is to be closed before.

        Raises:
            InputError: A file could not be written.
        """
        if self._scalars is not None:
            self._scalars.close()
        if self._frames > self._drawn_frames:
            self._draw_animation()
        if self._step != self._drawn_step:
            self._draw_history()

    def _begin(self, step: int) -> None:
        drop_previews(self._run, step)
        if self._domains is not None:
            write_sources(self._run, self._domains)

    def _preview(self, event: events.PreviewReady) -> None:
        animated = self._config.animation
        write_preview(self._run, event.step, event.images, histograms=animated)
        save_preview(self._run, event.step, event.images)
        if animated:
            self._frames += 1
            if self._frames >= GROWTH * self._drawn_frames:
                self._draw_animation()

    def _draw_animation(self) -> None:
        self._drawn_frames = self._frames
        write_animation(self._run / "previews")

    def _draw_history(self) -> None:
        from napari_cyclegan3d.io.history import write_history

        self._drawn_step = self._step
        if (self._run / "metrics.csv").exists():  # nobody has removed it
            write_history(self._run)


def write_animation(previews: Path) -> Path:
    """Join the previews of a folder into its training.gif.

    Of more than 100 pictures, 100 are taken at equal distances.

    Args:
        previews: A folder with pictures step_….png, one at least.

    Returns:
        The GIF file.

    Raises:
        InputError: The file could not be written.
    """
    pictures = sorted(previews.glob("step_*.png"))
    count = min(len(pictures), MOST_FRAMES)
    chosen = np.linspace(0, len(pictures) - 1, count).round().astype(int)
    with Image.open(pictures[-1]) as last:
        size = last.size
    frames = _frames([pictures[i] for i in chosen], size)
    first = next(frames)
    path = previews / "training.gif"
    with atomic_path(path) as temporary:
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames,
            duration=FRAME_MILLISECONDS,
            loop=0,
        )
    return path


def _frames(pictures: list[Path], size: tuple[int, int]) -> Iterator[Image.Image]:
    """The pictures one by one; those from before a change of layout get its size."""
    for path in pictures:
        frame = Image.new("RGB", size)
        with Image.open(path) as picture:
            frame.paste(picture.convert("RGB"))
        yield frame.quantize()


class Scalars:
    """Events for TensorBoard: terms of each step, scores and previews.

    Args:
        run: Folder of the run; written to is its tensorboard/.
    """

    def __init__(self, run: Path) -> None:
        self._folder = run / "tensorboard"
        self._writer: SummaryWriter | None = None
        self._step = 0

    def handle(self, event: events.TrainEvent) -> None:
        """Write what this event has to show."""
        match event:
            # steps after a saved state, or after a step back, are done again
            case events.Started():
                self._begin_after(event.step)
            case events.Balanced() if event.step < self._step:
                self._begin_after(event.step)
            case events.StepDone():
                self._step = event.step
                self._add("train", event.terms, event.step)
            case events.Validated():
                self._add("validation", event.scores, event.step)
            case events.PreviewReady() if self._writer is not None:
                picture = np.asarray(draw_grid(preview_rows(event.images)))
                self._writer.add_image("preview", picture, event.step, dataformats="HW")

    def close(self) -> None:
        """Write what is not written yet."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _begin_after(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._writer = SummaryWriter(str(self._folder), purge_step=step + 1)

    def _add(self, group: str, values: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)
