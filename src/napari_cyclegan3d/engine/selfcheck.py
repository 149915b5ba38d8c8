"""Whether bf16 trains here: gradients of all convolutions are compared with fp32.

PyTorch 2.13 computes weight gradients of 3D convolutions in bf16 on the CPU from
uninitialised memory, and says nothing, where an input has fewer planes than the kernel.
Other versions and devices have other faults, hence every layer is tried at the size at
which it will be trained. Each is tried alone: through a whole network rounding grows
to errors that cannot be told from faults.
"""

import copy

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.networks import CONVOLUTIONS
from napari_cyclegan3d.engine.passes import Passes

# of a gradient, relative to its length: rounding gives less than 0.01, a kernel of
# which one plane is missing gives 0.5
LARGEST_ERROR = 0.1
Shape = tuple[int, ...]


def choose_sound_precision(gan: Gan) -> str | None:
    """Let a training compute in fp32 if bf16 gives wrong gradients here.

    Takes less time than a step of batch 1 in fp32. To be called before the first step,
    also of a training that is resumed: the choice is the same.

    Args:
        gan: A training that has no gradients yet.

    Returns:
        A sentence about the change, if there was one.
    """
    if gan.precision == torch.float32:
        return None
    for name, shape, layer in tried_layers(gan):
        error = _gradient_error(layer, gan.passes, shape)
        if not error < LARGEST_ERROR:  # NaN is wrong, too
            gan.compute_in(torch.float32)
            return (
                f"bf16 gives wrong gradients on this {gan.device.type} for inputs "
                f"of {' × '.join(map(str, shape[2:]))} voxels in {name}; "
                "computing in fp32"
            )
    return None


def tried_layers(gan: Gan) -> list[tuple[str, Shape, nn.Module]]:
    """The convolutions to try: name of the network, shape of the input, layer."""
    return [
        (name, shape, layer)
        for name, network in gan.networks.items()
        for shape, layer in _layers(network, _input_shape(gan, name))
    ]


def _input_shape(gan: Gan, name: str) -> Shape:
    """The shape of one image that a network is trained on."""
    config, of_a = gan.config, name in ("a_to_b", "judge_a")
    sides = (config.patch if of_a else config.patch_b)[3 - config.dims :]
    channels = gan.generators[name].inputs if name in gan.generators else 1
    return (1, channels, *sides)


def _layers(network: nn.Module, shape: Shape) -> list[tuple[Shape, nn.Module]]:
    """The convolutions, with their inputs' shapes; none comes twice."""
    found: dict[tuple[str, Shape], nn.Module] = {}
    twin = copy.deepcopy(network).to("meta")  # shapes cost no computation there
    originals = dict(network.named_modules())
    for name, layer in twin.named_modules():
        if isinstance(layer, CONVOLUTIONS):

            def note(
                layer: nn.Module, inputs: tuple[Tensor, ...], name: str = name
            ) -> None:
                key = (repr(layer), tuple(inputs[0].shape))
                found.setdefault(key, originals[name])

            layer.register_forward_pre_hook(note)
    twin(torch.empty(shape, device="meta"))
    return [(shape, layer) for (_, shape), layer in found.items()]


def _gradient_error(layer: nn.Module, passes: Passes, shape: Shape) -> float:
    """The largest error of a layer's gradients, relative to their lengths."""
    exact = _gradients(layer, Passes(passes.device, torch.float32, passes.dims), shape)
    rounded = _gradients(layer, passes, shape)
    errors = [
        (ours - right).norm() / right.norm()
        for ours, right in zip(rounded, exact, strict=True)
    ]
    # a maximum would pass over NaN
    return float(torch.stack(errors).nan_to_num(nan=torch.inf).max())


def _gradients(layer: nn.Module, passes: Passes, shape: Shape) -> list[Tensor]:
    """Gradients of a layer's weights and input, for random input and judgement."""
    twin = copy.deepcopy(layer).requires_grad_(True)
    twin.to(memory_format=passes.layout)  # type: ignore[call-overload]
    random = torch.Generator().manual_seed(0)
    image = torch.randn(shape, generator=random).to(passes.device).requires_grad_(True)
    out = passes.run(twin, image)
    out.backward(torch.randn(out.shape, generator=random).to(out))
    gradients = [one.grad for one in (image, *twin.parameters())]
    return [gradient.float() for gradient in gradients if gradient is not None]
