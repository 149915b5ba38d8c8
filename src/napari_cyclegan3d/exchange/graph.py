"""The network that goes out, with what it needs of its model."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.checkpoint import Direction, Model
from napari_cyclegan3d.engine.intensity import Intensity, fit_intensity
from napari_cyclegan3d.engine.networks import Generator, freeze_norms
from napari_cyclegan3d.engine.patches import slices_first
from napari_cyclegan3d.engine.sections.patches import IntensityConfig
from napari_cyclegan3d.engine.statistics import sample_patches
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.sizes import Sizes, sizes_of

# patches of a volume on which instance norms are measured, as in an enhancement
SAMPLE = 32
# largest difference of an exported network, as share of its largest output
TOLERANCE = 1e-4


class Graph(nn.Module):
    """A generator that takes one image, with as much of its grey values as is fixed.

    What is not finite counts as the middle of the range. A channel of noise, where the
    generator has one, is zero.

    Args:
        network: The generator.
        fit_in: From grey values; None: the input is normalised.
        fit_out: To grey values; None: the result stays normalised.
    """

    grey_in: Tensor | None
    grey_out: Tensor | None

    def __init__(
        self, network: Generator, fit_in: Intensity | None, fit_out: Intensity | None
    ) -> None:
        super().__init__()
        self.network = network
        for name, fit in (("grey_in", fit_in), ("grey_out", fit_out)):
            numbers = None if fit is None else torch.tensor([fit.offset, fit.gain])
            self.register_buffer(name, numbers)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, z, y, x) → (n, 1, scale·z, scale·y, scale·x); in 2D without z."""
        if self.grey_in is not None:
            image = (image - self.grey_in[0]) / self.grey_in[1]
        image = torch.where(torch.isfinite(image), image, torch.zeros_like(image))
        if self.network.inputs > 1:
            image = torch.cat([image, torch.zeros_like(image)], 1)
        out = cast(Tensor, self.network(image))
        if self.grey_out is not None:
            out = out * self.grey_out[1] + self.grey_out[0]
        return out

    def tolerance(self, output: Tensor) -> float:
        """Largest difference from `output` that another program may have.

        A share of the network's own numbers: an offset of grey values does not widen
        it.
        """
        offset, gain = (0.0, 1.0) if self.grey_out is None else self.grey_out.tolist()
        largest = float((output - offset).abs().max())
        return TOLERANCE * max(abs(float(gain)), largest)


@dataclass(frozen=True, eq=False)
class Outgoing:
    """One direction of a model, ready to be written.

    Attributes:
        model: The model.
        direction: Which of its generators.
        network: The generator on the CPU; its norms are frozen where they can be.
        fit_in: From grey values; None: `rule` is to be fitted to each volume.
        fit_out: To grey values; None: those of the input's own fit.
        rule: How `fit_in` is found for a volume.
        sizes: What sizes the network takes.
        remarks: What a user must know, one sentence each.
    """

    model: Model
    direction: Direction
    network: Generator
    fit_in: Intensity | None
    fit_out: Intensity | None
    rule: IntensityConfig
    sizes: Sizes
    remarks: tuple[str, ...]

    @property
    def scale(self) -> Fraction:
        """Output size over input size per axis."""
        return self.model.scale(self.direction)

    @property
    def axes(self) -> str:
        """Axes that the network sees: zyx, or the two of its slices."""
        return _axes(self.model)

    @property
    def graph(self) -> Graph:
        """The network with the grey values that are fixed."""
        return Graph(self.network, self.fit_in, self.fit_out).eval()

    @property
    def bare(self) -> Graph:
        """The network alone: from normalised numbers to normalised numbers."""
        return Graph(self.network, None, None).eval()

    @property
    def facts(self) -> dict[str, Any]:
        """What a program must know of the graph, as plain values for JSON."""
        return {
            "format": 1,
            "name": self.model.name,
            "version": self.model.header.provenance.version,
            "direction": self.direction,
            "axes": f"bc{self.axes}",
            "scale": str(self.scale),
            "step": self.sizes.step,
            "halo": self.sizes.halo,
            "smallest": self.sizes.smallest,
            "takes": "normalised" if self.fit_in is None else "grey values",
            "gives": "normalised" if self.fit_out is None else "grey values",
            "remarks": list(self.remarks),
        }


def outgoing(
    model: Model, direction: Direction, volume: Volume | None = None
) -> Outgoing:
    """What goes out of a model.

    Args:
        model: A trained model.
        direction: Which of its generators.
        volume: One as will be enhanced: a model that normalises each volume on its own
            gets the numbers of this one, and instance norm its statistics.

    Raises:
        InputError: The model has no such generator, or the volume shows nothing.
    """
    header, network = model.header, model.generator(direction)
    fits = header.intensity_a, header.intensity_b
    fit_in, fit_out = fits if direction == "a_to_b" else fits[::-1]
    known: Mapping[str, Intensity | None] = {"in": fit_in, "out": fit_out}
    if header.config.intensity.scope == "volume":
        own = fit_intensity([volume], header.config.intensity) if volume else None
        # srgan: the same scan, only finer
        known = {"in": own, "out": own if header.config.method == "srgan" else fit_out}
    network = network.cpu().eval()
    if network.tile_dependent and volume is not None:
        patch = header.config.patch if direction == "a_to_b" else header.config.patch_b
        one, dims = slices_of(volume, model), network.dims
        fit = known["in"] or fit_in
        images = sample_patches(one, fit, patch, SAMPLE, dims, network.inputs)
        network = freeze_norms(network, images)
    sizes, rule = sizes_of(network), header.config.intensity
    remarks = tuple(_remarks(model, network, known, sizes))
    return Outgoing(
        model, direction, network, known["in"], known["out"], rule, sizes, remarks
    )


def _axes(model: Model) -> str:
    config = model.header.config
    return "zyx" if config.dims == 3 else "zyx".replace(config.slice_axis, "")


def slices_of(volume: Volume, model: Model) -> Volume:
    """The volume as the model's networks take it: slices first, if they are 2D."""
    config = model.header.config
    return volume if config.dims == 3 else slices_first(volume, config.slice_axis)


def _remarks(
    model: Model,
    network: Generator,
    known: Mapping[str, Intensity | None],
    sizes: Sizes,
) -> list[str]:
    """Sentences about what does not travel as it is used here."""
    said = []
    rule = model.header.config.intensity
    if known["in"] is None:
        said.append(
            f"Each volume is normalised on its own ({rule.method}); the network takes "
            "normalised numbers. --volume FILE writes the numbers of a volume into it."
        )
    if known["out"] is None:
        said.append(
            "The result is in the normalised numbers of its input: multiply by the "
            "input's gain and add its offset."
        )
    if network.tile_dependent:
        said.append(
            f"The network has {network.config.norm} norm whose statistics are not "
            "frozen: results depend on the tile. --volume FILE freezes those of a "
            "volume."
        )
    if not sizes.exact:
        said.append(
            f"The network sees {sizes.seen} voxels beyond a tile; the halo of "
            f"{sizes.halo} cuts that short, so that tiles may differ a little where "
            "they meet."
        )
    if network.inputs > 1:
        said.append("The channel of noise that it was trained with is zero.")
    return said
