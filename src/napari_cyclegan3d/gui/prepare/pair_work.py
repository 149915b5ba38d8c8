"""Two layers as a pair, off the GUI thread. All of these are generators."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from napari.layers import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.pairing import matched_names
from napari_cyclegan3d.gui.history import saved, with_history
from napari_cyclegan3d.gui.layers import LayerData, to_volume
from napari_cyclegan3d.gui.prepare.place import Shown, layer_attributes
from napari_cyclegan3d.gui.prepare.task import SOURCE_KEY, Grey, Written
from napari_cyclegan3d.gui.prepare.work import voxels_of, within
from napari_cyclegan3d.prepare.events import Event, Saved, Warned, Working
from napari_cyclegan3d.prepare.pairs import PairDone, PairSettings, paired

SUFFIX = ".nii.gz"
READING = 0.3  # share of the time for computing the voxels of the result
# how much longer N4 takes than one pass over the voxels, and how many of those follow
N4, PASSES = 10, {"content": 7, "overlap": 3, "none": 1}


@dataclass(frozen=True, eq=False)
class PairTask:
    """What is to become a pair.

    Attributes:
        a: The layer whose grid counts.
        b: The layer that is brought onto it.
        settings: How.
    """

    a: Image
    b: Image
    settings: PairSettings


@dataclass(frozen=True, eq=False)
class PairMade:
    """Both volumes on one grid, as layers where they belong.

    Attributes:
        a: The layer of the first volume.
        b: That of the second one.
        remarks: What is worth knowing about them.
    """

    a: LayerData
    b: LayerData
    remarks: tuple[str, ...] = ()


def pair(task: PairTask) -> Iterator[Event | PairMade]:
    """Bring two layers onto one grid.

    Yields:
        Working and Warned; PairMade as the last event.

    Raises:
        InputError: One of them is no volume, or they are no pair.
    """
    layers = task.a, task.b
    a, b = (with_history(to_volume(layer)) for layer in layers)
    remarks: list[str] = []
    for event in _placed(paired(a, b, task.settings), task.settings):
        if isinstance(event, PairDone):
            done = event
            continue
        if isinstance(event, Warned):
            remarks.append(event.message)
        yield event
    shown = [Shown(a, task.a), Shown(b, task.b)]
    made: list[LayerData] = []
    for number, (result, layer) in enumerate(
        zip((done.a, done.b), layers, strict=True)
    ):
        begun = 1 - READING + number * READING / 2
        voxels = yield from voxels_of(result, begun, READING / 2)
        kwargs = layer_attributes(result, shown)
        kwargs["name"] = f"{layer.name} pair"
        kwargs["metadata"] = {**kwargs["metadata"], SOURCE_KEY: layer.name}
        made.append((voxels, kwargs, "image"))
    yield PairMade(made[0], made[1], (*dict.fromkeys(remarks), *_unmatched(made)))


def files_of(names: Sequence[str], folder: Path) -> list[Path]:
    """Where a pair is written to: as the command does, in folders a and b.

    Args:
        names: Of the layers that A and B were made from.
        folder: The folder of the pair.
    """
    plain = [re.sub(r"[^\w.+-]+", "_", name).strip("_.") or "volume" for name in names]
    sides = ("a", "b")
    return [
        folder / side / f"{name}{SUFFIX}"
        for side, name in zip(sides, plain, strict=True)
    ]


def save_pair(
    layers: Sequence[Grey], paths: Sequence[Path]
) -> Iterator[Event | Written]:
    """Write both layers of a pair, each with its history beside it.

    Raises:
        InputError: A folder or a file could not be written.
    """
    for number, (layer, path) in enumerate(zip(layers, paths, strict=True)):
        last = number + 1 == len(paths)
        told = f"Wrote {' and '.join(map(str, paths))}"
        with _made(path.parent):
            for event in saved(layer, path):
                if isinstance(event, Saved):
                    begun = f"Wrote {path}, but not {paths[-1].name}"
                    yield Written(told if last else begun)
                elif isinstance(event, Working):
                    yield within(event, number / 2, 0.5)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that goes again if nothing is written into it."""
    new = [one for one in (folder, folder.parent) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror or error}); choose another "
            "folder for the pair"
        ) from error
    try:
        yield
    finally:
        for one in new:
            with suppress(OSError):  # it holds something
                one.rmdir()


def _placed(
    events: Iterator[Event | PairDone], settings: PairSettings
) -> Iterator[Event | PairDone]:
    """The events of one pass over voxels after another as parts of the whole."""
    weights = [N4] * (2 * settings.n4) + [1] * PASSES[settings.crop]
    unit = (1 - READING) / sum(weights)
    number, last = 0, 0.0
    for event in events:
        if not isinstance(event, Working):
            yield event
            continue
        if event.fraction < last:  # the next pass has begun
            number = min(number + 1, len(weights) - 1)
        last = event.fraction
        yield within(event, unit * sum(weights[:number]), unit * weights[number])


def _unmatched(made: Sequence[LayerData]) -> tuple[str, ...]:
    """What to do if the names of two layers do not say that they are a pair."""
    names = [one[1]["name"] for one in made]
    with suppress(InputError):
        matched_names(names[:1], names[1:])
        return ()
    return (
        f"to train on them as a pair, rename them: {names[0]} and {names[1]} differ in "
        "more than the contrast, as head_T1 and head_T2 do not",
    )
