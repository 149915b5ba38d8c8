"""What a description of bioimage.io says of a model, in versions 0.4 and 0.5."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from pydantic import ValidationError

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign import Side, Step
from napari_cyclegan3d.engine.units import METRES
from napari_cyclegan3d.exchange.foreign_steps import steps_of

Words = Mapping[str, Any]
Form = Literal["torchscript", "onnx"]
Pad = Literal["reflect", "symmetric", "edge"]
FORMS: tuple[Form, ...] = ("torchscript", "onnx")
SCALES = (1, 2, 4)
VERSIONS = ("0.4", "0.5")
AXES = {"bcyx": 2, "bczyx": 3}


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


@dataclass(frozen=True)
class _Axis:
    """One axis of an image: its length is an int, (least, step) or a reference."""

    name: str
    size: Any
    halo: int = 0
    scale: float = 1.0
    unit: str | None = None


def attachments_of(content: Words) -> tuple[File, ...]:
    """The files that a description attaches."""
    found = content.get("attachments")
    if isinstance(found, Mapping):  # 0.4
        found = found.get("files")
    return tuple(_file(one) for one in _list(found))


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
    read = _old_axes if is_old else _new_axes
    given, made = read(source, "takes"), read(result, "gives")
    if [one.name for one in given] != [one.name for one in made]:
        raise InputError("gives an image of other axes than it takes")
    scales = {_scale(a, b, source, is_old) for a, b in zip(given, made, strict=True)}
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
            _side(a, b, int(scale), given, is_old)
            for a, b in zip(given, made, strict=True)
        ),
        scale=int(scale),
        before=steps_of(source.get("preprocessing")),
        after=steps_of(result.get("postprocessing")),
        pad=_pad(source),
        spacing=_spacing(given),
        graphs=_graphs(content),
        attachments=attachments_of(content),
        example=_example(content, source, result, is_old),
    )


def _only(content: Words, name: str) -> Words:
    found = _list(content.get(name))
    if len(found) != 1 or not isinstance(found[0], Mapping):
        raise InputError(
            f"has {len(found)} {name}; only models with one image in and one out can "
            "be used here"
        )
    return found[0]


def _new_axes(words: Words, verb: str) -> list[_Axis]:
    axes = _list(words["axes"])
    letters = "".join(
        {"batch": "b", "channel": "c"}.get(str(one["type"]), str(one.get("id", "?")))
        for one in axes
    )
    _check_axes(letters, verb)
    _check_channels(len(_list(axes[1].get("channel_names", [0]))), verb)
    return [
        _Axis(
            str(one["id"]),
            one.get("size"),
            int(one.get("halo", 0)),
            float(one.get("scale", 1.0)),
            one.get("unit"),
        )
        for one in axes[2:]
    ]


def _old_axes(words: Words, verb: str) -> list[_Axis]:
    letters = str(words["axes"])
    _check_axes(letters, verb)
    shape, halo = words["shape"], words.get("halo") or [0] * len(letters)
    if isinstance(shape, Mapping):
        scale = list(shape.get("scale") or [1.0] * len(letters))
        offset = list(shape.get("offset") or [0] * len(letters))
        least = list(shape.get("min") or [1] * len(letters))
        step = list(shape.get("step") or [0] * len(letters))
        is_reference = "reference_tensor" in shape
        _check_channels(1 if is_reference else int(least[1]), verb)
        _check_channels(int(scale[1] or 1) + round(2 * offset[1]), verb)
        sizes = [
            {"scale": scale[i], "offset": offset[i]}
            if is_reference
            else {"min": least[i], "step": step[i]}
            for i in range(2, len(letters))
        ]
    else:
        _check_channels(int(shape[1]), verb)
        sizes = list(shape[2:])
    return [
        _Axis(letter, size, int(cut))
        for letter, size, cut in zip(letters[2:], sizes, halo[2:], strict=True)
    ]


def _check_axes(letters: str, verb: str) -> None:
    if letters not in AXES:
        raise InputError(
            f"{verb} an image of axes {letters[:20]}; only bcyx (slices) and bczyx "
            "(volumes) can be used here"
        )


def _check_channels(count: int, verb: str) -> None:
    if count != 1:
        raise InputError(f"{verb} {count} channels; only grey images can be used here")


def _scale(given: _Axis, made: _Axis, source: Words, is_old: bool) -> Fraction:
    """Output size over input size along an axis."""
    size = made.size
    if isinstance(size, int) and isinstance(given.size, int) and given.size > 0:
        return Fraction(size, given.size)
    if not isinstance(size, Mapping):
        raise InputError("gives an image of one size, but takes any")
    if size.get("offset", 0) != 0:
        raise InputError(
            "gives an image that is smaller than its input by a rim; only models that "
            "keep the rim can be used here"
        )
    if is_old:
        return Fraction(float(size["scale"])).limit_denominator(64)
    names = str(size["tensor_id"]), str(size["axis_id"])
    if names != (str(source.get("id", "input")), given.name):
        raise InputError(f"has an axis {made.name} whose size is that of another one")
    return Fraction(given.scale / made.scale).limit_denominator(64)


def _side(
    given: _Axis, made: _Axis, scale: int, axes: Sequence[_Axis], is_old: bool
) -> Side:
    size = given.size
    if isinstance(size, Mapping) and "axis_id" in size:
        size = next(one.size for one in axes if one.name == str(size["axis_id"]))
    least, step = (size, 0) if isinstance(size, int) else (size["min"], size["step"])
    try:
        halo = math.ceil(made.halo / scale)
        # since 0.5, images are given with as much of a rim as is cut off results
        return Side(least=least, step=step, halo=halo, rim=0 if is_old else halo)
    except ValidationError:
        raise InputError(
            f"takes images of impossible sizes along {given.name}: at least "
            f"{least!r:.20} in steps of {step!r:.20}, with a halo of {made.halo!r:.20}"
        ) from None


def _pad(source: Words) -> Pad:
    words = source.get("pad")
    mode = words.get("mode") if isinstance(words, Mapping) else None
    if mode == "reflect":
        return "reflect"
    return "edge" if mode == "edge" else "symmetric"


def _spacing(axes: Sequence[_Axis]) -> tuple[tuple[float, float, float], str]:
    """Voxel sizes; those without a unit mean nothing."""
    units = {one.unit for one in axes}
    unit = units.pop() if len(units) == 1 else None
    sides = [one.scale for one in axes]
    sides = [sides[-1]] * (3 - len(sides)) + sides
    if unit not in METRES or min(sides) <= 0:
        return (1.0, 1.0, 1.0), "pixel"
    return (sides[0], sides[1], sides[2]), str(unit)


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
        pair = [_list(content.get(name)) for name in ("test_inputs", "test_outputs")]
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
        for one in _list(content.get("authors"))
    ]
    text = "; ".join((", ".join(names), str(content.get("license", ""))))
    return " ".join(text.split())[:1000]


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []
