"""`prepare openneuro`: subjects of a public dataset as a BIDS folder."""

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_cyclegan3d.cli.options import WRONG_USE, say_error
from napari_cyclegan3d.console import DONE, STOPPED
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_cyclegan3d.prepare.openneuro import Plan, Request
    from napari_cyclegan3d.prepare.openneuro_download import Fetched, Fetching

HELP = "download subjects of a dataset of OpenNeuro as a BIDS folder"
_LISTS = ("suffix", "subject", "session")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from napari_cyclegan3d.prepare.openneuro import Request

    fields = Request.model_fields
    parser.description = (
        "Download images of some subjects of a public dataset of OpenNeuro, with what "
        "describes them, into a BIDS folder for --a 'bids:DIR?suffix=T1w'. The size is "
        "shown before the start; started again, it goes on where it was interrupted."
    )
    parser.add_argument(
        "dataset", metavar="DATASET", help=fields["dataset"].description
    )
    for name in _LISTS:
        parser.add_argument(
            f"--{name}",
            action="append",
            required=name == "suffix",
            default=argparse.SUPPRESS,
            metavar="LABEL",
            help=f"{fields[name].description} Can be repeated.",
        )
    for name in ("subjects", "snapshot", "endpoint", "api"):
        parser.add_argument(
            f"--{name}",
            default=argparse.SUPPRESS,
            metavar={"subjects": "N", "snapshot": "TAG"}.get(name, "URL"),
            help=fields[name].description,
        )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="the BIDS folder"
    )
    parser.add_argument("--yes", action="store_true", help="start without a question")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of the folder that have other content",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.prepare.openneuro import planned
    from napari_cyclegan3d.prepare.openneuro_download import download

    request = _request(options)
    print(f"asking what OpenNeuro has of {request.dataset}", file=sys.stderr)
    plan = planned(request, options.output, replace=options.overwrite)
    for line in _told(plan):
        print(line)
    if plan.missing and not options.yes and not _agreed(plan):
        print("nothing was fetched", file=sys.stderr)
        return STOPPED
    try:
        with closing(download(plan)) as events:
            _show(events, plan.to_fetch)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED
    print(f"done: {_as_domains(plan)}")
    return DONE


def _show(events: "Iterable[Fetching | Fetched]", total: int) -> None:
    from napari_cyclegan3d.prepare.openneuro_download import Fetching

    with closing(tqdm(total=total, unit="B", unit_scale=True)) as bar:
        for event in events:
            if isinstance(event, Fetching):
                bar.n = event.done
                bar.set_postfix_str(f"{event.files} files")
            elif event.unchecked:
                bar.write(
                    f"warning: no checksum is stated of {len(event.unchecked)} files "
                    f"({event.unchecked[0]} …); only their size was checked",
                    file=sys.stderr,
                )


def _request(options: argparse.Namespace) -> "Request":
    """What is wanted; a mistake in it ends the program with code 2."""
    from napari_cyclegan3d.prepare.openneuro import Request

    given = {key: value for key, value in vars(options).items() if value is not None}
    values = {key: given[key] for key in Request.model_fields if key in given}
    for key in ("subject", "session"):
        if key in values:
            start = f"{key[:3]}-"
            values[key] = [one.removeprefix(start) for one in values[key]]
    try:
        return parse(Request, values)
    except InputError as error:
        sys.exit(say_error(str(error), WRONG_USE))


def _told(plan: "Plan") -> list[str]:
    """What the download would be, in words."""
    wanted, kinds = plan.request, " and ".join(plan.request.suffix)
    lines = [
        f"{wanted.dataset}: {kinds} of {len(plan.subjects)} subjects, "
        f"{len(plan.files)} files, {_bytes(plan.size)}; {_bytes(plan.to_fetch)} "
        f"({len(plan.missing)} files) to fetch into {plan.root}"
    ]
    if plan.incomplete:
        shown = ", ".join(plan.incomplete[:8]) + (" …" if plan.incomplete[8:] else "")
        lines.append(
            f"passed over, as they have not all of {kinds}: "
            f"{len(plan.incomplete)} ({shown})"
        )
    if wanted.subjects is not None and len(plan.subjects) < wanted.subjects:
        lines.append(f"no more than {len(plan.subjects)} subjects have them")
    return lines


def _agreed(plan: "Plan") -> bool:
    """Ask on the terminal.

    Raises:
        InputError: There is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise InputError(
            f"{plan.request.dataset}: {_bytes(plan.to_fetch)} are to be fetched and "
            "there is no terminal to ask on; add --yes"
        )
    try:
        answer = input("Start? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _as_domains(plan: "Plan") -> str:
    sides = zip("ab", plan.request.suffix, strict=False)
    return " ".join(
        f"--{side} 'bids:{plan.root}?suffix={suffix}'" for side, suffix in sides
    )


def _bytes(count: int) -> str:
    """A size for people: 1.3 GB."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
