"""What the views look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari.layers import Image, Labels

from napari_cyclegan3d.engine.hallucination.findings import Inspection
from napari_cyclegan3d.engine.volume import Volume


@dataclass(frozen=True, eq=False)
class Shown:
    """Layers of a viewer that belong together; the views never take them away.

    Attributes:
        raw: The raw volume.
        enhanced: What a network made of it; its grid may be finer.
        residual: The signed residual; negative: invented, positive: missing.
        suspects: The findings by their id.
        inspection: All that was found; None before an inspection.
        maps: By name, as in `Inspected`; single voxels of them are read.
        truth: The true volume, if it is known.
        names: What the raw and the enhanced volume are called on the canvas.
    """

    raw: Image
    enhanced: Image
    residual: Image | None = None
    suspects: Labels | None = None
    inspection: Inspection | None = None
    maps: Mapping[str, Volume] = field(default_factory=dict)
    truth: Image | None = None
    names: tuple[str, str] = ("raw", "enhanced")
