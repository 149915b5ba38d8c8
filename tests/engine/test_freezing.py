"""Trainings with instance norm, which end with frozen statistics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cyclegan3d.engine.checkpoint import Model, load_model, load_state
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.schedules import LearningRate
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.training import Domains, StepDone, Warned, train
from napari_cyclegan3d.engine.volume import Volume

ConfigMaker = Callable[..., TrainConfig]
INSTANCE = {"filters": 2, "norm": "instance"}


def settings(tiny: ConfigMaker, **changes: Any) -> TrainConfig:
    optim = {"freeze_steps": 2} | changes.pop("optim", {})
    return tiny(**({"generator": INSTANCE, "steps": 5, "optim": optim} | changes))


def trained(config: TrainConfig, domains: Domains, run: Path, **more: Any) -> list[Any]:
    return list(train(config, domains, run, **more))


def stopped_after(config: TrainConfig, domains: Domains, run: Path, step: int) -> None:
    """A training that is closed as soon as this step is done."""
    events = train(config, domains, run)
    for event in events:
        if isinstance(event, StepDone) and event.step == step:
            events.close()  # type: ignore[attr-defined]
            return
    pytest.fail(f"no step {step}")


def translated(volume: Volume, model: Model, **values: Any) -> Any:
    config = EnhanceConfig.model_validate(
        {"device": "cpu", "precision": "fp32"} | values
    )
    *_, last = enhance(volume, model, config)
    assert isinstance(last, EnhanceDone)
    return last.volume.read()


def flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for n, part in parts for k, v in flat(part, f"{path}/{n}").items()}
    return {path: value}


def assert_same_run(run: Path, reference: Path) -> None:
    ours, theirs = (
        flat(load_state(RunFolder(one).states()[-1])) for one in (run, reference)
    )
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        same = (
            torch.equal(ours[key], value)
            if isinstance(value, torch.Tensor)
            else ours[key] == value
        )
        assert same, key
    for name in ("model.safetensors", "metrics.csv"):
        assert (run / name).read_bytes() == (reference / name).read_bytes(), name


@pytest.mark.parametrize("norm", ["instance", "instance_affine"])
def test_a_training_with_instance_norm_ends_as_a_model_without_tiles(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, norm: str
) -> None:
    config = settings(tiny, generator=INSTANCE | {"norm": norm})
    events = trained(config, blobs, tmp_path / "run")
    model = load_model(tmp_path / "run" / "model.safetensors")
    assert model.header.config.generator.norm == "affine"
    for direction, volume in (("a_to_b", blobs.a[0]), ("b_to_a", blobs.b[0])):
        whole = translated(volume, model, direction=direction)
        tiles = translated(volume, model, direction=direction, tile=(8, 12, 8))
        assert np.abs(whole - tiles).max() < 1e-4 * whole.std()
    # it is told when it happens, and in the log
    kinds = [type(one).__name__ for one in events]
    (at,) = [number for number, one in enumerate(events) if isinstance(one, Warned)]
    said = "generators converted to frozen statistics of 64 patches at step 3"
    assert said in events[at].message
    assert (kinds[at - 1], events[at - 1].step) == ("StepDone", 3)
    assert said in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "changes",
    [
        {
            "dims": 2,
            "patch": (1, 16, 16),
            "generator": {
                "kind": "unet_strided",
                "encoder": (2, 4, 4),
                "decoder": (4, 2),
                "norm": "instance_affine",
            },
        },
        {
            "method": "srgan",
            "scale": 2,
            "generator": INSTANCE | {"kind": "srresnet", "blocks": 1},
            "loss": {"paired": 1},
        },
    ],
    ids=["2D", "srgan"],
)
def test_networks_of_slices_and_of_srgan_are_frozen_too(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    enlarged: Domains,
    changes: dict[str, Any],
) -> None:
    domains = Domains([], enlarged.b) if "method" in changes else blobs
    config = settings(tiny, **changes)
    trained(config, domains, tmp_path / "run")
    model = load_model(tmp_path / "run" / "model.safetensors")
    assert model.header.config.generator.norm == "affine"
    whole = translated(blobs.b[0], model)
    tiles = translated(blobs.b[0], model, tile=(8, 8, 16))
    assert np.abs(whole - tiles).max() < 1e-4 * whole.std()


def test_what_was_learned_before_is_kept_and_learning_goes_on(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = settings(tiny, steps=8, checkpoint_every=1, keep=9)
    trained(config, blobs, tmp_path / "run")
    states = {
        int(path.stem[-8:]): flat(load_state(path))
        for path in RunFolder(tmp_path / "run").states()
    }
    norms = [states[step]["/gan/norm"] for step in (5, 6, 7)]
    assert norms == ["instance", "affine", "affine"]
    layers = "/gan/networks/a_to_b/body.conv1"
    first, norm = f"{layers}.0.weight", f"{layers}.1.weight"
    # one step at a time: the conversion changes no weight of a convolution
    steps = [
        float((states[step + 1][first] - states[step][first]).abs().max())
        for step in range(4, 8)
    ]
    assert max(steps) < 2 * config.optim.lr_generator
    assert min(steps) > 0
    assert norm not in states[5]
    assert not torch.equal(states[6][norm], states[8][norm])
    # the judges keep their moments
    assert states[6]["/gan/optimisers/lr_discriminator/state/0/step"] == 6
    assert not any("lr_generator/state" in key for key in states[6])


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_training_stopped_before_at_or_after_the_conversion_continues_as_if_not(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, step: int
) -> None:
    config = settings(tiny)
    trained(config, blobs, tmp_path / "whole")
    stopped_after(config, blobs, tmp_path / "run", step)
    trained(config, blobs, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_the_conversion_changes_nothing_that_is_drawn_later(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    plain = settings(tiny, optim={"freeze_steps": 0})
    trained(plain, blobs, tmp_path / "kept")
    trained(settings(tiny), blobs, tmp_path / "frozen")
    kept, frozen = (
        flat(load_state(RunFolder(tmp_path / name).states()[-1]))
        for name in ("kept", "frozen")
    )
    for key in kept:
        if key.startswith(("/sampler", "/gan/random")):
            assert torch.equal(torch.as_tensor(kept[key]), torch.as_tensor(frozen[key]))
    assert kept["/gan/norm"] == "instance"


def test_without_freeze_steps_a_model_keeps_its_instance_norm(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = settings(tiny, optim={"freeze_steps": 0})
    events = trained(config, blobs, tmp_path / "run")
    model = load_model(tmp_path / "run" / "model.safetensors")
    assert model.header.config == config
    assert model.a_to_b.tile_dependent
    assert not any(isinstance(event, Warned) for event in events)


def test_a_frozen_training_that_is_prolonged_stays_frozen(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    trained(settings(tiny), blobs, tmp_path / "run")
    longer = settings(tiny, steps=8)
    events = trained(longer, blobs, tmp_path / "run", resume=True)
    assert [one.message for one in events if isinstance(one, Warned)] == [
        "the generators' instance norm is frozen already; this training goes on with "
        "its mean statistics"
    ]
    model = load_model(tmp_path / "run" / "model.safetensors")
    assert (model.header.provenance.steps, model.a_to_b.tile_dependent) == (8, False)


def test_a_training_stopped_before_its_conversion_has_it_when_it_is_shortened(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    stopped_after(settings(tiny, steps=20), blobs, tmp_path / "run", 4)
    trained(settings(tiny, steps=5), blobs, tmp_path / "run", resume=True)
    assert not load_model(tmp_path / "run" / "model.safetensors").a_to_b.tile_dependent


def test_a_frozen_model_can_be_started_from_with_the_settings_it_was_made_with(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = settings(tiny)
    trained(config, blobs, tmp_path / "first")
    model = load_model(tmp_path / "first" / "model.safetensors")
    events = trained(config, blobs, tmp_path / "second", start_from=model)
    assert any("frozen already" in getattr(one, "message", "") for one in events)
    again = load_model(tmp_path / "second" / "model.safetensors")
    assert not again.a_to_b.tile_dependent
    # with instance norm for good it cannot be
    kept = settings(tiny, optim={"freeze_steps": 0})
    with pytest.raises(InputError, match="a model with generator"):
        trained(kept, blobs, tmp_path / "third", start_from=model)


def test_balancing_may_go_back_to_before_the_conversion(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = settings(tiny, checkpoint_every=1, keep=9)
    trained(config, blobs, tmp_path / "run")
    gan = CycleGan(config, torch.device("cpu"))
    states = [load_state(path)["gan"] for path in RunFolder(tmp_path / "run").states()]
    for number in (3, 1, 4):
        gan.load_state_dict(states[number])
        ours, theirs = flat(gan.state_dict()), flat(states[number])
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            same = ours[key] == value
            assert same.all() if isinstance(same, torch.Tensor) else same, key


@pytest.mark.parametrize(
    ("steps", "wanted", "norm", "at"),
    [
        (10_000, None, "instance", 9500),
        (400, None, "instance_affine", 350),
        (60, None, "instance", 30),
        (60_000, None, "instance", 59_500),
        (1, None, "instance", None),
        (400, 10, "instance", 390),
        (400, 0, "instance", None),
        (400, None, "none", None),
        (400, 10, "affine", None),
    ],
)
def test_the_last_twentieth_of_the_steps_is_frozen_by_default(
    steps: int, wanted: int | None, norm: str, at: int | None
) -> None:
    config = parse(
        TrainConfig,
        {
            "steps": steps,
            "generator": {"norm": norm},
            "optim": {"freeze_steps": wanted},
        },
    )
    assert config.freeze_at == at


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_frozen_network_learns_at_no_less_than_a_tenth_of_the_rate(
    schedule: str,
) -> None:
    def factors(norm: str) -> list[float]:
        values = {"generator": {"norm": norm}, "optim": {"schedule": schedule}}
        config = parse(TrainConfig, {"steps": 1000} | values)
        return [LearningRate(config).factor(step) for step in range(1000)]

    frozen, plain = factors("instance"), factors("none")
    assert frozen[:950] == plain[:950]
    assert frozen[950:] == [max(0.1, factor) for factor in plain[950:]]
    assert (min(plain) < 0.01) == (schedule == "cosine")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"generator": {"norm": "none"}, "optim": {"freeze_steps": 9}},
            r"freeze_steps 9 with generator.norm none: only instance norm has",
        ),
        (
            {
                "steps": 100,
                "generator": {"norm": "instance"},
                "optim": {"freeze_steps": 100},
            },
            r"freeze_steps 100 with steps 100: nothing would be .* give at most 50",
        ),
        ({"optim": {"freeze_steps": -1}}, r"optim\.freeze_steps"),
    ],
)
def test_steps_that_cannot_be_frozen_are_refused(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse(TrainConfig, values)
