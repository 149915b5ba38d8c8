"""The `inspect` command: what did the network invent, and what did it leave out?"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cyclegan3d.cli.evaluate import load_models
from napari_cyclegan3d.cli.options import (
    DOMAIN,
    VOLUME,
    add_settings,
    open_volume,
    settings_from,
)
from napari_cyclegan3d.console import DONE, STOPPED, show_inspection
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.findings import HONESTY, Inspection
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.hallucination.inspection import Known
    from napari_cyclegan3d.engine.hallucination.passes import Networks

# lines of the table on the terminal
SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s RAW ENHANCED [--model FILE] --report FOLDER [settings]"
    parser.description = (
        "Compare an enhanced volume with the raw one it was made from: which "
        "structures does the raw volume contradict, which has the network left out, "
        "and which could the raw volume not show even if they were real? Writes a "
        "report (HTML, JSON, CSV) with maps. With the model, structures are tested on "
        "independent noise."
    )
    parser.add_argument("raw", metavar="RAW", help=f"what was enhanced: {VOLUME}")
    parser.add_argument("enhanced", metavar="ENHANCED", help="what became of it")
    parser.add_argument(
        "--report", type=Path, required=True, metavar="FOLDER", help="where to write"
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="the .safetensors file that it was made with",
    )
    parser.add_argument(
        "--others",
        action="extend",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="models of the same kind, such as those in RUN/best, that a thorough "
        "inspection compares with it",
    )
    _add_known(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier report"
    )
    add_settings(parser, InspectConfig)


def _add_known(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--truth",
        metavar="VOLUME",
        help="what it should be, if that is known: then the inspection itself is "
        "judged, too",
    )
    parser.add_argument(
        "--second-scan",
        metavar="VOLUME",
        help="a second raw volume of the same specimen on the same grid: evidence that "
        "needs no model of the noise",
    )
    parser.add_argument(
        "--clean",
        action="extend",
        nargs="+",
        default=[],
        metavar="VOLUME",
        help=f"volumes of domain B that were not trained on, to calibrate with: "
        f"{DOMAIN}",
    )
    parser.add_argument(
        "--pair",
        action="append",
        nargs=2,
        default=[],
        metavar=("RAW", "TRUTH"),
        help="another raw volume and its truth, to calibrate with; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.hallucination.inspection import inspect
    from napari_cyclegan3d.inspection import check_folder, save

    config = settings_from(options, InspectConfig, {})
    check_folder(options.report, overwrite=options.overwrite)
    tune_allocator()
    raw, enhanced = open_volume(options.raw), open_volume(options.enhanced)
    known = _known(options)
    events = inspect(raw, enhanced, _networks(options, config), known, config)
    done = show_inspection(events)
    if done is None:
        print("stopped; nothing was written", file=sys.stderr)
        return STOPPED
    saved = save(
        done.inspected,
        raw,
        enhanced,
        options.report,
        truth=known.truth,
        overwrite=options.overwrite,
    )
    _print(done.inspected.inspection)
    print(f"{options.report}: {saved.page.name}, {saved.record.name}, maps/")
    return DONE


def _known(options: argparse.Namespace) -> "Known":
    """What the user knows beside the two volumes."""
    from napari_cyclegan3d.engine.hallucination.inspection import Known

    return Known(
        truth=_opened(options.truth),
        second=_opened(options.second_scan),
        pairs=[(open_volume(raw), open_volume(truth)) for raw, truth in options.pair],
        clean=open_domain(options.clean),
    )


def _opened(text: str | None) -> Volume | None:
    return None if text is None else open_volume(text)


def _networks(options: argparse.Namespace, config: InspectConfig) -> "Networks | None":
    """The model as it was used, and others like it."""
    from napari_cyclegan3d.engine.checkpoint import load_model
    from napari_cyclegan3d.engine.hallucination.passes import networks_of
    from napari_cyclegan3d.engine.settling import settled

    if options.model is None:
        if options.others:
            raise InputError("--others: are compared with --model; give that, too")
        return None
    model, others = load_model(options.model), load_models(options.others)
    return networks_of(model, settled(model, config.enhance), others)


def _print(inspection: Inspection) -> None:
    """The first findings, how many there are of each verdict, and what to know."""
    from napari_cyclegan3d.inspection.words import number, symbol, triple

    unit = symbol(inspection.unit)
    heads = ("rank", "verdict", "kind", "suspicion", "power", "confirmed")
    lines = [(*heads, f"size/{unit}", "voxel z, y, x")]
    lines += [
        (
            str(one.rank),
            one.verdict,
            one.kind,
            number(one.suspicion),
            number(one.power),
            number(one.confirmation),
            number(one.diameter),
            triple(one.centre),
        )
        for one in inspection.findings[:SHOWN]
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    counted = (f"{count} {verdict}" for verdict, count in inspection.counts.items())
    print(f"structures: {', '.join(counted)}")
    print(HONESTY)
