"""TorchScript: one file that PyTorch loads without this package, in Python and C++."""

import io
import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.exchange.graph import Graph, Outgoing
from napari_cyclegan3d.exchange.sizes import Sizes

FACTS = "napari_cyclegan3d.json"


def write_torchscript(outgoing: Outgoing, path: Path) -> None:
    """Write the graph as TorchScript, with its facts as an extra file.

    Raises:
        InputError: The file could not be written.
    """
    content = torchscript_bytes(outgoing.graph, outgoing, json.dumps(outgoing.facts))
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)


def torchscript_bytes(graph: Graph, outgoing: Outgoing, facts: str = "") -> bytes:
    """A graph as the content of a TorchScript file.

    Args:
        graph: What is written.
        outgoing: Where it comes from.
        facts: Text of an extra file; none if empty.

    Raises:
        InputError: The file would not compute what the model does.
    """
    graph = graph.requires_grad_(False)
    with warnings.catch_warnings():
        # PyTorch prefers torch.export, which other programs do not read yet
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(graph, (example(graph),), check_trace=False)
        buffer = io.BytesIO()
        extra = {FACTS: facts} if facts else {}
        torch.jit.save(traced, buffer, _extra_files=extra)
        content = buffer.getvalue()
        loaded = torch.jit.load(io.BytesIO(content), map_location="cpu")
    image = trial(graph, outgoing.sizes)
    check_same(graph, image, loaded(image), "TorchScript")
    return content


def example(graph: Graph) -> Tensor:
    """Two images of the smallest size, to follow the graph's work by."""
    side = 2 * max(graph.network.stride, 4)
    shape = (2, 1, *(side,) * graph.network.dims)
    return _grey(graph, torch.randn(shape, generator=torch.Generator().manual_seed(0)))


def trial(graph: Graph, sizes: Sizes) -> Tensor:
    """One image of another size, to try the graph on."""
    shape = (1, 1, *sizes.trial(graph.network.dims))
    return _grey(graph, torch.randn(shape, generator=torch.Generator().manual_seed(1)))


def check_same(graph: Graph, image: Tensor, theirs: Tensor, what: str) -> None:
    """Refuse to write what makes something else of an image.

    Raises:
        InputError: The results differ.
    """
    ours = graph(image)
    most = graph.tolerance(ours)
    if ours.shape == theirs.shape and float((ours - theirs).abs().max()) <= most:
        return
    raise InputError(
        f"{what} does not compute what the model does here; choose another format, or "
        "another version of PyTorch"
    )


def _grey(graph: Graph, normalised: Tensor) -> Tensor:
    """Numbers about zero as the grey values that the graph takes."""
    if graph.grey_in is None:
        return normalised
    return normalised * graph.grey_in[1] + graph.grey_in[0]
