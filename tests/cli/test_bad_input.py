"""What cannot be used ends with one sentence, and nothing is written or lost."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def bad(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that nothing can be learnt from."""
    folder = tmp_path_factory.mktemp("bad")
    shape = (24, 24, 24)
    noise = np.random.default_rng(1).normal(size=(24, 24, 24)).astype(np.float32)
    io.write(Volume(noise[:1]), folder / "one_slice.tif")
    io.write(Volume(noise[:8]), folder / "thin.tif")
    io.write(Volume(np.full(shape, 7, np.uint8)), folder / "constant.tif")
    io.write(Volume(np.full(shape, np.nan, np.float32)), folder / "nothing.tif")
    (folder / "text.tif").write_text("z,y,x\n1,2,3\n" * 100, encoding="utf-8")
    (folder / "empty.tif").touch()
    (folder / "picture.gif").write_bytes(b"GIF89a of something")
    (folder / "folder").mkdir()
    whole = (scans / "oblique.nii.gz").read_bytes()
    (folder / "truncated.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.safetensors").write_text(
        "no weights at all\n" * 10, encoding="utf-8"
    )
    (folder / "broken.yaml").write_text("steps: [1, 2\npatch: }", encoding="utf-8")
    (folder / "list.yaml").write_text("- steps\n- patch\n", encoding="utf-8")
    (folder / "unknown.yaml").write_text(
        "steps: 3\noptim: {learning_rate: 1}\n", encoding="utf-8"
    )
    (folder / "huge.yaml").write_text("steps: 1" + "0" * 5000, encoding="utf-8")
    (folder / "number.yaml").write_text("5: 6\n", encoding="utf-8")
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe\x00steps")
    return folder


VOLUMES = [
    ("one_slice.tif", "single slice"),
    ("constant.tif", "every voxel is 7"),
    ("nothing.tif", "no voxel is a finite number"),
    ("text.tif", "no TIFF image"),
    ("empty.tif", "empty"),
    ("picture.gif", "known are .tif"),
    ("truncated.nii.gz", "truncated.nii.gz"),
    ("missing.tif", "no such file"),
    ("missing.tif[0:4,0:4,0:4]", "no such file"),
    ("{fast}[100:120,:,:]", "goes beyond the volume"),
    ("{fast}[0:4,0:4]", "three ranges"),
    ("{fast}[0:4,0:4,0:4:2]", "three ranges"),
    ("{fast}[0-5:4,:,:]", "three ranges"),
    ("{fast}[--5:,:,:]", "three ranges"),
    ("{fast}[5:2,:,:]", "holds no voxel"),
]


@pytest.mark.parametrize("domain", ["a", "b"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *VOLUMES,
        ("folder", "holds no volumes and no slices"),
        ("thin.tif", "patch (20, 20, 20) is larger"),
    ],
)
def test_train_refuses_a_volume_before_it_makes_the_run_folder(
    name: str,
    reason: str,
    domain: str,
    bad: Path,
    command: Command,
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    volumes = {"a": scans / "fast.tif", "b": scans / "slow.tif"}
    wrong = bad / name.format(fast=scans / "fast.tif")
    volumes = {**volumes, domain: wrong}
    arguments = ["--a", volumes["a"], "--b", volumes["b"], "--run", tmp_path / "run"]
    outcome = command("train", *arguments, *tiny)
    assert outcome.code == 1
    assert reason in outcome.sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"), [*VOLUMES, ("folder", "no .tif or .tiff file")]
)
def test_enhance_refuses_a_volume_and_keeps_the_older_output(
    name: str,
    reason: str,
    bad: Path,
    command: Command,
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.tif"
    output.write_bytes(b"an older result")
    wrong = bad / name.format(fast=scans / "fast.tif")
    arguments = ["--model", run_1x / "model.safetensors", "-o", output, "--overwrite"]
    outcome = command("enhance", wrong, *arguments)
    assert outcome.code == 1
    assert reason in outcome.sentence
    assert output.read_bytes() == b"an older result"
    assert list(tmp_path.iterdir()) == [output]


@dataclass(frozen=True)
class Case:
    """A wrong use of enhance; None stands for what would be right."""

    reason: str
    model: str | None = None
    output: str | None = None
    options: tuple[str, ...] = ()
    code: int = 1


GPU = ("--device=cuda:0",)


@pytest.mark.parametrize(
    "case",
    [
        Case("not a safetensors file", model="{bad}/text.safetensors"),
        Case("no such model file", model="{bad}/missing.safetensors"),
        Case("is a folder", model="{bad}/folder"),
        Case("exists already", output="here.tif"),
        Case("cannot be written; known are .tif", output="new.gif"),
        Case("cannot be written; known are .tif", output="new"),
        Case("does not exist", output="nowhere/new.tif"),
        Case("is a folder", output="folder.tif", options=("--overwrite",)),
        Case("device cuda:99", options=("--device=cuda:99",)),
        Case("setting device = 'gpu'", options=("--device=gpu",), code=2),
        Case("setting overlap = 0.9", options=("--overlap=0.9",), code=2),
        Case("setting overlap = 'half'", options=("--overlap=half",), code=2),
        Case("tile (0, 4, 4)", options=("--tile=0,4,4",), code=2),
        Case("setting tile", options=("--tile=8,8",), code=2),
        Case("setting tile", options=("--tile=8",), code=2),
        Case("setting memory", options=("--memory=nan",), code=2),
        Case("setting memory", options=("--memory=inf",), code=2),
        Case("setting memory", options=("--memory=lots",), code=2),
        Case("give at least", options=("--memory=100MB",)),
        Case("file; give a name that ends in .zarr", options=("--workers=2",)),
        Case("file; give a name that ends in .zarr", options=("--cluster=tcp://x:1",)),
        Case("uses a GPU of its own", output="o.zarr", options=(*GPU, "--workers=2")),
        Case("is no address", output="o.zarr", options=("--cluster=nowhere",)),
        Case("from 1 to", output="o.zarr", options=("--workers=0",), code=2),
        Case("from 1 to", output="o.zarr", options=("--workers=two",), code=2),
        Case("no OME-Zarr image", output="strange.zarr"),
        Case("no OME-Zarr", output="strange.zarr", options=("--overwrite",)),
        Case("does not exist", output="nowhere/new.zarr"),
        Case("setting mode = 'best'", options=("--mode=best",), code=2),
        Case("setting direction", options=("--direction=b",), code=2),
        Case(
            "unrecognized arguments: --tiles=8,8,8", options=("--tiles=8,8,8",), code=2
        ),
        Case("unknown setting 'steps'", options=("--config={bad}/steps.yaml",), code=2),
    ],
    ids=lambda case: f"{case.reason} {' '.join(case.options)}",
)
def test_enhance_refuses_wrong_use_and_writes_nothing(
    case: Case,
    bad: Path,
    command: Command,
    contents: Callable[[Path], dict[str, str]],
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    (bad / "steps.yaml").write_text("steps: 3", encoding="utf-8")
    (tmp_path / "here.tif").write_bytes(b"an older result")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "strange.zarr").mkdir()
    (tmp_path / "strange.zarr" / "notes.txt").write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    model = (case.model or str(run_1x / "model.safetensors")).format(bad=bad)
    output = tmp_path / (case.output or "new.tif")
    options = [option.format(bad=bad) for option in case.options]
    arguments = [scans / "fast.tif", "--model", model, "-o", output, *options]
    outcome = command("enhance", *arguments)
    assert outcome.code == case.code
    assert case.reason in outcome.sentence
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--patch=50,64,64", "nearest is (48, 64, 64)"),
        ("--patch=20,20", "setting patch"),
        ("--patch=20,20,20,20", "setting patch"),
        ("--patch=20", "setting patch"),
        ("--patch=a,b,c", "setting patch"),
        ("--patch=4,4,4", "at least"),
        ("--patch=-20,20,20", "at least"),
        ("--patch=[20,20,20", "setting patch"),
        ("--scale=3", "setting scale = 3"),
        ("--steps=0", "setting steps = 0"),
        ("--steps=many", "setting steps = 'many'"),
        ("--steps=1.5", "setting steps = 1.5"),
        ("--steps=", "setting steps = None"),
        ("--steps=2001-99-99", "setting steps"),
        ("--steps=0x_", "setting steps"),
        ("--steps=" + 5000 * "[", "setting steps"),
        ("--steps=" + 5000 * "9", "setting steps"),
        ("--steps={1: 2}", "setting steps"),
        ("--steps=!!python/object:os.system x", "setting steps"),
        ("--steps=&a", "setting steps"),
        ("--steps=*a", "setting steps"),
        ("--seed=-1", "setting seed = -1"),
        ("--optim.lr-generator=0", "setting optim.lr_generator = 0"),
        ("--optim.lr-generator=nan", "setting optim.lr_generator"),
        ("--intensity.percentiles=99,1", "0 <= lower < upper"),
        ("--generator.filters=1", "setting generator.filters = 1"),
        ("--generator.norm=weight", "setting generator.norm = 'weight'"),
        ("--generator.encoder=64", "setting generator.encoder"),
        ("--generator.encoder=64,128", "generator.decoder has 4 entries"),
        ("--generator.encoder=none", "setting generator.encoder"),
        ("--discriminator.strides=2", "discriminator.strides (2,): give 4"),
        ("--loss.cycle-losses=", "setting loss.cycle_losses"),
        ("--loss.cycle-losses=none", "setting loss.cycle_losses"),
        ("--loss.cycle-losses=l1,l2", "setting loss.cycle_losses, entry 2, = 'l2'"),
        ("--loss.label-real=1", "setting loss.label_real = 1"),
        ("--method=srgan", "loss.paired 0 with method srgan"),
        ("--generator.noise=maybe", "setting generator.noise = 'maybe'"),
        ("--device=gpu", "setting device = 'gpu'"),
        ("--generator.depth=3", "unrecognized arguments: --generator.depth=3"),
        ("--epochs=3", "unrecognized arguments: --epochs=3"),
        ("--config={bad}/missing.yaml", "No such file"),
        ("--config={bad}/folder", "Is a directory"),
        ("--config={bad}/broken.yaml", "not a YAML file"),
        ("--config={bad}/bytes.yaml", "not a YAML file"),
        ("--config={bad}/huge.yaml", "not a YAML file"),
        ("--config={bad}/list.yaml", "holds no settings"),
        ("--config={bad}/number.yaml", "5"),
        ("--config={bad}/unknown.yaml", "unknown setting 'optim.learning_rate'"),
    ],
    ids=lambda text: text[:40],
)
def test_train_ends_with_code_2_for_settings_that_cannot_be(
    option: str,
    reason: str,
    bad: Path,
    command: Command,
    scans: Path,
    tmp_path: Path,
) -> None:
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    option = option.format(bad=bad) if "{bad}" in option else option
    outcome = command("train", *volumes, "--run", tmp_path / "run", option)
    assert outcome.code == 2
    assert reason in outcome.sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["improve"],
        ["train", "--run=run", "--a=a.tif"],
        ["train", "--a", "--b", "b.tif", "--run=run"],
        ["enhance", "a.tif"],
        ["train", "--a=a.tif", "--b=b.tif", "--run=r", "--resume", "--start-from=m"],
    ],
    ids=" ".join,
)
def test_an_incomplete_or_contradictory_command_ends_with_code_2(
    arguments: list[str], command: Command
) -> None:
    outcome = command(*arguments)
    assert outcome.code == 2
    assert outcome.sentence


def test_train_refuses_to_start_from_a_model_of_another_scale(
    command: Command, scans: Path, tiny: list[str], run_2x: Path, tmp_path: Path
) -> None:
    arguments = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    arguments += ["--start-from", run_2x / "model.safetensors", "--scale=1"]
    outcome = command("train", *arguments, "--run", tmp_path / "run", *tiny)
    assert outcome.code == 1
    assert "a model with scale = 2" in outcome.sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "already holds a training"),
        (["--resume", "--scale=2"], "was trained with scale = 1, not 2"),
        (["--resume", "--optim.ema=0.5"], "was trained with optim"),
    ],
    ids=["anew", "resume at another scale", "resume with another optimiser"],
)
def test_train_refuses_a_run_of_another_training_and_leaves_it_as_it_was(
    options: list[str],
    reason: str,
    command: Command,
    contents: Callable[[Path], dict[str, str]],
    scans: Path,
    run_1x: Path,
    tiny: list[str],
) -> None:
    before = contents(run_1x)
    arguments = ["--a", scans / "fast.tif", "--b", scans / "slow_2x.tif"]
    outcome = command("train", *arguments, "--run", run_1x, *tiny, *options)
    assert outcome.code == 1
    assert reason in outcome.sentence
    assert contents(run_1x) == before


def test_train_refuses_to_resume_what_was_never_started_or_is_damaged(
    command: Command, scans: Path, run_1x: Path, tmp_path: Path
) -> None:
    arguments = ["--a", scans / "fast.tif", "--b", scans / "slow.tif", "--resume"]
    nowhere = command("train", *arguments, "--run", tmp_path / "nowhere")
    assert nowhere.code == 1
    assert "nowhere" in nowhere.sentence
    assert not list(tmp_path.iterdir())

    run = tmp_path / "run"
    shutil.copytree(run_1x, run)
    newest = max((run / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:1000])
    damaged = command("train", *arguments, "--run", run, "--steps=5")
    assert damaged.code == 1
    assert "not a saved state" in damaged.sentence


def test_train_refuses_a_run_folder_that_cannot_be_made(
    command: Command, scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    arguments = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    outcome = command("train", *arguments, "--run", tmp_path / "file" / "run", *tiny)
    assert outcome.code == 1
    assert "file" in outcome.sentence
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
