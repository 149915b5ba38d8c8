"""What a description of bioimage.io says of a model, in versions 0.4 and 0.5."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign import Side, Step
from napari_cyclegan3d.exchange.bioimageio_axes import (
    list_of,
    new_axes,
    old_axes,
    scale_of,
    side_of,
    spacing_of,
)
from napari_cyclegan3d.exchange.foreign_steps import steps_of

Words = Mapping[str, Any]
Form = Literal["torchscript", "onnx"]
Pad = Literal["reflect", "symmetric", "edge"]
FORMS: tuple[Form, ...] = ("torchscript", "onnx")
SCALES = (1, 2, 4)
VERSIONS = ("0.4", "0.5")


@dataclass(frozen=True)
class File:
    """A file of the package: its name, and the SHA-256 that it should have."""

    name: str
    sha256: str | None


@dataclass(frozen=True)
class Description:
    """A model with one grey image in and one out.

    Attributes:
        title: What its authors call it.
        credits: Authors and licence.
        sides: What it takes along the axes that it sees.
        scale: Output size over input size.
        before: Steps on grey values before the graph.
        after: Steps after it.
        pad: What lies beyond the borders of an image.
        spacing: Voxel sizes of the input (z, y, x), and their unit.
        graphs: The files of its graphs, by form.
        attachments: Other files.
        example: Test input and output; None if there are none.
    """

    title: str
    credits: str
    sides: tuple[Side, ...]
    scale: int
    before: tuple[Step, ...]
    after: tuple[Step, ...]
    pad: Pad
    spacing: tuple[tuple[float, float, float], str]
    graphs: dict[Form, File]
    attachments: tuple[File, ...]
    example: tuple[File, File] | None


def attachments_of(content: Words) -> tuple[File, ...]:
    """The files that a description attaches."""
    found = content.get("attachments")
    if isinstance(found, Mapping):  # 0.4
        found = found.get("files")
    return tuple(_file(one) for one in list_of(found))


def describe(content: Words) -> Description:
    """Understand a description.

    Raises:
        InputError: It is no model, of another version, or of a kind that cannot be
            used here; one sentence without the name of the package.
    """
    version = str(content.get("format_version", ""))
    if content.get("type", "model") != "model":
        raise InputError(f"is a {str(content['type'])[:40]} of bioimage.io, no model")
    if not version.startswith(VERSIONS):
        raise InputError(
            f"has format {version[:20] or 'unknown'} of bioimage.io; formats "
            f"{' and '.join(VERSIONS)} are read: save it again with bioimageio.spec"
        )
    try:
        return _described(content, version.startswith("0.4"))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("has a description that is incomplete or damaged") from None


def _described(content: Words, is_old: bool) -> Description:
    source, result = _only(content, "inputs"), _only(content, "outputs")
    read = old_axes if is_old else new_axes
    given, made = read(source, "takes"), read(result, "gives")
    if [one.name for one in given] != [one.name for one in made]:
        raise InputError("gives an image of other axes than it takes")
    scales = {scale_of(a, b, source, is_old) for a, b in zip(given, made, strict=True)}
    scale = scales.pop()
    if scales or scale not in SCALES or (len(given) == 2 and scale != 1):
        raise InputError(
            "changes the size of its image; volumes can be made 1, 2 or 4 times as "
            "large along all axes, and slices stay as large as they are"
        )
    return Description(
        title=_title(content),
        credits=_credits(content),
        sides=tuple(
            side_of(a, b, int(scale), given, is_old)
            for a, b in zip(given, made, strict=True)
        ),
        scale=int(scale),
        before=steps_of(source.get("preprocessing")),
        after=steps_of(result.get("postprocessing")),
        pad=_pad(source),
        spacing=spacing_of(given),
        graphs=_graphs(content),
        attachments=attachments_of(content),
        example=_example(content, source, result, is_old),
    )


def _only(content: Words, name: str) -> Words:
    found = list_of(content.get(name))
    if len(found) != 1 or not isinstance(found[0], Mapping):
        raise InputError(
            f"has {len(found)} {name}; only models with one image in and one out can "
            "be used here"
        )
    return found[0]


def _pad(source: Words) -> Pad:
    words = source.get("pad")
    mode = words.get("mode") if isinstance(words, Mapping) else None
    if mode == "reflect":
        return "reflect"
    return "edge" if mode == "edge" else "symmetric"


def _graphs(content: Words) -> dict[Form, File]:
    weights = content["weights"]
    found = {form: _file(weights[form]) for form in FORMS if weights.get(form)}
    if not found:
        raise InputError(
            f"has weights as {', '.join(map(str, weights))[:80]}, which need Python "
            "code of its authors or another library; only TorchScript and ONNX are "
            "used here: bioimageio.core can convert them"
        )
    if "torchscript" not in found and weights["onnx"].get("external_data"):
        raise InputError("has its ONNX weights in another file; save it as one file")
    return found


def _example(
    content: Words, source: Words, result: Words, is_old: bool
) -> tuple[File, File] | None:
    if is_old:
        pair = [list_of(content.get(name)) for name in ("test_inputs", "test_outputs")]
        if not all(pair):
            return None
        return File(str(pair[0][0]), None), File(str(pair[1][0]), None)
    given, made = source.get("test_tensor"), result.get("test_tensor")
    return (_file(given), _file(made)) if given and made else None


def _file(words: Any) -> File:
    if isinstance(words, str):
        return File(words, None)
    return File(str(words["source"]), words.get("sha256"))


def _title(content: Words) -> str:
    return " ".join(str(content.get("name", "")).split())[:200]


def _credits(content: Words) -> str:
    names = [
        str(one.get("name")) if isinstance(one, Mapping) else str(one)
        for one in list_of(content.get("authors"))
    ]
    text = "; ".join((", ".join(names), str(content.get("license", ""))))
    return " ".join(text.split())[:1000]
