"""What outlives a training: the model to use, and the state to go on from.

A model is one safetensors file: weights, and in its header everything needed to use
them, as JSON. Reading it runs no code. The state of a training is a PyTorch file that
holds tensors and plain values only, and is read as such.
"""

import json
import pickle
import struct
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

import safetensors
import torch
from pydantic import Field, ValidationError, model_validator
from safetensors.torch import save
from torch import Tensor, nn

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import build_generators
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.foreign import ForeignGenerator, ForeignGraph
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.networks import (
    Generator,
    build_discriminator,
    measure_halo,
)
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.srgan import build_generator
from napari_cyclegan3d.engine.thumbnails import Thumbnail

HEADER_KEY = "napari_cyclegan3d"
Direction = Literal["a_to_b", "b_to_a"]

# what PyTorch raises on damaged files: flipped bits meet its reader anywhere
DAMAGE = (
    OSError,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
)


class Provenance(Settings):
    """Where a model comes from: volumes are named in the order they were given.

    Attributes:
        date: Day and time (UTC, ISO 8601) at which it was saved; None: not known.
        score: The newest score in validation, of which higher is better.
        thumbnails: Slices of what it makes of the patches of its previews.
    """

    version: str
    steps: int
    volumes_a: tuple[str, ...]
    volumes_b: tuple[str, ...]
    spacing_a: tuple[float, float, float]
    spacing_b: tuple[float, float, float]
    unit_a: str
    unit_b: str
    date: str | None = Field(None, max_length=40)
    score: float | None = None
    thumbnails: dict[Literal["real_a", "fake_b", "real_b"], Thumbnail] = Field({})


class ModelHeader(Settings):
    """The JSON in the header of a model file.

    Attributes:
        foreign: The graph of another program that the model is made of, if it is; of
            `config` then only dims, slice_axis and scale mean anything.
    """

    format: Literal[1]
    scale: Literal[1, 2, 4]
    receptive_field: dict[Direction, tuple[int, int]]
    intensity_a: Intensity
    intensity_b: Intensity
    provenance: Provenance
    config: TrainConfig
    foreign: ForeignGraph | None = None

    @model_validator(mode="after")
    def _fits_the_graph(self) -> Self:
        if self.foreign is not None and len(self.foreign.sides) != self.config.dims:
            raise ValueError("the graph sees another number of axes")
        return self


@dataclass(frozen=True, eq=False)
class Model:
    """Trained networks and how to use them.

    Attributes:
        header: Settings, intensity transforms, provenance.
        a_to_b: Generator from A to B.
        b_to_a: Generator from B to A; none in a model that only enlarges, or that
            was imported.
        judge_a: Discriminator of A; none in such a model.
        judge_b: Discriminator of B; none in an imported model.
        name: What the user calls the model.
    """

    header: ModelHeader
    a_to_b: Generator
    b_to_a: Generator | None
    judge_a: nn.Module | None
    judge_b: nn.Module | None
    name: str = "model"

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks that there are, by name."""
        found = {
            "a_to_b": self.a_to_b,
            "b_to_a": self.b_to_a,
            "judge_a": self.judge_a,
            "judge_b": self.judge_b,
        }
        return {name: net for name, net in found.items() if net is not None}

    def generator(self, direction: Direction) -> Generator:
        """The generator of a direction.

        Raises:
            InputError: The model only enlarges or was imported, and has none back.
        """
        network = self.a_to_b if direction == "a_to_b" else self.b_to_a
        if network is None and self.header.foreign is not None:
            raise InputError(
                f"{self.name}: is an imported model, which goes one way only; use "
                "direction a_to_b, without the way back"
            )
        if network is None:
            raise InputError(
                f"{self.name}: has no generator from B to A (trained with method "
                f"{self.header.config.method}); use direction a_to_b"
            )
        return network

    def check_native(self, purpose: str) -> None:
        """Refuse what only networks of this package can do.

        Args:
            purpose: What it is, as the end of a sentence: "trained on".

        Raises:
            InputError: The model was imported as a graph.
        """
        if self.header.foreign is not None:
            raise InputError(
                f"{self.name}: is an imported model, which cannot be {purpose}; it can "
                "only enhance"
            )

    def scale(self, direction: Direction) -> Fraction:
        """Output size over input size per axis."""
        scale = Fraction(self.header.scale)
        return scale if direction == "a_to_b" else 1 / scale


def model_of(
    gan: Gan, intensities: tuple[Intensity, Intensity], provenance: Provenance
) -> Model:
    """The model that a training has reached: its averaged generators."""
    header = ModelHeader(
        format=1,
        scale=gan.config.scale,
        receptive_field={
            name: measure_halo(mean)
            for name, mean in gan.means.items()
            if name == "a_to_b" or name == "b_to_a"
        },
        intensity_a=intensities[0],
        intensity_b=intensities[1],
        provenance=provenance,
        # the norm may have been frozen since
        config=gan.config.model_copy(update={"generator": gan.means["a_to_b"].config}),
    )
    return Model(
        header,
        gan.means["a_to_b"],
        gan.means.get("b_to_a"),
        gan.judges.get("judge_a"),
        gan.judges["judge_b"],
    )


def save_model(model: Model, path: Path) -> None:
    """Write a model file, whole or not at all.

    Raises:
        InputError: The file could not be written.
    """
    content = content_of(model)
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)


def content_of(model: Model) -> bytes:
    """What `save_model` writes."""
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, network in model.networks.items()
        for key, tensor in network.state_dict().items()
    }
    return save(tensors, metadata={HEADER_KEY: model.header.model_dump_json()})


def load_model(path: Path | str) -> Model:
    """Read a model file without running code from it.

    Raises:
        InputError: The file is missing, damaged, no model of this package, or of a
            newer format.
    """
    path = Path(path)
    header, tensors = _read_safetensors(path)
    # without memory of their own: the settings of a stranger's file may be any
    with torch.device("meta"):
        model = _untrained(header, path.stem)
    for name, network in model.networks.items():
        prefix = f"{name}."
        weights = {
            key.removeprefix(prefix): tensor
            for key, tensor in tensors.items()
            if key.startswith(prefix)
        }
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError:
            raise InputError(
                f"{path}: the weights of {name} do not fit the settings in the file; "
                "it is damaged or was changed by hand"
            ) from None
        network.eval().requires_grad_(False)
        if isinstance(network, ForeignGenerator):
            network.open()
    return model


def _untrained(header: ModelHeader, name: str) -> Model:
    """The networks that the settings describe."""
    config = header.config
    if header.foreign is not None:
        graph = ForeignGenerator(header.foreign, header.scale, name)
        return Model(header, graph, None, None, None, name)
    judge_b = build_discriminator(config.discriminator, config.dims, config.patch_b)
    if config.method == "srgan":
        return Model(header, build_generator(config), None, None, judge_b, name)
    judge_a = build_discriminator(config.discriminator, config.dims, config.patch)
    return Model(header, *build_generators(config), judge_a, judge_b, name)


def _read_safetensors(path: Path) -> tuple[ModelHeader, dict[str, Tensor]]:
    if path.is_dir():
        raise InputError(
            f"{path}: is a folder; give the file in it, such as model.safetensors"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(HEADER_KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from None
    if text is None:
        raise InputError(
            f"{path}: a safetensors file, but no model of napari-cyclegan3d"
        )
    damaged = InputError(
        f"{path}: the header of the model is damaged; take another copy of the file"
    )
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise damaged from None
    number = values.get("format") if isinstance(values, dict) else None
    if isinstance(number, int) and number > 1:
        raise InputError(
            f"{path}: model format {number}; this version reads format 1: update "
            "napari-cyclegan3d"
        )
    try:
        return ModelHeader.model_validate(values), tensors
    except ValidationError:
        raise damaged from None


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write the state of a training, whole or not at all.

    Raises:
        InputError: The file could not be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # on a full disk, PyTorch's complaint hides that of the system
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_state(path: Path) -> dict[str, Any]:
    """Read the state of a training; only tensors and plain values are accepted.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE:
        state = None
    if not isinstance(state, dict):
        raise InputError(
            f"{path}: not a saved state of a training; remove it to continue from an "
            "earlier one"
        )
    return state
