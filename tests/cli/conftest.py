import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydantic.fields import FieldInfo

from napari_cyclegan3d import cli, io
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Volume

# a training that takes milliseconds a step
TINY = [
    "--patch=20,20,20",
    "--steps=3",
    "--device=cpu",
    "--precision=fp32",
    "--preview-every=2",
    "--checkpoint-every=2",
    "--generator.filters=2",
    "--discriminator.filters=4",
    "--discriminator.layers=1",
    "--sampling.pool=2",
]
OBLIQUE = np.array(
    [
        [2.0, 0.3, 0.0, -30.0],
        [-0.45, 1.2, 0.2, 12.0],
        [0.1, -0.2, 1.4, 7.5],
        [0, 0, 0, 1],
    ]
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence that it ended with."""
        assert self.err.count("error: ") == 1, self.err
        assert "Traceback" not in self.err
        return self.err.split("error: ")[1].strip()


Command = Callable[..., Outcome]

# in the process of the tests, where far more lies than in that of a command
MEMORY = {"enhance": "--memory", "inspect": "--enhance.memory"}


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs the command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        given = [str(one) for one in arguments]
        option = MEMORY.get(given[0]) if len(given) > 1 else None
        if option and not any(one.startswith(option) for one in given):
            given.append(f"{option}=4GB")
        try:
            code = cli.main(given)
        except SystemExit as error:
            code = int(str(error.code))
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts a Python program; what still runs is ended."""
    started = []

    def popen(program: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def process(start: Callable[..., subprocess.Popen[str]]) -> Command:
    """A function that runs a Python program to its end."""

    def run(program: str, *arguments: object) -> Outcome:
        running = start(program, *arguments)
        out, err = running.communicate(timeout=120)
        return Outcome(running.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small scans.

    fast.tif and slow.tif: both domains, voxels of 2 × 1 × 1.5 µm; slow_2x.tif: domain B
    at twice the size; oblique.nii.gz: a scan of A on an oblique grid.
    """
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(7)
    fast = rng.normal(1000, 200, (26, 28, 30)).astype(np.uint16)
    slow = rng.normal(30, 5, (24, 30, 26)).astype(np.float32)
    upright = np.diag([2.0, 1.0, 1.5, 1.0])
    b = Volume(slow, upright, "micrometer")
    io.write(Volume(fast, upright, "micrometer"), folder / "fast.tif")
    io.write(b, folder / "slow.tif")
    twice = slow.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    io.write(b.resampled(twice, 2), folder / "slow_2x.tif")
    io.write(
        Volume(fast.astype(np.int16), OBLIQUE, "millimeter"), folder / "oblique.nii.gz"
    )
    return folder


@pytest.fixture
def contents() -> Callable[[Path], dict[str, str]]:
    """A function that tells all that is in a folder: paths and digests of files."""

    def listing(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else "folder"
            for path in sorted(folder.rglob("*"))
        }

    return listing


Fields = Callable[[type[Settings]], dict[str, FieldInfo]]


@pytest.fixture
def fields() -> Fields:
    """A function that lists all settings of a model by their dotted names."""

    def listed(model: type[Settings], prefix: str = "") -> dict[str, FieldInfo]:
        found = {}
        for name, info in model.model_fields.items():
            kind = info.annotation
            if isinstance(kind, type) and issubclass(kind, Settings):
                found |= listed(kind, f"{prefix}{name}.")
            else:
                found[prefix + name] = info
        return found

    return listed


@pytest.fixture
def tiny() -> list[str]:
    """Options of a training that takes milliseconds a step."""
    return list(TINY)


def _trained(scans: Path, run: Path, b: str, *options: str) -> Path:
    arguments = ["train", "--a", str(scans / "fast.tif"), "--b", str(scans / b)]
    assert cli.main([*arguments, "--run", str(run), *TINY, *options]) == 0
    return run


@pytest.fixture(scope="session")
def run_1x(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training at scale 1; not to be changed."""
    return _trained(scans, tmp_path_factory.mktemp("runs") / "run", "slow.tif")


@pytest.fixture(scope="session")
def run_2x(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training at scale 2; not to be changed."""
    run = tmp_path_factory.mktemp("runs") / "run_2x"
    return _trained(scans, run, "slow_2x.tif", "--scale=2")
