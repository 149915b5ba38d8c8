"""Axes in the words of bioimage.io: sizes, scales and halos."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign import Side
from napari_cyclegan3d.engine.units import METRES

Words = Mapping[str, Any]
AXES = {"bcyx": 2, "bczyx": 3}


@dataclass(frozen=True)
class Axis:
    """One axis of an image: its length is an int, (least, step) or a reference."""

    name: str
    size: Any
    halo: int = 0
    scale: float = 1.0
    unit: str | None = None


def new_axes(words: Words, verb: str) -> list[Axis]:
    """The axes in space of an image, as format 0.5 says them.

    Args:
        words: The image.
        verb: What the model does with it, for sentences.

    Raises:
        InputError: It has other axes, or several channels.
    """
    axes = list_of(words["axes"])
    letters = "".join(
        {"batch": "b", "channel": "c"}.get(str(one["type"]), str(one.get("id", "?")))
        for one in axes
    )
    _check_axes(letters, verb)
    _check_channels(len(list_of(axes[1].get("channel_names", [0]))), verb)
    return [
        Axis(
            str(one["id"]),
            one.get("size"),
            int(one.get("halo", 0)),
            float(one.get("scale", 1.0)),
            one.get("unit"),
        )
        for one in axes[2:]
    ]


def old_axes(words: Words, verb: str) -> list[Axis]:
    """The same as format 0.4 says them."""
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
        Axis(letter, size, int(cut))
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


def scale_of(given: Axis, made: Axis, source: Words, is_old: bool) -> Fraction:
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


def side_of(
    given: Axis, made: Axis, scale: int, axes: Sequence[Axis], is_old: bool
) -> Side:
    """What lengths an axis takes, from those of input and output."""
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


def spacing_of(axes: Sequence[Axis]) -> tuple[tuple[float, float, float], str]:
    """Voxel sizes; those without a unit mean nothing."""
    units = {one.unit for one in axes}
    unit = units.pop() if len(units) == 1 else None
    sides = [one.scale for one in axes]
    sides = [sides[-1]] * (3 - len(sides)) + sides
    if unit not in METRES or min(sides) <= 0:
        return (1.0, 1.0, 1.0), "pixel"
    return (sides[0], sides[1], sides[2]), str(unit)


def list_of(value: object) -> list[Any]:
    """The value if it is a list, else none."""
    return list(value) if isinstance(value, list) else []
