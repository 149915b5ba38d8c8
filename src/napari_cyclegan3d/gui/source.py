"""What a user names as data: a layer, or a text that files are found by."""

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
from napari.layers import Image

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sources import Domains
from napari_cyclegan3d.engine.volume import Region, Volume, format_region
from napari_cyclegan3d.gui.layers import to_volumes
from napari_cyclegan3d.gui.thumbnails import sampled_planes
from napari_cyclegan3d.io.dataset_json import Part
from napari_cyclegan3d.io.domains import (
    absolute,
    open_domain,
    overlaps,
    split_region,
)
from napari_cyclegan3d.io.origins import text_of_all

WHOLE: Region = (slice(None),) * 3
SLICES = (".tif", ".tiff", ".png", ".pt")
DOMAINS = ("a", "b", "validate_a", "validate_b")
MOST_COMPARED = 8  # frames of a series


@dataclass(frozen=True)
class Source:
    """A layer, or a file, folder, pattern, `bids:` text or list; or a part of it.

    Attributes:
        item: A layer, or a text as `open_domain` takes it; a region at its end becomes
            `region`, a relative path an absolute one.
        region: The part of each volume that is meant; None for all of it.

    Raises:
        InputError: The text is empty, or its region has not three ranges.
    """

    item: Image | str
    region: Region | None = None

    def __post_init__(self) -> None:
        if isinstance(self.item, Image):
            return
        base, region = split_region(self.item.strip())
        object.__setattr__(self, "item", absolute(base))
        if self.region is None and region != WHOLE:
            object.__setattr__(self, "region", region)

    @classmethod
    def of(cls, item: Image | Path | str) -> "Source":
        """The source that a layer, a path or a text is."""
        return cls(str(item) if isinstance(item, Path) else item)

    @property
    def is_layer(self) -> bool:
        """Whether this is a layer of the viewer."""
        return isinstance(self.item, Image)

    @property
    def name(self) -> str:
        """A short name, without the region."""
        if isinstance(self.item, Image):
            return str(self.item.name)
        path = Path(self.item)
        # a pattern such as */T1w.nii says little without its folder
        return str(Path(*path.parts[-2:])) if "*" in self.item else path.name

    def volumes(self, part: Part = "train") -> list[Volume]:
        """The volumes that are meant; nothing is loaded.

        Args:
            part: Which list of a JSON file.

        Raises:
            InputError: They cannot be used.
        """
        if isinstance(self.item, Image):
            volumes = to_volumes(self.item)
            region = self.region
            return [_cropped(one, region) for one in volumes] if region else volumes
        return open_domain([self._whole_text()], part)

    def text(self) -> str | None:
        """What the command line takes for it.

        None for a layer that lies only in the viewer, or that has been moved or changed
        since it was read. A layer's file is looked at: call it in a worker, or when the
        user waits.
        """
        if not isinstance(self.item, Image):
            return self._whole_text()
        try:
            volumes = self.volumes()
            text = text_of_all(volumes)
            stored = open_domain([text]) if text else []
            same = _same(volumes, stored)
        except InputError:
            return None
        return text if same else None

    def _whole_text(self) -> str:
        return f"{self.item}{region_text(self.region)}"


Item: TypeAlias = Source | Image | Path | str
Sources = Mapping[str, Sequence[Source]]


def gathered(items: Sequence[Item]) -> list[Item]:
    """The same, with the slices of a folder as one pattern.

    Slices are gathered if all of the folder's files of their kind are there; only the
    first of them is opened.
    """
    groups: dict[tuple[Path, str], list[Path]] = {}
    for item in items:
        if isinstance(item, Path) and item.suffix.lower() in SLICES:
            groups.setdefault((item.parent, item.suffix), []).append(item)
    patterns: dict[Path, str] = {}
    for (folder, suffix), paths in groups.items():
        complete = len(paths) > 1 and set(paths) == set(folder.glob(f"*{suffix}"))
        if complete and _is_slice(paths[0]):
            pattern = str(Path(glob.escape(str(folder))) / f"*{suffix}")
            patterns |= dict.fromkeys(paths, pattern)
    # each pattern stands where the first of its files did
    there = (
        patterns.get(item, item) if isinstance(item, Path) else item for item in items
    )
    kept: list[Item] = []
    for item in there:
        if item not in kept:
            kept.append(item)
    return kept


def _is_slice(path: Path) -> bool:
    try:
        return io.read(path).shape[0] == 1
    except InputError:
        return False


def region_text(region: Region | None) -> str:
    """A region as it is typed behind a file, `[0:64,10:74,:]`; empty for None."""
    return f"[{format_region(region)}]".replace(" ", "") if region else ""


def parse_region(text: str) -> Region | None:
    """The region that a user types, with or without brackets; None for everything.

    Raises:
        InputError: The text has not three ranges.
    """
    inner = text.strip().removeprefix("[").removesuffix("]").strip()
    if not inner:
        return None
    try:
        base, region = split_region(f"volume[{inner}]")
    except InputError:
        base = ""
    if base != "volume":
        raise InputError(
            f"{text.strip()}: a region has three ranges (z, y, x), as in "
            "[0:64,:,100:200]; correct it"
        )
    return None if region == WHOLE else region


def open_sources(sources: Iterable[Source], part: Part = "train") -> list[Volume]:
    """The volumes of one domain, in the order of its sources.

    Neighbouring files are opened together: single slices of one folder are one volume.

    Raises:
        InputError: A source cannot be used.
    """
    volumes: list[Volume] = []
    for are_layers, group in groupby(sources, lambda source: source.is_layer):
        if are_layers:
            volumes += [volume for source in group for volume in source.volumes()]
        else:
            volumes += open_domain([source.text() or "" for source in group], part)
    return volumes


def open_domains(sources: Sources) -> tuple[Domains, list[str]]:
    """The volumes to train on, and sentences about those that are left out.

    Reads files; needs no widget, so that a worker can do it.

    Args:
        sources: By domain: a, b, validate_a, validate_b.

    Raises:
        InputError: A source cannot be used.
    """
    a, b = (open_sources(sources.get(key, ())) for key in DOMAINS[:2])
    said: list[str] = []
    kept = []
    for train, key in ((a, "validate_a"), (b, "validate_b")):
        held_out = open_sources(sources.get(key, ()), "validate")
        sentences = {id(one): overlaps(train, [one]) for one in held_out}
        kept.append([one for one in held_out if not sentences[id(one)]])
        said += [
            f"{text}; it is left out" for one in sentences.values() for text in one
        ]
    return Domains(a, b, *kept), said


def _same(volumes: Sequence[Volume], stored: Sequence[Volume]) -> bool:
    """Whether volumes are those in files, as far as a sample of planes tells."""
    if len(volumes) != len(stored):
        return False
    step = -(-len(volumes) // MOST_COMPARED)
    for one, other in zip(volumes[::step], stored[::step], strict=True):
        if one.shape != other.shape or not np.allclose(one.affine, other.affine):
            return False
        planes = zip(sampled_planes(one), sampled_planes(other), strict=True)
        if not all(np.array_equal(a, b) for a, b in planes):
            return False
    return True


def _cropped(volume: Volume, region: Region) -> Volume:
    """A part of a layer's volume that remembers which part of its file it is."""
    if any(
        max(abs(end) for end in (part.start or 0, part.stop or 0)) > size
        for part, size in zip(region, volume.shape, strict=True)
    ):
        raise InputError(
            f"{volume.name}{region_text(region)}: goes beyond the volume of shape "
            f"{volume.shape}; correct the region"
        )
    bounds = [p.indices(n)[:2] for p, n in zip(region, volume.shape, strict=True)]
    first = [start for start, _ in volume.metadata.get("region", ((0, 0),) * 3)]
    there = tuple(
        (start + offset, stop + offset)
        for (start, stop), offset in zip(bounds, first, strict=True)
    )
    metadata = {**volume.metadata, "region": there}
    return replace(volume.crop(region), metadata=metadata)
