"""A package of bioimage.io: weights, how to use them, and an example to test them by.

Its attachment model.safetensors is the model itself, with both directions, so that it
comes back as it was.
"""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, get_args

import numpy as np
import yaml

from napari_cyclegan3d.engine.checkpoint import save_model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.engine.files import atomic_path, check_writable
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.card import write_card
from napari_cyclegan3d.exchange.credits import Credits, check_credits
from napari_cyclegan3d.exchange.description import (
    ATTACHMENT,
    DOCUMENTATION,
    description,
)
from napari_cyclegan3d.exchange.graph import Outgoing
from napari_cyclegan3d.exchange.onnx import check_libraries, onnx_bytes
from napari_cyclegan3d.exchange.runs import Run, title_of
from napari_cyclegan3d.exchange.samples import cover, expected, sample
from napari_cyclegan3d.exchange.torchscript import torchscript_bytes

PURPOSE = "A package of bioimage.io"


def check_package(credits: Credits) -> None:
    """Refuse before long work what could not be packaged.

    Raises:
        InputError: A library is missing, authors or licence are, or the licence is not
            in the SPDX list.
    """
    spec = _spec()
    needed("bioimageio.core", "zoo", PURPOSE)
    check_libraries()
    known = spec.LicenseId.root_model.model_fields["root"].annotation
    check_credits(credits, get_args(known))


def write_package(
    outgoing: Outgoing,
    path: Path,
    credits: Credits,
    volume: Volume | None = None,
    run: Run | None = None,
) -> None:
    """Write a package and let bioimageio.core test it.

    Args:
        outgoing: What goes into it, as TorchScript and as ONNX.
        path: The .zip file.
        credits: Authors and licence.
        volume: Where the example is taken from; else from the run.
        run: The training, for example and description.

    Raises:
        InputError: See `check_package`; or the test failed, or the file could not be
            written.
    """
    check_package(credits)
    check_writable(path)
    with TemporaryDirectory() as place, _quiet():
        content = Path(place) / "content"
        content.mkdir()
        _fill(content, outgoing, credits, volume, run)
        package = _packed(content, Path(place) / "package.zip")
        _test(package)
        with atomic_path(path, package.stat().st_size) as temporary:
            shutil.copyfile(package, temporary)


def _fill(
    folder: Path,
    outgoing: Outgoing,
    credits: Credits,
    volume: Volume | None,
    run: Run | None,
) -> None:
    """Write all files of a package into a folder."""
    grey = sample(outgoing, volume, run)
    result = expected(outgoing, grey)
    np.save(folder / "input.npy", grey, allow_pickle=False)
    np.save(folder / "output.npy", result, allow_pickle=False)
    cover(outgoing, grey, result).save(folder / "cover.png")
    save_model(outgoing.model, folder / ATTACHMENT)
    text = folder / DOCUMENTATION
    pictures = write_card(outgoing.model, text, run, credits, outgoing)
    # grey values are left to the steps before and after, which others can read
    graph = outgoing.bare
    (folder / "weights.pt").write_bytes(torchscript_bytes(graph, outgoing))
    content, opset = onnx_bytes(graph, outgoing)
    (folder / "weights.onnx").write_bytes(content)
    names = [path.name for path in pictures]
    title = title_of(outgoing.model.name, run)
    words = description(outgoing, folder, credits, title, names, opset)
    text = folder / "rdf.yaml"
    text.write_text(yaml.safe_dump(words, sort_keys=False), encoding="utf-8")


def _packed(folder: Path, package: Path) -> Path:
    """A folder with a description as one file."""
    spec = needed("bioimageio.spec", "zoo", PURPOSE)
    found = spec.load_description(folder / "rdf.yaml")
    if isinstance(found, spec.InvalidDescr):
        raise _refused(found.validation_summary)
    spec.save_bioimageio_package(found, output_path=package)
    return package


def _test(package: Path) -> None:
    """Let bioimageio.core run the weights on the example and on other sizes."""
    summary = needed("bioimageio.core", "zoo", PURPOSE).test_model(package)
    if summary.status != "passed":
        raise _refused(summary)


def _refused(summary: Any) -> InputError:
    messages = [one.msg for detail in summary.details for one in detail.errors]
    first = " ".join(str(messages[0]).split()) if messages else summary.status
    return InputError(
        f"bioimageio.core refuses the package ({first[:300]}); nothing was written"
    )


def _spec() -> ModuleType:
    return needed("bioimageio.spec.model.v0_5", "zoo", PURPOSE)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' running commentary; what they refuse is raised."""
    logger = needed("loguru", "zoo", PURPOSE).logger
    logger.disable("bioimageio")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.enable("bioimageio")
