"""Every setting is an option; a YAML file gives settings; options override it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.config import limits as config_limits
from napari_cyclegan3d.engine.settings import Settings, load_yaml, parse

# numbers that are nobody's default, and with which training takes milliseconds
NUMBERS: dict[str, Any] = {
    "scale": 2,
    "patch": (12, 16, 20),
    "batch": 2,
    "steps": 2,
    "seed": 11,
    "device": "cpu",
    "precision": "fp32",
    "preview_every": 2,
    "checkpoint_every": 1,
    "keep": 4,
    "generator.filters": 3,
    "discriminator.filters": 5,
    "discriminator.layers": 1,
    "loss.adversarial_a": 0.55,
    "loss.adversarial_b": 2.5,
    "loss.cycle_a": 3.5,
    "loss.cycle_b": 4.5,
    "loss.identity_b": 0.125,
    "optim.lr_generator": 1e-5,
    "optim.lr_discriminator": 3.5e-4,
    "optim.beta1": 0.25,
    "optim.beta2": 0.95,
    "optim.clip": 7.5,
    "optim.ema": 0.75,
    "intensity.percentiles": (1.5, 97.5),
    "sampling.min_content": 0.025,
    "sampling.pool": 3,
}


def unusual(key: str, info: FieldInfo) -> Any:
    """A value of a setting that is not its default."""
    if key in NUMBERS:
        return NUMBERS[key]
    if isinstance(info.default, bool):
        return not info.default
    return next(one for one in get_args(info.annotation) if one != info.default)


def flat(settings: Settings) -> dict[str, Any]:
    """Values by dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings:
        if isinstance(value, Settings):
            found |= {f"{name}.{leaf}": inner for leaf, inner in flat(value).items()}
        else:
            found[name] = value
    return found


def as_option(key: str, value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"--{key.replace('_', '-')}={text}"


@pytest.mark.parametrize(
    ("name", "model"), [("train", TrainConfig), ("enhance", EnhanceConfig)]
)
def test_help_lists_each_setting_with_its_description_choices_default_and_limits(
    name: str,
    model: type[Settings],
    command: Callable[..., Any],
    fields: Callable[..., dict[str, FieldInfo]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "10000")
    shown = command(name, "--help").out
    for key, info in fields(model).items():
        row = rf"^  --{re.escape(key.replace('_', '-'))} (\S+)\s+(.+) \[(.+)\]$"
        ((placeholder, description, details),) = re.findall(row, shown, re.MULTILINE)
        assert description == info.description
        if get_origin(info.annotation) is Literal:
            choices = map(str, get_args(info.annotation))
            assert placeholder == "{" + ",".join(choices) + "}"
        default, *limits = details.split("; ")
        assert as_option("", info.default) == f"--={default}" or default == "automatic"
        assert len(limits) == len(config_limits(info))


def test_every_option_of_train_reaches_the_settings_of_the_run(
    command: Callable[..., Any],
    fields: Callable[..., dict[str, FieldInfo]],
    scans: Path,
    tmp_path: Path,
) -> None:
    settings = fields(TrainConfig)
    given = {key: unusual(key, info) for key, info in settings.items()}
    assert not [key for key, info in settings.items() if given[key] == info.default]
    options = [as_option(key, value) for key, value in given.items()]
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow_2x.tif"]
    outcome = command("train", *volumes, "--run", tmp_path / "run", *options)
    assert outcome.code == 0, outcome.err
    stored = parse(TrainConfig, load_yaml(tmp_path / "run" / "config.yaml"))
    assert flat(stored) == given


def test_settings_of_one_run_start_another_and_options_override_them(
    command: Callable[..., Any], scans: Path, run_1x: Path, tmp_path: Path
) -> None:
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    settings = ["--config", run_1x / "config.yaml"]
    overriding = ["--steps=1", "--optim.lr-generator=1e-7", "--sampling.pool=5"]
    run = tmp_path / "run"
    outcome = command("train", *volumes, "--run", run, *overriding, *settings)
    assert outcome.code == 0, outcome.err
    before = flat(parse(TrainConfig, load_yaml(run_1x / "config.yaml")))
    after = flat(parse(TrainConfig, load_yaml(run / "config.yaml")))
    changed = {"steps": 1, "optim.lr_generator": 1e-7, "sampling.pool": 5}
    assert after == before | changed
    assert all(before[key] != value for key, value in changed.items())


def test_a_yaml_file_may_hold_a_part_of_a_section(
    command: Callable[..., Any], scans: Path, tiny: list[str], tmp_path: Path
) -> None:
    part = tmp_path / "part.yaml"
    part.write_text("steps: 1\nloss:\n  cycle_a: 7\noptim: {ema: 0.5}\n")
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    options = [option for option in tiny if not option.startswith("--steps")]
    options += ["--config", str(part), "--loss.cycle-b=8"]
    run = tmp_path / "run"
    assert command("train", *volumes, "--run", run, *options).code == 0
    config = parse(TrainConfig, load_yaml(run / "config.yaml"))
    assert (config.steps, config.loss.cycle_a, config.loss.cycle_b) == (1, 7, 8)
    assert config.loss.identity_b == TrainConfig().loss.identity_b
    assert config.optim.ema == 0.5


def test_version_is_printed(command: Callable[..., Any]) -> None:
    from napari_cyclegan3d import __version__

    outcome = command("--version")
    assert (outcome.code, outcome.out.strip()) == (0, __version__)
