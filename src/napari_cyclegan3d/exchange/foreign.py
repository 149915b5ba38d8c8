"""A package of another program as a model."""

import io

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_cyclegan3d import __version__
from napari_cyclegan3d.engine.checkpoint import Model, ModelHeader, Provenance
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import EnhanceDone
from napari_cyclegan3d.engine.foreign import (
    ForeignGenerator,
    ForeignGraph,
    check_steps,
    fit_foreign,
)
from napari_cyclegan3d.engine.foreign.description import LARGEST_GRAPH
from napari_cyclegan3d.engine.foreign.onnx import widest
from napari_cyclegan3d.engine.inference import enhance
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.bioimageio_reading import Description, Form, describe
from napari_cyclegan3d.exchange.foreign_files import Package
from napari_cyclegan3d.exchange.foreign_probe import probe

MOST_EXAMPLE = 2**28
# share of the largest value by which the authors' own example may come out otherwise
MOST_DIFFERENCE = 0.01
DAMAGE = (ValueError, EOFError, OSError, MemoryError, SyntaxError, TypeError)


def foreign_model(package: Package, name: str) -> tuple[Model, tuple[str, ...]]:
    """A package as a model, and what the user should know of it.

    Raises:
        InputError: It cannot be used, or does not do what its authors say.
    """
    try:
        description = describe(package.content)
        model = _first_that_opens(package, description, name)
    except InputError as error:
        text = str(error)
        named = text.startswith(str(package.path))
        raise InputError(text if named else f"{package.path}: {text}") from None
    return model, _remarks(model, _tried(package, description, model))


def _first_that_opens(package: Package, words: Description, name: str) -> Model:
    refusals = []
    for form in words.graphs:
        try:
            return _model(package, words, form, name)
        except InputError as error:
            refusals.append(error)
    raise refusals[0]


def _model(package: Package, words: Description, form: Form, name: str) -> Model:
    file = words.graphs[form]
    content = package.read(file.name, LARGEST_GRAPH, file.sha256)
    graph = _graph_of(words, form, len(content))
    check_steps(graph)
    trial = ForeignGenerator(graph, words.scale, name).take(content)
    found = probe(trial, widest(content) if form == "onnx" else 0)
    graph = graph.model_copy(update=found.__dict__)
    network = ForeignGenerator(graph, words.scale, name).take(content)
    return Model(_header(words, graph), network, None, None, None, name)


def _graph_of(words: Description, form: Form, size: int) -> ForeignGraph:
    """What the description says of a graph, before it is tried."""
    try:
        return ForeignGraph(
            form=form,
            size=size,
            sides=words.sides,
            before=words.before,
            after=words.after,
            pad=words.pad,
            bytes_per_voxel=2**10,
            title=words.title,
            credits=words.credits,
        )
    except ValidationError:
        raise InputError(
            "its graph is damaged: there is none, or too many steps on grey values"
        ) from None


def _header(words: Description, graph: ForeignGraph) -> ModelHeader:
    dims = len(words.sides)
    patch = (32,) * 3 if dims == 3 else (1, 32, 32)
    halo = max(side.halo for side in graph.sides)
    spacing, unit = words.spacing
    finer = tuple(side / words.scale for side in spacing)
    same = Intensity(offset=0.0, gain=1.0)
    return ModelHeader(
        format=1,
        scale=words.scale,
        receptive_field={"a_to_b": (halo, halo)},
        intensity_a=same,
        intensity_b=same,
        provenance=Provenance(
            version=__version__,
            steps=0,
            volumes_a=(),
            volumes_b=(),
            spacing_a=spacing,
            spacing_b=finer,
            unit_a=unit,
            unit_b=unit,
        ),
        config=TrainConfig(dims=dims, scale=words.scale, patch=patch),
        foreign=graph,
    )


def _tried(package: Package, words: Description, model: Model) -> float | None:
    """How far the result of the package's own example is off, as share of it.

    Raises:
        InputError: It is off by more than rounding.
    """
    if words.example is None:
        return None
    given, expected = (
        _array(package, package.read(file.name, MOST_EXAMPLE, file.sha256))
        for file in words.example
    )
    if given.shape[:2] != (1, 1) or expected.shape[:2] != (1, 1):
        return None
    volume = _volume(given)
    try:
        fit_foreign(_graph(model), volume)
    except InputError:
        return None  # all one grey value: nothing to compare
    done = list(enhance(volume, model, EnhanceConfig(device="cpu")))[-1]
    assert isinstance(done, EnhanceDone)
    theirs, ours = _volume(expected).read(), done.volume.read()
    if theirs.shape != ours.shape:
        raise InputError(
            f"{package.path}: its example has a result of shape {theirs.shape}, and "
            f"the model gives {ours.shape}; it cannot be used"
        )
    # results of whole numbers are rounded
    unit = 1.0 if np.issubdtype(expected.dtype, np.integer) else 0.0
    difference = float(np.abs(ours - theirs.astype(np.float32)).max())
    largest = max(float(np.abs(theirs).max()), 1e-6)
    if not difference <= MOST_DIFFERENCE * largest + unit:
        raise InputError(
            f"{package.path}: on the package's own example the model gives something "
            f"else than its authors say (difference {difference:.3g} of "
            f"{largest:.3g}); it is not used"
        )
    return difference / largest


def _array(package: Package, content: bytes) -> NDArray[np.generic]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except DAMAGE:
        array = None
    if not isinstance(array, np.ndarray) or array.ndim not in (4, 5):
        raise InputError(f"{package.path}: its example is damaged")
    return array


def _volume(array: NDArray[np.generic]) -> Volume:
    """An image (1, 1, (z,) y, x) as a volume."""
    image = array[0, 0]
    return Volume(image if image.ndim == 3 else image[None], name="example")


def _graph(model: Model) -> ForeignGraph:
    assert model.header.foreign is not None
    return model.header.foreign


def _remarks(model: Model, difference: float | None) -> tuple[str, ...]:
    graph = _graph(model)
    said = []
    if difference is None:
        said.append("The package has no example that it could be tried on.")
    else:
        said.append(
            "On the package's own example it gives what its authors say (largest "
            f"difference {difference:.1g} of the largest value)."
        )
    if any(step.kind in ("moments", "range") for step in graph.before):
        said.append("Grey values are normalised volume by volume.")
    if graph.sees_all:
        said.append(
            "Its results depend on the whole of a tile, so volumes that do not fit "
            "one are blended from overlapping tiles."
        )
    return tuple(said)
