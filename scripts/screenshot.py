"""Make the pictures of the docks for the README, from a real training in a real window.

xvfb-run -a -s "-screen 0 1400x900x24" python scripts/screenshot.py docs/images
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imageio.v3
import napari
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.layers import to_layer_data
from napari_cyclegan3d.gui.train.dock import State, TrainDock

SAMPLES = Path(__file__).parents[1] / "sample_data"
SIZE = (1280, 760)  # a 13" screen without its task bar


def wait(until: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def shoot(viewer: napari.Viewer, path: Path) -> None:
    wait(lambda: False, 1.0)
    imageio.v3.imwrite(path, viewer.screenshot(canvas_only=False, flash=False))


def main(out: Path, steps: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(show=False)
    viewer.window.resize(*SIZE)
    viewer.show()
    for name in ("fibre_slow", "fibre_fast"):
        data, kwargs, _ = to_layer_data(io.read(SAMPLES / f"{name}.tif"))
        viewer.add_image(data, **kwargs)
    _, train = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Train")
    assert isinstance(train, TrainDock)
    viewer.window.resize(*SIZE)
    train.data.domain_a.add(viewer.layers["fibre_fast"])
    train.data.domain_b.add(viewer.layers["fibre_slow"])
    train.settings.form.set_value(TrainConfig(steps=steps, preview_every=20))
    with tempfile.TemporaryDirectory() as folder:
        train.data.run_folder.value = Path(folder) / "run"
        train.start(resume=False)
        wait(lambda: train.progress.value() >= steps * 0.8, 600)
        shoot(viewer, out / "train.png")
        wait(lambda: train.state is State.IDLE, 600)
        viewer.window.remove_dock_widget(train.parent())
        _, enhance = viewer.window.add_plugin_dock_widget(
            "napari-cyclegan3d", "Enhance"
        )
        assert isinstance(enhance, EnhanceDock)
        enhance.model_file.value = Path(folder) / "run" / "model.safetensors"
        enhance.layer_choice.value = viewer.layers["fibre_fast"]
        enhance.form.set_value(EnhanceConfig())
        enhance.enhance()
        wait(lambda: enhance.worker is None, 600)
        viewer.layers["fibre_slow"].visible = False
        shoot(viewer, out / "enhance.png")
    viewer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 400)
