"""A glimpse is a part of the result itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.glimpse import (
    SMALLEST_BOX,
    RegionChosen,
    glimpse,
    glimpse_around,
    region_around,
)
from napari_cyclegan3d.engine.inference import EnhanceDone, RegionReady, enhance
from napari_cyclegan3d.engine.tiling import Reach
from napari_cyclegan3d.engine.training import Domains, train
from napari_cyclegan3d.engine.volume import Region, Volume

ModelMaker = Callable[..., Model]
OBLIQUE = np.array(
    [[0.9, -0.4, 0.3, 12], [0.5, 1.7, -0.2, -7], [-0.1, 0.6, 3.1, 0], [0, 0, 0, 1.0]]
)
REGIONS: dict[str, Region] = {
    "inside": (slice(9, 15), slice(10, 21), slice(7, 20)),
    "at the beginning": (slice(0, 5), slice(0, 9), slice(0, 7)),
    "at the end": (slice(20, 26), slice(21, None), slice(-8, None)),
    "all": (slice(None),) * 3,
}


def scan() -> Volume:
    grey = np.random.default_rng(1).normal(100, 20, (26, 30, 28)).astype(np.float32)
    grey[12, 14, 13] = np.nan
    return Volume(grey, OBLIQUE, unit="mm", name="scan")


def settings(**values: Any) -> EnhanceConfig:
    return EnhanceConfig.model_validate(
        {"device": "cpu", "precision": "fp32", **values}
    )


def done(events: Any) -> Volume:
    *_, last = events
    assert isinstance(last, EnhanceDone)
    return last.volume


def check(volume: Volume, model: Model, config: EnhanceConfig, region: Region) -> None:
    """A glimpse has the voxels and the place of that part of the whole result."""
    whole = done(enhance(volume, model, config))
    scale = model.scale(config.direction)
    step = scale.denominator
    ends = [p.indices(n)[:2] for p, n in zip(region, volume.shape, strict=True)]
    z, y, x = (
        slice(int(low // step * step * scale), int(-(-high // step) * step * scale))
        for low, high in ends
    )
    expected = whole.crop((z, y, x))
    part = done(glimpse(volume, model, config, region))
    assert part.shape == expected.shape
    reference = expected.read()
    error = np.nanmax(np.abs(part.read() - reference))
    assert error <= 1e-5 * np.nanstd(whole.read())
    assert np.array_equal(np.isnan(part.read()), np.isnan(reference))
    assert np.allclose(part.affine, expected.affine)
    assert part.unit == volume.unit


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize(
    ("scale", "direction"), [(1, "a_to_b"), (2, "a_to_b"), (2, "b_to_a")]
)
def test_a_glimpse_is_that_part_of_the_whole_result(
    region: Region, scale: int, direction: str, random_model: ModelMaker
) -> None:
    check(scan(), random_model(scale), settings(direction=direction), region)


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_a_blended_glimpse_is_that_part_of_the_whole_result(
    region: Region, random_model: ModelMaker
) -> None:
    config = settings(mode="blend", tile=(8, 12, 16), overlap=0.4)
    check(scan(), random_model(2), config, region)


@pytest.mark.parametrize("mode", ["exact", "blend"])
def test_a_glimpse_with_instance_norm_has_the_statistics_of_the_whole_volume(
    mode: str, random_model: ModelMaker
) -> None:
    model = random_model(1, norm="instance")
    volume = Volume(np.nan_to_num(scan().read(), nan=100), OBLIQUE, unit="mm")
    check(volume, model, settings(mode=mode), REGIONS["inside"])


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Model:
    from napari_cyclegan3d.engine.checkpoint import load_model

    config = TrainConfig.model_validate(
        {
            "dims": 2,
            "patch": (1, 12, 12),
            "steps": 2,
            "device": "cpu",
            "precision": "fp32",
            "preview_every": 0,
            "generator": {"filters": 2},
            "discriminator": {"filters": 4, "layers": 1},
        }
    )
    noise = np.random.default_rng(0).normal(size=(2, 14, 14, 14)).astype(np.float32)
    run = tmp_path_factory.mktemp("slices")
    list(train(config, Domains([Volume(noise[0])], [Volume(noise[1])]), run))
    return load_model(run / "model.safetensors")


@pytest.mark.parametrize("slices", ["z", "y", "all"])
def test_slices_across_any_axis_have_their_glimpse(slices: str, sliced: Model) -> None:
    check(scan(), sliced, settings(slices=slices), REGIONS["inside"])


def test_a_glimpse_reads_only_what_lies_around_it(random_model: ModelMaker) -> None:
    read: list[Region] = []

    class Source:
        shape, dtype = (900, 12, 12), np.dtype(np.float32)

        def __getitem__(self, region: Region) -> np.ndarray:
            read.append(region)
            sides = [
                len(range(*p.indices(n)))
                for p, n in zip(region, self.shape, strict=True)
            ]
            return np.random.default_rng(0).normal(size=sides).astype(np.float32)

    region = (slice(700, 704), slice(0, 8), slice(0, 8))
    model = random_model(1)
    before, after = model.header.receptive_field["a_to_b"]
    volume = Volume(Source())
    list(glimpse(volume, model, settings(), region))
    # what comes first is looked at for its contrast
    planes = [z for part in read for z in range(*part[0].indices(900)) if part[0].start]
    margin = before + after + 8
    assert 700 - before >= min(planes) >= 700 - before - margin
    assert 704 + after <= max(planes) + 1 <= 704 + after + margin


def test_what_is_announced_covers_the_glimpse_once(random_model: ModelMaker) -> None:
    region = REGIONS["inside"]
    events = list(glimpse(scan(), random_model(2), settings(), region))
    seen = np.zeros(done(events).shape, int)
    for event in events:
        if isinstance(event, RegionReady):
            seen[event.region] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(
    "region", [(slice(5, 5),) * 3, (slice(40, 50),) * 3], ids=["empty", "outside"]
)
def test_a_region_without_voxels_is_refused(
    region: Region, random_model: ModelMaker
) -> None:
    with pytest.raises(InputError, match="choose a place inside"):
        list(glimpse(scan(), random_model(1), settings(), region))


@pytest.mark.parametrize("across", [None, 0, 2])
def test_around_a_place_the_region_holds_it_and_its_result_is_the_wholes(
    across: int | None, random_model: ModelMaker
) -> None:
    model, place = random_model(1), (20.0, 3.0, 11.0)
    first, *events = glimpse_around(
        scan(), model, settings(), place, across, seconds=0.001
    )
    assert isinstance(first, RegionChosen)
    for part, voxel in zip(first.region, place, strict=True):
        assert part.start <= voxel < part.stop
    if across is not None:
        thin = first.region[across]
        assert thin.stop - thin.start <= 4
    whole = done(enhance(scan(), model, settings())).crop(first.region)
    assert np.allclose(done(events).read(), whole.read(), atol=1e-4, equal_nan=True)


def test_what_is_decided_beforehand_counts_as_part_of_the_second(
    random_model: ModelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        """Opening the volume takes `delay`; a trial of the network a millisecond."""

        now, delay = 0.0, 0.0

        def perf_counter(self) -> float:
            self.now += 0.001
            return self.now

    class Slow:
        shape, dtype = (300, 300, 300), np.dtype(np.float32)

        def __getitem__(self, region: Region) -> np.ndarray:
            clock.now, clock.delay = clock.now + clock.delay, 0.0
            sides = [
                len(range(*p.indices(n)))
                for p, n in zip(region, self.shape, strict=True)
            ]
            return np.random.default_rng(0).normal(size=sides).astype(np.float32)

    clock = Clock()
    monkeypatch.setattr("napari_cyclegan3d.engine.glimpse.time", clock)
    sizes = []
    for clock.delay in (0.0, 0.04, 100.0):
        events = glimpse_around(
            Volume(Slow()), random_model(1), settings(), (150, 150, 150), seconds=0.1
        )
        first = next(iter(events))
        assert isinstance(first, RegionChosen)
        sizes.append(first.region[0].stop - first.region[0].start)
    assert sizes[0] > sizes[1] > sizes[2] > SMALLEST_BOX


def test_more_voxels_a_second_give_a_larger_region_up_to_the_volume() -> None:
    shape, reach = (60, 100, 100), [Reach(4, (12, 12))] * 3
    sizes = []
    for voxels in (1, 1e5, 4e5, 1e9):
        region = region_around(shape, reach, (30, 50, 50), voxels)
        read = [
            min(n, p.stop - p.start + 24) for p, n in zip(region, shape, strict=True)
        ]
        sizes.append([part.stop - part.start for part in region])
        assert sizes[-1] == [SMALLEST_BOX] * 3 or np.prod(read) <= voxels
    assert sizes[0] == [SMALLEST_BOX] * 3
    assert sizes == sorted(sizes)
    assert sizes[-1] == list(shape)
    slab = region_around(shape, reach, (1000, 50, 50), 1e9, across=0)
    assert slab == (slice(56, 60), slice(0, 100), slice(0, 100))
