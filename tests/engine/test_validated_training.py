"""Trainings that validate, balance themselves, enlarge, or see slices only."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cyclegan3d.engine.balance import Balancer, Decision
from napari_cyclegan3d.engine.checkpoint import load_model, load_state
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.training import (
    Balanced,
    Domains,
    StepDone,
    TrainEvent,
    Validated,
    Warned,
    train,
)
from napari_cyclegan3d.engine.volume import Volume

ConfigMaker = Callable[..., TrainConfig]


@pytest.fixture
def validated(blobs: Domains) -> Domains:
    """The domains, validated on themselves upside down."""
    a, b = (Volume(one.read()[::-1].copy()) for one in (blobs.a[0], blobs.b[0]))
    return replace(blobs, validate_a=[a], validate_b=[b])


def of(kind: type[TrainEvent], events: list[TrainEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_validations_come_when_due_and_the_best_models_are_kept(
    tmp_path: Path, tiny: ConfigMaker, validated: Domains
) -> None:
    config = tiny(steps=7, validation={"every": 1, "patches": 2, "keep": 2})
    run = tmp_path / "run"
    events = of(Validated, list(train(config, validated, run)))
    assert [event.step for event in events] == [1, 2, 3, 4, 5, 6, 7]
    ranked = sorted(events, key=lambda event: (-event.scores["score"], event.step))
    kept = sorted(event.step for event in ranked[:2])
    assert [path.stem for path in RunFolder(run).best_models()] == [
        f"step_{step:08d}" for step in kept
    ]
    for path, step in zip(RunFolder(run).best_models(), kept, strict=True):
        assert load_model(path).header.provenance.steps == step
        assert next(event for event in events if event.step == step).best
    lines = (run / "validation.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[0] == "step"
    assert len(lines) == 8


def test_a_stopped_and_resumed_validation_equals_an_uninterrupted_one(
    tmp_path: Path, tiny: ConfigMaker, validated: Domains
) -> None:
    config = tiny(
        steps=6,
        checkpoint_every=2,
        validation={"every": 1, "patches": 2, "keep": 1},
        optim={"schedule": "plateau", "decay_steps": 1},
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    list(train(config, validated, whole))
    events = train(config, validated, parts)
    for event in events:
        if isinstance(event, StepDone) and event.step == 3:
            break
    events.close()
    list(train(config, validated, parts, resume=True))
    for name in ("metrics.csv", "validation.csv", "model.safetensors"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    (ours,), (theirs,) = (RunFolder(run).best_models() for run in (parts, whole))
    assert (ours.name, ours.read_bytes()) == (theirs.name, theirs.read_bytes())


def test_validation_does_not_change_the_training(
    tmp_path: Path, tiny: ConfigMaker, validated: Domains, blobs: Domains
) -> None:
    config = tiny(steps=3, validation={"every": 1, "patches": 1})
    ours = of(StepDone, list(train(config, validated, tmp_path / "a")))
    plain = of(StepDone, list(train(config, blobs, tmp_path / "b")))
    assert ours == plain


def test_validation_needs_volumes_of_both_domains(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    half = replace(blobs, validate_b=blobs.b)
    with pytest.raises(InputError, match="no volume of domain A"):
        next(train(tiny(), half, tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_a_plateau_lowers_the_learning_rate_without_validation_too(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    optim = {"schedule": "plateau", "decay_steps": 1, "decay_rate": 0.01}
    runs = {
        name: of(
            StepDone,
            list(train(tiny(steps=12, optim=one), blobs, tmp_path / name)),
        )
        for name, one in (("plateau", optim), ("constant", {"schedule": "constant"}))
    }
    ours, theirs = runs["plateau"], runs["constant"]
    assert ours[0] == theirs[0]
    assert ours[-1] != theirs[-1]


class Twice(Balancer):
    """Fails a training once, at its first check."""

    failed = False

    def check(self, step: int) -> Decision | None:
        if step < 4 or Twice.failed:
            return None
        Twice.failed = True
        changed = dict.fromkeys(self.weights, 0.5)
        return Decision(
            "rollback", changed, {"lr_generator": 1e-5}, "inverted", step_back_to=2
        )


def test_a_failed_training_goes_back_with_other_weights_and_says_why(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Twice.failed = False
    monkeypatch.setattr("napari_cyclegan3d.engine.session.Balancer", Twice)
    config = tiny(steps=6, checkpoint_every=1, balance={"enabled": True})
    run = tmp_path / "run"
    events = list(train(config, blobs, run))
    assert [event.step for event in of(StepDone, events)] == [1, 2, 3, 4, 3, 4, 5, 6]
    assert of(Balanced, events) == [Balanced(2, "inverted")]
    rows = (run / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert "step 4: inverted" in (run / "log.txt").read_text(encoding="utf-8")
    first, second = (event for event in of(StepDone, events) if event.step == 4)
    assert first.terms != second.terms


def test_a_training_that_stays_inverted_is_tried_again_and_then_left_alone(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "napari_cyclegan3d.engine.losses.contrast", lambda *_: torch.tensor(-0.5)
    )
    monkeypatch.setattr("napari_cyclegan3d.engine.balance.MOST_ROLLBACKS", 3)
    config = tiny(
        steps=90, balance={"enabled": True, "every": 10, "start": 50, "back": 10}
    )
    run = tmp_path / "run"
    events = list(train(config, blobs, run))
    balanced = of(Balanced, events)
    back = [event for event in balanced if "back to step" in event.reason]
    assert len(back) == 3
    assert "failure 3 in a row" in back[-1].reason
    assert len({event.reason.split("with")[1] for event in back}) == 3
    assert "balancing stops" in balanced[-1].reason
    assert of(StepDone, events)[-1].step == 90
    assert "balancing stops" in (run / "log.txt").read_text(encoding="utf-8")
    last = load_state(RunFolder(run).states()[-1])
    assert last["gan"]["kickstart"] == back[-1].step + 150


def test_a_model_that_enlarges_is_trained_from_b_alone_and_enhances(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(
        method="srgan",
        scale=2,
        patch=(8, 8, 8),
        steps=3,
        preview_every=3,
        generator={"kind": "srresnet", "filters": 4, "blocks": 1, "norm": "batch"},
        discriminator={"kind": "critic", "filters": 4, "layers": 2},
        loss={"paired": 1.0},
        validation={"every": 3, "patches": 2},
    )
    domains = Domains([], blobs.b, validate_b=blobs.a)
    run = tmp_path / "run"
    whole = list(train(config, domains, run))
    (scored,) = of(Validated, whole)
    assert scored.scores["score"] == scored.scores["ssim"]
    events = train(config, domains, tmp_path / "again")
    next(event for event in events if isinstance(event, StepDone))
    events.close()
    rest = list(train(config, domains, tmp_path / "again", resume=True))
    assert of(StepDone, rest) == of(StepDone, whole)[1:]
    model = load_model(run / "model.safetensors")
    *_, last = enhance(blobs.b[0], model, EnhanceConfig(tile=(9, 9, 9)))
    assert isinstance(last, EnhanceDone)
    assert last.volume.shape == tuple(2 * n for n in blobs.b[0].shape)
    whole_volume = enhance(blobs.b[0], model, EnhanceConfig(tile=(99, 99, 99)))
    *_, untiled = whole_volume
    np.testing.assert_allclose(
        last.volume.read(), untiled.volume.read(), rtol=0, atol=1e-5
    )
    with pytest.raises(InputError, match="no generator from B to A"):
        next(enhance(blobs.b[0], model, EnhanceConfig(direction="b_to_a")))


def test_an_enlarged_volume_keeps_the_grey_values_of_its_own_source(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(
        method="srgan",
        scale=2,
        patch=(8, 8, 8),
        steps=1,
        generator={"kind": "srresnet", "filters": 4, "blocks": 1},
        discriminator={"kind": "critic", "filters": 4, "layers": 2},
        loss={"paired": 1.0},
        intensity={"scope": "volume"},
    )
    list(train(config, Domains([], blobs.b), tmp_path / "run"))
    model = load_model(tmp_path / "run" / "model.safetensors")
    volume = blobs.a[0]
    *_, one = enhance(volume, model)
    *_, other = enhance(Volume(3 * volume.read() - 700), model)
    np.testing.assert_allclose(
        other.volume.read(), 3 * one.volume.read() - 700, rtol=0, atol=0.05
    )


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_a_2d_training_translates_a_volume_slice_by_slice(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, axis: str
) -> None:
    config = tiny(
        dims=2,
        slice_axis=axis,
        patch=(1, 12, 12),
        steps=2,
        intensity={"scope": "volume"},
    )
    list(train(config, blobs, tmp_path / "run"))
    model = load_model(tmp_path / "run" / "model.safetensors")
    volume, place = blobs.a[0], "zyx".index(axis)
    *_, last = enhance(volume, model, EnhanceConfig(tile=(5, 8, 7)))
    assert last.volume.shape == volume.shape
    np.testing.assert_array_equal(last.volume.affine, volume.affine)
    # what is beside a slice does not matter to it
    changed = np.moveaxis(volume.read().copy(), place, 0)
    changed[1::2] = changed[1::2, ::-1]  # the grey values stay, for the intensities
    other = Volume(np.moveaxis(changed, 0, place))
    *_, again = enhance(other, model, EnhanceConfig(tile=(8, 8, 8)))
    ours, theirs = (np.moveaxis(one.volume.read(), place, 0) for one in (last, again))
    np.testing.assert_allclose(ours[::2], theirs[::2], rtol=0, atol=1e-3)
    assert np.abs(ours[1::2] - theirs[1::2]).max() > 1e-2


def test_the_mean_over_three_axes_is_the_mean_of_the_three_results(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(dims=2, patch=(1, 12, 12), steps=1)
    list(train(config, blobs, tmp_path / "run"))
    model = load_model(tmp_path / "run" / "model.safetensors")
    results = {}
    for slices in ("z", "y", "x", "all"):
        events = list(enhance(blobs.a[0], model, EnhanceConfig(slices=slices)))
        results[slices] = events[-1].volume.read()
    mean = np.mean([results[axis] for axis in "zyx"], axis=0)
    assert np.abs(results["z"] - results["y"]).max() > 1e-3
    np.testing.assert_allclose(results["all"], mean, rtol=0, atol=1e-4)


def test_a_3d_model_refuses_a_choice_of_slices(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    list(train(tiny(steps=1), blobs, tmp_path / "run"))
    model = load_model(tmp_path / "run" / "model.safetensors")
    with pytest.raises(InputError, match=r"slices all: .* is a 3D model"):
        next(enhance(blobs.a[0], model, EnhanceConfig(slices="all")))


def test_voxel_sizes_that_do_not_fit_the_scale_are_remarked_on(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    def sized(volume: Volume, side: float) -> Volume:
        return replace(volume, affine=np.diag([side, side, side, 1.0]), unit="µm")

    a, b = blobs.a[0], blobs.b[0]
    for side, remarks in ((0.8, 0), (1.6, 1)):
        domains = Domains([sized(a, side)], [sized(b, 0.8)])
        events = list(train(tiny(steps=1), domains, tmp_path / str(side)))
        warned = of(Warned, events)
        assert len(warned) == remarks
        assert all("2 × 2 × 2" in one.message for one in warned)


def test_voxel_sizes_are_compared_whatever_their_unit(
    tiny: ConfigMaker, blobs: Domains
) -> None:
    def sized(side: float, unit: str) -> Volume:
        place = np.diag([side, side, side, 1.0])
        return replace(blobs.a[0], affine=place, unit=unit)

    fine = sized(0.8, "micrometer")
    assert not Domains([sized(0.0008, "millimeter")], [fine]).remarks(tiny())
    (remark,) = Domains([sized(0.8, "millimeter")], [fine]).remarks(tiny())
    assert "1e+03 × 1e+03 × 1e+03" in remark
    assert not Domains([sized(0.8, "pixel")], [fine]).remarks(tiny())
