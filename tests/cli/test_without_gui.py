"""The command line needs neither Qt nor napari."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.cli import COMMANDS

Program = Callable[..., Any]

# arguments of several commands, separated by "then"
MAIN = """
import sys
for name in (
    "napari", "npe2", "qtpy", "PyQt5", "PyQt6", "PySide6", "magicgui", "superqt",
    "pyqtgraph", "vispy", "skimage",
):
    sys.modules[name] = None  # importing it fails
from napari_cyclegan3d.cli import main
commands = [[]]
for argument in sys.argv[1:]:
    if argument == "then":
        commands.append([])
    else:
        commands[-1].append(argument)
sys.exit(max(main(command) for command in commands))
"""


# what takes seconds to import is not needed to show what there is
LIGHT = """
import sys
from napari_cyclegan3d.cli import main
try:
    main(sys.argv[1:])
except SystemExit as error:
    heavy = {"torch", "matplotlib", "pandas", "optuna", "tensorboard"}
    sys.exit(error.code or ", ".join(heavy & set(sys.modules)) or 0)
"""


# numbers and files are for those who ask for a command
FEW = LIGHT.replace('"torch", ', '"torch", "numpy", "pydantic", "zarr", "nibabel", ')
READING = """
import sys
from napari_cyclegan3d import io
sys.exit(", ".join({"torch", "zarr", "SimpleITK", "pandas"} & set(sys.modules)) or 0)
"""


def test_help_works_without_any_gui_package(process: Program) -> None:
    outcome = process(MAIN, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("usage: napari-cyclegan3d")


@pytest.mark.parametrize("command", [[], ["train"]], ids=["all", "train"])
def test_help_is_shown_without_waiting_for_large_packages(
    command: list[str], process: Program
) -> None:
    outcome = process(LIGHT, *command, "--help")
    assert (outcome.code, outcome.err) == (0, "")


def test_help_lists_every_command_with_what_it_does(process: Program) -> None:
    shown = " ".join(process(MAIN, "--help").out.split())
    for name, known in COMMANDS.items():
        assert f" {name} {known.help} " in shown


def test_help_loads_no_library_that_reads_volumes(process: Program) -> None:
    outcome = process(FEW, "--help")
    assert (outcome.code, outcome.err) == (0, "")


def test_what_reads_volumes_loads_neither_torch_nor_what_reads_zarr(
    process: Program,
) -> None:
    outcome = process(READING)
    assert (outcome.code, outcome.err) == (0, "")


def test_train_and_enhance_work_without_any_gui_package(
    process: Program, scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    run, output = tmp_path / "run", tmp_path / "out.nii.gz"
    volumes = ["--a", scans / "oblique.nii.gz", "--b", scans / "slow.tif"]
    train = ["train", *volumes, "--run", run, *tiny]
    model = run / "model.safetensors"
    enhance = ["enhance", scans / "oblique.nii.gz", "--model", model, "-o", output]
    outcome = process(MAIN, *train, "then", *enhance)
    assert outcome.code == 0, outcome.err
    assert io.read(output).shape == (26, 28, 30)


# a finder that answers as if the package were not installed
WITHOUT = """
import sys
name = sys.argv.pop(1)
class Missing:
    def find_spec(self, found, path=None, target=None):
        if found.split(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from napari_cyclegan3d.cli import main
sys.exit(main())
"""


def test_a_search_without_its_package_says_what_to_install(
    process: Program, scans: Path, tmp_path: Path
) -> None:
    outcome = process(
        *(WITHOUT, "optuna", "search", "--a", scans / "fast.tif"),
        *("--b", scans / "slow.tif", "--out", tmp_path / "out"),
    )
    assert outcome.code == 1
    assert "needs optuna; install it" in outcome.sentence
    assert not (tmp_path / "out").exists()
