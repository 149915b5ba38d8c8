"""The `import` command: a model of another program becomes a model file."""

import argparse
from pathlib import Path

from napari_cyclegan3d.console import DONE
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import check_writable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s FILE -o MODEL.safetensors"
    parser.description = (
        "Read a package of bioimage.io (one grey image in and one out, as TorchScript "
        "or ONNX) as a model for `enhance`; a package that was exported from here "
        "gives its model back. Or read the four networks of a checkpoint of "
        "3DCycleGaN as a model for `enhance` and `train --start-from`. No Python code "
        "of the file is run."
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="FILE",
        help="a package: its .zip, folder or rdf.yaml; or a checkpoint (.pt)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="MODEL.safetensors",
        help="model to write",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output if it exists"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.exchange.importing import import_model

    output: Path = options.output
    if output.suffix != ".safetensors":
        raise InputError(
            f"{output}: models are .safetensors files; give the output such a name"
        )
    if output.exists() and not options.overwrite:
        raise InputError(f"{output}: exists already; replace it with --overwrite")
    check_writable(output)
    imported = import_model(options.source, output)
    header = imported.model.header
    for remark in imported.remarks:
        print(f"note: {remark}")
    config, graph = header.config, header.foreign
    if graph is not None:
        kind = "TorchScript" if graph.form == "torchscript" else "ONNX"
        about = f"{graph.title} ({graph.credits}); {config.dims}D {kind}"
        print(f"{output}: {about} at {header.scale}x")
        return DONE
    print(
        f"{output}: {config.generator.kind} at {header.scale}x, "
        f"{config.generator.filters} filters, {header.provenance.steps} steps"
    )
    return DONE
