"""What is set in the Train dock, as a command and as YAML that mean the same."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cyclegan3d.cli import train
from napari_cyclegan3d.cli.options import settings_from
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset, preset_names
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.settings import load_yaml, parse
from napari_cyclegan3d.gui.train.commands import settings_yaml, train_command

SOURCES = {"a": ["/scans/a one.tif[0:8,:,2:9]"], "b": ["/b/*.nii.gz", "/c.h5::x/y"]}
# every type of value: choices, numbers of all sizes, switches, lists, none
UNUSUAL: list[dict[str, Any]] = [
    {
        "method": "srgan",
        "scale": 4,
        "patch": (12, 16, 20),
        "device": "cuda:3",
        "generator": {"kind": "srresnet", "filters": 3, "upsampler": "resize"},
        "loss": {"paired": 1.0, "paired_losses": ("gradient*2", "tv*1e-3")},
        "degrade": {"blur": 1.25},
        "record": {"tensorboard": True},
    },
    {
        "dims": 2,
        "slice_axis": "x",
        "patch": (1, 64, 96),
        "generator": {"norm": "instance", "encoder": (4, 8, 8), "decoder": (8, 4)},
        "discriminator": {"layers": 1, "strides": (2, 1, 1), "bias": True},
        "loss": {"label_fake": (-0.25, 1e-07), "label_real": (0.75, 0.875)},
        "optim": {"freeze_steps": 0, "kickstart": 3, "lr_generator": 3.3e-06},
        "intensity": {"percentiles": (1.5, 97.5), "scope": "volume"},
    },
    {"loss": {"cycle_losses": ("l1", "ssim*0.5")}, "optim": {"accumulate": 4}},
]


def parsed(command: str) -> argparse.Namespace:
    """What the command line makes of a line that a shell has split."""
    program, name, *words = shlex.split(command)
    assert (program, name) == ("napari-cyclegan3d", "train")
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(words)


def settings_of(command: str) -> TrainConfig:
    return settings_from(parsed(command), TrainConfig, {})


@pytest.mark.parametrize("changes", UNUSUAL)
def test_the_command_read_back_gives_the_same_settings(
    changes: dict[str, Any],
) -> None:
    config = parse(TrainConfig, changes)
    assert settings_of(train_command(config, SOURCES, Path("/run"))) == config


@pytest.mark.parametrize("name", preset_names())
def test_the_command_read_back_gives_the_same_preset(name: str) -> None:
    config = parse(TrainConfig, load_preset(name).settings)
    assert settings_of(train_command(config, SOURCES, Path("/run"))) == config


@pytest.mark.parametrize("changes", UNUSUAL)
def test_the_yaml_read_back_gives_the_same_settings(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    config = parse(TrainConfig, changes)
    (tmp_path / "settings.yaml").write_text(settings_yaml(config), encoding="utf-8")
    assert parse(TrainConfig, load_yaml(tmp_path / "settings.yaml")) == config


def test_only_what_differs_from_the_defaults_is_written() -> None:
    config = parse(TrainConfig, {"steps": 77, "optim": {"lr_generator": 1e-05}})
    command = train_command(config, {"b": ["b.tif"]}, Path("out"))
    assert command == (
        "napari-cyclegan3d train --b b.tif --run out --steps 77 "
        "--optim.lr-generator 1e-05"
    )
    assert settings_yaml(config) == "steps: 77\noptim:\n  lr_generator: 1.0e-05\n"
    assert settings_yaml(TrainConfig()).startswith("#")


def test_names_with_blanks_and_brackets_survive_the_shell() -> None:
    options = parsed(train_command(TrainConfig(), SOURCES, Path("/my runs/$x")))
    assert options.a == SOURCES["a"]
    assert options.b == SOURCES["b"]
    assert options.validate_a is None
    assert options.run == Path("/my runs/$x")


def test_a_command_that_resumes_changes_only_what_the_run_has_not() -> None:
    before = parse(TrainConfig, {"steps": 77, "seed": 5})
    config = parse(TrainConfig, {"steps": 10000, "seed": 5})
    command = train_command(config, {"b": ["b.tif"]}, Path("out"), before)
    assert command.endswith("--run out --resume --steps 10000")


def test_the_command_trains_what_the_dock_would(
    tiny: Callable[..., Any], slow: Path, tmp_path: Path
) -> None:
    config = tiny(steps=1, loss={"label_fake": (-0.125, 0.0)})
    command = train_command(
        config, {"a": [f"{slow}"], "b": [f"{slow}"]}, tmp_path / "r"
    )
    words = shlex.split(command)[1:]
    subprocess.run([sys.executable, "-m", "napari_cyclegan3d", *words], check=True)
    assert RunFolder(tmp_path / "r").config() == config
