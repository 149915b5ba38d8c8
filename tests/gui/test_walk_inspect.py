"""An inspection in one go, in a real window, by what a user presses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from walk_inspect import InspectWalk

SIDE = 40


@pytest.fixture
def files(tmp_path: Path, upright: Volume) -> tuple[Path, Path]:
    """A noisy scan of 27 balls, and its enhancement, in which a third is invented."""
    random, grid = np.random.default_rng(0), np.indices((SIDE,) * 3)
    right, wrong = np.full((2, SIDE, SIDE, SIDE), 100, np.float32)
    middles = [(z, y, x) for z in (7, 20, 33) for y in (7, 20, 33) for x in (7, 20, 33)]
    for number, middle in enumerate(middles):
        away = np.sqrt(sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True)))
        ball = 100 * np.clip(4 - away, 0, 1).astype(np.float32)
        wrong += ball
        right += 0 if number % 3 == 0 else ball
    noise = random.normal(0, 12, right.shape)
    volumes = gaussian_filter(right, 1.0) + noise, wrong
    paths = tmp_path / "fast.tif", tmp_path / "enhanced.tif"
    for values, path in zip(volumes, paths, strict=True):
        io.write(Volume(values.astype(np.float32), upright.affine, "micrometer"), path)
    return paths


def test_a_user_inspects_decides_compares_exports_and_loads_again(
    make_napari_viewer: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path
) -> None:
    viewers: list[Any] = []
    seen: dict[str, Any] = {}

    def open_viewer() -> Any:
        viewers.append(make_napari_viewer(show=True))
        return viewers[-1]

    def shoot(viewer: Any, name: str) -> None:
        seen[name] = viewer.screenshot(canvas_only=True, flash=False)

    folder = tmp_path / "reports"
    folder.mkdir()
    walk = InspectWalk(open_viewer, *files, folder, shoot)
    walk.go()

    assert list(seen) == walk.seen
    assert walk.seen[0] == "inspect-choose"
    assert walk.seen[-1] == "inspect-loaded"
    assert len(walk.seen) == 12
    # each way of comparing shows something else
    names = ("inspect-decided", "inspect-side-by-side", "inspect-curtain")
    pictures = [seen[name].astype(int) for name in names]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(pictures[one] - pictures[other]).mean() > 0.2
