"""The report as one HTML page that needs nothing else, not even a network."""

from importlib.resources import files

from napari_cyclegan3d.engine.hallucination.findings import Inspection
from napari_cyclegan3d.inspection import (
    fits,
    listing,
    overview,
    provenance,
    reliability,
)
from napari_cyclegan3d.inspection.crops import Volumes
from napari_cyclegan3d.inspection.markup import Safe, element, joined

# between these, `with_decisions` writes anew; text from outside cannot hold them
_BEGIN, _END = "<!--decisions-->", "<!--/decisions-->"
# the browser itself refuses whatever a report does not need
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(volumes: Volumes) -> str:
    """The whole page.

    Args:
        volumes: The result and the volumes it is about.
    """
    inspection = volumes.inspected.inspection
    body = element(
        "body",
        overview.heading(inspection),
        overview.counts(inspection),
        _decisions(inspection),
        listing.first(inspection, volumes),
        listing.everything(inspection),
        reliability.truth(inspection),
        reliability.card(inspection),
        reliability.calibration(inspection),
        fits.operator(inspection),
        fits.noise(inspection),
        fits.numbers(inspection),
        provenance.unchecked(inspection),
        provenance.provenance(inspection),
    )
    whole = element("html", _head(inspection), body, lang="en")
    return f"<!doctype html>\n{whole}\n"


def with_decisions(text: str, inspection: Inspection) -> str:
    """A page with the decisions as they are now; anything else stays as it was."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        return text
    return f"{before}{_decisions(inspection)}{after}"


def _decisions(inspection: Inspection) -> Safe:
    return joined((Safe(_BEGIN), overview.decisions(inspection), Safe(_END)))


def _head(inspection: Inspection) -> Safe:
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width"),
        element("title", f"{overview.TITLE}: {inspection.enhanced.name}"),
        element("style", Safe(style)),
    )
