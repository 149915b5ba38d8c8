"""A training that is asked to save between two events."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from napari_cyclegan3d.engine.checkpoint import load_model, load_state
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.events import Request
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.training import (
    CheckpointSaved,
    Domains,
    PreviewReady,
    Started,
    StepDone,
    train,
)

ConfigMaker = Callable[..., TrainConfig]


def saved_steps(run: Path) -> list[int]:
    return [int(path.stem[-8:]) for path in RunFolder(run).states()]


def test_a_request_to_save_is_answered_at_once_and_the_training_goes_on(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    run = tmp_path / "run"
    events = train(tiny(steps=4, checkpoint_every=100), blobs, run)
    assert [next(events).step for _ in range(3)] == [0, 1, 2]
    answer = events.send(Request.SAVE)
    assert answer == CheckpointSaved(2, run / "model.safetensors")
    assert saved_steps(run) == [2]
    assert load_model(answer.model).header.provenance.steps == 2
    rest = list(events)
    assert [type(event).__name__ for event in rest] == [
        "StepDone",
        "StepDone",
        "CheckpointSaved",
        "TrainingDone",
    ]


@pytest.mark.parametrize("kind", [Started, StepDone, PreviewReady, CheckpointSaved])
def test_a_training_can_be_saved_at_any_event_without_changing_it(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, kind: type
) -> None:
    config = tiny(steps=3, preview_every=1, checkpoint_every=2)
    plain = list(train(config, blobs, tmp_path / "plain"))
    events = train(config, blobs, tmp_path / "asked")
    asked, event = [], next(events, None)
    while event is not None:
        asked.append(event)
        if isinstance(event, kind):
            answer = events.send(Request.SAVE)
            assert isinstance(answer, CheckpointSaved)
            assert answer.step == event.step
        event = next(events, None)
    steps = [[e for e in one if isinstance(e, StepDone)] for one in (plain, asked)]
    assert steps[0] == steps[1]
    assert len(asked) == len(plain)
    states = [
        load_state(RunFolder(tmp_path / name).states()[-1])["gan"]["means"]
        for name in ("plain", "asked")
    ]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_a_training_goes_on_from_what_was_saved_on_request(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    run = tmp_path / "run"
    events = train(tiny(steps=4, checkpoint_every=100), blobs, run)
    assert [next(events).step for _ in range(3)][-1] == 2
    events.send(Request.SAVE)
    assert next(events).step == 3
    saved = (run / "checkpoints" / "state_00000002.pt").read_bytes()
    # what a killed program leaves
    killed = tmp_path / "killed"
    (killed / "checkpoints").mkdir(parents=True)
    (killed / "checkpoints" / "state_00000002.pt").write_bytes(saved)
    (killed / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    first, *_ = train(tiny(steps=4, checkpoint_every=100), blobs, killed, resume=True)
    assert first.step == 2


def test_a_training_that_was_saved_before_its_first_step_can_be_resumed(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    run = tmp_path / "run"
    events = train(tiny(steps=2), blobs, run)
    next(events)
    assert events.send(Request.SAVE).step == 0
    events.close()
    resumed = train(tiny(steps=2), blobs, run, resume=True)
    assert [e.step for e in resumed if isinstance(e, StepDone)] == [1, 2]
