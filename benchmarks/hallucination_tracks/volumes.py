"""Volumes whose truth is known: fibres and balls, drawn with soft edges."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]
SIDE = 64
FIBRES, BALLS = 22, 14
PORES = 0.3  # share of dark balls
EDGE = 6  # voxels that planted structures keep from the border


@dataclass(frozen=True, eq=False)
class Shape:
    """A fibre from `start` to `end`, or a ball if they are the same place."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    radius: float
    contrast: float = 1.0

    @property
    def is_ball(self) -> bool:
        """Whether it has no length."""
        return bool(np.allclose(self.start, self.end))

    def part(self, low: float, high: float) -> "Shape":
        """The fibre between two shares of its length."""
        along = self.end - self.start
        return replace(
            self, start=self.start + low * along, end=self.start + high * along
        )


def render(shapes: Sequence[Shape], side: int = SIDE, scale: int = 1) -> Array:
    """The shapes on a grid, finer by `scale`; the strongest counts where they cross."""
    volume = np.zeros((side * scale,) * 3, np.float32)
    for shape in shapes:
        ends = np.stack([shape.start, shape.end])
        low = np.floor(np.maximum(ends.min(0) - shape.radius - 1, 0)).astype(int)
        high = np.ceil(np.minimum(ends.max(0) + shape.radius + 2, side)).astype(int)
        if (high <= low).any():
            continue
        axes = [
            (np.arange(a * scale, b * scale) + 0.5) / scale - 0.5
            for a, b in zip(low, high, strict=True)
        ]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        inside = np.clip((shape.radius - _distance(points, shape)) * scale + 0.5, 0, 1)
        part = tuple(
            slice(a * scale, b * scale) for a, b in zip(low, high, strict=True)
        )
        drawn = (shape.contrast * inside).astype(np.float32)
        stronger = np.abs(drawn) > np.abs(volume[part])
        volume[part] = np.where(stronger, drawn, volume[part])
    return volume


def _distance(points: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    along = shape.end - shape.start
    length = max(float(along @ along), 1e-9)
    share = np.clip((points - shape.start) @ along / length, 0, 1)
    return np.linalg.norm(points - shape.start - share[..., None] * along, axis=-1)


def direction(random: np.random.Generator) -> NDArray[np.float64]:
    vector = random.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


def fibre(
    random: np.random.Generator, length: float | None = None, thick: float = 1.0
) -> Shape:
    """A fibre: long and anywhere, or of a length and within the volume."""
    radius = thick * random.uniform(0.84, 1.06)
    along = direction(random)
    if length is None:
        middle, half = random.uniform(0, SIDE, 3), random.uniform(12, 40) * along
    else:
        middle, half = random.uniform(EDGE, SIDE - EDGE, 3), length / 2 * along
    return Shape(middle - half, middle + half, radius)


def ball(random: np.random.Generator, thick: float = 1.0) -> Shape:
    """A bright lesion or a dark pore."""
    place = random.uniform(EDGE, SIDE - EDGE, 3)
    contrast = -1.0 if random.random() < PORES else 1.0
    return Shape(place, place, thick * random.uniform(1.6, 1.95), contrast)


def scene(
    random: np.random.Generator,
    fibres: int = FIBRES,
    balls: int = BALLS,
    thick: float = 1.0,
) -> list[Shape]:
    """The structures of a volume."""
    return [fibre(random, thick=thick) for _ in range(fibres)] + [
        ball(random, thick) for _ in range(balls)
    ]


def field(random: np.random.Generator, sigma: float, side: int = SIDE) -> Array:
    """A random field of standard deviation 1 that varies over `sigma` voxels."""
    values = gaussian_filter(random.normal(size=(side,) * 3), sigma, mode="wrap")
    return ((values - values.mean()) / values.std()).astype(np.float32)


def noise(random: np.random.Generator, sigma: float, correlated: float) -> Array:
    """Noise of deviation `sigma`, blurred over `correlated` voxels."""
    return np.float32(sigma) * field(random, correlated)
