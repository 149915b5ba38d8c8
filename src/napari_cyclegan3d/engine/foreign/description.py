"""How a graph of another program is used: sizes, grey values, memory."""

from typing import Annotated, Literal

from pydantic import Field

from napari_cyclegan3d.engine.settings import Settings

LARGEST_GRAPH = 2**31 - 2**20
Length = Annotated[int, Field(ge=0, le=2**14)]


class Step(Settings):
    """One step on grey values before or after a graph.

    Attributes:
        kind: linear: value · gain + offset; clip: between low and high; sigmoid;
            moments: mean 0 and deviation 1 of the whole volume; range: its percentiles
            low and high become 0 and 1.
        epsilon: What moments and range add to what they divide by.
    """

    kind: Literal["linear", "clip", "sigmoid", "moments", "range"]
    gain: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None
    epsilon: float = Field(1e-6, ge=0, le=0.1)


Steps = Annotated[tuple[Step, ...], Field(max_length=16)]


class Side(Settings):
    """What lengths a graph takes along one axis, in voxels.

    Attributes:
        least: The shortest.
        step: Longer ones differ by multiples of this; 0: there are none.
        halo: Voxels beyond a tile that its result depends on, on each side.
        rim: Voxels beyond the borders of a volume that its authors give it.
    """

    least: int = Field(ge=1, le=2**14)
    step: Length
    halo: Length
    rim: Length = 0

    @property
    def stride(self) -> int:
        """What tiles are placed at multiples of."""
        return max(1, self.step)

    def allowed(self, length: int) -> int:
        """The shortest length that is taken and not below this one, if there is any."""
        if not self.step:
            return self.least
        return self.least + -(-max(0, length - self.least) // self.step) * self.step


class ForeignGraph(Settings):
    """What a model file says of the graph that it carries.

    Attributes:
        form: In what language the graph is written.
        size: Its bytes.
        sides: What it takes along the axes that it sees, in the order z, y, x.
        before: Steps from grey values to its input.
        after: Steps from its output to the result.
        pad: What lies beyond the borders, as numpy calls it.
        batch: Whether it takes several images at a time.
        sees_all: Whether each voxel depends on all of its tile, as far as was seen.
        bytes_per_voxel: Memory for its work, for each voxel of its input.
        title: What its authors call it.
        credits: Who they are, and the licence.
    """

    form: Literal["torchscript", "onnx"]
    size: int = Field(ge=1, le=LARGEST_GRAPH)
    sides: Annotated[tuple[Side, ...], Field(min_length=2, max_length=3)]
    before: Steps = ()
    after: Steps = ()
    pad: Literal["reflect", "symmetric", "edge"] = "symmetric"
    batch: bool = False
    sees_all: bool = False
    bytes_per_voxel: int = Field(ge=4, le=2**20)
    title: str = Field("", max_length=200)
    credits: str = Field("", max_length=1000)
