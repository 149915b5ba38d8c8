"""From what the report was made, so that it can be made again."""

from napari_cyclegan3d.engine.hallucination.findings import Inspection, VolumeFacts
from napari_cyclegan3d.engine.settings import to_yaml
from napari_cyclegan3d.inspection.markup import (
    Safe,
    element,
    facts,
    joined,
    listed,
    section,
)
from napari_cyclegan3d.inspection.words import number, sides


def unchecked(inspection: Inspection) -> Safe:
    """What this inspection cannot say."""
    points = listed(inspection.not_checked)
    return section("What was not checked", points, name="unchecked")


def provenance(inspection: Inspection) -> Safe:
    """Volumes with their digests, the model, programs and settings."""
    volumes = {
        "Raw volume": inspection.raw,
        "Enhanced volume": inspection.enhanced,
        "Truth": inspection.truth,
        "Second scan": inspection.second,
    }
    versions = {"napari-cyclegan3d": inspection.version, **inspection.versions}
    return section(
        "Provenance",
        *(
            joined((element("h3", name), _volume(one)))
            for name, one in volumes.items()
            if one is not None
        ),
        element("h3", "Model"),
        _model(inspection),
        element("h3", "Programs"),
        facts(versions),
        facts(
            {
                "Inspected (UTC)": inspection.date,
                "It took": f"{number(inspection.seconds)} s",
                "Passes of networks beyond the enhancement": inspection.passes,
            }
        ),
        element("h3", "Settings"),
        element("pre", to_yaml(inspection.config)),
        name="provenance",
    )


def _volume(volume: VolumeFacts) -> Safe:
    return facts(
        {
            "Name": volume.name,
            "File": volume.source,
            "Shape (z, y, x)": sides(volume.shape),
            "Voxel (z, y, x)": sides(volume.spacing, volume.unit),
            "Type": volume.dtype,
            "SHA-256": element("code", volume.sha256),
        }
    )


def _model(inspection: Inspection) -> Safe:
    model = inspection.model
    if model is None:
        return element("p", "No model was given: only the two volumes were compared.")
    return facts(
        {
            "File": model.name,
            "SHA-256 of the weights": element("code", model.sha256),
            "Trained for": f"{model.steps} steps",
            "Saved": model.date,
            "Volumes of domain A": ", ".join(model.volumes_a),
            "Volumes of domain B": ", ".join(model.volumes_b),
        }
    )
