"""The `prepare` command: what is done to volumes before a training, step by step."""

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from napari_cyclegan3d import io
from napari_cyclegan3d.cli import openneuro
from napari_cyclegan3d.cli.options import DOMAIN, VOLUME, add_settings, settings_from
from napari_cyclegan3d.cli.preparing import (
    check,
    no_empty_folders,
    partners_of,
    targets_of,
)
from napari_cyclegan3d.console import DONE, STOPPED, stoppable
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain
from napari_cyclegan3d.io.series import read_series
from napari_cyclegan3d.prepare.events import Event, PrepareDone, Saved, Warned, Working
from napari_cyclegan3d.prepare.pairs import PairDone, PairSettings, paired
from napari_cyclegan3d.prepare.records import with_records
from napari_cyclegan3d.prepare.saving import save
from napari_cyclegan3d.prepare.series import prepared_series
from napari_cyclegan3d.prepare.splitting import SplitSettings, split, write_split
from napari_cyclegan3d.prepare.steps import STEPS, Step, prepared

PAIR = "bring two volumes of one subject onto one grid, for a paired training"
SPLIT = "training, validation and test apart, by subject"
PARTNERS = {"mask": "--mask", "grid": "--like", "prepared volume": "--of"}

EventT = TypeVar("EventT")


class _Interrupted(Exception):
    pass


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Prepare volumes for a training, one step per call. Beside each result stands "
        "NAME.prepared.json with all that was done to it; undo goes back to an earlier "
        "grid."
    )
    steps = parser.add_subparsers(required=True, metavar="STEP")
    for step in STEPS.values():
        _add_step(steps.add_parser(step.name, help=step.help), step)
    _add_pair(steps.add_parser("pair", help=PAIR))
    _add_split(steps.add_parser("split", help=SPLIT))
    download = steps.add_parser("openneuro", help=openneuro.HELP)
    openneuro.add_arguments(download)
    download.set_defaults(run_step=openneuro.run)


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    try:
        return int(options.run_step(options))
    except _Interrupted:
        print("stopped; what was being written is not there", file=sys.stderr)
        return STOPPED


def _add_step(parser: argparse.ArgumentParser, step: Step) -> None:
    parser.description = step.help
    parser.add_argument(
        "input", nargs="+", metavar="INPUT", help=f"what to prepare: {DOMAIN}"
    )
    _add_output(
        parser, f"a file ({', '.join(io.WRITABLE_SUFFIXES)}), or a folder to write to"
    )
    if step.partner != "none":
        needed = step.partner == "required"
        parser.add_argument(
            PARTNERS.get(step.partner_is, f"--{step.partner_is}"),
            "--partner",
            dest="partner",
            nargs="+",
            default=[],
            required=needed,
            metavar="VOLUME",
            help=f"the {step.partner_is}: one for all inputs, or one for each, by "
            f"their names; {VOLUME}",
        )
    add_settings(parser, step.settings)
    parser.set_defaults(run_step=_run_step, step=step)


def _add_pair(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Bring two volumes of one subject, such as T1 and T2, onto the grid of the "
        "first: bias fields corrected, resampled through the world, cropped to what "
        "both show. DIR/a and DIR/b can be trained on: --a DIR/a --b DIR/b "
        "--sampling.pairs true"
    )
    parser.add_argument(
        "a", metavar="A", help=f"the volume whose grid counts: {VOLUME}"
    )
    parser.add_argument("b", metavar="B", help="the volume that is brought onto it")
    _add_output(parser, "a folder; the volumes go to its folders a and b")
    add_settings(parser, PairSettings)
    parser.set_defaults(run_step=_run_pair)


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Draw subjects to train, to validate and to test on. Writes lists that --a and "
        "--b take; a subject is in one part only, in both domains."
    )
    for side in ("a", "b"):
        parser.add_argument(
            f"--{side}",
            action="extend",
            nargs="+",
            required=side == "a",
            default=None if side == "a" else [],
            metavar="VOLUME",
            help=f"domain {side.upper()}: {DOMAIN}",
        )
    _add_output(parser, "a folder for a.json, b.json, a_test.json, b_test.json")
    add_settings(parser, SplitSettings)
    parser.set_defaults(run_step=_run_split)


def _add_output(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, help=what)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what is there"
    )


def _run_step(options: argparse.Namespace) -> int:
    step: Step = options.step
    settings = settings_from(options, step.settings, {})
    volumes = [with_records(volume) for volume in open_domain(options.input)]
    partners = partners_of(volumes, getattr(options, "partner", []), step)
    with no_empty_folders(options.output):
        targets = targets_of(volumes, options.output)
        check(targets, [*volumes, *partners], options)
        if len(targets) < len(volumes):
            _save_series(
                prepared_series(
                    volumes, step.name, settings, partners, targets[0],
                    overwrite=options.overwrite,
                )
            )  # fmt: skip
            return DONE
        for volume, partner, target in zip(volumes, partners, targets, strict=True):
            result = _prepared(volume, step.name, settings, partner)
            _save(result, target, overwrite=options.overwrite)
    return DONE


def _run_pair(options: argparse.Namespace) -> int:
    settings = settings_from(options, PairSettings, {})
    a, b = (with_records(_only(text)) for text in (options.a, options.b))
    folders = [options.output / side for side in ("a", "b")]
    with no_empty_folders(*folders, options.output):
        targets = [
            targets_of([volume], folder)[0]
            for volume, folder in zip((a, b), folders, strict=True)
        ]
        check(targets, [a, b], options)
        done = _last(paired(a, b, settings), PairDone)
        for volume, target in zip((done.a, done.b), targets, strict=True):
            _save(volume, target, overwrite=options.overwrite)
    _say_training(*folders, "--sampling.pairs", "true", "--loss.paired", "1")
    return DONE


def _run_split(options: argparse.Namespace) -> int:
    settings = settings_from(options, SplitSettings, {})
    a = open_domain(options.a)
    b = open_domain(options.b) if options.b else []
    result = split(a, b, settings)
    files = write_split(result, options.output, settings, overwrite=options.overwrite)
    for remark in result.remarks:
        print(f"warning: {remark}", file=sys.stderr)
    for part, subjects in result.subjects.items():
        print(f"subjects for {part}: {len(subjects)}")
    print(f"{options.output}: {', '.join(file.name for file in files)}")
    lists = [options.output / f"{side}.json" for side in ("a", "b")]
    if all(one in files for one in lists):
        _say_training(*lists)
    return DONE


def _say_training(a: Path, b: Path, *more: str) -> None:
    """Say which command trains on what was made."""
    words = ["train", "--a", str(a), "--b", str(b), *more, "--run", "run"]
    print(f"to train on it: napari-cyclegan3d {shlex.join(words)}")


def _only(text: str) -> Volume:
    volumes = open_domain([text])
    if len(volumes) > 1:
        raise InputError(f"{text}: names {len(volumes)} volumes; name one of them")
    return volumes[0]


def _prepared(
    volume: Volume, step: str, settings: Settings, partner: Volume | None
) -> Volume:
    return _last(prepared(volume, step, settings, partner), PrepareDone).volume


def _save(volume: Volume, target: Path, *, overwrite: bool) -> None:
    saved = _last(save(volume, target, overwrite=overwrite), Saved)
    print(f"{saved.path}: {_voxels(volume)}")


def _save_series(events: Iterator[Event]) -> None:
    path = _last(events, Saved).path
    frames = read_series(path)
    print(f"{path}: {len(frames)} frames of {_voxels(frames[0])}")


def _voxels(volume: Volume) -> str:
    spacing = "×".join(f"{one:.4g}" for one in volume.spacing)
    return f"{volume.shape} voxels of {spacing} {volume.unit}"


def _last(events: Iterator[Any], kind: type[EventT]) -> EventT:
    """The event of this kind, with what comes before it shown as progress."""
    with (
        closing(tqdm(total=100, unit="%", delay=0.5, dynamic_ncols=True)) as bar,
        closing(stoppable(events, "stopping")) as shown,
    ):
        for event in shown:
            match event:
                case Working():
                    bar.set_description_str(event.text, refresh=False)
                    bar.update(round(100 * event.fraction) - bar.n)
                case Warned():
                    bar.write(f"warning: {event.message}", file=sys.stderr)
                case kind():
                    return event
    raise _Interrupted
