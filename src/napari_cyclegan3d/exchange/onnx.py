"""ONNX: the network for onnxruntime and all that builds on it."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.exchange.graph import Graph, Outgoing
from napari_cyclegan3d.exchange.torchscript import check_same, example, trial

PURPOSE = "ONNX"
# one file of protobuf holds no more
LARGEST = 2**31 - 2**20
KEY = "napari_cyclegan3d"
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def write_onnx(outgoing: Outgoing, path: Path) -> None:
    """Write the graph as ONNX, with its facts in the metadata.

    Raises:
        InputError: A library is missing, the network is too large for one file, or the
            file could not be written or would not compute what the model does.
    """
    content, _ = onnx_bytes(outgoing.graph, outgoing)
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)


def check_libraries() -> None:
    """Refuse before long work what could not be done.

    Raises:
        InputError: A library is missing.
    """
    for library in LIBRARIES:
        needed(library, "export", PURPOSE)


def onnx_bytes(graph: Graph, outgoing: Outgoing) -> tuple[bytes, int]:
    """A graph as the content of an ONNX file, and the version of its operators.

    Inputs of any batch and, in steps, any size are taken: (batch, 1, z, y, x).

    Args:
        graph: What is written.
        outgoing: Where it comes from.

    Raises:
        InputError: A library is missing, the network is too large, or the file would
            not compute what the model does.
    """
    check_libraries()
    runtime = needed("onnxruntime", "export", PURPOSE)
    graph = graph.requires_grad_(False)
    weights = sum(one.numel() * one.element_size() for one in graph.parameters())
    if weights > LARGEST:
        raise InputError(
            f"{outgoing.model.name}: {weights / 1e9:.1f} GB of weights do not fit one "
            "ONNX file of 2 GB; use torch-export"
        )
    axes = outgoing.axes
    names = {0: "batch", **{2 + i: name for i, name in enumerate(axes)}}
    with _quiet():
        program = torch.onnx.export(
            graph,
            (example(graph),),
            dynamo=True,
            verbose=False,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=(names,),
        )
    assert program is not None
    program.model.metadata_props[KEY] = json.dumps(outgoing.facts)
    content = program.model_proto.SerializeToString()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    image = trial(graph, outgoing.sizes)
    (found,) = session.run(None, {"input": image.numpy()})
    check_same(graph, image, torch.from_numpy(found), PURPOSE)
    return content, int(program.model.opset_imports[""])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words on libraries that nothing here uses."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
