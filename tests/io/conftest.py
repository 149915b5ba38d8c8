import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

Coordinates = Callable[..., NDArray[np.generic]]


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    def locate(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"needs {name} in the folder shared/data beside the checkout")
        return SHARED / name

    return locate


@pytest.fixture
def coordinates() -> Coordinates:
    """Voxels whose value tells their position (for small types: within a period)."""

    def build(shape: tuple[int, ...], dtype: str = "uint16") -> NDArray[np.generic]:
        index = np.arange(math.prod(shape)).reshape(shape)
        if dtype == "bool":
            return index * 2654435761 % 2**32 > 2**31
        lowest = -125 if np.dtype(dtype).kind in "if" else 0
        values = index % (251 if np.dtype(dtype).itemsize == 1 else 30011) + lowest
        return values.astype(dtype) / 8 if dtype[0] == "f" else values.astype(dtype)

    return build
