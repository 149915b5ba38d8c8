"""What was done to a volume before: it comes with its file, and goes with it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from napari.layers import Image, Labels

from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import is_series, to_volume, to_volumes
from napari_cyclegan3d.io.frames import Series
from napari_cyclegan3d.io.origins import text_of
from napari_cyclegan3d.io.series import write_series
from napari_cyclegan3d.prepare.events import Event, Saved, Working
from napari_cyclegan3d.prepare.records import opened, records_path, to_json
from napari_cyclegan3d.prepare.saving import check_new, save


def with_history(volume: Volume) -> Volume:
    """A volume with the records that lie beside its file; headers are read.

    Raises:
        InputError: The file of the records is damaged.
    """
    files = volume.metadata.get("files", ())
    if "prepared" in volume.metadata or len(files) != 1:
        return volume
    text = text_of(volume)
    if text is None or not records_path(Path(files[0])).is_file():
        return volume
    records = opened(text).metadata.get("prepared", ())
    return replace(volume, metadata={**volume.metadata, "prepared": records})


def saved(layer: Image | Labels, path: Path) -> Iterator[Event]:
    """Save what a layer shows into a file, with its history beside it, if it has one.

    What is there is replaced: whoever has chosen the path was asked about that.

    Raises:
        InputError: It is no volume or series, or could not be written; what was there
            before is unchanged.
    """
    if not is_series(layer):
        yield from save(to_volume(layer), path, overwrite=True)
        return
    check_new(path, overwrite=True)
    frames = frames_of(layer)
    records = frames[0].metadata.get("prepared", ())
    beside = records_path(path)
    yield Working(0, f"writing {path.name}")
    with atomic_path(beside) as temporary:
        write_series(frames, path)
        temporary.write_text(to_json(records), encoding="utf-8")
    yield Saved(path, beside)


def frames_of(layer: Image | Labels) -> list[Volume]:
    """The volumes of a layer (t, z, y, x)."""
    volumes = to_volumes(layer)
    unit = "second" if str(layer.units[0]) == "second" else "pixel"
    series = Series("t", (len(volumes),), float(layer.scale[0]), unit)
    return [
        replace(one, name=layer.name, metadata={**one.metadata, "series": series})
        for one in volumes
    ]
