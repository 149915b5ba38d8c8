"""The layers of an inspection: its maps, its regions and their centres."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import DirectLabelColormap

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Finding
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.inspect.look import LOOKS
from napari_cyclegan3d.gui.inspect.provenance import INSPECTED_KEY
from napari_cyclegan3d.gui.layers import (
    SOURCE_KEY,
    for_display,
    result_layer_data,
    to_layer_data,
)
from napari_cyclegan3d.gui.views.overlay import RESIDUAL_COLOURS, STRONG

if TYPE_CHECKING:
    from napari.viewer import Viewer

SUSPICION_LIMIT = 6.0
# axes of a finding as numbers of the table
AXES = ("z", "y", "x")
LEFT_OUT = {"box", "centre", "world", "review"}


class ShownLayers:
    """Adds the layers of an inspection; those of its volumes are left as they are.

    Args:
        viewer: Where they appear.
        inspected: The inspection.
        raw: The layer of the raw volume, if it is there.
        enhanced: The same of the enhanced one.
    """

    def __init__(
        self,
        viewer: "Viewer",
        inspected: Inspected,
        raw: Image | None,
        enhanced: Image | None,
    ) -> None:
        self._viewer = viewer
        selected = set(viewer.layers.selection)
        maps, findings = inspected.maps, inspected.inspection.findings
        columns = table(findings)
        self.residual = self._map(maps, "residual", raw)
        self.suspicion = self._map(maps, "suspicion", raw)
        data, place = _over(enhanced, inspected.labels, "suspects")
        self.suspects: Labels = viewer.add_labels(
            data,
            **place,
            features=_of_labels(columns),
            colormap=_colours(findings),
        )
        self.suspects.contour = 1
        self.suspects.editable = False  # a region is known by its number
        place["name"] = "suspect centres"
        self.centres: Points = viewer.add_points(
            np.array([one.centre for one in findings], float).reshape(-1, 3),
            **place,
            features=columns,
            size=_sizes(findings),
            symbol="ring",
            face_color=[_colour(one) for one in findings] or "white",
            border_width=0,
            visible=False,
        )
        self.centres.editable = False
        viewer.layers.selection = selected

    @property
    def all(self) -> list[Layer]:
        """Those that are still in the viewer."""
        layers = (self.residual, self.suspicion, self.suspects, self.centres)
        return [one for one in layers if one is not None and one in self._viewer.layers]

    def update(self, finding: Finding) -> None:
        """Show in the tables of the layers what was decided about a finding."""
        review = finding.review
        for layer in (self.suspects, self.centres):
            rows = layer.features  # setting all of them anew would take a moment
            here = rows["id"] == finding.id
            rows.loc[here, "decision"] = review.decision if review else ""
            rows.loc[here, "comment"] = review.comment if review else ""
            layer.events.features()

    def remove(self) -> None:
        """Take them away."""
        selected = set(self._viewer.layers.selection) - set(self.all)
        for layer in self.all:
            self._viewer.layers.remove(layer)
        self._viewer.layers.selection = selected

    def _map(
        self, maps: Mapping[str, Volume], name: str, raw: Image | None
    ) -> Image | None:
        if name not in maps:
            return None
        data, place = _over(raw, maps[name], name)
        signed = name == "residual"
        layer: Image = self._viewer.add_image(
            data,
            **place,
            visible=False,
            blending="translucent_no_depth",
            colormap=RESIDUAL_COLOURS if signed else "inferno",
            opacity=0.8 if signed else 0.5,
            contrast_limits=(-STRONG, STRONG) if signed else (0.0, SUSPICION_LIMIT),
        )
        return layer


def table(findings: Sequence[Finding]) -> dict[str, list[Any]]:
    """The findings as columns: what is measured, where, and what was decided."""
    columns: dict[str, list[Any]] = {
        name: [_plain(getattr(one, name)) for one in findings]
        for name in Finding.model_fields
        if name not in LEFT_OUT
    }
    for axis, name in enumerate(AXES):
        columns[name] = [one.centre[axis] for one in findings]
        columns[f"world_{name}"] = [one.world[axis] for one in findings]
    columns["decision"] = [
        one.review.decision if one.review else "" for one in findings
    ]
    columns["comment"] = [one.review.comment if one.review else "" for one in findings]
    return columns


def _of_labels(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same with a first row for the background, by the numbers of the labels."""
    rows = {name: [_nothing(of), *of] for name, of in columns.items()}
    return {"index": rows["id"], **rows}


def _plain(value: object) -> object:
    return np.nan if value is None else value


def _nothing(column: list[Any]) -> Any:
    """What stands for no finding in a column."""
    value = column[0] if column else 0
    if isinstance(value, str | bool):
        return type(value)()
    return 0 if isinstance(value, int) else np.nan


def _over(layer: Image | None, volume: Volume, name: str) -> tuple[Any, dict[str, Any]]:
    """Voxels and place of a volume; over a layer where there is one of its grid."""
    if layer is None:
        data, place, _ = to_layer_data(volume, lazy=True)
        place.pop("rgb")
    else:
        data = for_display(volume, lazy=True)
        _, place, _ = result_layer_data(layer, volume, Fraction(1), data=data)
        place.pop("rgb")
        place["metadata"].pop(SOURCE_KEY)
    place["name"] = name
    place["metadata"][INSPECTED_KEY] = name
    return data, place


def _colour(finding: Finding) -> tuple[float, ...]:
    """As red, green, blue and opacity, which napari takes faster than a name."""
    code = LOOKS[finding.verdict].colour
    return (*(int(code[n : n + 2], 16) / 255 for n in (1, 3, 5)), 1.0)


def _colours(findings: Sequence[Finding]) -> DirectLabelColormap:
    nothing = np.zeros(4, np.float32)
    colours: dict[int | None, Any] = {None: nothing, 0: nothing}
    colours |= {one.id: np.array(_colour(one), np.float32) for one in findings}
    return DirectLabelColormap(color_dict=colours)


def _sizes(findings: Sequence[Finding]) -> Any:
    """Rings around the boxes."""
    sizes = [4 + max(stop - start for start, stop in one.box) for one in findings]
    return np.array(sizes, float) if sizes else 1
