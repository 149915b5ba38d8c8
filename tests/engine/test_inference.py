from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_cyclegan3d.engine import demands, translation
from napari_cyclegan3d.engine.checkpoint import Direction, Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.inference import (
    EnhanceDone,
    EnhanceEvent,
    EnhanceStarted,
    RegionReady,
    TileDone,
    Warned,
    enhance,
    enhanced_shape,
)
from napari_cyclegan3d.engine.networks import Generator, measure_halo
from napari_cyclegan3d.engine.precision import converted
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig
from napari_cyclegan3d.engine.streaming import Program
from napari_cyclegan3d.engine.tiling import output_shape, round_up
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

ModelMaker = Callable[..., Model]

WHOLE = (10_000, 10_000, 10_000)
OBLIQUE = np.array(
    [
        [0.9, -0.4, 0.3, 12.0],
        [0.5, 1.7, -0.2, -7.5],
        [-0.1, 0.6, 3.1, 0.25],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def scan(shape: Shape, seed: int = 0) -> Volume:
    grey = np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)
    return Volume(grey, OBLIQUE, unit="mm", name="scan")


def settings(**values: Any) -> EnhanceConfig:
    usual = {"device": "cpu", "mode": "exact", "precision": "fp32"}
    return EnhanceConfig.model_validate(usual | values)


def enhanced(volume: Volume, model: Model, **values: Any) -> NDArray[np.float32]:
    *_, last = enhance(volume, model, settings(**values))
    assert isinstance(last, EnhanceDone)
    return last.volume.read()


def untiled(volume: Volume, model: Model, direction: Direction) -> NDArray[np.float32]:
    """The whole volume through the network at once.

    Mirrored by numpy at its far ends, up to whole strides.
    """
    network, header = model.generator(direction), model.header
    fits = header.intensity_a, header.intensity_b
    fit_in, fit_out = fits if direction == "a_to_b" else fits[::-1]
    stride = network.stride
    margins = [
        (0, max(round_up(size, stride), 2 * stride) - size) for size in volume.shape
    ]
    padded = np.pad(volume.read(), margins, mode="reflect")
    image = torch.from_numpy((padded - fit_in.offset) / fit_in.gain)[None, None]
    noise = torch.zeros_like(image).expand(-1, network.inputs - 1, -1, -1, -1)
    with torch.inference_mode():
        out = network(torch.cat([image, noise], 1))[0, 0].numpy()
    inside = tuple(slice(n) for n in output_shape(volume.shape, network.scale))
    return out[inside] * fit_out.gain + fit_out.offset


def relative_error(result: NDArray[Any], reference: NDArray[Any]) -> float:
    """Largest difference, over the reference's largest distance from its mean.

    The networks are random and their outputs have long tails: fp32 rounds the largest.
    """
    assert result.shape == reference.shape
    largest = np.abs(reference - reference.mean()).max()
    return float(np.abs(result - reference).max() / largest)


# (scale of the model, direction, shape, tiles); every shape is odd somewhere and
# smaller than the halo
TILINGS: list[tuple[int, Direction, Shape, list[Shape]]] = [
    (1, "a_to_b", (13, 22, 9), [(8, 12, 4), (5, 99, 7)]),
    (1, "b_to_a", (5, 30, 2), [(4, 16, 99)]),
    (2, "a_to_b", (9, 11, 14), [(8, 4, 16), (99, 5, 99)]),
    (4, "a_to_b", (7, 5, 6), [(2, 4, 6), (99, 1, 3)]),
    (2, "b_to_a", (17, 10, 9), [(8, 16, 99)]),
    (4, "b_to_a", (19, 33, 9), [(16, 16, 99)]),
]
every_tiling = pytest.mark.parametrize(
    ("scale", "direction", "shape", "tiles"),
    TILINGS,
    ids=[f"{scale}-{direction}" for scale, direction, *_ in TILINGS],
)


@every_tiling
def test_exact_tiling_equals_the_untiled_pass(
    random_model: ModelMaker,
    scale: int,
    direction: Direction,
    shape: Shape,
    tiles: list[Shape],
) -> None:
    model, volume = random_model(scale), scan(shape)
    reference = untiled(volume, model, direction)
    whole = enhanced(volume, model, direction=direction, tile=WHOLE)
    assert relative_error(whole, reference) < 1e-5
    for tile in tiles:
        result = enhanced(volume, model, direction=direction, tile=tile)
        assert relative_error(result, reference) < 1e-5


# what lies beyond the halo of a tile inside: (scale, direction, length, tile)
@pytest.mark.parametrize(
    ("scale", "direction", "length", "side_of_tile"),
    [
        (1, "a_to_b", 60, 8),
        (2, "a_to_b", 60, 8),
        (4, "a_to_b", 40, 4),
        (2, "b_to_a", 100, 8),
        (4, "b_to_a", 200, 16),
    ],
)
@pytest.mark.parametrize("side", [0, 1], ids=["before", "after"])
def test_a_halo_one_stride_too_narrow_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
    random_model: ModelMaker,
    scale: int,
    direction: Direction,
    length: int,
    side_of_tile: int,
    side: int,
) -> None:
    model, volume = random_model(scale), scan((9, length, 10))
    reference = untiled(volume, model, direction)
    tile = (99, side_of_tile, 99)

    def narrow(network: Generator) -> tuple[int, int]:
        halo = list(measure_halo(network))
        halo[side] -= network.stride
        return halo[0], halo[1]

    result = enhanced(volume, model, direction=direction, tile=tile)
    assert relative_error(result, reference) < 1e-5
    monkeypatch.setattr(demands, "measure_halo", narrow)
    result = enhanced(volume, model, direction=direction, tile=tile)
    assert relative_error(result, reference) > 1e-3


class Identity(nn.Module):
    """Gives back what it is given, enlarged or reduced without interpolation."""

    stride, inputs, dims, tile_dependent = 4, 1, 3, False
    config = GeneratorConfig(filters=2)

    def __init__(self, scale: Fraction) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        if self.scale < 1:
            return nn.functional.avg_pool3d(image, self.scale.denominator)
        for axis in (2, 3, 4):
            image = image.repeat_interleave(int(self.scale), axis)
        return image


def identity(model: Model, scale: int, direction: Direction) -> Model:
    """The model with a generator that changes nothing but the size."""
    header = model.header.model_copy(
        update={"scale": scale, "intensity_b": model.header.intensity_a}
    )
    network = Identity(Fraction(scale) if direction == "a_to_b" else Fraction(1, scale))
    return replace(model, header=header, **{direction: cast(Generator, network)})


def resized(grey: NDArray[Any], scale: Fraction) -> NDArray[Any]:
    """Each voxel repeated, or whole blocks of voxels averaged."""
    if scale >= 1:
        return np.kron(grey, np.ones((int(scale),) * 3, grey.dtype))
    step = scale.denominator
    z, y, x = (n // step for n in grey.shape)
    blocks = grey[: z * step, : y * step, : x * step]
    return blocks.reshape(z, step, y, step, x, step).mean(axis=(1, 3, 5))


DIRECTIONS: list[tuple[int, Direction]] = [
    (1, "a_to_b"),
    (2, "a_to_b"),
    (2, "b_to_a"),
    (4, "b_to_a"),
]
every_direction = pytest.mark.parametrize(("scale", "direction"), DIRECTIONS)


@every_direction
@pytest.mark.parametrize("shape", [(9, 17, 22), (5, 4, 31)])
@pytest.mark.parametrize("tile", [(4, 8, 12), (7, 99, 9), (99, 99, 99)])
@pytest.mark.parametrize(
    "way",
    [{"mode": "exact"}]
    + [{"mode": "blend", "overlap": share} for share in (0.1, 0.5, 0.75)],
    ids=lambda way: "-".join(map(str, way.values())),
)
def test_an_identity_network_gives_the_volume_back_up_to_its_borders(
    random_model: ModelMaker,
    scale: int,
    direction: Direction,
    shape: Shape,
    tile: Shape,
    way: dict[str, Any],
) -> None:
    model, volume = identity(random_model(), scale, direction), scan(shape)
    result = enhanced(volume, model, direction=direction, tile=tile, **way)
    expected = resized(volume.read(), model.scale(direction))
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)


@every_direction
@pytest.mark.parametrize("mode", ["exact", "blend"])
def test_voxels_without_a_value_stay_without_one_and_only_they(
    random_model: ModelMaker, scale: int, direction: Direction, mode: str
) -> None:
    grey = scan((13, 12, 19)).read().copy()
    grey[0, 0, 0] = grey[5, 6:8, 7] = np.nan
    grey[12, 11, 18], grey[8, 0, 3] = np.inf, -np.inf
    for model in (identity(random_model(), scale, direction), random_model(scale)):
        result = enhanced(
            Volume(grey), model, direction=direction, mode=mode, tile=(16, 16, 32)
        )
        missing = resized(~np.isfinite(grey) * 1.0, model.scale(direction)) > 0
        np.testing.assert_array_equal(np.isnan(result), missing)
        assert np.isfinite(result[~missing]).all()


@pytest.mark.parametrize("dtype", ["u1", ">i2", "f2", "f8"])
def test_any_type_of_voxel_gives_float32(random_model: ModelMaker, dtype: str) -> None:
    volume = Volume(scan((9, 10, 11)).read().astype(dtype))
    result = enhanced(volume, identity(random_model(), 1, "a_to_b"), tile=(8, 8, 8))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, volume.read().astype("f4"), rtol=1e-5)


def test_the_noise_of_b_to_a_is_left_out_so_that_a_result_can_be_repeated(
    random_model: ModelMaker,
) -> None:
    model, volume = random_model(noise=True), scan((9, 10, 11))
    assert model.b_to_a.inputs == 2
    once = enhanced(volume, model, direction="b_to_a", tile=(8, 8, 8))
    np.testing.assert_array_equal(
        once, enhanced(volume, model, direction="b_to_a", tile=(8, 8, 8))
    )


def watched(
    volume: Volume, model: Model, **values: Any
) -> tuple[list[EnhanceEvent], NDArray[np.float32], NDArray[np.float32]]:
    """Events, the finished output, and each voxel as it was when announced."""
    config = settings(**values)
    out = np.full(enhanced_shape(volume, model, config), -1e6, np.float32)
    announced = np.zeros_like(out)
    times = np.zeros(out.shape, int)
    events = []
    for event in enhance(volume, model, config, out):
        events.append(event)
        if isinstance(event, RegionReady):
            announced[event.region] = out[event.region]
            times[event.region] += 1
    assert (times == 1).all()
    return events, out, announced


@pytest.mark.parametrize("mode", ["exact", "blend"])
@pytest.mark.parametrize("shape", [(9, 17, 22), (33, 4, 5), (2, 2, 2)])
@pytest.mark.parametrize(("scale", "direction"), DIRECTIONS[:3])
def test_every_voxel_is_announced_once_and_is_final_then(
    random_model: ModelMaker,
    mode: str,
    shape: Shape,
    scale: int,
    direction: Direction,
) -> None:
    model = identity(random_model(), scale, direction)
    _, out, announced = watched(
        scan(shape), model, mode=mode, direction=direction, tile=(8, 12, 8)
    )
    np.testing.assert_array_equal(announced, out)


@pytest.mark.parametrize("mode", ["exact", "blend"])
def test_events_tell_the_plan_then_every_tile_then_the_result(
    random_model: ModelMaker, mode: str
) -> None:
    model, volume = identity(random_model(), 2, "a_to_b"), scan((9, 8, 7))
    events, out, _ = watched(volume, model, mode=mode, tile=(8, 8, 8))
    first, last = events[0], events[-1]
    assert isinstance(first, EnhanceStarted)
    assert (first.shape, first.mode) == ((18, 16, 14), mode)
    done = [event for event in events if isinstance(event, TileDone)]
    assert done == [TileDone(n + 1, first.tiles) for n in range(first.tiles)]
    assert isinstance(last, EnhanceDone)
    assert last.volume.array is out


class Limited(Generator):
    """A generator on a device whose memory holds `limit` voxels."""

    limit = 10**9
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu":  # nor traced, nor measured without data
            Limited.calls += 1  # of all copies
        if x.numel() > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(x)


def limited(model: Model, voxels: int = 10**9) -> tuple[Model, Limited]:
    network = Limited(Fraction(1), model.header.config.generator, noise=False)
    network.load_state_dict(model.a_to_b.state_dict())
    network.limit = voxels
    Limited.calls = 0
    return replace(model, a_to_b=network), network


@pytest.mark.parametrize("longest", [36, 40, 44])
def test_a_tile_too_large_for_the_memory_is_halved_and_the_result_is_the_same(
    random_model: ModelMaker, longest: int
) -> None:
    volume, model = scan((13, 61, 9)), random_model()
    small, network = limited(model, 16 * longest * 12)
    events, out, _ = watched(volume, small, tile=WHOLE)
    assert network.calls > 3
    assert relative_error(out, untiled(volume, model, "a_to_b")) < 1e-5
    assert [event for event in events if isinstance(event, TileDone)] == [
        TileDone(1, 1)
    ]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_stream_that_runs_out_of_memory_goes_on_with_narrower_planes(
    monkeypatch: pytest.MonkeyPatch, random_model: ModelMaker, error: Exception
) -> None:
    model, volume = random_model(), scan((200, 9, 90))
    run, widths = Program.run, []

    def limited_run(
        self: Program, planes: Iterable[Tensor], dtype: torch.dtype
    ) -> Iterator[Tensor]:
        for number, piece in enumerate(run(self, planes, dtype)):
            widths.append(piece.shape[-1])
            if number > 1 and piece.shape[-1] > 60:
                raise error
            yield piece

    monkeypatch.setattr(Program, "run", limited_run)
    events, out, _ = watched(volume, model, tile=WHOLE)  # announces each voxel once
    assert relative_error(out, untiled(volume, model, "a_to_b")) < 1e-5
    assert min(widths) < 60 < max(widths)
    regions = [event.region for event in events if isinstance(event, RegionReady)]
    assert regions[0][2] == slice(0, 90)  # what was finished is kept


def test_an_error_that_is_no_shortage_of_memory_is_not_taken_for_one(
    monkeypatch: pytest.MonkeyPatch, random_model: ModelMaker
) -> None:
    def broken(*_: object) -> Iterator[Tensor]:
        raise RuntimeError("illegal instruction")
        yield

    monkeypatch.setattr(Program, "run", broken)
    with pytest.raises(RuntimeError, match="illegal instruction"):
        enhanced(scan((8, 9, 10)), random_model())


@pytest.mark.parametrize("tile", [WHOLE, (16, 16, 12)])
def test_in_bf16_tiles_stay_within_the_rounding_of_one_pass(
    random_model: ModelMaker, tile: Shape
) -> None:
    model, volume = random_model(filters=8), scan((24, 40, 44))
    exact = untiled(volume, model, "a_to_b")
    image = torch.from_numpy(model.header.intensity_a.apply(volume.read()))[None, None]
    with torch.inference_mode():
        network = converted(model.a_to_b, torch.bfloat16)
        one_pass = network(image.bfloat16())[0, 0].float().numpy()
    rounded = model.header.intensity_b.invert(one_pass)
    result = enhanced(volume, model, tile=tile, precision="bf16")
    expected = np.sqrt(np.mean((rounded - exact) ** 2))
    assert 0 < np.sqrt(np.mean((result - exact) ** 2)) < 1.5 * expected


@pytest.mark.parametrize("way", ["stream", "tiles"])
def test_in_bf16_a_result_has_more_than_the_grey_values_of_bf16(
    monkeypatch: pytest.MonkeyPatch, random_model: ModelMaker, way: str
) -> None:
    if way == "tiles":
        monkeypatch.setattr(translation, "trace", lambda _: None)
    model = random_model(filters=16)
    result = enhanced(scan((20, 24, 28)), model, precision="bf16")
    assert len(np.unique(result)) > 0.5 * result.size


@pytest.mark.parametrize("mode", ["exact", "blend"])
def test_too_little_memory_for_the_smallest_tile_is_said_in_a_sentence(
    random_model: ModelMaker, mode: str
) -> None:
    small, _ = limited(random_model(), 2000)
    with pytest.raises(MemoryShortageError, match="too little memory"):
        enhanced(scan((13, 21, 9)), small, mode=mode, tile=(16, 16, 16))


@pytest.mark.parametrize("mode", ["exact", "blend"])
def test_a_closed_iterator_computes_no_further_tile_than_the_one_at_work(
    random_model: ModelMaker, mode: str
) -> None:
    model, network = limited(random_model())
    events = enhance(scan((13, 21, 9)), model, settings(mode=mode, tile=(8, 8, 8)))
    for event in events:
        if isinstance(event, TileDone) and event.done == 2:
            break
    events.close()
    assert network.calls <= 3
    assert list(events) == []


def test_voxels_left_over_when_reducing_cost_no_tile_and_are_not_announced(
    random_model: ModelMaker,
) -> None:
    events, *_ = watched(
        scan((18, 16, 16)), random_model(4), direction="b_to_a", tile=(16, 16, 16)
    )
    regions = [event.region for event in events if isinstance(event, RegionReady)]
    assert regions == [(slice(0, 4),) * 3]


def test_an_iterator_that_is_not_asked_computes_nothing(
    random_model: ModelMaker,
) -> None:
    model, network = limited(random_model())
    events = enhance(scan((13, 21, 9)), model, settings(tile=(8, 8, 8)))
    assert isinstance(next(events), EnhanceStarted)
    assert network.calls == 0


@every_direction
def test_the_result_lies_over_its_source_in_the_world(
    random_model: ModelMaker, scale: int, direction: Direction
) -> None:
    volume = scan((8, 12, 16))
    model = identity(random_model(), scale, direction)
    config = settings(direction=direction, tile=WHOLE)
    *_, last = enhance(volume, model, config)
    assert isinstance(last, EnhanceDone)
    result = last.volume
    assert (result.unit, result.name) == ("mm", "scan")
    for sides in product((0, 1), repeat=3):
        there, here = (
            v.affine @ [*(s * n - 0.5 for s, n in zip(sides, v.shape, strict=True)), 1]
            for v in (volume, result)
        )
        np.testing.assert_allclose(here, there, atol=1e-9)


def test_a_model_fitted_per_volume_does_not_care_for_brightness_and_contrast(
    random_model: ModelMaker,
) -> None:
    model = random_model()
    intensity = model.header.config.intensity.model_copy(update={"scope": "volume"})
    config = model.header.config.model_copy(update={"intensity": intensity})
    model = replace(model, header=model.header.model_copy(update={"config": config}))
    volume = scan((9, 10, 11))
    other = Volume(volume.read().astype("f8") * 7 - 3000)
    reference = enhanced(volume, model, tile=WHOLE)
    assert relative_error(enhanced(other, model, tile=WHOLE), reference) < 1e-4


class Recorded:
    """An array that remembers how much was read from it at once."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = 0

    def __getitem__(self, region: Region) -> NDArray[Any]:
        part = self.array[region]
        self.largest = max(self.largest, part.size)
        return part


def test_no_more_than_a_tile_with_its_halo_is_read_at_once(
    monkeypatch: pytest.MonkeyPatch, random_model: ModelMaker
) -> None:
    monkeypatch.setattr("napari_cyclegan3d.engine.intensity.SLAB_VOXELS", 1)
    source = Recorded(scan((80, 40, 40)).read())
    model = identity(random_model(), 1, "a_to_b")
    enhanced(Volume(source), model, tile=(8, 8, 8))
    halo = sum(measure_halo(model.a_to_b))
    assert source.largest == (8 + halo) ** 3 < source.array.size


@pytest.mark.parametrize("way", ["stream", "tiles", "blend"])
def test_the_tile_grows_with_the_memory_that_it_may_use(
    monkeypatch: pytest.MonkeyPatch, random_model: ModelMaker, way: str
) -> None:
    if way == "tiles":
        monkeypatch.setattr(translation, "trace", lambda _: None)
    model, volume = random_model(filters=16), scan((8, 800, 640))
    voxels = []
    for memory in ("300MB", 0.6, "2 GB"):
        mode = "blend" if way == "blend" else "exact"
        config = settings(mode=mode, memory=memory)
        started = next(enhance(volume, model, config))
        assert isinstance(started, EnhanceStarted)
        _, y, x = started.tile
        assert y % model.a_to_b.stride == 0
        voxels.append(y * x)
    assert voxels[0] < voxels[1] < voxels[2] <= 800 * 640


@pytest.mark.parametrize("way", ["stream", "tiles"])
def test_the_tile_chosen_from_the_memory_gives_the_same_result(
    monkeypatch: pytest.MonkeyPatch, random_model: ModelMaker, way: str
) -> None:
    if way == "tiles":
        monkeypatch.setattr(translation, "trace", lambda _: None)
    model, volume = random_model(filters=32), scan((6, 210, 220))
    config = settings(memory=0.25)
    events = list(enhance(volume, model, config))
    assert len([e for e in events if isinstance(e, TileDone)]) > 1
    last = events[-1]
    assert isinstance(last, EnhanceDone)
    reference = untiled(volume, model, "a_to_b")
    assert relative_error(last.volume.read(), reference) < 1e-5
    assert last.seams == pytest.approx(1, abs=0.1)


def test_a_memory_that_no_tile_fits_is_refused_with_what_would_do(
    random_model: ModelMaker,
) -> None:
    shape = (128, 512, 512)
    volume = Volume(np.broadcast_to(np.arange(512.0), shape))
    sink = Chunks(shape, shape, set())
    with pytest.raises(MemoryShortageError, match=r"memory 0\.1 GB.*give a memory of"):
        next(enhance(volume, random_model(), settings(memory=0.1), sink))


@pytest.mark.parametrize(
    ("grey", "reason"),
    [
        (np.ones((1, 8, 8)), "single slice"),
        (np.ones((8, 8, 1)), "single slice"),
        (np.full((8, 8, 8), 3.0), "every voxel is 3"),
        (np.full((8, 8, 8), np.nan), "no voxel is a finite number"),
    ],
    ids=["one slice", "one column", "constant", "nan"],
)
def test_a_volume_that_cannot_be_enhanced_is_refused_by_its_name(
    random_model: ModelMaker, grey: NDArray[Any], reason: str
) -> None:
    volume = Volume(grey, name="odd scan")
    with pytest.raises(InputError, match=rf"^odd scan: .*{reason}"):
        next(enhance(volume, random_model(), settings()))


def test_a_volume_too_small_to_be_reduced_is_refused(
    random_model: ModelMaker,
) -> None:
    config = settings(direction="b_to_a")
    with pytest.raises(InputError, match=r"\(3, 8, 8\) is too small .* by 4"):
        next(enhance(scan((3, 8, 8)), random_model(4), config))


def test_an_output_of_the_wrong_shape_is_refused_and_left_alone(
    random_model: ModelMaker,
) -> None:
    out = np.full((8, 9, 10), 5.0, np.float32)
    events = enhance(scan((8, 9, 11)), random_model(), settings(), out)
    with pytest.raises(InputError, match=r"\(8, 9, 10\).*\(8, 9, 11\)"):
        next(events)
    assert (out == 5).all()


def test_a_mostly_empty_volume_is_enhanced_with_the_percentiles_of_the_model(
    random_model: ModelMaker,
) -> None:
    model = identity(random_model(), 1, "a_to_b")
    intensity = model.header.config.intensity.model_copy(
        update={"method": "percentile"}
    )
    config = model.header.config.model_copy(update={"intensity": intensity})
    model = replace(model, header=model.header.model_copy(update={"config": config}))
    grey = np.zeros((10, 10, 10), np.float32)
    grey[4, 5, 6] = 90
    np.testing.assert_allclose(
        enhanced(Volume(grey), model, tile=(8, 8, 8)), grey, atol=1e-4
    )


def test_instance_norm_sees_as_much_of_a_volume_as_of_a_training_patch(
    random_model: ModelMaker,
) -> None:
    volume = scan((50, 40, 44))
    for norm in ("instance", "none"):
        model = random_model(2, norm=norm)
        for direction, patch in (("a_to_b", 32), ("b_to_a", 64)):
            config = EnhanceConfig(mode="blend", direction=direction)
            first = next(enhance(volume, model, config))
            assert isinstance(first, EnhanceStarted)
            seen = tuple(min(patch, size) for size in volume.shape)
            assert (first.tile == seen) == (norm == "instance" or patch == 64)


def test_instance_norm_gets_the_statistics_of_the_volume_and_shows_no_tile(
    random_model: ModelMaker,
) -> None:
    model, volume = random_model(norm="instance"), scan((40, 44, 48))
    results, remarks = [], []
    for tile in (WHOLE, (8, 8, 12)):
        for event in enhance(volume, model, settings(tile=tile)):
            if isinstance(event, Warned):
                remarks.append(event.message)
            if isinstance(event, EnhanceDone):
                results.append(event.volume.read())
    assert relative_error(results[1], results[0]) < 1e-5
    assert len(remarks) == 2
    assert "32 patches of scan" in remarks[0]
    blended = enhanced(volume, model, mode="blend", tile=(8, 8, 12))
    assert relative_error(blended, results[0]) > 1e-3


class Chunks:
    """A resumable sink; the chunks in `found` are there already."""

    def __init__(self, shape: Shape, chunks: Shape, found: set[Shape]) -> None:
        self.array = np.full(shape, -1e6, np.float32)
        self.shape, self.dtype, self.chunks = shape, self.array.dtype, chunks
        self.done, self.written = set(found), list[Shape]()

    def __getitem__(self, region: Region) -> NDArray[np.float32]:
        return self.array[region]

    def __setitem__(self, region: Region, block: NDArray[np.float32]) -> None:
        self.array[region] = block
        for place in self._places(region, whole=True):
            assert place not in self.done
            self.done.add(place)
            self.written.append(place)

    def is_done(self, region: Region) -> bool:
        return self.done.issuperset(self._places(region, whole=False))

    def _places(self, region: Region, *, whole: bool) -> list[Shape]:
        ranges = []
        for part, side, size in zip(region, self.chunks, self.shape, strict=True):
            if whole:
                assert part.start % side == 0
                assert part.stop % side == 0 or part.stop == size
            ranges.append(range(part.start // side, -(-part.stop // side)))
        return list(product(*ranges))


@pytest.mark.parametrize("way", ["stream", "tiles"])
@pytest.mark.parametrize(
    ("scale", "direction", "chunks"),
    [
        (1, "a_to_b", (8, 16, 20)),
        (2, "a_to_b", (16, 24, 8)),
        (2, "b_to_a", (4, 8, 8)),
    ],
)
def test_a_resumable_sink_gets_whole_chunks_and_only_those_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
    random_model: ModelMaker,
    way: str,
    scale: int,
    direction: Direction,
    chunks: Shape,
) -> None:
    if way == "tiles":
        monkeypatch.setattr(translation, "trace", lambda _: None)
    model, volume = random_model(scale), scan((37, 30, 33))
    config = settings(direction=direction, tile=(8, 8, 16))
    shape = enhanced_shape(volume, model, config)
    whole = Chunks(shape, chunks, set())
    list(enhance(volume, model, config, whole))
    reference = untiled(volume, model, direction)
    assert relative_error(whole.array, reference) < 1e-5
    found = {place for place in whole.done if place[0] % 3}
    part = Chunks(shape, chunks, found)
    *_, last = enhance(volume, model, config, part)
    assert isinstance(last, EnhanceDone)
    assert set(part.written) == whole.done - found
    new = part.array > -1e6
    assert relative_error(np.where(new, part.array, reference), reference) < 1e-5


def test_a_resumable_sink_that_has_everything_costs_no_work(
    random_model: ModelMaker,
) -> None:
    model, network = limited(random_model())
    volume = scan((13, 21, 9))
    full = Chunks((13, 21, 9), (8, 8, 8), set(product(range(2), range(3), range(2))))
    events = list(enhance(volume, model, settings(tile=WHOLE), full))
    assert network.calls == 0
    assert isinstance(events[-1], EnhanceDone)


def test_blended_planes_reach_a_resumable_sink_in_whole_chunks(
    random_model: ModelMaker,
) -> None:
    model, volume = random_model(), scan((37, 30, 33))
    config = settings(mode="blend", tile=(12, 12, 12))
    sink = Chunks((37, 30, 33), (8, 16, 20), set())
    list(enhance(volume, model, config, sink))
    expected = enhanced(volume, model, mode="blend", tile=(12, 12, 12))
    np.testing.assert_allclose(sink.array, expected, rtol=1e-5)
