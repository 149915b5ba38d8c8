"""Training and validation apart: by subject and by volume, never by slice."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tifffile import natural_sorted

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume

_SUBJECT = re.compile(r"(?:^|[/\\_])(sub-[A-Za-z0-9]+)")
# planes and their longest side that are compared: at most 20 MB of float32
_PLANES = 5
_SIDE = 1024


def split(
    volumes: Sequence[Volume], share: float, seed: int
) -> tuple[list[Volume], list[Volume]]:
    """Set aside whole subjects for validation, drawn by the seed.

    The subject of a volume is the one that its tensors' names state, or its BIDS entity
    `sub-…`; without one the folder of its file, if the files lie in several folders;
    else the file, so that regions of one file stay together. Neighbouring slices are
    alike, and so are scans of one head: with some of them on the other side a score
    would flatter.

    Args:
        volumes: Volumes as `open_domain` gives them.
        share: Part of the subjects for validation, above 0 and below 1. At least one
            subject stays on each side.
        seed: The same seed sets the same subjects aside, in another domain with the
            same subjects too.

    Returns:
        The volumes for training and those for validation, each in their order.

    Raises:
        InputError: The share is impossible, or there is only one subject.
    """
    if not 0 < share < 1:
        raise InputError(f"share {share}: give a number above 0 and below 1")
    subjects = subjects_of(volumes)
    names = natural_sorted(set(subjects))
    if len(names) < 2:
        raise InputError(
            f"{volumes[0].name if volumes else 'no volume'}: {len(names)} subject or "
            "volume cannot be split into training and validation; name a part of it "
            "for each, as in volume.tif[0:64,:,:] and volume.tif[64:80,:,:]"
        )
    count = min(max(1, round(share * len(names))), len(names) - 1)
    order = np.random.default_rng(seed).permutation(len(names))
    aside = {names[index] for index in order[:count]}
    train: list[Volume] = []
    validate: list[Volume] = []
    for volume, subject in zip(volumes, subjects, strict=True):
        (validate if subject in aside else train).append(volume)
    return train, validate


def overlaps(train: Sequence[Volume], validate: Sequence[Volume]) -> list[str]:
    """A sentence for every validation volume that is trained on.

    Voxels are the same if they lie at the same place of the same file, or if two
    volumes of one shape agree in a sample of planes.

    Raises:
        InputError: A volume cannot be read.
    """
    sentences = []
    digests: dict[int, str | None] = {}
    for held_out in validate:
        for seen in train:
            if shares_file(held_out, seen):
                reason = f"both read the same part of {_files(seen)[0]}"
            elif _same_content(held_out, seen, digests):
                reason = "they hold the same voxels"
            else:
                continue
            sentences.append(
                f"validation volume {held_out.name} is trained on, as {seen.name}: "
                f"{reason}; scores on it say nothing about new volumes"
            )
            break
    return sentences


def subjects_of(volumes: Sequence[Volume]) -> list[str]:
    """The subject of each volume, as `split` tells them apart."""
    stated = [volume.metadata.get("subject", "") for volume in volumes]
    if all(stated):
        return stated
    paths = [Path(_files(volume)[0]) for volume in volumes]
    # a folder of slices is one volume; what counts is where this folder lies
    places = [
        path.parent if len(_files(volume)) > 1 else path
        for path, volume in zip(paths, volumes, strict=True)
    ]
    entities = [_entity(place) for place in places]
    if all(entities):
        return entities
    several = len({place.parent for place in places}) > 1
    return [str(place.parent if several else place) for place in places]


def _entity(path: Path) -> str:
    """The last `sub-…` in a name or in the three folders above it, as BIDS has them."""
    found = _SUBJECT.findall("/".join(path.parts[-4:]))
    return str(found[-1]) if found else ""


def _files(volume: Volume) -> tuple[str, ...]:
    files: tuple[str, ...] = volume.metadata.get("files", (volume.name,))
    return files


def shares_file(one: Volume, other: Volume) -> bool:
    """Whether two volumes have voxels at the same place of the same file."""
    if "files" not in one.metadata or not set(_files(one)) & set(_files(other)):
        return False
    for part in ("dataset", "frame"):
        if one.metadata.get(part) != other.metadata.get(part):
            return False
    whole = ((0, np.inf),) * 3
    regions = one.metadata.get("region", whole), other.metadata.get("region", whole)
    return all(
        max(first[0], second[0]) < min(first[1], second[1])
        for first, second in zip(*regions, strict=True)
    )


def _same_content(one: Volume, other: Volume, digests: dict[int, str | None]) -> bool:
    if one.shape != other.shape:
        return False
    for volume in (one, other):
        if id(volume) not in digests:
            digests[id(volume)] = _digest(volume)
    return digests[id(one)] is not None and digests[id(one)] == digests[id(other)]


def _digest(volume: Volume) -> str | None:
    """Fingerprint of a sample of planes; None if it is all of one value."""
    depth, height, width = volume.shape
    rows, columns = (
        slice((size - min(size, _SIDE)) // 2, (size + min(size, _SIDE)) // 2)
        for size in (height, width)
    )
    fingerprint = hashlib.sha256()
    values: set[float] = set()
    for z in sorted({int(z) for z in np.linspace(0, depth - 1, _PLANES)}):
        plane = volume.read((slice(z, z + 1), rows, columns)).astype(np.float32)
        values |= {float(plane.min()), float(plane.max())}
        fingerprint.update(plane.tobytes())
    return fingerprint.hexdigest() if len(values) > 1 else None
