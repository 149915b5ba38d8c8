"""The whole story in one go, in a real window, by what a user presses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from walk import Walk

STEPS = 200


@pytest.fixture
def files(tmp_path: Path, upright: Volume) -> tuple[Path, Path]:
    """A fast and a slow scan."""
    fast, slow = tmp_path / "fast.tif", tmp_path / "slow.tif"
    io.write(upright, fast)
    noise = np.random.default_rng(7).normal(5, 2, (15, 17, 16)).astype(np.float32)
    io.write(Volume(noise, upright.affine, "micrometer"), slow)
    return fast, slow


def test_a_user_loads_trains_enhances_closes_and_goes_on(
    make_napari_viewer: Callable[..., Any],
    files: tuple[Path, Path],
    tiny: Any,
    tmp_path: Path,
) -> None:
    if QApplication.platformName() != "xcb":
        pytest.skip("closes the window through an X server")
    viewers: list[Any] = []
    seen: dict[str, Any] = {}

    def open_viewer() -> Any:
        if viewers:  # the user has closed it
            del viewers.pop().window._qt_window
        viewers.append(make_napari_viewer(show=True))
        return viewers[0]

    def shoot(viewer: Any, name: str) -> None:
        QApplication.processEvents()
        seen[name] = viewer.screenshot(canvas_only=False, flash=False)

    run = tmp_path / "run-001"
    settings = tiny(steps=100_000, preview_every=20)
    Walk(open_viewer, *files, run, settings, shoot, STEPS).go()

    assert list(seen) == [
        "data",
        "settings",
        "train",
        "stopped",
        "preview",
        "enhance",
        "close",
        "continue",
        "continued",
    ]
    assert all(picture.std() > 0 for picture in seen.values())
