"""What a model is known not to do."""

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.exchange.graph import Outgoing


def limits_of(model: Model, outgoing: Outgoing | None = None) -> list[str]:
    """Known limits of a model, one sentence each.

    Args:
        model: The model.
        outgoing: What goes out of it, if it goes out: what changes by that.
    """
    header = model.header
    origin, config = header.provenance, header.config
    said = [
        "It can invent structures and lose real ones, as every network that was "
        "trained to convince a critic: compare results with what was measured "
        "(`napari-cyclegan3d inspect`).",
        "It knows only what it was trained on: other specimens, scanners, voxel sizes "
        "or settings may give anything.",
    ]
    if config.method == "cyclegan" and not config.sampling.pairs:
        said.append(
            "It was trained without pairs: nothing but its cycles ties a result to its "
            "input, and grey values of the result are not measured ones."
        )
    if origin.score is None:
        said.append("It was not scored on volumes that it was not trained on.")
    if 0 < origin.steps < config.steps:
        said.append(
            f"Its training was not ended: {origin.steps} of {config.steps} steps."
        )
    if config.dims == 2:
        said.append(
            "It sees slices, each on its own: what it makes may not fit together "
            f"along {config.slice_axis}."
        )
    if config.intensity.scope == "domain":
        said.append(
            "Grey values are expected on the scale of the training: volumes on another "
            "scale must be brought to it first."
        )
    return said + list(outgoing.remarks if outgoing else ())
