"""Does the window answer while a training and an enhancement run on the same cores?

Opens napari with the sample volumes, trains in one dock with the preview on, and
enhances in the other a volume that takes longer than the measurement. A timer is due
every 10 ms on the event loop; how late it comes is how long a click would have waited.
What should come out: a median under 20 ms and a 99th percentile under 100 ms.

    python benchmarks/ui_latency.py --json ui_latency.json
    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/ui_latency.py   # no screen
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QSettings, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.training import Domains, train
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.layers import to_layer_data
from napari_cyclegan3d.gui.train.dock import State, TrainDock

SAMPLES = Path(__file__).parents[1] / "sample_data"
INTERVAL_MS = 10
SIZE = (1280, 800)
QUICK_SECONDS = 3.0


class Latency:
    """How late a timer of the event loop comes, in ms."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._due = 0.0
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._arrived)

    def start(self) -> None:
        """Wait for the next arrival."""
        self._due = time.perf_counter() + INTERVAL_MS / 1000
        self._timer.start(INTERVAL_MS)

    def stop(self) -> None:
        """Wait no more."""
        self._timer.stop()

    def _arrived(self) -> None:
        self.late.append(max(0.0, 1000 * (time.perf_counter() - self._due)))
        self.start()

    def figures(self) -> dict[str, float]:
        """Median, 99th percentile and the worst."""
        median, high = np.percentile(self.late, (50, 99))
        return {
            "median_ms": round(float(median), 2),
            "p99_ms": round(float(high), 2),
            "max_ms": round(max(self.late), 2),
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of each phase")
    parser.add_argument("--quick", action="store_true", help="3 s of each phase")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    options = parser.parse_args()
    seconds = QUICK_SECONDS if options.quick else options.seconds
    with tempfile.TemporaryDirectory() as folder:
        phases = measured(Path(folder), seconds)
    for name, figures in phases.items():
        print(f"{name:<24}", *(f"{key} {value:8.2f}" for key, value in figures.items()))
    result = {**phases["training and enhancing"], "phases": phases}
    result |= {"cores": os.cpu_count(), "napari": napari.__version__}
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def measured(folder: Path, seconds: float) -> dict[str, Any]:
    """Figures of each phase, by its name."""
    # nothing of the user's own settings is read or changed
    ini, user = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    QSettings.setPath(ini, user, str(folder / "settings"))
    model = _model(folder / "small")
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    for name in ("fibre_slow", "fibre_fast"):
        data, kwargs, _ = to_layer_data(io.read(SAMPLES / f"{name}.tif"))
        viewer.add_image(data, **kwargs)
    large = np.tile(viewer.layers["fibre_fast"].data, (3, 3, 3))
    viewer.add_image(large, name="large", visible=False)
    dock, enhancing = _docks(viewer, folder / "run")
    phases = {"window alone": _watched(seconds, lambda: None)}
    dock.start(resume=False)
    _until(lambda: dock.progress.value() > 0)
    phases["training"] = _watched(seconds, lambda: None)
    enhancing.select_model(model)

    def again() -> None:
        if not enhancing.is_busy:
            enhancing.add([viewer.layers["large"]])
            enhancing.enhance()

    again()
    phases["training and enhancing"] = _watched(seconds, again)
    enhancing.cancel()
    dock.stop()
    _until(lambda: dock.state is State.IDLE and not enhancing.is_busy)
    viewer.close()
    return phases


def _model(run: Path) -> Path:
    """A model with the default network, of two steps."""
    config = parse(TrainConfig, {"steps": 2, "preview_every": 0, "patch": [20] * 3})
    a, b = (io.read(SAMPLES / f"fibre_{name}.tif") for name in ("fast", "slow"))
    list(train(config, Domains([a], [b]), run))
    return run / "model.safetensors"


def _docks(viewer: napari.Viewer, run: Path) -> tuple[TrainDock, EnhanceDock]:
    _, enhancing = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Enhance")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Train")
    assert isinstance(enhancing, EnhanceDock)
    assert isinstance(dock, TrainDock)
    dock.data.domain_a.add(viewer.layers["fibre_fast"])
    dock.data.domain_b.add(viewer.layers["fibre_slow"])
    dock.settings.form.set_value(
        parse(TrainConfig, {"steps": 100_000, "preview_every": 20})
    )
    dock.data.run_folder.value = run
    return dock, enhancing


def _watched(seconds: float, often: Callable[[], None]) -> dict[str, float]:
    """Latencies of a while in which something is called ten times a second."""
    _until(lambda: False, 1.0)
    latency, caller = Latency(), QTimer()
    caller.timeout.connect(often)
    caller.start(100)
    latency.start()
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()
    caller.stop()
    latency.stop()
    return latency.figures()


def _until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    sys.exit(main())
