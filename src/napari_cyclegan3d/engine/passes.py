"""How a training runs its networks: number format, layout, joint, repeated passes."""

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
# layers in which the samples of a batch are not independent of each other
COUPLING = (nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Passes:
    """How networks are run.

    Args:
        device: Where to compute.
        precision: Number format of the work; weights and results are fp32.
        dims: 3 for volumes, 2 for slices.
    """

    device: torch.device
    precision: torch.dtype
    dims: int

    @property
    def layout(self) -> torch.memory_format:
        """The layout of weights and images that is fast in this number format."""
        # bf16 convolutions are faster with the channels last, fp32 ones are not
        if self.precision == torch.bfloat16:
            return LAYOUTS[self.dims]
        return torch.contiguous_format

    def run(self, network: nn.Module, image: Tensor) -> Tensor:
        """A network's output in fp32."""
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            out: Tensor = network(image.contiguous(memory_format=self.layout))
        return out.float()

    def run_each(
        self, network: nn.Module, images: Mapping[str, Tensor], most: float = math.inf
    ) -> dict[str, Tensor]:
        """A network's outputs, by name; of one pass where the outputs are the same.

        One pass reads the weights once, and gives a GPU more to do at a time.

        Args:
            network: What runs.
            images: Of equal shapes, but for the number of samples.
            most: Voxels that one pass may have.
        """
        voxels = sum(image[:, 0].numel() for image in images.values())
        if voxels > most or len(images) == 1 or couples_samples(network):
            return {name: self.run(network, image) for name, image in images.items()}
        out = self.run(network, torch.cat(list(images.values())))
        parts = out.split([len(image) for image in images.values()])
        return dict(zip(images, parts, strict=True))

    def recompute_each(
        self, network: nn.Module, images: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The same; what is needed to go back is computed anew on the way back.

        Only one pass at a time keeps its activations then (Chen et al. 2016,
        arXiv:1604.06174), hence each image has its own.
        """

        def contexts() -> tuple[
            AbstractContextManager[None], AbstractContextManager[None]
        ]:
            return nullcontext(), _statistics_at_rest(network)

        return {
            name: checkpoint(
                self.run,
                network,
                image,
                use_reentrant=False,
                preserve_rng_state=False,  # no network draws random numbers
                context_fn=contexts,
            )
            for name, image in images.items()
        }


def couples_samples(network: nn.Module) -> bool:
    """Whether a sample's result depends on the others of its batch."""
    return any(isinstance(module, COUPLING) for module in network.modules())


@contextmanager
def _statistics_at_rest(network: nn.Module) -> Iterator[None]:
    """A block in which batch norm leaves its running statistics as they are."""
    norms = [module for module in network.modules() if isinstance(module, COUPLING)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
