"""The inspection that is shown, and the layers that belong to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari.layers import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import (
    Finding,
    Inspection,
    VolumeFacts,
)
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.inspect.provenance import is_of_inspection
from napari_cyclegan3d.gui.layers import finest, to_volume
from napari_cyclegan3d.gui.views.temporary import is_private


@dataclass(eq=False)
class Session:
    """An inspection at hand.

    Attributes:
        inspected: With all that was decided.
        raw, enhanced, truth: Layers of its volumes, where they are known.
        report: The inspection.json that keeps it; None: it was not exported.
    """

    inspected: Inspected
    raw: Image | None = None
    enhanced: Image | None = None
    truth: Image | None = None
    report: Path | None = None

    @property
    def inspection(self) -> Inspection:
        """All that it says."""
        return self.inspected.inspection

    def finding(self, number: int) -> Finding | None:
        """A finding by its id."""
        findings = self.inspection.findings
        return next((one for one in findings if one.id == number), None)

    def put(self, finding: Finding) -> None:
        """Replace the finding of the same id."""
        findings = tuple(
            finding if one.id == finding.id else one for one in self.inspection.findings
        )
        inspection = self.inspection.model_copy(update={"findings": findings})
        self.inspected = replace(self.inspected, inspection=inspection)

    def volumes(self) -> tuple[Volume, Volume, Volume | None]:
        """The raw, the enhanced and the true volume.

        Raises:
            InputError: They are not open.
        """
        if self.raw is None or self.enhanced is None:
            raise InputError(
                f"Open {self.inspection.raw.name} and {self.inspection.enhanced.name} "
                "first: the report shows parts of them."
            )
        truth = None if self.truth is None else to_volume(self.truth)
        return to_volume(self.raw), to_volume(self.enhanced), truth


def layer_of(
    facts: VolumeFacts | None, layers: Sequence[Image], chosen: Image | None
) -> Image | None:
    """The layer that shows a volume of a report: its name and its grid agree.

    Args:
        facts: The volume.
        layers: The layers that there are.
        chosen: The layer that the user has chosen for its role; its name may differ.
    """
    if facts is None:
        return None
    fitting = [
        one
        for one in layers
        if not is_of_inspection(one)
        and not is_private(one)
        and tuple(finest(one).shape) == facts.shape
    ]
    named = [one for one in fitting if one.name == facts.name]
    if named:
        return named[0]
    return chosen if chosen in fitting else None
