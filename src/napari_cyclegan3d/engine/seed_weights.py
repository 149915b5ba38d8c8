"""Models of 3DCycleGaN become models of this package.

A checkpoint of https://github.com/pvilla/3DCycleGaN holds the weights of four networks
and nothing of their layers or scale, which follow from the shapes. Both projects list
the layers of a network in the same order, so weights are taken over in that order.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_cyclegan3d import __version__
from napari_cyclegan3d.engine.checkpoint import (
    DAMAGE,
    Model,
    ModelHeader,
    Provenance,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import build_generators
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.networks import measure_halo
from napari_cyclegan3d.engine.networks.discriminators import PatchDiscriminator
from napari_cyclegan3d.engine.settings import parse

# its netD_A judges what netG_A makes, which is domain B
NAMES = {
    "a_to_b": "netG_A",
    "b_to_a": "netG_B",
    "judge_a": "netD_B",
    "judge_b": "netD_A",
}
# kind and scale of the pairs of generators, and patches of A they were trained on
KNOWN = (
    ("unet", 1, (128, 128, 128)),
    ("unet", 2, (64, 128, 128)),
    ("unet", 4, (64, 64, 64)),
    ("unet11", 1, (128, 128, 128)),
)
BATCH_NORM_EPS = 1e-5
UNKNOWN = (
    "not one that can be imported; known are, with one channel, UNetSim3d both ways, "
    "UNetSim3dSRx2 with UNetSim3dSRd2, UNetSim3dSRx4 with UNetSim3dSRd4 and UNet113d "
    "both ways, each with NLayerDiscriminator3d"
)
Weights = Sequence[Tensor]


def import_seed_weights(path: Path | str) -> Model:
    """Read a checkpoint of 3DCycleGaN without running code from it.

    The model normalises each volume by its own mean and deviation, as that project asks
    its users to do, and gives results in these units. The discriminators' batch norms,
    which 3DCycleGaN never trains, become a scale and shift per channel.

    Args:
        path: A .pt file with `model_state_dict` of netG_A, netG_B, netD_A and netD_B.

    Returns:
        The model; `save_model` writes it.

    Raises:
        InputError: The file is missing, damaged, holds more than tensors and plain
            values, or networks that are not known.
    """
    path = Path(path)
    state = _load(path)
    weights = {
        name: _network_weights(path, state, seed) for name, seed in NAMES.items()
    }
    config = _config(path, weights)
    a_to_b, b_to_a = build_generators(config)
    judge_a, judge_b = (PatchDiscriminator(config.discriminator) for _ in "ab")
    for name, network in zip(NAMES, (a_to_b, b_to_a, judge_a, judge_b), strict=True):
        _fill(network, weights[name])
    header = ModelHeader(
        format=1,
        scale=config.scale,
        receptive_field={
            "a_to_b": measure_halo(a_to_b),
            "b_to_a": measure_halo(b_to_a),
        },
        # each volume is fitted anew; results stay in units of its deviation
        intensity_a=Intensity(offset=0.0, gain=1.0),
        intensity_b=Intensity(offset=0.0, gain=1.0),
        provenance=_provenance(path, state.get("step"), config.scale),
        config=config,
    )
    return Model(header, a_to_b, b_to_a, judge_a, judge_b, name=path.stem)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the .pt file of 3DCycleGaN")
    refused = InputError(
        f"{path}: not a PyTorch file of tensors and plain values alone, or damaged; "
        "give a .pt file as 3DCycleGaN saves it"
    )
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            # PyTorch never packs: it could be any size
            if unpacked > path.stat().st_size:
                raise refused
            if archive.testzip() is not None:  # PyTorch looks at no checksum
                raise refused
        state = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE:
        raise refused from None
    if not isinstance(state, dict):
        raise refused
    return state


def _network_weights(path: Path, state: Mapping[str, Any], name: str) -> list[Tensor]:
    """The weights of one network in their order."""
    networks = state.get("model_state_dict")
    found = networks.get(name) if isinstance(networks, Mapping) else None
    if not isinstance(found, Mapping) or not all(
        isinstance(value, Tensor) and value.layout == torch.strided
        for value in found.values()
    ):
        raise InputError(
            f"{path}: holds no weights of {name}; give a checkpoint of 3DCycleGaN with "
            "all four networks (netG_A, netG_B, netD_A, netD_B)"
        )
    try:
        weights = _folded(found)
    except DAMAGE:
        raise InputError(f"{path}: {name} is {UNKNOWN}") from None
    if not all(weight.isfinite().all() for weight in weights):
        raise InputError(
            f"{path}: weights of {name} are no finite numbers, the training had "
            "failed; give an earlier checkpoint"
        )
    return weights


def _folded(state: Mapping[str, Tensor]) -> list[Tensor]:
    """All weights in their order; a batch norm becomes its scale and shift."""
    weights: list[Tensor] = []
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        if f"{layer}.running_var" not in state:
            weights.append(value)
        elif kind == "weight":
            mean, variance = (state[f"{layer}.running_{of}"] for of in ("mean", "var"))
            scale = value / (variance + BATCH_NORM_EPS).sqrt()
            weights += [scale, state[f"{layer}.bias"] - mean * scale]
    return weights


def _config(path: Path, weights: Mapping[str, Weights]) -> TrainConfig:
    """The settings whose networks have weights of these shapes."""
    for kind, scale, patch in KNOWN:
        values = {
            "scale": scale,
            "patch": patch,
            "generator": {
                "kind": kind,
                "filters": _first_width(weights["a_to_b"]) // 2,
                "norm": "none",
                "noise": False,
            },
            "discriminator": {
                "filters": _first_width(weights["judge_a"]),
                "layers": (len(weights["judge_a"]) - 4) // 3,
                "norm": "affine",
            },
            "loss": {"adversarial": "bce"},
            "intensity": {"method": "zscore", "scope": "volume"},
        }
        try:
            config = parse(TrainConfig, values)
        except InputError:
            break  # a width or depth that no network of this package has
        if _fits(config, weights):
            return config
    raise InputError(f"{path}: the set of networks is {UNKNOWN}")


def _first_width(weights: Weights) -> int:
    return weights[0].shape[0] if weights and weights[0].ndim else 0


def _fits(config: TrainConfig, weights: Mapping[str, Weights]) -> bool:
    with torch.device("meta"):  # shapes alone
        networks = dict(
            zip(("a_to_b", "b_to_a"), build_generators(config), strict=True)
        )
        judge = PatchDiscriminator(config.discriminator)
    expected: dict[str, nn.Module] = {**networks, "judge_a": judge, "judge_b": judge}
    return all(
        [p.shape for p in network.parameters()] == [w.shape for w in weights[name]]
        for name, network in expected.items()
    )


def _fill(network: nn.Module, weights: Weights) -> None:
    with torch.no_grad():
        for parameter, weight in zip(network.parameters(), weights, strict=True):
            parameter.copy_(weight)
    network.eval().requires_grad_(False)


def _provenance(path: Path, step: object, scale: int) -> Provenance:
    """What is known: the steps; not the volumes, nor how large their voxels were."""
    return Provenance(
        version=__version__,
        steps=max(0, step) if isinstance(step, int) else 0,
        volumes_a=(f"unknown (3DCycleGaN, {path.name})",),
        volumes_b=(f"unknown (3DCycleGaN, {path.name})",),
        spacing_a=(1.0, 1.0, 1.0),
        spacing_b=(1 / scale, 1 / scale, 1 / scale),
        unit_a="pixel",
        unit_b="pixel",
    )
