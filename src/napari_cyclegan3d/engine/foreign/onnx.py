"""Graphs in ONNX, run by onnxruntime on the CPU."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed

PURPOSE = "A model in ONNX"
STANDARD = {"", "ai.onnx"}
DAMAGED = "the ONNX graph in it is damaged"
EXTERNAL = 1


def open_onnx(content: bytes) -> Any:
    """Read a graph; gives a session of onnxruntime.

    Raises:
        InputError: A library is missing; the graph is damaged, needs other files or
            other operations, or takes or gives something else than one image.
    """
    _check(content)
    runtime = needed("onnxruntime", "export", PURPOSE)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime has an exception for each of its codes, with no common parent
    except Exception as error:  # noqa: BLE001
        raise InputError(f"onnxruntime cannot use its graph ({_line(error)})") from None
    kinds = [one.type for one in (*session.get_inputs(), *session.get_outputs())]
    if kinds != ["tensor(float)"] * 2:
        raise InputError(
            f"its graph takes and gives {', '.join(kinds)[:80]}; only one image of "
            "float32 in and one out can be used"
        )
    return session


def run_onnx(session: Any, image: Tensor) -> Tensor:
    """The one output for one input.

    Raises:
        RuntimeError: The graph failed.
        MemoryError: There was too little memory.
    """
    name = session.get_inputs()[0].name
    try:
        (result,) = session.run(None, {name: image.float().cpu().numpy()})
    except Exception as error:  # noqa: BLE001
        if "alloc" in str(error).lower():
            raise MemoryError(str(error)) from None
        raise RuntimeError(_line(error)) from None
    return torch.from_numpy(result).to(image.device)


def widest(content: bytes) -> int:
    """Channels of the widest layer."""
    onnx = needed("onnx", "export", PURPOSE)
    graph = onnx.load_model_from_string(content).graph
    sides = [max(one.dims[:2]) for one in graph.initializer if len(one.dims) > 2]
    return int(max(sides, default=16))


def _check(content: bytes) -> None:
    onnx = needed("onnx", "export", PURPOSE)
    try:
        model = onnx.load_model_from_string(content)
    # protobuf's error is not among its public names
    except Exception:  # noqa: BLE001
        raise InputError(DAMAGED) from None
    graphs = [model.graph, *model.functions]
    for node in (node for graph in graphs for node in _nodes(graph)):
        if node.domain not in STANDARD and not any(
            (one.domain, one.name) == (node.domain, node.op_type)
            for one in model.functions
        ):
            raise InputError(
                f"its ONNX graph needs operations of {node.domain[:40]!r}; only those "
                "of the standard can be used"
            )
    if any(tensor.data_location == EXTERNAL for tensor in _tensors(model)):
        raise InputError(
            "the weights of its ONNX graph lie in another file; save it as one file"
        )


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes, those of branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(model: Any) -> Iterator[Any]:
    for graph in (model.graph, *model.functions):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in _nodes(graph):
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                for inner in (attribute.g, *attribute.graphs):
                    yield from inner.initializer


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
