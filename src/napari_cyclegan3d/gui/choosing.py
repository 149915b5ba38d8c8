"""What a path leaves open is asked for: which dataset or series, which raw layout."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QDialog, QWidget

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.datasets import Candidate, ChoiceDialog
from napari_cyclegan3d.gui.labels import voxel_size
from napari_cyclegan3d.gui.raw_dialog import asked_for_raw
from napari_cyclegan3d.gui.worker import Executor, Failure, start_engine
from napari_cyclegan3d.io import dicom, raw
from napari_cyclegan3d.io.hdf5_datasets import datasets
from napari_cyclegan3d.io.series import read_series
from napari_cyclegan3d.io.sidecar import sidecar

HDF5_TITLES = ("Dataset", "Shape", "Type", "Voxel size")
DICOM_TITLES = ("Series", "Description", "Kind", "Files")


@dataclass(frozen=True)
class Question:
    """Which of several volumes is meant by a path."""

    path: Path
    titles: tuple[str, ...]
    candidates: tuple[Candidate, ...]


class Asker(QObject):
    """Asks the user, where paths leave something open; headers are read in a worker.

    Args:
        parent: The widget that the paths go to.
        executor: Reads the headers.
    """

    def __init__(self, parent: QWidget, executor: Executor = start_engine) -> None:
        super().__init__(parent)
        self._window, self._executor = parent, executor

    def ask(
        self,
        items: Sequence[Any],
        on_items: Callable[[list[Any]], None],
        on_refusal: Callable[[str], None],
    ) -> None:
        """Hand items over, with paths that leave something open as texts.

        Args:
            items: Layers, paths of files and folders, and texts.
            on_items: Called at once with what leaves nothing open, and once more with
                the others, as `open_domain` takes them, without those declined.
            on_refusal: Called with one sentence about what cannot be used.
        """
        asked = [one for one in items if isinstance(one, Path) and may_ask(one)]
        plain = [one for one in items if one not in asked]
        if plain:
            on_items(plain)
        if not asked:
            return
        found: list[Question | Path] = []

        def finish() -> None:
            if self._is_there and found:
                self._answer(found, on_items, on_refusal)

        def fail(failure: Failure) -> None:
            if self._is_there:
                on_refusal(failure.message)

        self._executor(questions(asked), found.append, fail, finish)

    @property
    def _is_there(self) -> bool:
        return bool(isalive(self._window))  # type: ignore[no-untyped-call]

    def _answer(
        self,
        found: Sequence[Question | Path],
        on_items: Callable[[list[Any]], None],
        on_refusal: Callable[[str], None],
    ) -> None:
        try:
            texts = answered(found, self._window)
        except InputError as error:
            on_refusal(str(error))
            return
        if texts:
            on_items(list(texts))


def is_bare(path: Path) -> bool:
    """Whether a path is a raw file that nothing describes."""
    row = io.format_of(path)
    known = row is not None and row.read is raw.read
    return known and path.is_file() and not sidecar(path).exists()


def may_ask(path: Path) -> bool:
    """Whether a path may leave something open; only its name and folder are read."""
    row = io.format_of(path)
    try:
        if path.is_dir():
            return row is None and dicom.is_folder(path)
    except OSError:
        return False
    return is_bare(path) or (row is not None and row.inside == "dataset")


def questions(paths: Sequence[Path]) -> Iterator[Question | Path]:
    """What has to be asked about paths; a path itself where nothing or a raw layout is.

    Headers are read: call it off the GUI thread.
    """
    for path in paths:
        found = None if is_bare(path) else _question(path)
        yield found if found is not None else path


def answered(
    found: Sequence[Question | Path], parent: QWidget | None = None
) -> list[str]:
    """What the user means by some paths, without those declined.

    The answer to one question is that to the next one, if it has the same choice.

    Raises:
        InputError: The sidecar of a raw file could not be written.
    """
    texts: list[str] = []
    key: str | None = None
    for one in found:
        if isinstance(one, Question):
            known = {candidate.key for candidate in one.candidates}
            key = key if key in known else _asked(one, parent)
            if key is not None:
                texts.append(f"{one.path}::{key}")
        elif not is_bare(one) or asked_for_raw(one, parent, must_describe=True):
            texts.append(str(one))
    return texts


def asked_now(path: Path) -> str | Volume | None:
    """What is meant by a path, asked while the caller waits.

    Returns:
        What `open_domain` takes; or the volume of a raw file, which need not have a
        sidecar; None: nothing, the question was declined.

    Raises:
        InputError: The sidecar of a raw file could not be written.
    """
    parent = QApplication.activeWindow()
    if is_bare(path):
        volume = asked_for_raw(path, parent, must_describe=False)
        # with a sidecar it remembers its file, as any other volume
        return volume if volume is None or is_bare(path) else str(path)
    if not may_ask(path):
        return str(path)
    texts = answered(list(questions([path])), parent)
    return texts[0] if texts else None


def _asked(question: Question, parent: QWidget | None) -> str | None:
    dialog = ChoiceDialog(
        question.path, question.titles, question.candidates, parent=parent
    )
    try:
        accepted = dialog.exec() == QDialog.DialogCode.Accepted
        return dialog.key() if accepted else None
    finally:
        dialog.deleteLater()


def _question(path: Path) -> Question | None:
    """The question about a file or folder; None: it is one volume, or no volume."""
    try:
        if path.is_dir():
            return _about_series(path)
        read_series(path)
    except InputError:
        return _about_datasets(path)
    return None


def _about_series(folder: Path) -> Question | None:
    candidates = tuple(
        Candidate(one.uid, (one.description, one.modality, str(len(one.files))))
        for one in dicom.find_series(folder)
    )
    if len(candidates) < 2:
        return None
    return Question(folder, DICOM_TITLES, candidates)


def _about_datasets(path: Path) -> Question | None:
    """What the datasets of a file are; what is wrong with it is told on opening."""
    try:
        found = datasets(path)
    except InputError:
        return None
    candidates = tuple(
        Candidate(
            one.path,
            (
                " × ".join(map(str, one.shape)),
                one.dtype,
                voxel_size(one.spacing, one.unit),
            ),
        )
        for one in found
    )
    if len(candidates) < 2:
        return None
    return Question(path, HDF5_TITLES, candidates)
