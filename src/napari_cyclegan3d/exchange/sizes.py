"""What sizes of input a network takes, measured on the network itself."""

from dataclasses import dataclass
from fractions import Fraction

from napari_cyclegan3d.engine.networks import Generator, measure_halo

# a package is tested at its smallest size; wider halos than this allows are cut short
MOST_VOXELS = 2**22
# one voxel along a side shows nothing of a network
SHORTEST = 4


@dataclass(frozen=True)
class Sizes:
    """Sides of the input, the same along each axis that the network sees, in voxels.

    Attributes:
        step: Sides are multiples of this.
        seen: Voxels beyond a tile that its result depends on, on the side where
            there are more of them.
        halo: Voxels to read beyond each side of a tile, and to cut off its result;
            `seen`, or less where that would take too large a tile.
        smallest: Shortest side of a tile with such a halo.
    """

    step: int
    seen: int
    halo: int
    smallest: int

    @property
    def exact(self) -> bool:
        """Whether tiles with this halo give what the whole image gives."""
        return self.halo == self.seen

    def trial(self, dims: int) -> tuple[int, ...]:
        """Short sides that differ, to run the network at."""
        unit = -(-SHORTEST // self.step) * self.step
        return (3 * unit, *(2 * unit,) * (dims - 1))


def sizes_of(network: Generator) -> Sizes:
    """The sizes that a generator takes.

    Args:
        network: Of any kind, in 2D or 3D, on any device.
    """
    step, seen = network.stride, max(measure_halo(network))
    # the halo of the result has whole voxels, too
    unit = max(step, Fraction(network.scale).denominator)
    longest = int(MOST_VOXELS ** (1 / network.dims))
    fitting = (longest - step) // 2 // unit * unit
    halo = min(seen, max(unit, fitting))
    side = 2 * halo + max(step, SHORTEST)
    return Sizes(step, seen, halo, -(-side // step) * step)
