"""A graph of another program as a generator."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.devices import is_memory_shortage
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign.description import ForeignGraph
from napari_cyclegan3d.engine.foreign.onnx import open_onnx, run_onnx
from napari_cyclegan3d.engine.foreign.steps import changed, check_steps, parted
from napari_cyclegan3d.engine.foreign.torchscript import (
    open_torchscript,
    run_torchscript,
)
from napari_cyclegan3d.engine.networks import Generator
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig


class ForeignGenerator(Generator):
    """Runs a graph, with the steps on grey values that need not look at the volume.

    The graph itself is a buffer of bytes, which travels with the weights of a model.

    Args:
        foreign: What is known of the graph.
        scale: Output size over input size.
        name: Of the model, for sentences.
    """

    graph: Tensor

    def __init__(self, foreign: ForeignGraph, scale: int, name: str) -> None:
        # none of the layers that a generator of this package has
        nn.Module.__init__(self)
        self.foreign, self.name = foreign, name
        self.config, self.inputs = GeneratorConfig(), 1
        self.dims, self.scale = len(foreign.sides), Fraction(scale)
        self.stride = max(side.stride for side in foreign.sides)
        self.tile_dependent = foreign.sees_all
        self._run: Callable[[Tensor], Tensor] | None = None
        self._module: torch.jit.ScriptModule | None = None
        empty = torch.empty(foreign.size, dtype=torch.uint8)
        self.register_buffer("graph", empty)

    def open(self) -> Self:
        """Read the graph from its bytes.

        Raises:
            InputError: It cannot be used; see `torchscript` and `onnx`.
        """
        content = self.graph.numpy().tobytes()
        try:
            parted(self.foreign.before)
            check_steps(self.foreign)
            if self.foreign.form == "onnx":
                self._run = partial(run_onnx, open_onnx(content))
            else:
                module = open_torchscript(content)
                # not as a part of this module: it has no weights of its own
                self.__dict__["_module"] = module
                self._run = partial(run_torchscript, module)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        return self

    def take(self, content: bytes) -> Self:
        """Use these bytes as the graph, and read it."""
        bytes_ = np.frombuffer(content, dtype=np.uint8).copy()
        self.graph = torch.from_numpy(bytes_)
        return self.open()

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, z, y, x) → (n, 1, scale·z, scale·y, scale·x); in 2D without z.

        Raises:
            InputError: The graph failed, or gives something else than an image.
        """
        _, _, rest = parted(self.foreign.before)
        image = changed(x, rest)
        images = [image] if self.foreign.batch else list(image.split(1))
        out = torch.cat([self.bare(one) for one in images])
        return changed(out, self.foreign.after)

    def bare(self, image: Tensor) -> Tensor:
        """The graph alone, without steps on grey values."""
        assert self._run is not None, "open it first"
        try:
            result = self._run(image)
        except (RuntimeError, ValueError, TypeError) as error:
            if is_memory_shortage(error):
                raise
            line = " ".join(str(error).split())[-200:]
            raise InputError(
                f"{self.name}: its graph fails on an image of shape "
                f"{tuple(image.shape)} ({line})"
            ) from None
        expected = (*image.shape[:2], *(int(n * self.scale) for n in image.shape[2:]))
        if result.shape != expected:
            raise InputError(
                f"{self.name}: its graph makes {tuple(result.shape)} of an image of "
                f"shape {tuple(image.shape)}, not {expected}; it cannot be used"
            )
        return result.float()

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Only the network moves to a device, not the bytes that it was read from."""
        if self._module is not None:
            _move(self._module, fn)
        return self


def _move(module: torch.jit.ScriptModule, fn: Callable[[Any], Any]) -> None:
    tensors = [*module.parameters(), *module.buffers()]
    with torch.no_grad():
        for tensor in tensors:
            tensor.data = fn(tensor.data)
