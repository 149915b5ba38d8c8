"""Presets are listed, printed, and trained with."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset, preset_names
from napari_cyclegan3d.engine.settings import load_yaml, merged, parse
from napari_cyclegan3d.engine.volume import Volume

Command = Callable[..., Any]


def test_every_preset_is_listed_with_its_source_and_purpose(command: Command) -> None:
    shown = command("presets").out
    for name in preset_names():
        preset = load_preset(name)
        entry = [name, preset.summary.splitlines()[0], preset.source]
        assert [line.strip() for line in entry] == [
            line.strip() for line in shown[shown.index(f"{name}\n") :].splitlines()[:3]
        ]


@pytest.mark.parametrize("name", preset_names())
def test_a_printed_preset_is_a_file_of_settings_that_names_its_source(
    name: str, command: Command, tmp_path: Path
) -> None:
    shown = command("presets", name).out
    (tmp_path / "preset.yaml").write_text(shown, encoding="utf-8")
    assert load_yaml(tmp_path / "preset.yaml") == load_preset(name).settings
    assert f"# Source: {load_preset(name).source}\n" in shown


def test_where_the_output_has_no_greek_letters_a_preset_is_printed_all_the_same() -> (
    None
):
    program = [sys.executable, "-m", "napari_cyclegan3d", "presets", "fibre-ct-2x"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    outcome = subprocess.run(program, env=environment, capture_output=True, check=True)
    assert b"micro-tomograms" in outcome.stdout
    assert b"0.8 ?m" in outcome.stdout


def test_an_unknown_preset_ends_with_one_sentence(command: Command) -> None:
    outcome = command("presets", "fibre")
    assert outcome.code == 1
    assert "choose one of fibre-ct-1x" in outcome.sentence


def test_train_begins_with_a_preset_and_the_yaml_file_and_options_override_it(
    command: Command, scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "loss: {cycle_a: 7, cycle_b: 7}\n", encoding="utf-8"
    )
    arguments = ["--a", scans / "fast.tif", "--b", scans / "slow_2x.tif"]
    arguments += ["--run", tmp_path / "run", "--preset=fibre-ct-2x", *tiny]
    arguments += ["--config", tmp_path / "mine.yaml", "--loss.cycle-b=8", "--batch=1"]
    outcome = command("train", *arguments)
    assert outcome.code == 0, outcome.err
    stored = parse(TrainConfig, load_yaml(tmp_path / "run" / "config.yaml"))
    changes = {
        "patch": [20, 20, 20],
        "steps": 3,
        "device": "cpu",
        "precision": "fp32",
        "preview_every": 2,
        "checkpoint_every": 2,
        "batch": 1,
        "generator": {"filters": 2},
        "discriminator": {"filters": 4, "layers": 1},
        "sampling": {"pool": 2},
        "loss": {"cycle_a": 7, "cycle_b": 8},
    }
    settings = merged(load_preset("fibre-ct-2x").settings, changes)
    assert stored == parse(TrainConfig, settings)


def test_the_enlargement_preset_trains_without_domain_a(
    command: Command, tmp_path: Path
) -> None:
    voxels = np.random.default_rng(3).normal(size=(40, 36, 44)).astype(np.float32)
    io.write(Volume(voxels), tmp_path / "brain.nii.gz")
    small = ["--steps=2", "--patch=8,8,8", "--device=cpu", "--preview-every=2"]
    small += ["--generator.filters=4", "--generator.blocks=1"]
    small += ["--discriminator.filters=4", "--discriminator.layers=2"]
    arguments = ["--b", tmp_path / "brain.nii.gz", "--run", tmp_path / "run"]
    outcome = command("train", *arguments, "--preset=mri-sr-srgan", *small)
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "previews" / "step_00000002.png").is_file()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--preset=nothing"], "invalid choice: 'nothing'"),
        (["--preset=fibre-ct-1x", "--resume"], "not allowed with argument"),
        (["--preset=fibre-ct-1x", "--start-from=model"], "not allowed with argument"),
    ],
)
def test_a_preset_that_cannot_be_used_is_wrong_use(
    options: list[str], reason: str, command: Command, scans: Path, tmp_path: Path
) -> None:
    arguments = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    outcome = command("train", *arguments, "--run", tmp_path / "run", *options)
    assert outcome.code == 2
    assert reason in outcome.sentence
    assert not list(tmp_path.iterdir())
