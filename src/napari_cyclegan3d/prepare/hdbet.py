"""HD-BET as a program of its own (Isensee et al. 2019, doi:10.1002/hbm.24750).

Its libraries do not fit into one environment with ours; all that is needed is `hd-bet`
on the path. Versions 1 and 2 are known by the names of the masks that they write.
"""

import math
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.arrays import Mask
from napari_cyclegan3d.prepare.events import Event, Working

PAUSE = 0.5
# NIfTI knows these types; all others become float32
TYPES = ("uint8", "int16", "uint16", "float32")
MASKS = ("brain_bet.nii.gz", "brain_mask.nii.gz", "brain.nii.gz")


def program() -> str | None:
    """The path of the program; None: it is not installed."""
    return shutil.which("hd-bet")


def brain_mask(
    program: str, volume: Volume, device: str
) -> Generator[Event, None, Mask]:
    """What HD-BET takes for brain (z, y, x).

    Args:
        program: Its path.
        volume: MRI of a head.
        device: "auto", "cpu", or another one that the program knows.

    Raises:
        InputError: It ended with an error, or wrote no mask.
    """
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory(prefix="hd-bet-") as name:
        folder = Path(name)
        if volume.dtype.name not in TYPES:
            volume = replace(volume, array=volume.read().astype(np.float32))
        io.write(volume, folder / "head.nii.gz")
        command = [program, "-i", "head.nii.gz", "-o", "brain.nii.gz"]
        command += ["-device", device, "--save_bet_mask"]
        yield from _run(command, folder, volume.name)
        return _mask_in(folder, volume)


def _run(command: list[str], folder: Path, name: str) -> Generator[Event]:
    said = folder / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                yield Working(0.0, f"HD-BET looks at {name}")
                try:
                    process.wait(PAUSE)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        lines = said.read_text("utf-8", "replace").strip().splitlines() or ["no reason"]
        raise InputError(
            f"{name}: hd-bet ended with code {process.returncode} ({lines[-1][:200]}); "
            "run it by hand, or use method otsu"
        )


def _mask_in(folder: Path, volume: Volume) -> Mask:
    written = [folder / name for name in MASKS if (folder / name).is_file()]
    if not written:
        raise InputError(
            f"{volume.name}: hd-bet wrote no mask; update it, or use method otsu"
        )
    found = io.read(written[0])
    if found.shape != volume.shape or math.prod(found.shape) == 0:
        raise InputError(
            f"{volume.name}: the mask of hd-bet has the shape {found.shape}, not "
            f"{volume.shape}; update it, or use method otsu"
        )
    return np.asarray(found.read() != 0)
