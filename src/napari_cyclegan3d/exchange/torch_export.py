"""A file of torch.export (.pt2): PyTorch's successor of TorchScript."""

import io
import json
import warnings
from pathlib import Path

import torch

from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.exchange.graph import Outgoing
from napari_cyclegan3d.exchange.torchscript import FACTS, check_same, example, trial


def write_torch_export(outgoing: Outgoing, path: Path) -> None:
    """Write the graph as an exported program, with its facts as an extra file.

    Raises:
        InputError: The file could not be written, or would not compute what the model
            does.
    """
    graph = outgoing.graph.requires_grad_(False)
    axes = (0, *range(2, 2 + graph.network.dims))
    free = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    with warnings.catch_warnings():
        # of PyTorch's own code
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.export.export(graph, (example(graph),), dynamic_shapes=(free,))
        buffer = io.BytesIO()
        extra = {FACTS: json.dumps(outgoing.facts)}
        torch.export.save(program, buffer, extra_files=extra)
        content = buffer.getvalue()
        loaded = torch.export.load(io.BytesIO(content)).module()
        image = trial(graph, outgoing.sizes)
        check_same(graph, image, loaded(image), "torch.export")
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)
