"""From a network to steps: what `torch.fx` saw is put into the form that streams.

Normalisation is folded into the convolution before it, functions of single numbers are
done to a result before it is stored, and a convolution of joined channels becomes a
sum of convolutions where the sum waits in less memory than the channels would.
"""

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from napari_cyclegan3d.engine.networks.layers import (
    ChannelAffine,
    InstanceNorm,
    PixelShuffle,
)
from napari_cyclegan3d.engine.streaming.convolutions import (
    Convolution,
    Transposed,
    Triple,
)
from napari_cyclegan3d.engine.streaming.operations import (
    Enlarge,
    Join,
    MaxPool,
    Operation,
)
from napari_cyclegan3d.engine.streaming.steps import (
    Affine,
    Finish,
    Plus,
    Pointwise,
    Project,
    Step,
)

Value = int | tuple[int, ...]  # an activation, or the channels of several joined


class CannotStream(Exception):
    """The network holds something that does not work plane by plane."""


class _Tracer(fx.Tracer):
    """Sees layers, not what they are made of."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = isinstance(m, ChannelAffine | InstanceNorm | PixelShuffle)
        return own or super().is_leaf_module(m, module_qualified_name)


def read_steps(network: nn.Module, inputs: int) -> list[Step]:
    """The steps of a 3D network with one input and one output.

    Raises:
        CannotStream: It holds something that does not work plane by plane.
    """
    try:
        graph = _Tracer().trace(network)
    except (fx.proxy.TraceError, TypeError) as reason:  # its course depends on data
        raise CannotStream(str(reason)) from reason
    return _Reader(network, inputs).read(graph)


class _Reader:
    def __init__(self, network: nn.Module, inputs: int) -> None:
        self._modules = dict(network.named_modules())
        self._inputs = inputs
        self._steps: list[Step] = []
        self._values: dict[fx.Node, Value] = {}

    def read(self, graph: fx.Graph) -> list[Step]:
        """All nodes in order."""
        for node in graph.nodes:
            if node in self._values:
                continue  # done with the one before
            if node.op == "placeholder" and 0 not in self._values.values():
                self._values[node] = 0
            elif node.op == "call_module":
                self._values[node] = self._module(node)
            elif node.op == "call_function":
                self._values[node] = self._function(node)
            elif node.op == "output":
                self._output(node.args[0])
            else:
                raise CannotStream(f"{node.op} {node.target}")
        return self._steps

    def _output(self, node: fx.Node) -> None:
        """The last step has to give the output, and nobody else may read it."""
        value = self._values[node]
        if value != len(self._steps) or value == 0 or not self._alone(node):
            self._join(value)

    def _module(self, node: fx.Node) -> Value:
        module = self._modules[str(node.target)]
        (argument,) = node.args
        source = cast(fx.Node, argument)
        if getattr(module, "inplace", False) and not self._alone(source):
            raise CannotStream(f"{node.target} changes what others read")
        if isinstance(module, nn.Identity):
            return self._values[source]
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            return self._convolution(node, source, module)
        norm = _norm(module)
        if norm is not None:
            return self._finish(source, Affine(*norm))
        function = _pointwise(module)
        if function is not None:
            return self._finish(source, Pointwise(function))
        operation, factor = _resizing(module)
        value = self._one(source)
        channels = self._channels(value) // factor
        return self._add(operation, (value,), channels)

    def _function(self, node: fx.Node) -> Value:
        if node.target in (operator.add, torch.add) and _tensors(node, 2):
            return self._sum(*cast(tuple[fx.Node, fx.Node], node.args))
        if node.target is torch.tanh and _tensors(node, 1):
            return self._finish(cast(fx.Node, node.args[0]), Pointwise(torch.tanh))
        if node.target is torch.cat and _channels_joined(node):
            parts: list[int] = []
            for part in cast(list[fx.Node], node.args[0]):
                value = self._values[part]
                parts += (value,) if isinstance(value, int) else value
            return tuple(parts)
        raise CannotStream(str(node.target))

    def _sum(self, one: fx.Node, other: fx.Node) -> Value:
        values = [(self._one(node), node) for node in (one, other)]
        (early, _), (late, node) = sorted(values, key=lambda pair: pair[0])
        if early == late:
            raise CannotStream("an activation added to itself")
        return self._finish(node, Plus(early))

    def _convolution(
        self, node: fx.Node, source: fx.Node, module: nn.Conv3d | nn.ConvTranspose3d
    ) -> Value:
        operation, folded = _weighted(module), []
        while (norm := self._norm_after(node)) is not None:
            node, scale, shift = norm
            operation = _fold(operation, scale, shift)
            folded.append(node)
        value, project = self._values[source], _as_project(operation)
        if project is not None:
            result = self._finish(source, project, module.out_channels)
        elif isinstance(value, int):
            result = self._add(operation, (value,), module.out_channels)
        else:
            result = self._of_joined(operation, value, module.out_channels)
        self._values.update(dict.fromkeys(folded, result))
        return result

    def _norm_after(self, node: fx.Node) -> tuple[fx.Node, Tensor, Tensor] | None:
        """The normalisation that alone reads a node, its scale and its shift."""
        if not self._alone(node):
            return None
        (user,) = node.users
        if user.op != "call_module":
            return None
        norm = _norm(self._modules[str(user.target)])
        return None if norm is None else (user, *norm)

    def _alone(self, node: fx.Node) -> bool:
        """Whether only one other node reads it, under any name."""
        while len(node.users) == 1:
            if not isinstance(self._modules.get(str(node.target)), nn.Identity):
                return True
            node = cast(fx.Node, node.args[0])
        return False

    def _of_joined(
        self, operation: Convolution | Transposed, parts: tuple[int, ...], outputs: int
    ) -> int:
        """conv(a ⊕ b) = conv(a) + conv(b), where less waits like that."""
        axis = 0 if isinstance(operation, Transposed) else 1
        widths = [self._channels(part) for part in parts]
        weights = operation.weight.split(widths, axis)
        growth = torch.tensor(operation.stride).prod().item()
        waiting = outputs * (growth if axis == 0 else 1 / growth)
        split = [
            p != max(parts) and waiting < w for p, w in zip(parts, widths, strict=True)
        ]
        partial_sums = [
            self._add(replace(operation, weight=weight, bias=None), (part,), outputs)
            for part, weight, apart in zip(parts, weights, split, strict=True)
            if apart
        ]
        rest = [i for i, apart in enumerate(split) if not apart]
        weight = torch.cat([weights[i] for i in rest], axis)
        source = parts[rest[0]]
        if len(rest) > 1:
            source = self._join(tuple(parts[i] for i in rest))
        value = self._add(replace(operation, weight=weight), (source,), outputs)
        for sum_ in partial_sums:
            self._steps[value - 1] = self._steps[value - 1].then(Plus(sum_))
        return value

    def _finish(
        self, source: fx.Node, part: Finish, channels: int | None = None
    ) -> int:
        """Do it before the result is stored, if nobody else reads that as it was."""
        value = self._one(source)
        if value == 0 or not self._alone(source):
            value = self._join(value)
        self._steps[value - 1] = self._steps[value - 1].then(part, channels)
        return value

    def _one(self, node: fx.Node) -> int:
        value = self._values[node]
        return value if isinstance(value, int) else self._join(value)

    def _join(self, value: Value) -> int:
        parts = (value,) if isinstance(value, int) else value
        return self._add(Join(), parts, sum(self._channels(part) for part in parts))

    def _add(
        self, operation: Operation, sources: tuple[int, ...], channels: int
    ) -> int:
        self._steps.append(Step(operation, sources, (), channels, channels))
        return len(self._steps)

    def _channels(self, value: int) -> int:
        return self._steps[value - 1].channels if value else self._inputs


def _norm(module: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Scale and shift per channel of a norm that depends on nothing else."""
    if isinstance(module, ChannelAffine):
        return module.weight.detach(), module.bias.detach()
    if not isinstance(module, nn.BatchNorm3d):
        return None
    mean, variance = module.running_mean, module.running_var
    if module.training or mean is None or variance is None:
        raise CannotStream("batch norm that looks at the batch")
    scale = (variance.double() + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight.detach()
    shift = -mean * scale
    if module.bias is not None:
        shift = shift + module.bias.detach()
    return scale, shift


def _pointwise(module: nn.Module) -> Callable[..., Tensor] | None:
    """The function of an activation layer, with `out`."""
    if isinstance(module, nn.ReLU):
        return partial(torch.clamp_min, min=0)
    if isinstance(module, nn.LeakyReLU):
        slope = module.negative_slope
        return partial(torch.ops.aten.leaky_relu.out, negative_slope=slope)
    return torch.tanh if isinstance(module, nn.Tanh) else None


def _resizing(module: nn.Module) -> tuple[Operation, int]:
    """A layer that only changes the size, and what it divides channels by."""
    if isinstance(module, nn.MaxPool3d):
        odd = module.padding or module.ceil_mode or module.return_indices
        if (module.kernel_size, module.stride, module.dilation) == (
            2,
            2,
            1,
        ) and not odd:
            return MaxPool(), 1
    if isinstance(module, nn.Upsample) and module.mode == "nearest":
        factor = module.scale_factor
        if isinstance(factor, float) and factor.is_integer():
            return Enlarge(int(factor), shuffle=False), 1
    if isinstance(module, PixelShuffle):
        return Enlarge(2, shuffle=True), 8
    raise CannotStream(type(module).__name__)


def _weighted(module: nn.Conv3d | nn.ConvTranspose3d) -> Convolution | Transposed:
    plain = module.groups == 1 and set(module.dilation) == {1}
    if not plain or module.padding_mode not in ("zeros", "reflect"):
        raise CannotStream(str(module))
    if isinstance(module.padding, str):
        raise CannotStream(f"padding {module.padding}")
    weight = module.weight.detach()
    bias = None if module.bias is None else module.bias.detach()
    stride, pad = cast(Triple, module.stride), cast(Triple, module.padding)
    if isinstance(module, nn.ConvTranspose3d):
        extra = cast(Triple, module.output_padding)
        return Transposed(weight, bias, stride, pad, extra)
    reflect = module.padding_mode == "reflect"
    return Convolution(weight, bias, stride, pad, reflect)


def _fold(
    operation: Convolution | Transposed, scale: Tensor, shift: Tensor
) -> Convolution | Transposed:
    """Scale and shift the result, by other weights."""
    axis = 1 if isinstance(operation, Transposed) else 0
    shape = [1] * 5
    shape[axis] = -1
    scale, shift = scale.double(), shift.double()
    weight = (operation.weight * scale.view(shape)).to(operation.weight.dtype)
    if operation.bias is not None:
        shift = shift + operation.bias * scale
    return replace(operation, weight=weight, bias=shift.to(weight.dtype))


def _as_project(operation: Convolution | Transposed) -> Project | None:
    """A convolution of single voxels as a product of matrices."""
    sizes = {*operation.weight.shape[2:], *operation.stride}
    if isinstance(operation, Transposed) or sizes != {1} or any(operation.pad):
        return None
    weight = operation.weight.flatten(1).T
    bias = operation.bias
    return Project(weight, weight.new_zeros(weight.shape[1]) if bias is None else bias)


def _tensors(node: fx.Node, count: int) -> bool:
    """Whether the arguments are that many activations and nothing else."""
    nodes = all(isinstance(argument, fx.Node) for argument in node.args)
    return nodes and len(node.args) == count and not node.kwargs


def _channels_joined(node: fx.Node) -> bool:
    """Whether a call of torch.cat joins channels."""
    axis: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return axis in (1, -4)
