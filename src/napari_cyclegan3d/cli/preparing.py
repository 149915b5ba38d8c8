"""Which volume goes with which, and where results of `prepare` are written."""

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_cyclegan3d import io
from napari_cyclegan3d.cli.results import check_apart, check_output
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.pairing import matched_names
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain
from napari_cyclegan3d.prepare.records import with_records
from napari_cyclegan3d.prepare.series import is_whole_series
from napari_cyclegan3d.prepare.steps import Step

# what is written where the format of the input cannot be
FALLBACK = ".nii.gz"
# what means a file, even if its format is unknown
FILE = re.compile(r"\.[A-Za-z]\w{0,4}$")


def check(
    targets: Sequence[Path],
    volumes: Sequence[Volume | None],
    options: argparse.Namespace,
) -> None:
    """Refuse before the work what could not be written, or would replace an input."""
    for target in targets:
        check_output(target, overwrite=options.overwrite)
        for volume in volumes:
            if volume is not None:
                check_apart(target, volume)


def partners_of(
    volumes: Sequence[Volume], texts: Sequence[str], step: Step
) -> list[Volume | None]:
    """The second volume that belongs to each input."""
    if not texts:
        return [None] * len(volumes)
    partners = [with_records(volume) for volume in open_domain(texts)]
    if len(partners) == 1:
        return [partners[0]] * len(volumes)
    if len(partners) != len(volumes):
        raise InputError(
            f"{len(partners)} volumes as {step.partner_is} for {len(volumes)} inputs; "
            "give one, or one for each"
        )
    names = [[one.name for one in some] for some in (volumes, partners)]
    try:
        pairs = matched_names(*names)
    except InputError as error:
        raise InputError(
            f"inputs (A) and {step.partner_is} (B): {error}; or prepare them one by one"
        ) from None
    return [partners[second] for _, second in pairs]


def targets_of(volumes: Sequence[Volume], output: Path) -> list[Path]:
    """Where results go: the output itself, or files of the same names in it.

    All frames of one file go to one file together.
    """
    if io.can_write(output) and (len(volumes) == 1 or is_whole_series(volumes)):
        return [output]
    if len(volumes) == 1 and FILE.search(output.name) and not output.is_dir():
        check_output(output, overwrite=True)  # says which formats there are
    if io.can_write(output) or output.is_file():
        raise InputError(
            f"{output}: one file for {len(volumes)} volumes; give a folder instead"
        )
    targets = [output / _name(volume) for volume in volumes]
    twice = [one for one in targets if targets.count(one) > 1]
    if twice:
        raise InputError(
            f"{twice[0]}: would be written {targets.count(twice[0])} times; prepare "
            "volumes of one name into folders of their own"
        )
    output.mkdir(parents=True, exist_ok=True)
    return targets


@contextmanager
def no_empty_folders(*folders: Path) -> Iterator[None]:
    """Remove again what was made as a folder meanwhile and stayed empty.

    Args:
        folders: Where they would be, the inner ones first.
    """
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        for folder in new:
            with suppress(OSError):  # it holds something, or is none
                folder.rmdir()


def _name(volume: Volume) -> str:
    """The name of the input, in a format that can be written."""
    name = Path(volume.metadata["files"][0]).name
    if len(volume.metadata["files"]) > 1:
        name = volume.name
    if "frame" in volume.metadata or "region" in volume.metadata:
        file, *inside = volume.name.partition("[")[0].split("::")
        stem, dot, suffix = file.partition(".")
        name = "_".join((stem, *inside)) + dot + suffix
    name = name.replace("/", "_")
    return name if io.can_write(name) else name.partition(".")[0] + FALLBACK
