"""The `export` command: a model for other programs, or described for people."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cyclegan3d.cli.options import VOLUME, open_volume
from napari_cyclegan3d.console import DONE
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import check_writable

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.checkpoint import Model
    from napari_cyclegan3d.exchange.credits import Credits

SUFFIXES = {
    "bioimageio": ".zip",
    "onnx": ".onnx",
    "torchscript": ".pt",
    "torch-export": ".pt2",
    "card": ".md",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s MODEL --format FORMAT -o FILE [options]"
    parser.description = (
        "Write one direction of a model for other programs: a package of bioimage.io "
        "(.zip, tested before it is kept), ONNX (.onnx), TorchScript (.pt) or "
        "torch.export (.pt2); or a model card (.md) with pictures beside it."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .safetensors file")
    parser.add_argument("--format", required=True, choices=SUFFIXES)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="to write"
    )
    parser.add_argument(
        "--direction",
        choices=("a_to_b", "b_to_a"),
        default="a_to_b",
        help="which generator goes out [a_to_b]",
    )
    parser.add_argument(
        "--volume",
        metavar="VOLUME",
        help="one as will be enhanced: its grey values are frozen into models that "
        "normalise each volume on its own, its statistics into instance norms, and "
        f"the example of a package shows it ({VOLUME})",
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="FOLDER",
        help="the training, for curves, scores and previews [where MODEL lies]",
    )
    parser.add_argument(
        "--authors",
        default="",
        metavar="NAMES",
        help="'Anna Meier (ESRF); Jan Novák'; bioimageio needs them",
    )
    parser.add_argument(
        "--license",
        default="",
        metavar="SPDX",
        help="such as CC-BY-4.0; bioimageio needs it",
    )
    parser.add_argument(
        "--name",
        default="",
        help="title of the package or card [that of MODEL, or of its training]",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output if it exists"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.checkpoint import load_model
    from napari_cyclegan3d.exchange.credits import Credits, authors_in

    credits = Credits(authors_in(options.authors), options.license, options.name)
    _check_output(options)
    if options.format == "bioimageio":
        from napari_cyclegan3d.exchange.bioimageio import check_package

        check_package(credits)
    elif options.format == "onnx":
        from napari_cyclegan3d.exchange.onnx import check_libraries

        check_libraries()
    model = load_model(options.model)
    model.check_native("exported")
    for remark in _write(options, model, credits):
        print(f"note: {remark}")
    size = options.output.stat().st_size
    print(f"{options.output}: {options.format}, {size / 1e6:.3g} MB")
    return DONE


def _check_output(options: argparse.Namespace) -> None:
    """Refuse before the work what could not be written after it."""
    output, suffix = options.output, SUFFIXES[options.format]
    if output.suffix.lower() != suffix:
        raise InputError(
            f"{output}: a file of format {options.format} ends in {suffix}; give the "
            "output such a name"
        )
    files = [output]
    if options.format == "card":
        from napari_cyclegan3d.exchange.card import pictures_of

        files += pictures_of(output)
    for file in files:
        if file.exists() and not options.overwrite:
            raise InputError(f"{file}: exists already; replace it with --overwrite")
        check_writable(file)


def _write(
    options: argparse.Namespace, model: "Model", credits: "Credits"
) -> tuple[str, ...]:
    """Write the file; gives what the user should know."""
    from napari_cyclegan3d.exchange import bioimageio, onnx, torch_export, torchscript
    from napari_cyclegan3d.exchange.card import write_card
    from napari_cyclegan3d.exchange.graph import outgoing
    from napari_cyclegan3d.exchange.runs import run_of

    training = run_of(options.model, options.run)
    if options.format == "card":
        write_card(model, options.output, training, credits)
        return ()
    volume = open_volume(options.volume) if options.volume else None
    out = outgoing(model, options.direction, volume)
    if options.format == "bioimageio":
        print("writing and testing the package …", flush=True)
        bioimageio.write_package(out, options.output, credits, volume, training)
        return out.remarks
    write = {
        "onnx": onnx.write_onnx,
        "torchscript": torchscript.write_torchscript,
        "torch-export": torch_export.write_torch_export,
    }[options.format]
    write(out, options.output)
    return out.remarks
