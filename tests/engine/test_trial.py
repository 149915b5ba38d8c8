"""A training tried out before it starts."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cyclegan3d.engine import memory
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.trial import try_out

ConfigMaker = Callable[..., TrainConfig]
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scale": 2, "optim": {"accumulate": 2}, "sampling": {"pairs": True}},
        {"method": "srgan", "scale": 2, "loss": {"paired": 1}, "generator": None},
        {"dims": 2, "patch": (1, 16, 20), "batch": 3},
    ],
    ids=["1x", "pairs", "srgan", "slices"],
)
def test_a_trial_tells_the_memory_first_and_then_the_speed(
    tiny: ConfigMaker, changes: dict[str, Any]
) -> None:
    if changes.get("method") == "srgan":
        changes = changes | {"generator": {"kind": "srresnet", "filters": 4}}
    config = tiny(**changes)
    first, *rest = try_out(config, seconds=0.3)
    assert first.memory == memory.training_memory(config, CPU)
    assert first.seconds_per_step is None
    assert first.device == "cpu, as asked"
    assert rest
    assert all(0 < one.seconds_per_step < 10 for one in rest)
    assert {one.memory for one in rest} == {first.memory}


def test_a_trial_ends_when_its_time_is_over_and_when_it_is_closed(
    tiny: ConfigMaker,
) -> None:
    list(try_out(tiny(), 0.0))  # what is done once is done
    begun = time.perf_counter()
    assert len(list(try_out(tiny(), 0.0))) == 2
    assert time.perf_counter() - begun < 10
    events = try_out(tiny(), seconds=1000)
    assert [next(events).seconds_per_step is None for _ in range(3)] == [
        True,
        False,
        False,
    ]
    events.close()
    assert list(events) == []


def test_a_trial_leaves_random_numbers_and_the_folder_as_they_were(
    tiny: ConfigMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(try_out(tiny(), 0.0))
    assert torch.equal(torch.rand(3), expected)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_does_not_fit_is_not_tried(
    tiny: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(patch=(64, 64, 64))
    room = memory.training_memory(config, CPU) // 2
    monkeypatch.setattr(memory, "free_memory", lambda _: room)
    with pytest.raises(MemoryShortageError, match="needs about") as caught:
        next(try_out(config))
    assert max(caught.value.settings["patch"]) < 64


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a computer without one")
def test_a_device_that_is_not_there_is_refused(tiny: ConfigMaker) -> None:
    with pytest.raises(InputError, match="device cuda:7"):
        next(try_out(tiny(device="cuda:7")))
