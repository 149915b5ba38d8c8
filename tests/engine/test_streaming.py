import gc
import weakref
from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_cyclegan3d.engine.networks import Generator
from napari_cyclegan3d.engine.networks.layers import ChannelAffine
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig
from napari_cyclegan3d.engine.streaming import Program, trace

UNET = [
    (scale, {"kind": "unet", "filters": 4, "norm": norm})
    for scale in ("1", "2", "4", "1/2", "1/4")
    for norm in ("none", "affine", "batch")
]
SAME_SIZE = [
    ("1", {"kind": "unet11", "filters": 2, "norm": "none"}),
    ("1", {"kind": "unet11", "filters": 2, "norm": "batch"}),
    *(
        ("1", {"kind": "resnet", "filters": 8, "blocks": 2, "norm": norm, **tanh})
        for norm, tanh in (
            ("none", {"output": "tanh"}),
            ("affine", {}),
            ("batch", {"output": "linear"}),
        )
    ),
    *(
        (
            "1",
            {
                "kind": "unet_strided",
                "encoder": (4, 6, 8),
                "decoder": (6, 4),
                "norm": norm,
            },
        )
        for norm in ("none", "affine", "batch")
    ),
]
ENLARGING = [
    (
        scale,
        {
            "kind": "srresnet",
            "filters": 8,
            "blocks": 2,
            "upsampler": upsampler,
            "norm": norm,
        },
    )
    for scale in ("2", "4")
    for upsampler in ("subpixel", "subpixel_nn", "resize")
    for norm in ("none", "batch")
]


def _generator(scale: str, config: dict[str, object]) -> Generator:
    torch.manual_seed(0)
    network = Generator(Fraction(scale), GeneratorConfig(**config), noise=True)
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.uniform_(module.bias, 0, 0.1)
        if isinstance(module, ChannelAffine | nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def _program(network: Generator) -> Program:
    program = trace(network)
    assert program is not None
    return program


def _stream(
    program: Program, volume: Tensor, pieces: list[int], dtype: torch.dtype
) -> Tensor:
    parts = iter(volume.split(pieces, 2))
    return torch.cat(list(program.run(parts, dtype)), 2)


def _cuts(planes: int) -> list[list[int]]:
    """Whole, plane by plane, in threes, and unevenly."""
    threes = [3] * (planes // 3) + [planes % 3] * (planes % 3 > 0)
    uneven = [2, planes - 3, 1] if planes > 3 else [planes]
    return [[planes], [1] * planes, threes, uneven]


def _smallest(network: Generator) -> int:
    """A mirrored border needs two voxels at a quarter of the size."""
    return 8 if network.config.kind == "resnet" else network.stride


def _deviation(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.std())


@pytest.mark.parametrize(("scale", "config"), [*UNET, *SAME_SIZE, *ENLARGING])
def test_a_stream_equals_the_network_in_one_pass(
    scale: str, config: dict[str, object]
) -> None:
    network = _generator(scale, config)
    program, side = _program(network), _smallest(network)
    longest = 3 if network.stride > 8 else 7
    for planes in (side, side + longest * network.stride):
        volume = torch.randn(1, 2, planes, max(side, 2 * network.stride), side)
        with torch.no_grad():
            wanted = network(volume)
        assert wanted.std() > 0
        for pieces in _cuts(planes):
            found = _stream(program, volume, pieces, torch.float32)
            assert found.shape == wanted.shape
            assert _deviation(found, wanted) <= 1e-5


@pytest.mark.parametrize(
    ("scale", "config"),
    [("1", UNET[0][1]), ("1", SAME_SIZE[3][1]), ("2", ENLARGING[0][1])],
)
def test_in_bf16_a_stream_is_as_near_to_fp32_as_one_pass_in_bf16(
    scale: str, config: dict[str, object]
) -> None:
    network = _generator(scale, config | {"filters": 16})
    program = _program(network)
    volume = torch.randn(1, 2, 16, 16, 16)
    with torch.no_grad():
        exact = network(volume)
        rounded = network.bfloat16()(volume.bfloat16()).float()
    found = _stream(program, volume, [5, 5, 6], torch.bfloat16)
    error = (found - exact).square().mean().sqrt()
    assert 0 < error <= 1.5 * (rounded - exact).square().mean().sqrt()


def test_pieces_come_in_order_as_float32_while_planes_still_come() -> None:
    network = _generator("2", {"kind": "unet", "filters": 4, "norm": "none"})
    planes = 0

    def incoming() -> Iterator[Tensor]:
        nonlocal planes
        for _ in range(16):
            planes += 4
            yield torch.full((1, 2, 4, 8, 8), float(planes))

    made, waited = 0, 0
    for piece in _program(network).run(incoming(), torch.bfloat16):
        assert piece.dtype == torch.float32
        assert piece.shape[:2] == (1, 1)
        assert piece.shape[3:] == (16, 16)
        made += piece.shape[2]
        assert made <= 2 * planes
        if planes < 64:
            waited = max(waited, 2 * planes - made)
    assert made == 128
    assert waited <= 2 * 32


def test_no_planes_give_nothing() -> None:
    network = _generator("1", UNET[0][1])
    assert list(_program(network).run(iter(()), torch.float32)) == []


def test_a_program_can_be_run_again_with_planes_of_another_size() -> None:
    network = _generator("1", UNET[0][1])
    program = _program(network)
    for side in (8, 12, 8):
        volume = torch.randn(1, 2, side, side, 8)
        found = _stream(program, volume, [side], torch.float32)
        with torch.no_grad():
            assert _deviation(found, network(volume)) <= 1e-5


def test_a_program_keeps_the_weights_it_was_traced_with() -> None:
    network = _generator("1", UNET[0][1])
    program, volume = _program(network), torch.randn(1, 2, 8, 8, 8)
    before = _stream(program, volume, [8], torch.float32)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    program = _program(network)
    assert _deviation(_stream(program, volume, [8], torch.float32), before) > 0.1


@pytest.mark.parametrize("norm", ["instance", "instance_affine"])
def test_instance_norm_cannot_stream(norm: str) -> None:
    assert trace(_generator("1", {"kind": "unet", "filters": 4, "norm": norm})) is None


def test_batch_norm_that_looks_at_the_batch_cannot_stream() -> None:
    network = _generator("1", {"kind": "unet", "filters": 4, "norm": "batch"})
    assert trace(network.train()) is None


def test_a_network_of_slices_cannot_stream() -> None:
    config = GeneratorConfig(kind="unet", filters=4, norm="none")
    assert trace(Generator(Fraction(1), config, noise=False, dims=2)) is None


class _Memory(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self._alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._alive:
                    self._alive[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self._alive.pop, storage._cdata)
        self.peak = max(self.peak, sum(self._alive.values()))
        return result


def _peak(program: Program, side: int, pieces: list[int], dtype: torch.dtype) -> int:
    incoming = (torch.zeros(1, 2, count, side, side) for count in pieces)
    gc.collect()
    with _Memory() as memory:
        for _ in program.run(incoming, dtype):
            pass
    return memory.peak


@pytest.mark.parametrize(
    ("scale", "config"), [UNET[0], UNET[3], SAME_SIZE[2], SAME_SIZE[5], ENLARGING[0]]
)
def test_memory_does_not_depend_on_length_and_is_foretold(
    scale: str, config: dict[str, object]
) -> None:
    program = _program(_generator(scale, config))
    short = _peak(program, 16, [5] * 16, torch.bfloat16)
    long = _peak(program, 16, [5] * 32, torch.bfloat16)
    assert long <= 1.02 * short
    assert long <= program.bytes((16, 16), 5, torch.bfloat16)


def test_planes_for_less_memory_are_fewer_and_take_no_more_than_that() -> None:
    program = _program(_generator("1", UNET[0][1]))
    plane, dtype = (192, 192), torch.bfloat16
    best = program.chunk(plane, dtype, 1 << 40)
    less = program.bytes(plane, best, dtype) - 1
    assert 0 < program.chunk(plane, dtype, less) < best
    assert program.bytes(plane, program.chunk(plane, dtype, less), dtype) <= less
    assert program.chunk(plane, dtype, 1) == 0
