"""Every setting is an option; a YAML file gives settings; options override it."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from napari_cyclegan3d.cli.options import add_settings, settings_from
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.settings import (
    Settings,
    limits,
    load_yaml,
    merged,
    parse,
)

# nobody's defaults, with which training takes milliseconds
SPECIAL: dict[str, Any] = {
    "patch": (12, 16, 20),
    "batch": 2,
    "steps": 2,
    "device": "cpu",
    "precision": "fp32",
    "preview_a": (0, 3, 4, 5),
    "preview_b": (0, 6, 5, 4),
    "generator.filters": 3,
    "generator.encoder": (4, 8, 16, 16, 16),
    "generator.decoder": (16, 16, 8, 4),
    "discriminator.filters": 5,
    "discriminator.layers": 1,
    "discriminator.strides": (2, 1, 1),
    "loss.cycle_losses": ("l1", "ssim*0.5"),
    "loss.identity_losses": ("mse",),
    "loss.paired_losses": ("gradient*2", "tv*1e-3"),
    "loss.label_real": (0.75, 0.875),
    "loss.label_fake": (0.125, 0.25),
    "optim.kickstart": 3,
    "optim.freeze_steps": 1,
    "intensity.percentiles": (1.5, 97.5),
    "tile": (12, 16, 20),
}
# what one of them needs beside it
TOGETHER: dict[str, dict[str, Any]] = {
    "method": {"loss": {"paired": 1}},
    "loss.paired": {"sampling": {"pairs": True}},
    "patch": {"discriminator": {"layers": 1}},
    "dims": {"patch": [1, 32, 32]},
    "generator.kind": {"patch": [96, 96, 96]},
    "discriminator.layers": {"discriminator": {"strides": [2, 2, 1]}},
    "discriminator.strides": {"discriminator": {"layers": 1}},
    "optim.freeze_steps": {"generator": {"norm": "instance"}},
}
# these need other volumes, go together with no other, or take seconds
ALONE = {
    "method",
    "dims",
    "generator.kind",
    "discriminator.kind",
    "loss.paired",
    "sampling.pairs",
}


def unusual(key: str, info: FieldInfo) -> Any:
    """A value of a setting that is not its default."""
    if key in SPECIAL:
        return SPECIAL[key]
    if isinstance(info.default, bool):
        return not info.default
    if get_origin(info.annotation) is Literal:
        return next(one for one in get_args(info.annotation) if one != info.default)
    bounds, step = limits(info), 1 if info.annotation is int else 1 / 64
    above = info.default + step
    highest = bounds.get("le", bounds.get("lt", above + step))
    return above if above < highest else info.default - step


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
        default, *shown_limits = details.split("; ")
        usual = "automatic" if info.default is None else info.default
        assert as_option("", usual) == f"--={default}"
        assert len(shown_limits) == len(limits(info))


def settings_of(
    model: type[Settings], *options: str, base: dict[str, Any] | None = None
) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings(parser, model)
    return settings_from(parser.parse_args(options), model, base or {})


@pytest.mark.parametrize("model", [TrainConfig, EnhanceConfig])
def test_every_option_sets_its_setting_and_no_other(
    model: type[Settings], fields: Callable[..., dict[str, FieldInfo]]
) -> None:
    for key, info in fields(model).items():
        value, base = unusual(key, info), TOGETHER.get(key, {})
        assert value != info.default, key
        # what the option must give, written as in a YAML file
        section, _, leaf = key.rpartition(".")
        change = {section: {leaf: value}} if section else {leaf: value}
        expected = parse(model, merged(base, change))
        assert settings_of(model, as_option(key, value), base=base) == expected, key


@pytest.mark.parametrize(
    ("option", "section", "name", "expected"),
    [
        ("--loss.cycle-losses=ssim", "loss", "cycle_losses", ("ssim",)),
        (
            "--loss.cycle-losses=l1, ssim[0]*.5",
            "loss",
            "cycle_losses",
            ("l1", "ssim[0]*.5"),
        ),
        ("--discriminator.strides=none", "discriminator", "strides", None),
        ("--generator.norm=none", "generator", "norm", "none"),
    ],
)
def test_lists_of_any_length_and_no_value_at_all_can_be_written(
    option: str, section: str, name: str, expected: object
) -> None:
    config = settings_of(TrainConfig, option)
    assert getattr(getattr(config, section), name) == expected


def test_an_option_overrides_with_none_what_stands_in_the_settings_before() -> None:
    base = {"tile": [8, 8, 8]}
    assert settings_of(EnhanceConfig, base=base) == parse(EnhanceConfig, base)
    assert settings_of(EnhanceConfig, "--tile=none", base=base) == EnhanceConfig()


def test_the_options_of_train_reach_the_settings_of_the_run(
    command: Callable[..., Any],
    fields: Callable[..., dict[str, FieldInfo]],
    scans: Path,
    tmp_path: Path,
) -> None:
    settings = fields(TrainConfig)
    given = {
        key: info.default if key in ALONE else unusual(key, info)
        for key, info in settings.items()
    }
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
    part.write_text(
        "steps: 1\nloss:\n  cycle_a: 7\noptim: {ema: 0.5}\n", encoding="utf-8"
    )
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
