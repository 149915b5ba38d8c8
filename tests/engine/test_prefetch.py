import gc
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from napari_cyclegan3d.engine import patches
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.patches import PatchSampler
from napari_cyclegan3d.engine.prefetch import Prefetcher
from napari_cyclegan3d.engine.sources import fit_domains, training_sampler
from napari_cyclegan3d.engine.training import Domains
from napari_cyclegan3d.engine.volume import ArraySource, Volume

ConfigMaker = Callable[..., TrainConfig]
UnreadableMaker = Callable[[np.ndarray, int], ArraySource]


def drawer(config: TrainConfig, domains: Domains) -> PatchSampler:
    return training_sampler(config, domains, fit_domains(config, domains))


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("patches")]


def test_a_step_gets_the_patches_with_the_next_numbers(
    tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(batch=2, optim={"accumulate": 2})
    sampler = drawer(config, blobs)
    ahead = Prefetcher(sampler, config)
    for first in (0, 4, 8):
        for number, batch in zip((first, first + 2), ahead.step(), strict=True):
            expected = sampler.numbered([number, number + 1])
            assert torch.equal(batch.real_a, expected.real_a)
            assert torch.equal(batch.real_b, expected.real_b)
    ahead.close()


def test_what_was_drawn_ahead_is_no_part_of_the_state(
    tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny()
    ahead, other = (Prefetcher(drawer(config, blobs), config) for _ in "12")
    ahead.step()
    state = ahead.state_dict()
    assert state == {"drawn": 1}
    expected = [ahead.step()[0].real_a for _ in range(3)]
    for _ in range(5):
        other.step()
    other.load_state_dict(state)
    for patch in expected:
        assert torch.equal(other.step()[0].real_a, patch)
    ahead.close()
    other.close()


def test_the_thread_ends_when_it_is_closed_or_forgotten(
    tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny()
    before = threads()
    closed, forgotten = (Prefetcher(drawer(config, blobs), config) for _ in "12")
    closed.step()
    forgotten.step()
    assert len(threads()) == len(before) + 2
    closed.close()
    assert len(threads()) == len(before) + 1
    del forgotten
    gc.collect()
    for _ in range(100):
        if len(threads()) == len(before):
            break
        time.sleep(0.05)
    assert len(threads()) == len(before)


def test_what_the_thread_cannot_read_is_told_at_the_step_that_needs_it(
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
    unreadable: UnreadableMaker,
) -> None:
    monkeypatch.setattr(patches, "CACHE_BYTES", 0)
    config = tiny(sampling={"min_content": 0})
    intensities = fit_domains(config, blobs)
    b = Volume(unreadable(blobs.b[0].read(), 2), name="slow scan")
    ahead = Prefetcher(
        training_sampler(config, Domains(blobs.a, [b]), intensities), config
    )
    ahead.step()
    ahead.step()
    for _ in range(2):
        with pytest.raises(InputError, match=r"^slow scan: the disk was taken away$"):
            ahead.step()
    assert ahead.state_dict() == {"drawn": 2}
    ahead.close()
