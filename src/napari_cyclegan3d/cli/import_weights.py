"""The `import` command: a checkpoint of 3DCycleGaN becomes a model."""

import argparse
from pathlib import Path

from napari_cyclegan3d.console import DONE
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import check_writable

HELP = "turn a checkpoint of 3DCycleGaN into a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s FILE.pt -o FILE.safetensors"
    parser.description = (
        "Read the four networks of a checkpoint of 3DCycleGaN, without running code "
        "from it, and write them as a model for `enhance` and `train --start-from`."
    )
    parser.add_argument("weights", type=Path, metavar="FILE.pt", help="the checkpoint")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE.safetensors",
        help="model to write",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output if it exists"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.checkpoint import save_model
    from napari_cyclegan3d.engine.seed_weights import import_seed_weights

    output: Path = options.output
    if output.suffix != ".safetensors":
        raise InputError(
            f"{output}: models are .safetensors files; give the output such a name"
        )
    if output.exists() and not options.overwrite:
        raise InputError(f"{output}: exists already; replace it with --overwrite")
    check_writable(output)
    model = import_seed_weights(options.weights)
    save_model(model, output)
    config = model.header.config
    print(
        f"{output}: {config.generator.kind} at {model.header.scale}x, "
        f"{config.generator.filters} filters, {model.header.provenance.steps} steps"
    )
    return DONE
