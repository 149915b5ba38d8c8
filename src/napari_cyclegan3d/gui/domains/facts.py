"""What a row of a domain is: found out from its files, off the GUI thread."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.domains.counts import Counts, count
from napari_cyclegan3d.gui.labels import voxel_size
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.gui.thumbnails import sampled_planes, thumbnail
from napari_cyclegan3d.io.dataset_json import Part

# of a row with more volumes only the first ones are looked into
MOST_READ = 8


@dataclass(frozen=True, eq=False)
class Facts:
    """What was found in one source.

    Attributes:
        volumes: Its volumes without their voxels: names, shapes, places, files.
        thumbnail: Grey picture of the first one, (rows, columns).
        counts: How often which grey values occur, of the volumes looked into.
        fingerprints: By volume, for those looked into: what a sample of planes holds;
            None where it is all of one value.
        remarks: Sentences about values that one cannot learn from.
        whole: Shape of the first volume without the source's region.
        text: What the command line takes for the source; None for a layer that came
            from no file.
        error: Why the source cannot be used; empty if it can.
    """

    volumes: tuple[Volume, ...] = ()
    thumbnail: NDArray[np.uint8] | None = None
    counts: Counts | None = None
    fingerprints: tuple[str | None, ...] = ()
    remarks: tuple[str, ...] = ()
    whole: tuple[int, int, int] | None = None
    text: str | None = None
    error: str = ""


def look_at(source: Source, part: Part = "train") -> Facts:
    """Open a source and sample a bounded number of its voxels."""
    try:
        volumes = source.volumes(part)
        sampled = [sampled_planes(volume) for volume in volumes[:MOST_READ]]
        whole = volumes if source.region is None else Source(source.item).volumes(part)
    except InputError as error:
        # a row has no room for the folder, which its tooltip tells
        return Facts(error=str(error).replace(str(source.item), source.name))
    remarks = [
        remark
        for volume, planes in zip(volumes, sampled, strict=False)
        for remark in _remarks(volume.name, planes)
    ]
    return Facts(
        tuple(_without_voxels(volume) for volume in volumes),
        thumbnail(sampled[0]) if sampled else None,
        count(plane for planes in sampled for plane in planes),
        tuple(_fingerprint(planes) for planes in sampled),
        tuple(remarks),
        whole[0].shape if whole else None,
        source.text(),
    )


def describe(facts: Facts) -> str:
    """Shape, voxel size and type in one line, such as `64 × 80 × 80 · 2 µm · uint8`."""
    if facts.error or not facts.volumes:
        return facts.error or "no volume"
    first = facts.volumes[0]
    shapes = {volume.shape for volume in facts.volumes}
    shape = " × ".join(map(str, first.shape))
    parts = [shape if len(shapes) == 1 else f"{shape} and others"]
    if len(facts.volumes) > 1:
        parts.insert(0, f"{len(facts.volumes)} volumes")
    return " · ".join([*parts, spacing_text(first), str(first.dtype)])


def spacing_text(volume: Volume) -> str:
    """Voxel size with its unit, such as `2 × 1 × 1 µm`."""
    return voxel_size(volume.spacing, volume.unit)


def _remarks(name: str, planes: Sequence[NDArray[Any]]) -> list[str]:
    finite = [np.isfinite(plane) for plane in planes]
    if not all(mask.all() for mask in finite):
        return [f"{name}: holds NaN or infinite values; replace them before training"]
    if min(plane.min() for plane in planes) == max(plane.max() for plane in planes):
        return [
            f"{name}: all voxels looked at are {planes[0].flat[0]}; nothing can be "
            "learnt from it, remove it"
        ]
    return []


def _fingerprint(planes: Sequence[NDArray[Any]]) -> str | None:
    if len({value for plane in planes for value in (plane.min(), plane.max())}) == 1:
        return None
    digest = hashlib.sha256()
    for plane in planes:
        digest.update(str(plane.shape).encode())
        digest.update(np.ascontiguousarray(plane, dtype=np.float32).tobytes())
    return digest.hexdigest()


def _without_voxels(volume: Volume) -> Volume:
    # neither files nor voxels are kept open by what is only shown
    nothing: NDArray[Any] = np.broadcast_to(np.zeros((), volume.dtype), volume.shape)
    return replace(volume, array=nothing)
