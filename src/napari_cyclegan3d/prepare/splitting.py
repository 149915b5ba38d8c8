"""Training, validation and test apart: whole subjects, the same in both domains."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field
from tifffile import natural_sorted

from napari_cyclegan3d import __version__
from napari_cyclegan3d.engine.dates import now
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.pairing import matched_names
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.origins import text_of
from napari_cyclegan3d.io.partition import subjects_of

PARTS = ("train", "validation", "test")
SUMMARY = "split.yaml"
LISTS = ("a.json", "a_test.json", "b.json", "b_test.json")


class SplitSettings(Settings):
    """Shares of the subjects."""

    validation: float = Field(
        0.2, ge=0, lt=1, description="Share of the subjects to validate on."
    )
    test: float = Field(
        0.1, ge=0, lt=1, description="Share of the subjects kept for the last test."
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="The same seed draws the same subjects."
    )


@dataclass(frozen=True)
class Split:
    """Which volumes are for what.

    Attributes:
        volumes: For each part (train, validation, test) and domain (a, b), its volumes.
        subjects: For each part, its subjects.
        remarks: What the user should know.
    """

    volumes: Mapping[str, Mapping[str, Sequence[Volume]]]
    subjects: Mapping[str, Sequence[str]]
    remarks: tuple[str, ...] = ()


def split(a: Sequence[Volume], b: Sequence[Volume], settings: SplitSettings) -> Split:
    """Draw whole subjects for each part; a subject of both domains is in one part.

    Args:
        a: Volumes of A, as `open_domain` gives them.
        b: Volumes of B; empty for one domain alone.
        settings: Shares and seed.

    Raises:
        InputError: There are fewer subjects in a domain than parts, or the shares leave
            none to train on.
    """
    if settings.validation + settings.test >= 1:
        raise InputError(
            f"validation {settings.validation:g} and test {settings.test:g}: leave "
            "nothing to train on; their sum must be below 1"
        )
    of_a, of_b, remarks = _subjects(a, b)
    drawn: dict[str, list[str]] = {part: [] for part in PARTS}
    both = set(of_a) & set(of_b)
    # a domain with subjects of its own gets its shares of them, too
    for group in (both, set(of_a) - both, set(of_b) - both):
        for part, names in _drawn(natural_sorted(group), settings).items():
            drawn[part] += names
    volumes = {
        part: {
            domain: [
                volume
                for volume, subject in zip(some, subjects, strict=True)
                if subject in drawn[part]
            ]
            for domain, some, subjects in (("a", a, of_a), ("b", b, of_b))
        }
        for part in PARTS
    }
    _check(volumes, {"a": a, "b": b}, settings)
    return Split(volumes, drawn, remarks)


def _subjects(
    a: Sequence[Volume], b: Sequence[Volume]
) -> tuple[list[str], list[str], tuple[str, ...]]:
    """The subject of each volume, by the same names in both domains."""
    if not b:
        return subjects_of(a), [], ()
    of_a, of_b = subjects_of(a), subjects_of(b)
    if all(name.startswith("sub-") for name in (*of_a, *of_b)):
        return of_a, of_b, ()
    if all("subject" in volume.metadata for volume in (*a, *b)):
        return of_a, of_b, ()
    try:
        pairs = matched_names([one.name for one in a], [one.name for one in b])
    except InputError as error:
        remark = (
            "the names do not say which volumes of A and B show the same subject "
            f"({error}); one that is in both may be trained on and tested on"
        )
        return of_a, [f"{name} (B)" for name in of_b], (remark,)
    partners = {second: of_a[first] for first, second in pairs}
    return of_a, [partners[number] for number in range(len(b))], ()


def _drawn(names: Sequence[str], settings: SplitSettings) -> dict[str, list[str]]:
    """Subjects of a group by part; every part that is asked for gets one if it can."""
    order = np.random.default_rng(settings.seed).permutation(len(names))
    left = [names[number] for number in order]
    found: dict[str, list[str]] = {}
    for part, share in (("test", settings.test), ("validation", settings.validation)):
        count = max(1, round(share * len(names))) if share else 0
        count = min(count, max(0, len(left) - 1))
        found[part], left = left[:count], left[count:]
    return {**found, "train": left}


def _check(
    volumes: Mapping[str, Mapping[str, Sequence[Volume]]],
    given: Mapping[str, Sequence[Volume]],
    settings: SplitSettings,
) -> None:
    wanted = {"train": 1.0, "validation": settings.validation, "test": settings.test}
    for domain, some in given.items():
        empty = [
            part
            for part, share in wanted.items()
            if share and some and not volumes[part][domain]
        ]
        if empty:
            raise InputError(
                f"domain {domain.upper()}: {len(some)} volumes are of too few subjects "
                f"for {', '.join(empty)}; add subjects, or set the share of a part to 0"
            )


def files_of(result: Split, folder: Path) -> list[Path]:
    """The files that `write_split` writes."""
    names = [SUMMARY]
    for domain in ("a", "b"):
        if result.volumes["train"][domain]:
            names.append(f"{domain}.json")
        if result.volumes["test"][domain]:
            names.append(f"{domain}_test.json")
    return [folder / name for name in names]


def write_split(
    result: Split, folder: Path, settings: SplitSettings, *, overwrite: bool = False
) -> list[Path]:
    """Write lists that --a and --b take, all or none of them.

    `a.json` and `b.json` hold what is to be trained and validated on, `a_test.json` and
    `b_test.json` the rest; `split.yaml` says which subjects are where.

    Args:
        result: The split.
        folder: Where to write; it is made if it is not there.
        settings: What was asked for.
        overwrite: Replace lists that are there; of an earlier split, none remains.

    Returns:
        The files.

    Raises:
        InputError: One of them exists, a volume cannot be named in a list, or they
            could not be written.
    """
    there = [path for path in files_of(result, folder) if path.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]}: exists already; replace it with --overwrite")
    texts = {folder / SUMMARY: _summary(result, settings)}
    for domain in ("a", "b"):
        train, validation, test = (
            _entries(result.volumes[part][domain], folder) for part in PARTS
        )
        if train:
            lists = {"train": train, "validate": validation}
            texts[folder / f"{domain}.json"] = _json(lists)
        if test:
            texts[folder / f"{domain}_test.json"] = _json({"validate": test})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror or error}); choose another "
            "folder for the lists"
        ) from error
    is_ours = (folder / SUMMARY).exists()
    with ExitStack() as whole:
        for path, text in texts.items():
            whole.enter_context(atomic_path(path)).write_text(text, encoding="utf-8")
    # what tested one split may train another
    for path in (folder / name for name in LISTS if is_ours):
        if path not in texts:
            path.unlink(missing_ok=True)
    return list(texts)


def _entries(volumes: Sequence[Volume], folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for volume in volumes:
        # dataset and region have keys of their own; frames are listed as one file
        files = {"files": volume.metadata.get("files", ())}
        place = text_of(replace(volume, metadata=files))
        if place is None or not Path(place).exists():
            raise InputError(
                f"{volume.name}: is no file or folder of its own that a list can name; "
                "copy its slices into a folder of their own"
            )
        entry: dict[str, Any] = {"path": os.path.relpath(place, folder.resolve())}
        if "dataset" in volume.metadata:
            entry["dset"] = volume.metadata["dataset"]
        for axis, ends in enumerate(volume.metadata.get("region", ())):
            entry[f"ROI{axis}"] = [int(end) for end in ends]
        if entry not in found:
            found.append(entry)
    return found


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _summary(result: Split, settings: SplitSettings) -> str:
    content = {
        "version": __version__,
        "date": now(),
        "settings": settings.model_dump(mode="json"),
        **{part: natural_sorted(result.subjects[part]) for part in PARTS},
    }
    if result.remarks:
        content["remarks"] = list(result.remarks)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
