from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.volume import Region, Volume

SHAPE = (20, 26, 24)
OBLIQUE = np.array(
    [
        [2.0, 0.3, 0.0, -30.0],
        [-0.45, 1.2, 0.2, 12.0],
        [0.1, -0.2, 1.4, 7.5],
        [0, 0, 0, 1],
    ]
)
Blob = Callable[..., np.ndarray]


def make_blob(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    axes = [np.linspace(-1, 1, size) for size in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    inside = z**2 + y**2 + x**2 < 0.5
    texture = gaussian_filter(random.normal(size=shape), 1.5)
    return (inside * (800 + 400 * texture) + 20 * random.random(shape)).astype("f4")


@pytest.fixture(scope="session")
def blob() -> Blob:
    """A bright textured ball on a dark noisy ground, float32."""
    return make_blob


@pytest.fixture
def ball() -> Volume:
    """That in millimetres, on an oblique grid of voxels that are no cubes."""
    return Volume(make_blob(), OBLIQUE, "millimeter", name="ball")


class _Watched:
    def __init__(self, array: np.ndarray) -> None:
        self.array, self.most = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, region: Region) -> np.ndarray:
        part = self.array[region]
        self.most = max(self.most, part.size)
        return part


@pytest.fixture
def watched() -> Callable[[np.ndarray], Any]:
    """An array that remembers how many voxels were read of it at most."""
    return _Watched
