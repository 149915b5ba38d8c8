import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_cyclegan3d.engine.checkpoint import (
    Model,
    load_model,
    load_state,
    save_state,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.training import (
    CheckpointSaved,
    Domains,
    PreviewReady,
    Started,
    StepDone,
    TrainEvent,
    TrainingDone,
    train,
)
from napari_cyclegan3d.engine.volume import Volume

ConfigMaker = Callable[..., TrainConfig]
ModelMaker = Callable[..., Model]

both_precisions = pytest.mark.parametrize("precision", ["fp32", "bf16"])


def terms(events: Iterator[TrainEvent]) -> list[StepDone]:
    return [event for event in events if isinstance(event, StepDone)]


def until(events: Iterator[TrainEvent], kind: type[TrainEvent], step: int) -> None:
    """Take events up to the one of this kind and step."""
    for event in events:
        if isinstance(event, kind) and event.step == step:
            return
    pytest.fail(f"no {kind.__name__} at step {step}")


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Everything in a nested state, by its place."""
    if isinstance(value, dict):
        parts: Any = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        return {path: value}
    return {
        key: leaf
        for name, part in parts
        for key, leaf in flat(part, f"{path}/{name}").items()
    }


def assert_same_run(run: Path, reference: Path) -> None:
    """Same states to the bit, same model file, same metrics, same settings."""
    ours, theirs = RunFolder(run).states()[-1], RunFolder(reference).states()[-1]
    assert ours.name == theirs.name
    state, expected = flat(load_state(ours)), flat(load_state(theirs))
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(state[key], value), key
        else:
            assert state[key] == value, key
    for name in ("model.safetensors", "metrics.csv", "config.yaml"):
        assert (run / name).read_bytes() == (reference / name).read_bytes(), name


def test_events_come_in_order_and_when_they_are_due(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(steps=5, preview_every=2, checkpoint_every=3)
    events = list(train(config, blobs, tmp_path / "run"))
    kinds = [(type(event).__name__, event.step) for event in events]
    assert kinds == [
        ("Started", 0),
        ("StepDone", 1),
        ("StepDone", 2),
        ("PreviewReady", 2),
        ("StepDone", 3),
        ("CheckpointSaved", 3),
        ("StepDone", 4),
        ("PreviewReady", 4),
        ("StepDone", 5),
        ("PreviewReady", 5),
        ("CheckpointSaved", 5),
        ("TrainingDone", 5),
    ]
    started = events[0]
    assert isinstance(started, Started)
    assert started == Started(0, 5, "cpu, as asked", started.memory)
    assert 0 < started.memory < 1e9


def test_the_same_seed_gives_the_same_events_and_another_seed_others(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    first, again, other = (
        terms(train(tiny(seed=seed, steps=4), blobs, tmp_path / name))
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert len(first) == 4
    assert first == again
    assert all(
        ours.terms != theirs.terms for ours, theirs in zip(first, other, strict=True)
    )


def test_previews_show_the_same_pair_of_patches_every_time(
    tmp_path: Path, tiny: ConfigMaker, enlarged: Domains
) -> None:
    config = tiny(scale=2, steps=2, preview_every=1)
    first, second = (
        event
        for event in train(config, enlarged, tmp_path / "run")
        if isinstance(event, PreviewReady)
    )
    np.testing.assert_array_equal(first.images["real_a"], second.images["real_a"])
    assert (first.images["fake_b"] != second.images["fake_b"]).any()
    assert {name: image.shape for name, image in first.images.items()} == {
        **dict.fromkeys(("real_a", "fake_a", "cyclic_a"), (12, 12, 12)),
        **dict.fromkeys(("real_b", "fake_b", "cyclic_b"), (24, 24, 24)),
    }


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, blobs: Domains
) -> Callable[[TrainConfig], Path]:
    """A function that trains in one go, once for each of the settings."""
    runs: dict[str, Path] = {}

    def trained(config: TrainConfig) -> Path:
        key = config.model_dump_json()
        if key not in runs:
            runs[key] = tmp_path_factory.mktemp("uninterrupted") / "run"
            list(train(config, blobs, runs[key]))
        return runs[key]

    return trained


def resumable(tiny: ConfigMaker, precision: str) -> TrainConfig:
    return tiny(
        precision=precision, steps=7, batch=2, preview_every=2, checkpoint_every=4
    )


@both_precisions
@pytest.mark.parametrize(
    "stops",
    [
        [(StepDone, 1)],
        [(StepDone, 3)],
        [(PreviewReady, 2)],
        [(StepDone, 4)],
        [(CheckpointSaved, 4)],
        [(StepDone, 2), (StepDone, 3), (PreviewReady, 6)],
    ],
    ids=lambda stops: "-".join(f"{kind.__name__}{step}" for kind, step in stops),
)
def test_a_closed_and_resumed_training_equals_an_uninterrupted_one(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    uninterrupted: Callable[[TrainConfig], Path],
    precision: str,
    stops: list[tuple[type[TrainEvent], int]],
) -> None:
    config, run = resumable(tiny, precision), tmp_path / "run"
    for number, (kind, step) in enumerate(stops):
        events = train(config, blobs, run, resume=number > 0)
        until(events, kind, step)
        events.close()
    first, *_ = train(config, blobs, run, resume=True)
    assert first.step == stops[-1][1]
    assert_same_run(run, uninterrupted(config))


@both_precisions
def test_a_killed_and_resumed_training_equals_an_uninterrupted_one(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    uninterrupted: Callable[[TrainConfig], Path],
    precision: str,
) -> None:
    config, run = resumable(tiny, precision), tmp_path / "killed"
    events = train(config, blobs, tmp_path / "alive")
    until(events, StepDone, 6)  # two steps after the saved state
    shutil.copytree(tmp_path / "alive", run)
    assert len((run / "metrics.csv").read_text(encoding="utf-8").splitlines()) > 1 + 4
    first, *_ = train(config, blobs, run, resume=True)
    assert first.step == 4
    assert_same_run(run, uninterrupted(config))


def test_a_resumed_training_at_2x_equals_an_uninterrupted_one(
    tmp_path: Path, tiny: ConfigMaker, enlarged: Domains
) -> None:
    config = tiny(scale=2, steps=4, intensity={"scope": "volume"})
    events = train(config, enlarged, tmp_path / "stopped")
    until(events, StepDone, 2)
    events.close()
    list(train(config, enlarged, tmp_path / "stopped", resume=True))
    list(train(config, enlarged, tmp_path / "whole"))
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


def test_a_training_that_is_done_can_be_resumed_to_more_steps(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    run = tmp_path / "run"
    list(train(tiny(steps=2), blobs, run))
    done = list(train(tiny(steps=2), blobs, run, resume=True))
    assert [type(event) for event in done] == [Started, TrainingDone]
    more = terms(train(tiny(steps=4), blobs, run, resume=True))
    assert [event.step for event in more] == [3, 4]
    assert load_model(run / "model.safetensors").header.config.steps == 4


def test_a_training_closed_before_its_first_step_can_be_started_again(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    events = train(tiny(), blobs, tmp_path / "run")
    next(events)
    events.close()
    assert isinstance(next(train(tiny(), blobs, tmp_path / "run")), Started)


def test_the_model_of_the_end_is_the_running_mean_of_the_generators(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    *_, last = train(tiny(), blobs, tmp_path / "run")
    assert last == TrainingDone(6, tmp_path / "run" / "model.safetensors")
    model = load_model(last.model)
    gan = load_state(RunFolder(tmp_path / "run").states()[-1])["gan"]
    expected = {
        "a_to_b": gan["means"]["a_to_b"],
        "b_to_a": gan["means"]["b_to_a"],
        "judge_a": gan["networks"]["judge_a"],
        "judge_b": gan["networks"]["judge_b"],
    }
    for name, weights in expected.items():
        loaded = getattr(model, name).state_dict()
        assert loaded.keys() == weights.keys()
        assert all(torch.equal(loaded[key], weights[key]) for key in weights)
    assert not torch.equal(
        gan["networks"]["a_to_b"]["body.final.weight"],
        gan["means"]["a_to_b"]["body.final.weight"],
    )


def test_a_model_tells_what_it_was_trained_on(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    list(train(tiny(steps=2), blobs, tmp_path / "run"))
    header = load_model(tmp_path / "run" / "model.safetensors").header
    assert header.provenance.steps == 2
    assert header.provenance.volumes_a == ("fast scan",)
    assert header.config == tiny(steps=2)
    assert header.intensity_a.offset == pytest.approx(
        blobs.a[0].read().mean(), rel=1e-5
    )
    assert header.intensity_b.gain == pytest.approx(blobs.b[0].read().std(), rel=1e-5)


def test_only_as_many_states_are_kept_as_asked_for(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    list(train(tiny(checkpoint_every=1, keep=2), blobs, tmp_path / "run"))
    names = [path.name for path in RunFolder(tmp_path / "run").states()]
    assert names == ["state_00000005.pt", "state_00000006.pt"]


def test_after_sixty_steps_the_cycles_come_back_closer(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(
        steps=60,
        seed=2,
        patch=(16, 16, 16),
        batch=2,
        generator={"filters": 4},
        loss={"adversarial_a": 0.5, "adversarial_b": 0.5, "cycle_a": 10, "cycle_b": 10},
        optim={"lr_generator": 0.02, "schedule": "constant"},
    )
    steps = terms(train(config, blobs, tmp_path / "run"))
    errors = [step.terms["cycle_a"] + step.terms["cycle_b"] for step in steps]
    assert np.mean(errors[-10:]) < 0.85 * np.mean(errors[:10])


def constant(shape: tuple[int, int, int], value: float) -> Volume:
    return Volume(np.full(shape, value, np.float32), name="odd scan")


@pytest.mark.parametrize("domain", ["a", "b"])
@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        (Volume(np.eye(11)[None].repeat(30, 0), name="odd scan"), "larger than"),
        (constant((24, 24, 24), 3.0), "every voxel is 3"),
        (constant((24, 24, 24), np.nan), "no voxel is a finite number"),
        (Volume(np.eye(24)[None], name="odd scan"), "single slice"),
    ],
    ids=["small", "constant", "nan", "slice"],
)
def test_a_volume_that_cannot_be_learnt_from_is_refused_before_anything_is_written(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    domain: str,
    volume: Volume,
    reason: str,
) -> None:
    volumes = {"a": blobs.a, "b": blobs.b} | {domain: [blobs.a[0], volume]}
    with pytest.raises(InputError, match=rf"^odd scan: .*{reason}"):
        next(train(tiny(), Domains(**volumes), tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(InputError, match=absent):
        next(train(tiny(device=absent), blobs, tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_domain_without_volumes_is_refused(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, name: str
) -> None:
    volumes = {"a": blobs.a, "b": blobs.b} | {name: []}
    with pytest.raises(InputError, match=f"domain {name.upper()} is empty"):
        next(train(tiny(), Domains(**volumes), tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({}, {}, "already holds a training"),
        ({"scale": 2}, {"resume": True}, "trained with scale = 1, not 2"),
    ],
    ids=["again", "other scale"],
)
def test_an_earlier_run_is_left_as_it_is(
    tmp_path: Path,
    tiny: ConfigMaker,
    enlarged: Domains,
    changes: dict[str, Any],
    options: dict[str, Any],
    reason: str,
) -> None:
    run = tmp_path / "run"
    list(train(tiny(steps=1), enlarged, run))
    before = contents(run)
    with pytest.raises(InputError, match=reason):
        next(train(tiny(**changes), enlarged, run, **options))
    assert contents(run) == before


def test_a_run_that_does_not_exist_cannot_be_resumed_and_is_not_made(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    with pytest.raises(InputError, match="no saved state to continue"):
        next(train(tiny(), blobs, tmp_path / "run", resume=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.clear(),
        lambda state: state.pop("sampler"),
        lambda state: state["gan"].pop("pool_a"),
        lambda state: state["gan"]["networks"]["a_to_b"].popitem(),
        lambda state: state["intensities"].pop(),
        lambda state: state["intensities"][0].update(surprise=1),
        lambda state: state.update(gan=3),
        lambda state: state["sampler"].update(drawn="a few"),
    ],
    ids=itertools.count(),
)
def test_a_state_that_belongs_to_something_else_is_refused_in_a_sentence(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    damage: Callable[[dict[str, Any]], object],
) -> None:
    run = tmp_path / "run"
    list(train(tiny(steps=1), blobs, run))
    (path,) = RunFolder(run).states()
    state = load_state(path)
    damage(state)
    save_state(state, path)
    before = contents(run)
    with pytest.raises(InputError, match=rf"{path.name}: does not fit"):
        next(train(tiny(steps=2), blobs, run, resume=True))
    assert contents(run) == before


def test_a_training_starts_from_the_weights_and_intensities_of_a_model(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, random_model: ModelMaker
) -> None:
    model = random_model()
    config = tiny(
        steps=1,
        generator=model.header.config.generator.model_dump(),
        optim={"lr_generator": 1e-9, "lr_discriminator": 1e-9},
    )
    list(train(config, blobs, tmp_path / "run", start_from=model))
    trained = load_model(tmp_path / "run" / "model.safetensors")
    assert trained.header.intensity_a == model.header.intensity_a
    assert trained.header.intensity_b == model.header.intensity_b
    for name in ("a_to_b", "b_to_a", "judge_a", "judge_b"):
        ours, theirs = (getattr(m, name).state_dict() for m in (trained, model))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("scale", {"scale": 2}),
        ("generator", {"filters": 4}),
        ("generator", {"noise": False}),
    ],
)
def test_a_model_of_other_settings_is_no_start_and_nothing_is_written(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    random_model: ModelMaker,
    key: str,
    kind: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match=f"^model: a model with {key} = "):
        next(train(tiny(), blobs, tmp_path / "run", start_from=random_model(**kind)))
    assert list(tmp_path.iterdir()) == []


def with_hot_voxel(domains: Domains, value: float) -> Domains:
    grey = domains.a[0].read().copy()
    grey[4, 12, 10] = value
    return Domains([Volume(grey, name="hot scan")], domains.b)


# with the smaller value the weights after the step are still finite
@pytest.mark.parametrize("value", [2e18, 1e36])
def test_a_training_that_diverges_says_so_and_leaves_the_last_good_state(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    random_model: ModelMaker,
    value: float,
) -> None:
    run = tmp_path / "run"
    # with this seed the voxel is met after some steps
    config = tiny(steps=50, checkpoint_every=1, keep=1, seed=7)
    # the intensities of the model are those of scans without the voxel
    events = train(config, with_hot_voxel(blobs, value), run, start_from=random_model())
    steps = []
    with pytest.raises(InputError) as refusal:
        steps += [event.step for event in events if isinstance(event, StepDone)]
    last = len((run / "metrics.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert last > 1
    message = str(refusal.value)
    assert message.startswith(f"training diverged at step {last + 1}: ")
    assert "lower learning rates" in message
    assert f"the model of step {last}" in message
    (state,) = RunFolder(run).states()
    assert state.name == f"state_{last:08d}.pt"
    leaves = flat(load_state(state)["gan"]) | load_file(run / "model.safetensors")
    for value in leaves.values():
        assert not isinstance(value, torch.Tensor) or value.isfinite().all()


def test_weights_that_are_no_numbers_are_never_saved(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(checkpoint_every=1)
    absurd = config.loss.model_copy(update={"cycle_a": 1e39})  # inf in float32
    config = config.model_copy(update={"loss": absurd})
    with pytest.raises(InputError, match="training diverged at step 1: "):
        list(train(config, blobs, tmp_path / "run"))
    assert RunFolder(tmp_path / "run").states() == []
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out of memory"),
        # as PyTorch says it on the CPU
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["device", "cpu"],
)
def test_too_little_memory_stops_the_training_with_a_saved_state_and_a_proposal(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    run = tmp_path / "run"
    events = train(tiny(batch=4), blobs, run)
    until(events, StepDone, 2)
    monkeypatch.setattr("napari_cyclegan3d.engine.losses.adversarial", full)
    with pytest.raises(MemoryShortageError, match=r"batch 4 .* try batch 2"):
        next(events)
    assert [path.name for path in RunFolder(run).states()] == ["state_00000002.pt"]


@pytest.mark.parametrize(
    ("changes", "proposal"),
    [
        ({"batch": 3}, "try batch 1"),
        ({"patch": (24, 16, 16)}, r"try patch \(16, 12, 12\)"),
        ({}, "try fewer filters"),
    ],
    ids=["batch", "patch", "filters"],
)
def test_what_is_proposed_for_too_little_memory_can_be_used(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    proposal: str,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    events = train(tiny(**changes), Domains(blobs.a, blobs.a), tmp_path / "run")
    assert isinstance(next(events), Started)
    monkeypatch.setattr("napari_cyclegan3d.engine.losses.adversarial", full)
    with pytest.raises(MemoryShortageError, match=proposal):
        list(events)


def test_a_run_is_not_continued_with_other_volumes(
    tiny: ConfigMaker, blobs: Domains, tmp_path: Path
) -> None:
    for _ in train(tiny(steps=2), blobs, tmp_path / "run"):
        pass
    others = Domains(a=[*blobs.a, blobs.a[0]], b=blobs.b)
    with pytest.raises(InputError, match="same volumes in the same order"):
        next(train(tiny(steps=4), others, tmp_path / "run", resume=True))
