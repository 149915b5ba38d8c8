import gc
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.training import Domains, train
from napari_cyclegan3d.engine.volume import Volume


def _missing() -> str | None:
    """Why tests with windows cannot run here."""
    if find_spec("napari") is None or find_spec("pytestqt") is None:
        return "napari is not installed; install napari-cyclegan3d[gui,test]"
    has_display = os.environ.get("DISPLAY") or shutil.which("Xvfb")
    if sys.platform.startswith("linux") and not has_display:
        return "there is no display; install Xvfb"
    return None


class _Skipped(pytest.Module):
    """A module of tests that is not even imported."""

    def collect(self) -> Any:
        pytest.skip(_missing() or "", allow_module_level=True)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    if _missing() is None:
        return None
    return _Skipped.from_parent(parent, path=module_path)


# pools that zarr and dask keep as long as the process; ours have other names
LIBRARIES = ("zarr_io", "asyncio_", "ThreadPoolExecutor-")


@pytest.fixture(autouse=True)
def _no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: object
) -> Iterator[None]:
    """Runs go to the test's folder, nothing is remembered, no worker goes on."""
    from napari.qt.threading import WorkerBase
    from qtpy.QtCore import QSettings, QThreadPool

    from napari_cyclegan3d.gui import preferences

    monkeypatch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")
    monkeypatch.setattr(
        preferences.Preferences, "folder", property(lambda _: tmp_path / "runs")
    )
    # fresh preferences of the plugin, where napari keeps them (0.9)
    for name, value in (
        ("_CFG_PATH", str(tmp_path / "napari.yaml")),
        ("_PLUGIN_SETTINGS", {}),
    ):
        monkeypatch.setattr(f"napari.settings.{name}", value, raising=False)
    ini, user = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    QSettings.setPath(ini, user, str(tmp_path / "settings"))
    threads = set(threading.enumerate())
    yield
    ended = QThreadPool.globalInstance().waitForDone(20_000)
    WorkerBase.await_workers(60_000)
    assert ended, "a worker was left running"
    left = _left(tmp_path, threads)
    if left:  # what only a reference cycle holds is no leak
        gc.collect()
        left = _left(tmp_path, threads)
    assert not left, f"left behind: {left}"


def _left(folder: Path, threads: set[threading.Thread]) -> list[str]:
    """What of ours is still there: widgets, timers, threads and open files."""
    from qtpy.QtCore import QCoreApplication, QEvent, QTimer
    from qtpy.QtWidgets import QApplication

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    ours = [
        one
        for one in QApplication.allWidgets()
        if type(one).__module__.startswith("napari_cyclegan3d")
    ]
    timers = [
        timer for one in ours for timer in one.findChildren(QTimer) if timer.isActive()
    ]
    new = [
        one
        for one in threading.enumerate()
        if one not in threads
        and not isinstance(one, threading._DummyThread)
        and not one.name.startswith(LIBRARIES)
    ]
    files = [
        path
        for fd in Path("/proc/self/fd").glob("*")
        if fd.is_symlink() and (path := fd.readlink()).is_relative_to(folder)
    ]
    return [str(one) for one in (*ours, *timers, *new, *files)]


class Ended:
    """An engine that is no longer at work: a `Job`."""

    def pause(self) -> None:
        raise AssertionError("nothing runs that could be paused")

    resume = quit = pause

    def send(self, value: Any) -> None:
        raise AssertionError(f"nothing runs that could be told {value}")


@pytest.fixture
def at_once() -> Any:
    """Runs an engine before it returns: an `Executor`."""
    from napari_cyclegan3d.gui.worker import failure_of, translated

    def run(events: Any, on_event: Any, on_error: Any, on_finished: Any) -> Ended:
        try:
            with closing(translated(events)) as engine:
                for event in engine:
                    on_event(event)
        except Exception as error:  # noqa: BLE001
            on_error(failure_of(error))
        on_finished()
        return Ended()

    return run


TINY = {
    "patch": (12, 12, 12),
    "steps": 4,
    "device": "cpu",
    "precision": "fp32",
    "preview_every": 2,
    "checkpoint_every": 1000,
    "generator": {"filters": 2},
    "discriminator": {"filters": 4, "layers": 1},
    "sampling": {"pool": 2},
}
ENLARGEMENT = {
    "method": "srgan",
    "scale": 2,
    "patch": (8, 8, 8),
    "generator": {"kind": "srresnet", "filters": 2, "blocks": 1},
    "loss": {"paired": 1.0},
}
SLICES = {"dims": 2, "patch": (1, 12, 12)}
OBLIQUE = np.array(
    [
        [2.0, 0.3, 0.0, -30.0],
        [-0.45, 1.2, 0.2, 12.0],
        [0.1, -0.2, 1.4, 7.5],
        [0, 0, 0, 1],
    ]
)


@pytest.fixture
def tiny() -> Any:
    """A function: settings of a training that takes milliseconds a step."""
    return lambda **changes: parse(TrainConfig, TINY | changes)


def _noise(shape: tuple[int, int, int], seed: int) -> Any:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


@pytest.fixture
def tiny_enlargement(tiny: Any) -> Any:
    """Settings of a training that takes milliseconds a step and needs no domain A."""
    return tiny(**ENLARGEMENT)


@pytest.fixture(scope="session")
def upright() -> Volume:
    """A scan on an upright grid: 2 × 1 × 1.5 µm."""
    affine = np.diag([2.0, 1.0, 1.5, 1.0])
    affine[:3, 3] = (10, -20, 30)
    return Volume(_noise((16, 18, 20), 1), affine, "micrometer", name="fast scan")


@pytest.fixture(scope="session")
def oblique() -> Volume:
    """A scan on a turned grid, in millimetres."""
    return Volume(_noise((18, 16, 20), 2), OBLIQUE, "millimeter", name="head")


def _model(folder: Path, scale: int) -> Path:
    place = np.diag([2.0, 1.0, 1.5, 1.0])
    a = Volume(_noise((14, 14, 14), 3), place, "micrometer", name="a<b>.tif")
    b = a.resampled(_noise((14 * scale,) * 3, 4) / 10, scale)
    config = parse(TrainConfig, TINY | {"scale": scale, "preview_every": 0})
    list(train(config, Domains([a], [b]), folder))
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def model_1x(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that keeps the size."""
    return _model(tmp_path_factory.mktemp("models") / "one", 1)


@pytest.fixture(scope="session")
def model_2x(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that doubles the size."""
    return _model(tmp_path_factory.mktemp("models") / "two", 2)


@pytest.fixture(scope="session")
def model_srgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that only enlarges, trained without a domain A."""
    folder = tmp_path_factory.mktemp("models") / "srgan"
    b = Volume(_noise((16, 16, 16), 4), unit="micrometer", name="b.tif")
    list(train(parse(TrainConfig, TINY | ENLARGEMENT), Domains([], [b]), folder))
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def model_2d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model of slices."""
    folder = tmp_path_factory.mktemp("models") / "slices"
    a, b = (Volume(_noise((14, 14, 14), n), unit="micrometer") for n in (3, 4))
    list(train(parse(TrainConfig, TINY | SLICES), Domains([a], [b]), folder))
    return folder / "model.safetensors"


@pytest.fixture
def foreign_package(tmp_path: Path) -> Callable[[int], Path]:
    """A function: a package of bioimage.io, whose network changes the size so much."""
    import torch
    import yaml

    def space(size: Any, **more: Any) -> list[dict[str, Any]]:
        axes = [{"type": "space", "id": a, "size": size(a), **more} for a in "zyx"]
        channel = {"type": "channel", "channel_names": ["grey"]}
        return [{"type": "batch"}, channel, *axes]

    def make(scale: int) -> Path:
        torch.manual_seed(0)
        layers = torch.nn.Conv3d(1, 2, 3, padding=1), torch.nn.Conv3d(2, 1, 1)
        network = torch.nn.Sequential(*layers, torch.nn.Upsample(scale_factor=scale))
        package = tmp_path / "denoiser"
        package.mkdir()
        blank = torch.zeros(1, 1, 8, 8, 8)
        torch.jit.trace(network, blank).save(package / "weights.pt")
        given = space(lambda _: {"min": 8, "step": 1})
        made = space(
            lambda axis: {"tensor_id": "input", "axis_id": axis}, scale=1 / scale
        )
        words = {
            "type": "model",
            "format_version": "0.5.3",
            "name": "Enlarge & <denoise>",
            "authors": [{"name": "Anna Meier"}],
            "license": "MIT",
            "inputs": [{"id": "input", "axes": given}],
            "outputs": [{"id": "output", "axes": made}],
            "weights": {"torchscript": {"source": "weights.pt"}},
        }
        (package / "rdf.yaml").write_text(yaml.safe_dump(words), encoding="utf-8")
        return package

    return make


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A file for domain B."""
    noise = np.random.default_rng(9).normal(5, 2, (15, 17, 16)).astype(np.float32)
    io.write(Volume(noise, unit="micrometer"), tmp_path / "slow.tif")
    return tmp_path / "slow.tif"


@pytest.fixture
def train_dock_alone(qtbot: Any, upright: Volume, slow: Path) -> Any:
    """A Train dock without a viewer, with a layer for A and a file for B chosen."""
    from napari.layers import Image

    from napari_cyclegan3d.gui.layers import to_layer_data
    from napari_cyclegan3d.gui.train.dock import TrainDock

    dock = TrainDock(None)
    qtbot.addWidget(dock)
    data, attributes, _ = to_layer_data(upright)
    dock.data.domain_a.set_value([Image(data, **attributes)])
    dock.data.domain_b.set_value([slow])
    return dock
