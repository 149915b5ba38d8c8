"""A model card: what a model is, was made from, can do and cannot, as Markdown."""

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.thumbnails import SHOWN
from napari_cyclegan3d.exchange.credits import Credits
from napari_cyclegan3d.exchange.graph import Outgoing
from napari_cyclegan3d.exchange.limits import limits_of
from napari_cyclegan3d.exchange.papers import papers_of
from napari_cyclegan3d.exchange.runs import Run, title_of
from napari_cyclegan3d.exchange.sections import (
    all_settings,
    data,
    overview,
    plain,
    settings,
    use,
    validation,
)
from napari_cyclegan3d.io.pictures import draw_grid, panel

PREVIEW, CURVES = "preview", "curves"


def write_card(
    model: Model,
    path: Path,
    run: Run | None = None,
    credits: Credits | None = None,
    outgoing: Outgoing | None = None,
) -> list[Path]:
    """Write the card of a model, and its pictures beside it.

    Args:
        model: The model.
        path: The .md file; pictures are called after it, see `pictures_of`.
        run: Its training, for curves, scores and previews.
        credits: Authors and licence, where known.
        outgoing: What goes out of the model with this card.

    Returns:
        The pictures.

    Raises:
        InputError: A file could not be written, or one of the training is damaged.
    """
    found = _pictures(model, path, run)
    for picture, content in found.items():
        with atomic_path(picture) as temporary:
            temporary.write_bytes(content)
    parts = _parts(model, run, credits or Credits(), outgoing, [*found])
    with atomic_path(path) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [*found]


def pictures_of(path: Path) -> list[Path]:
    """The files that may be written beside a card."""
    return [path.with_name(f"{path.stem}_{one}.png") for one in (PREVIEW, CURVES)]


def _parts(
    model: Model,
    run: Run | None,
    credits: Credits,
    outgoing: Outgoing | None,
    pictures: list[Path],
) -> Iterator[str]:
    """The paragraphs of the card."""
    shown = {path.stem.rpartition("_")[2]: path.name for path in pictures}
    yield f"# {plain(credits.name or title_of(model.name, run))}"
    yield overview(model, outgoing)
    if PREVIEW in shown:
        yield f"![What it makes of training data]({shown[PREVIEW]})"
        yield "Patches of the training data; no proof of what it does elsewhere."
    yield f"## Data\n\n{data(model)}"
    yield f"## Use\n\n{use(model, outgoing)}"
    yield f"## Training\n\n{settings(model)}"
    if CURVES in shown:
        yield f"![Curves of the training]({shown[CURVES]})"
    elif run is None:
        yield "The folder of the training was not at hand: no curves."
    yield f"## Validation\n\n{validation(model, run)}"
    yield "## Known limits\n\n" + _listed(limits_of(model, outgoing))
    yield "## Credits\n\n" + _listed(_credits(model, credits))
    yield "<details><summary>All settings</summary>"
    yield all_settings(model)
    yield "</details>"


def _credits(model: Model, credits: Credits) -> list[str]:
    who = "; ".join(
        f"{name} ({place})" if place else name for name, place in credits.authors
    )
    version = model.header.provenance.version
    return [
        f"Authors: {plain(who) or 'not given'}",
        f"Licence: {plain(credits.license) or 'not given'}",
        f"Trained with napari-cyclegan3d {plain(version)}",
        *(f"{one.text}, doi:{one.doi}" for one in papers_of(model.header.config)),
    ]


def _pictures(model: Model, path: Path, run: Run | None) -> dict[Path, bytes]:
    """The content of each picture that there is."""
    preview, curves = pictures_of(path)
    found = {}
    last = run.picture(model.header.provenance.steps) if run else None
    thumbnails = model.header.provenance.thumbnails
    if last is not None:
        found[preview] = last.read_bytes()
    elif thumbnails:
        row = [
            (name.replace("_", " "), panel(thumbnails[name].image(), 0, 255))
            for name in SHOWN
            if name in thumbnails
        ]
        found[preview] = _png(draw_grid([row]))
    if run is not None and run.history is not None:
        found[curves] = run.history.read_bytes()
    return found


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {one}" for one in sentences)
