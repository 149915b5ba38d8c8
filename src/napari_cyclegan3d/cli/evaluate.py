"""The `evaluate` command: models scored on volumes whose truth is known."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cyclegan3d.cli.options import VOLUME, add_settings, settings_from
from napari_cyclegan3d.console import DONE, STOPPED, stoppable
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.checkpoint import Model
    from napari_cyclegan3d.evaluate import Case, EvaluateConfig, Row
    from napari_cyclegan3d.evaluate.report import Report, Summary

MODEL_SUFFIX = ".safetensors"
COLUMNS = {"psnr": "PSNR/dB", "ssim": "SSIM", "nrmse": "NRMSE"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = (
        "%(prog)s (--input VOLUME … | --degrade) --truth VOLUME … --model FILE … "
        "--out FOLDER [settings]"
    )
    parser.description = (
        "Translate volumes and compare the results with their truths, beside what one "
        "has without a model: the input itself at 1x, trilinear interpolation at 2x "
        "and 4x. Where models have both generators, truths also go through a cycle. "
        "Writes tables (CSV), charts and pictures."
    )
    _add_volumes(parser)
    parser.add_argument(
        "--model",
        action="extend",
        nargs="+",
        required=True,
        type=Path,
        help="model files, or folders of them such as RUN/best",
    )
    parser.add_argument(
        "--match-grey",
        action="store_true",
        help="fit gain and offset to the truth before comparing",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for tables, charts, pictures"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier evaluation"
    )
    add_settings(parser, EnhanceConfig)


def _add_volumes(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_mutually_exclusive_group(required=True)
    inputs.add_argument(
        "--input",
        action="extend",
        nargs="+",
        metavar="VOLUME",
        help=f"volumes to translate: {VOLUME}",
    )
    inputs.add_argument(
        "--degrade",
        action="store_true",
        help="make the inputs from the truths, as in the models' training",
    )
    parser.add_argument(
        "--truth",
        action="extend",
        nargs="+",
        required=True,
        metavar="VOLUME",
        help="what they should be",
    )
    parser.add_argument(
        "--mask",
        action="extend",
        nargs="+",
        default=[],
        metavar="VOLUME",
        help="where to compare: one for all volumes or one for each, on any grid",
    )
    parser.add_argument(
        "--by-order",
        action="store_true",
        help="volumes belong together in the order given, not by their names",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.evaluate import EvaluateConfig
    from napari_cyclegan3d.evaluate.report import Report

    enhance = settings_from(options, EnhanceConfig, {})
    config = EvaluateConfig(match_grey=options.match_grey, enhance=enhance)
    tune_allocator()
    models = load_models(options.model)
    cases = _cases(options)
    report = Report(options.out, overwrite=options.overwrite)
    rows = _evaluated(cases, models, config, report)
    if rows is None:
        print("stopped before the end; no table was written", file=sys.stderr)
        return STOPPED
    _print(report.finish(rows))
    print(f"{options.out}: cases.csv, summary.csv, scores.png, pictures/, fsc/")
    return DONE


def load_models(paths: Sequence[Path]) -> "list[Model]":
    """Models of files and folders, under names that tell them apart.

    Raises:
        InputError: A folder holds no model, or a file is none.
    """
    from napari_cyclegan3d.engine.checkpoint import load_model

    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob(f"*{MODEL_SUFFIX}")) if path.is_dir() else [path]
        if not found:
            raise InputError(
                f"{path}: no {MODEL_SUFFIX} file in this folder; give a model file, or "
                "the folder best/ of a run"
            )
        files += [file for one in found if (file := one.resolve()) not in files]
    return [
        replace(load_model(file), name=name)
        for file, name in zip(files, _distinct_names(files), strict=True)
    ]


def _distinct_names(files: Sequence[Path]) -> list[str]:
    """Names of files without what they have in common."""
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return stems
    shared = os.path.commonpath([file.parent for file in files])
    return [file.relative_to(shared).with_suffix("").as_posix() for file in files]


def _cases(options: argparse.Namespace) -> "list[Case]":
    from napari_cyclegan3d.evaluate import Case
    from napari_cyclegan3d.io.domains import open_domain

    truths = open_domain(options.truth)
    inputs: Sequence[Volume | None] = [None] * len(truths)
    if options.input:
        inputs = _partners(
            truths, open_domain(options.input), "--input", options.by_order
        )
    masks: Sequence[Volume | None] = [None] * len(truths)
    if options.mask:
        given = open_domain(options.mask)
        masks = (
            given * len(truths)
            if len(given) == 1
            else _partners(truths, given, "--mask", options.by_order)
        )
    names = [truth.name for truth in truths]
    return [
        Case(name if names.count(name) == 1 else f"{name} {number}", truth, one, mask)
        for number, (name, truth, one, mask) in enumerate(
            zip(names, truths, inputs, masks, strict=True), 1
        )
    ]


def _partners(
    truths: Sequence[Volume], volumes: Sequence[Volume], option: str, by_order: bool
) -> list[Volume]:
    """The volume that belongs to each truth."""
    from napari_cyclegan3d.engine.pairing import matched

    if len(volumes) != len(truths):
        raise InputError(
            f"{option}: {len(volumes)} volumes for {len(truths)} truths; give one for "
            "each"
        )
    if by_order or len(truths) == 1:
        return list(volumes)
    try:
        pairs = matched(_names(truths), _names(volumes))
    except InputError as error:
        raise InputError(
            f"--truth (A) and {option} (B): {error}; or pair them as they were given "
            "with --by-order"
        ) from None
    return [volumes[partner] for _, partner in pairs]


def _names(volumes: Sequence[Volume]) -> list[Volume]:
    """Volumes of the same names on one grid: names alone decide what is paired."""
    voxel = np.zeros((1, 1, 1), np.uint8)
    return [Volume(voxel, name=volume.name) for volume in volumes]


def _evaluated(
    cases: "list[Case]",
    models: "list[Model]",
    config: "EvaluateConfig",
    report: "Report",
) -> "tuple[Row, ...] | None":
    """The table; None if the work was stopped."""
    from napari_cyclegan3d import evaluate

    events = evaluate.evaluate(cases, models, config)
    with closing(stoppable(events, "stopping")) as shown:
        for event in shown:
            match event:
                case evaluate.Working():
                    place = f"{event.number}/{event.cases} {event.case}"
                    print(f"{place}: {event.model}", file=sys.stderr)
                case evaluate.Warned():
                    print(f"warning: {event.message}", file=sys.stderr)
                case evaluate.CaseDone():
                    report.add(event)
                case evaluate.EvaluateDone():
                    return event.rows
    return None


def _print(summaries: "list[Summary]") -> None:
    """The table of means, and which model is best."""
    from napari_cyclegan3d.evaluate.report import best_model

    width = max(len("model"), *(len(one.model) for one in summaries))
    titles = "".join(f"{title:>18}" for title in COLUMNS.values())
    print(f"{'model':{width}}  {'kind':11}{titles}")
    for one in summaries:
        figures = "".join(
            f"{one.mean[name]:10.4g} ± {one.deviation[name]:<5.2g}" for name in COLUMNS
        )
        print(f"{one.model:{width}}  {one.kind:11}{figures}")
    best = best_model(summaries)
    if best is None:
        return
    said = f"best by SSIM: {best.model} ({best.mean['ssim']:.4f})"
    baseline = next((one for one in summaries if one.kind == "baseline"), None)
    if baseline is not None and baseline.mean["ssim"] >= best.mean["ssim"]:
        said += f", no better than {baseline.model} ({baseline.mean['ssim']:.4f})"
    print(said)
