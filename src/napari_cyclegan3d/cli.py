"""The command line: parse → settings → iterate events → print.

Exit codes: 0 done, 1 input refused or work stopped early, 2 wrong use of the command.
"""

import argparse
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np
import yaml
from pydantic.fields import FieldInfo

from napari_cyclegan3d import __version__, io
from napari_cyclegan3d.console import DONE, STOPPED, show_enhancement, show_training
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.files import check_writable
from napari_cyclegan3d.engine.settings import (
    Settings,
    limits,
    load_yaml,
    merged,
    parse,
)
from napari_cyclegan3d.engine.volume import Volume

SettingsT = TypeVar("SettingsT", bound=Settings)
REGION = re.compile(r"(?P<path>.+)\[(?P<region>[\d:,\s-]+)\]$")
RANGE = re.compile(r"(-?\d+)?:(-?\d+)?")
WRONG_USE = 2
LIMITS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; by default the process's own.

    Returns:
        The exit code.
    """
    # threads that wait must not keep the cores from others; read when PyTorch loads
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except (InputError, MemoryShortageError) as error:
        return _fail(str(error), STOPPED)
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror}", STOPPED)
    except KeyboardInterrupt:
        return _fail("interrupted", STOPPED)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="napari-cyclegan3d",
        description="Unpaired 3D CycleGAN enhancement of volumes.",
        epilog="Exit codes: 0 done, 1 input refused or stopped early, 2 wrong use.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="learn to translate A into B"))
    _add_enhance(commands.add_parser("enhance", help="translate a volume by tiles"))
    _add_demo(commands.add_parser("demo", help="the whole job on the bundled sample"))
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s --a VOLUME … --b VOLUME … --run FOLDER [settings]"
    parser.description = (
        "Learn to translate volumes of domain A into domain B and back, unpaired. "
        "Ctrl+C stops and saves; --resume goes on."
    )
    region = "a file or a folder of TIFF slices; a part: VOLUME[z0:z1,y0:y1,x0:x1]"
    parser.add_argument(
        "--a", nargs="+", required=True, metavar="VOLUME", help=f"domain A: {region}"
    )
    parser.add_argument(
        "--b", nargs="+", required=True, metavar="VOLUME", help=f"domain B: {region}"
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder for all that training produces"
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--resume", action="store_true", help="go on with the newest state in --run"
    )
    weights.add_argument(
        "--start-from", type=Path, metavar="MODEL", help="begin with a model's weights"
    )
    _add_settings(parser, TrainConfig)
    parser.set_defaults(run_command=_train)


def _add_enhance(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s VOLUME --model FILE -o FILE [settings]"
    parser.description = "Translate a volume of any size with a trained model."
    parser.add_argument(
        "volume",
        metavar="VOLUME",
        help="a file or a folder of TIFF slices; a part: VOLUME[z0:z1,y0:y1,x0:x1]",
    )
    parser.add_argument("--model", type=Path, required=True, help="a .safetensors file")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="file to write (float32)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output if it exists"
    )
    _add_settings(parser, EnhanceConfig)
    parser.set_defaults(run_command=_enhance)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train a small model on the bundled fibre sample, enhance its noisy volume, "
        "compare with the truth, and show the result in napari if there is a display."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder to write to"
    )
    parser.add_argument(
        "--minutes", type=float, default=2.0, help="how long to train, about"
    )
    parser.add_argument(
        "--no-window", action="store_true", help="do not open napari at the end"
    )
    parser.set_defaults(run_command=_demo)


def _add_settings(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """An option for each setting; help, limits and defaults come from the model."""
    parser.add_argument(
        "--config", type=Path, metavar="YAML", help="settings; options override them"
    )
    general = parser.add_argument_group("settings")
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Settings):
            group = parser.add_argument_group(f"settings: {name}", section.__doc__)
            for leaf, leaf_info in section.model_fields.items():
                _add_setting(group, f"{name}.{leaf}", leaf_info)
        else:
            _add_setting(general, name, info)


def _add_setting(group: argparse._ArgumentGroup, key: str, info: FieldInfo) -> None:
    default = info.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    within = "".join(
        f"; {LIMITS[name]} {limit:g}" for name, limit in limits(info).items()
    )
    help_text = (
        f"{info.description} [{'automatic' if shown is None else shown}{within}]"
    )
    group.add_argument(
        f"--{key.replace('_', '-')}",
        dest=f"setting:{key}",
        metavar=_placeholder(info),
        default=argparse.SUPPRESS,
        help=help_text.replace("%", "%%"),
    )


def _placeholder(info: FieldInfo) -> str:
    """What to write for a value: its choices, or as many numbers as it takes."""
    kind, parts = info.annotation, get_args(info.annotation)
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if kind is bool:
        return "{true,false}"
    if type(None) in parts or (get_origin(kind) is tuple and len(parts) == 3):
        return "Z,Y,X"
    return "LOW,HIGH" if get_origin(kind) is tuple else "VALUE"


def _settings(
    options: argparse.Namespace, model: type[SettingsT], base: Mapping[str, Any]
) -> SettingsT:
    """Settings from `base`, the YAML file over it and the options over both.

    A mistake in them is wrong use of the command: it ends the program with code 2.
    """
    try:
        values = dict(base)
        if options.config is not None:
            values = merged(values, load_yaml(options.config))
        for dest, text in vars(options).items():
            if dest.startswith("setting:"):
                change = _nested(dest.removeprefix("setting:"), _value(text))
                values = merged(values, change)
        return parse(model, values)
    except InputError as error:
        sys.exit(_fail(str(error), WRONG_USE))


def _value(text: str) -> Any:
    """`32,32,32` is a list; anything else is what YAML takes it for."""
    try:
        return yaml.safe_load(f"[{text}]" if "," in text else text)
    # impossible dates and numbers: ValueError
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _nested(key: str, value: Any) -> dict[str, Any]:
    section, _, leaf = key.rpartition(".")
    return {section: {leaf: value}} if section else {leaf: value}


def open_volume(text: str) -> Volume:
    """A volume from `FILE` or `FILE[z0:z1,y0:y1,x0:x1]`.

    Raises:
        InputError: The file or the region cannot be used.
    """
    match = REGION.match(text)
    if match is None or Path(text).exists():
        return io.read(text)
    parts = match["region"].replace(" ", "").split(",")
    ranges = [found for part in parts if (found := RANGE.fullmatch(part))]
    if len(parts) != 3 or len(ranges) != 3:
        raise InputError(
            f"{text}: a region has three ranges, as in volume.tif[0:64,:,100:200]"
        )
    z, y, x = (slice(*(int(n) if n else None for n in one.groups())) for one in ranges)
    volume = io.read(match["path"])
    for part, size in zip((z, y, x), volume.shape, strict=True):
        if max(abs(end) for end in (part.start or 0, part.stop or 0)) > size:
            raise InputError(f"{text}: goes beyond the volume of shape {volume.shape}")
    return volume.crop((z, y, x))


def _train(options: argparse.Namespace) -> int:
    from napari_cyclegan3d.engine.checkpoint import load_model
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.runs import RunFolder
    from napari_cyclegan3d.engine.training import Domains, train

    base: dict[str, Any] = {}
    start_from = None
    if options.resume:
        base = RunFolder(options.run).config().model_dump()
    elif options.start_from is not None:
        start_from = load_model(options.start_from)
        trained = start_from.header.config.model_dump()
        base = {key: trained[key] for key in ("scale", "generator", "discriminator")}
    config = _settings(options, TrainConfig, base)
    tune_allocator()
    domains = Domains(
        [open_volume(text) for text in options.a],
        [open_volume(text) for text in options.b],
    )
    events = train(
        config, domains, options.run, resume=options.resume, start_from=start_from
    )
    return show_training(events, options.run)


def _enhance(options: argparse.Namespace) -> int:
    from napari_cyclegan3d.engine.checkpoint import load_model
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.inference import enhance, enhanced_shape

    config = _settings(options, EnhanceConfig, {})
    _check_output(options.output, overwrite=options.overwrite)
    tune_allocator()
    model = load_model(options.model)
    volume = open_volume(options.volume)
    voxels = math.prod(enhanced_shape(volume, model, config))
    # how small gzip makes a file is known afterwards only
    if options.output.suffix != ".gz":
        check_writable(options.output, voxels * np.dtype(np.float32).itemsize)
    result = show_enhancement(enhance(volume, model, config))
    if result is None:
        print("stopped; nothing was written", file=sys.stderr)
        return STOPPED
    io.write(result, options.output)
    print(f"{options.output}: {result.shape} voxels of {_spacing(result)}")
    return DONE


def _check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if not io.can_write(path):
        raise InputError(
            f"{path}: files of this kind cannot be written; known are "
            f"{', '.join(io.WRITABLE_SUFFIXES)}"
        )
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; replace it with --overwrite")
    check_writable(path)


def _spacing(volume: Volume) -> str:
    return " × ".join(f"{side:g}" for side in volume.spacing) + f" {volume.unit}"


def _demo(options: argparse.Namespace) -> int:
    from napari_cyclegan3d import demo

    return demo.run(options.out, options.minutes, window=not options.no_window)


if __name__ == "__main__":
    sys.exit(main())
