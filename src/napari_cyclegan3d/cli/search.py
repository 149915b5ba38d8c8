"""The `search` command."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_cyclegan3d.cli.domains import (
    add_domains,
    check_domains,
    domains_from,
)
from napari_cyclegan3d.cli.options import add_settings, settings_from
from napari_cyclegan3d.console import DONE, STOPPED, stoppable
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset, preset_names

if TYPE_CHECKING:
    from napari_cyclegan3d.search import SearchDone, SearchEvent

EXAMPLES = "optim.lr_generator=1e-4..1e-3:log or generator.norm=none,batch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = (
        "%(prog)s --a VOLUME … --b VOLUME … --validate-a VOLUME … "
        "--validate-b VOLUME … --out FOLDER [--vary NAME=VALUES …] [settings]"
    )
    parser.description = (
        "Train many times for a few steps with other settings each time, and keep "
        "those with the best score on volumes that are not trained on. Ctrl+C stops; "
        "the same command goes on. The result is best.yaml, for train --config."
    )
    add_domains(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the search, new or begun"
    )
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="a setting and what to try: LOW..HIGH, LOW..HIGH:log or ONE,OTHER; may be "
        f"repeated, as in {EXAMPLES}. By default learning rates, momenta, weights and "
        "sizes",
    )
    parser.add_argument(
        "--trials", type=int, default=20, help="short trainings in all [20]"
    )
    parser.add_argument(
        "--trial-steps", type=int, default=200, help="steps of each of them [200]"
    )
    parser.add_argument(
        "--minutes", type=float, help="begin no further trial after so many minutes"
    )
    parser.add_argument(
        "--preset",
        choices=preset_names(),
        metavar="NAME",
        help="settings of a published project to begin with (see the command presets)",
    )
    add_settings(parser, TrainConfig)


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.settings import parse
    from napari_cyclegan3d.search import SearchConfig, parse_vary, search

    preset = load_preset(options.preset).settings if options.preset else {}
    base = settings_from(options, TrainConfig, preset)
    check_domains(options, base)
    values = {
        "trials": options.trials,
        "steps": options.trial_steps,
        "minutes": options.minutes,
        "vary": parse_vary(options.vary),
    }
    space = parse(SearchConfig, values)
    tune_allocator()
    return _show(search(space, base, domains_from(options, base), options.out))


def _show(events: "Iterator[SearchEvent]") -> int:
    """Print a search as it goes on; gives the exit code."""
    from napari_cyclegan3d import search

    with (
        closing(tqdm(unit="step", dynamic_ncols=True, delay=0.2)) as bar,
        closing(stoppable(events, "stopping")) as shown,
    ):
        for event in shown:
            match event:
                case search.TrialStarted():
                    bar.reset()
                    bar.set_description(f"trial {event.number} of {event.trials}")
                case search.TrialProgress():
                    bar.total = event.steps
                    if event.score is not None:
                        bar.set_postfix_str(f"score {event.score:.4g}", refresh=False)
                    bar.update()
                case search.TrialDone():
                    bar.write(_line(event))
                case search.SearchDone():
                    bar.write(_summary(event))
                    return DONE
    print("stopped; the same command goes on", file=sys.stderr)
    return STOPPED


def _line(event: Any) -> str:
    result = "failed" if event.value is None else f"score {event.value:.4g}"
    marks = [
        mark
        for mark, is_so in (
            (event.reason, bool(event.reason)),
            ("given up: behind the others", event.pruned and not event.reason),
            ("best so far", event.best),
        )
        if is_so
    ]
    said = f" ({'; '.join(marks)})" if marks else ""
    return f"trial {event.number}: {result}{said}: {_listed(event.settings)}"


def _summary(event: "SearchDone") -> str:
    best = event.best
    return "\n".join(
        [
            f"best: trial {best.number}, score {best.value:.4g}: "
            f"{_listed(best.settings)}",
            *event.remarks,
            f"settings: {event.config}; go on with: train --config {event.config}",
        ]
    )


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )
