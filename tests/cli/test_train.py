import csv
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.io.origins import read_sources
from napari_cyclegan3d.io.previews import read_preview, saved_previews

Command = Callable[..., Any]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_folder_holds_everything_that_training_produced(run_1x: Path) -> None:
    files = {str(p.relative_to(run_1x)) for p in run_1x.rglob("*") if p.is_file()}
    assert files == {
        "config.yaml",
        "metrics.csv",
        "history.png",
        "log.txt",
        "sources.yaml",
        "model.safetensors",
        "checkpoints/state_00000002.pt",
        "checkpoints/state_00000003.pt",
        "previews/step_00000002.png",
        "previews/step_00000003.png",
        "previews/step_00000002.npz",
        "previews/step_00000003.npz",
    }
    metrics = rows(run_1x)
    assert [row["step"] for row in metrics] == ["1", "2", "3"]
    assert all(math.isfinite(float(v)) for row in metrics for v in row.values())
    log = (run_1x / "log.txt").read_text(encoding="utf-8").splitlines()
    assert log == ["step 0: started on cpu, as asked", "step 2: saved", "step 3: saved"]
    for preview in (run_1x / "previews").glob("*.png"):
        picture = np.asarray(Image.open(preview))
        assert picture.ndim == 2
        assert picture.std() > 0


def test_a_run_remembers_its_files_and_the_voxels_of_its_previews(
    command: Command, scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    volumes = ["--a", f"{scans / 'fast.tif'}[2:24,:22,4:28]", "--b", scans / "slow.tif"]
    run = tmp_path / "run"
    assert command("train", *volumes, "--run", run, *tiny).code == 0
    texts = read_sources(run)
    fast = Path(scans / "fast.tif").resolve()
    assert texts["a"] == [f"{fast}[2:24,0:22,4:28]"]
    assert texts["b"] == [str(Path(scans / "slow.tif").resolve())]
    again = ["--a", *texts["a"], "--b", *texts["b"], "--run", run, "--resume"]
    assert command("train", *again, "--steps=4").code == 0
    assert [step for step, _ in saved_previews(run)] == [2, 3, 4]
    images = read_preview(saved_previews(run)[-1][1])
    assert {image.shape for image in images.values()} == {(20, 20, 20)}
    assert read_sources(run) == texts


def test_the_model_knows_what_it_was_trained_on(run_2x: Path) -> None:
    model = load_model(run_2x / "model.safetensors")
    origin = model.header.provenance
    assert model.header.scale == 2
    assert (origin.steps, origin.volumes_a) == (3, ("fast.tif",))
    assert origin.volumes_b == ("slow_2x.tif",)
    assert np.allclose(origin.spacing_a, (2, 1, 1.5))
    assert np.allclose(origin.spacing_b, (1, 0.5, 0.75))
    assert origin.unit_a == origin.unit_b == "micrometer"


def test_the_same_command_gives_the_same_model_bit_for_bit(
    command: Command, scans: Path, tiny: list[str], run_1x: Path, tmp_path: Path
) -> None:
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    assert command("train", *volumes, "--run", tmp_path / "again", *tiny).code == 0
    model = (tmp_path / "again" / "model.safetensors").read_bytes()
    assert model == (run_1x / "model.safetensors").read_bytes()


def test_what_a_training_needs_is_told_before_it_begins(
    command: Command, scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    told = []
    for patch in ("--patch=12,12,12", "--patch=20,20,20"):
        run = ["--run", tmp_path / patch, *tiny, "--steps=1", "--batch=4", patch]
        outcome = command("train", *volumes, *run)
        (first,) = re.findall(
            r"^training on cpu, as asked; needs about (\S+) GB beside the program$",
            outcome.out,
            re.M,
        )
        told.append(float(first))
    assert 0 < told[0] < told[1] < 1


def test_resume_extends_a_finished_run(
    command: Command, scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = ["train", "--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    arguments += ["--run", run]
    assert command(*arguments, *tiny).code == 0
    before = rows(run)
    # the settings come from the run folder
    outcome = command(*arguments, "--resume", "--steps=5")
    assert outcome.code == 0, outcome.err
    after = rows(run)
    assert after[:3] == before
    assert [row["step"] for row in after] == ["1", "2", "3", "4", "5"]
    assert load_model(run / "model.safetensors").header.provenance.steps == 5


def test_start_from_begins_with_the_weights_intensities_and_networks_of_a_model(
    command: Command, scans: Path, tiny: list[str], run_1x: Path, tmp_path: Path
) -> None:
    first = run_1x / "model.safetensors"
    options = [one for one in tiny if not one.startswith(("--gen", "--disc", "--st"))]
    # a learning rate of almost nothing keeps the weights
    options += ["--steps=1", "--optim.lr-generator=1e-12", "--optim.ema=0"]
    arguments = ["--a", scans / "oblique.nii.gz", "--b", scans / "slow.tif"]
    arguments += ["--run", tmp_path / "run", "--start-from", first]
    outcome = command("train", *arguments, *options)
    assert outcome.code == 0, outcome.err
    old, new = load_model(first), load_model(tmp_path / "run" / "model.safetensors")
    assert new.header.intensity_a == old.header.intensity_a
    assert new.header.config.generator == old.header.config.generator
    assert new.header.config.discriminator == old.header.config.discriminator
    theirs, ours = old.a_to_b.state_dict(), new.a_to_b.state_dict()
    assert all(torch.allclose(theirs[key], ours[key], atol=1e-9) for key in theirs)


def test_a_region_is_trained_on_like_a_file_that_holds_only_it(
    command: Command, scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    fast = io.read(scans / "fast.tif")
    part = (slice(2, 24), slice(0, 22), slice(4, 28))
    (tmp_path / "cut").mkdir()
    io.write(fast.crop(part), tmp_path / "cut" / "fast.tif")
    models = []
    for source in (f"{scans / 'fast.tif'}[2:24,:22,4:28]", tmp_path / "cut/fast.tif"):
        run = tmp_path / f"run {len(models)}"
        volumes = ["--a", source, "--b", scans / "slow.tif"]
        assert command("train", *volumes, "--run", run, *tiny).code == 0
        models.append((run / "model.safetensors").read_bytes())
    assert models[0] == models[1]
