"""What the scripted walks share: a window of a stated size, its pictures, patience."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import napari
from napari.settings import get_settings
from qtpy.QtCore import QEvent, QSettings
from qtpy.QtWidgets import QApplication, QMainWindow

PATIENCE = 300.0  # seconds


@dataclass(frozen=True)
class Stage:
    """Where a walk takes place.

    Attributes:
        out: Folder for the pictures.
        theme: Of napari.
        size: Width and height of the window in pixels.
        folder: For files that last as long as the walk.
    """

    out: Path
    theme: str
    size: tuple[int, int]
    folder: Path

    def open_viewer(self) -> napari.Viewer:
        """A new window."""
        viewer = napari.Viewer()
        viewer.theme = self.theme
        idle(0.5)  # napari restores its own size first
        viewer.window.resize(*self.size)
        return viewer

    def shoot(self, _: napari.Viewer, name: str) -> None:
        """A picture of the screen, with what lies over the window."""
        idle(1.0)
        screen = QApplication.primaryScreen()
        assert screen is not None
        screen.grabWindow(0, 0, 0, *self.size).save(str(self.out / f"{name}.png"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every walk."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--size", default="1280x800", metavar="WxH")


@contextmanager
def staged(options: argparse.Namespace) -> Iterator[Stage]:
    """Lend a stage; nothing of the user's own settings is read or changed."""
    width, height = map(int, options.size.split("x"))
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        get_settings(Path(folder) / "napari.yaml")
        ini, user = QSettings.Format.IniFormat, QSettings.Scope.UserScope
        QSettings.setPath(ini, user, folder)
        yield Stage(options.out, options.theme, (width, height), Path(folder))


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Let the window work until something is so.

    Raises:
        TimeoutError: It did not become so.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{seconds:.0f} s were not enough")
        QApplication.processEvents()
        time.sleep(0.005)


def idle(seconds: float) -> None:
    """Let the window work for a while."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def close(viewer: napari.Viewer) -> None:
    """Close a window, and let Qt delete it as in its event loop, before another one."""
    viewer.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def window_of(viewer: napari.Viewer) -> QMainWindow:
    """The main window of a viewer."""
    (window,) = (
        one
        for one in QApplication.topLevelWidgets()
        if isinstance(one, QMainWindow) and one.isVisible()
    )
    return window
