"""A small JSON file beside voxels, for formats that cannot say where these lie."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path, check_folder
from napari_cyclegan3d.engine.settings import Settings, SettingsT, parse
from napari_cyclegan3d.engine.units import METRES, unit_name
from napari_cyclegan3d.engine.volume import Volume

Length = Annotated[float, Field(gt=0)]
Point = tuple[float, float, float]
LARGEST = 2**20
_UPRIGHT: tuple[Point, Point, Point] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


class Placement(Settings):
    """Where voxels lie in the world."""

    spacing: tuple[Length, Length, Length] = Field(
        (1, 1, 1), description="Distance of voxels along z, y and x, in the unit."
    )
    unit: str = Field("pixel", description="Unit of lengths: micrometer, mm, …")
    origin: Point = Field(
        (0, 0, 0), description="Centre of the first voxel (z, y, x), in the unit."
    )
    directions: tuple[Point, Point, Point] = Field(
        _UPRIGHT,
        description="Rows z, y, x of the world; columns: the axes z, y, x of the "
        "voxels, as vectors of length 1.",
    )

    @field_validator("unit")
    @classmethod
    def _known(cls, text: str) -> str:
        name = unit_name(text)
        if name == "pixel" and text.strip().lower() not in ("", "pixel", "pixels"):
            raise ValueError(
                f"unit {text[:40]!r} is no length; use one of "
                f"{', '.join(METRES)}, or pixel"
            )
        return name

    @field_validator("directions")
    @classmethod
    def _of_length_one(cls, rows: Any) -> Any:
        lengths = np.linalg.norm(rows, axis=0)
        if np.abs(lengths - 1).max() > 1e-3 or abs(np.linalg.det(rows)) < 1e-6:
            raise ValueError(
                "directions: the columns are no three independent vectors of length "
                "1; leave them out for an upright volume"
            )
        return rows

    @property
    def affine(self) -> NDArray[np.float64]:
        """4×4 matrix from voxel (z, y, x) to world (z, y, x)."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(self.directions) * self.spacing
        matrix[:3, 3] = self.origin
        return matrix


def placement(volume: Volume) -> dict[str, Any]:
    """What a sidecar says of the place of a volume, as plain values."""
    directions = volume.affine[:3, :3] / np.array(volume.spacing)
    values: dict[str, Any] = {
        "spacing": list(volume.spacing),
        "unit": volume.unit,
        "origin": list(volume.origin),
    }
    if not np.array_equal(directions, np.eye(3)):
        values["directions"] = directions.tolist()
    return values


def sidecar(path: Path) -> Path:
    """The file that describes another one: `scan.raw` → `scan.raw.json`."""
    return path.with_name(f"{path.name}.json")


def load(path: Path, model: type[SettingsT]) -> SettingsT | None:
    """What the sidecar of a file says; None if there is none.

    Raises:
        InputError: The sidecar is damaged, or says something else or too much.
    """
    beside = sidecar(path)
    if not beside.is_file():
        return None
    try:
        if beside.stat().st_size > LARGEST:
            raise InputError("it is too large for a description")
        values = json.loads(beside.read_bytes())
        if not isinstance(values, dict):
            raise InputError('it is no list of values such as {"spacing": [1, 1, 1]}')
        return parse(model, values)
    except (InputError, ValueError, RecursionError) as error:
        # an error of JSON tells its place; one of ours all there is to say
        raise InputError(
            f"{beside}: does not describe {path.name} ({error}); correct or remove it"
        ) from error


@contextmanager
def described(
    path: Path, model: type[Settings], values: Mapping[str, Any] | None
) -> Iterator[None]:
    """Write the sidecar when the block, which writes the file itself, ends well.

    Args:
        path: The file beside which the sidecar lies.
        model: What sidecars of such files say.
        values: What this one is to say; None: there is to be none.

    Raises:
        InputError: It could not be written, or another kind of file has its name.
    """
    check_folder(path)
    before = load(path, model)
    if values is not None:
        with atomic_path(sidecar(path)) as temporary:
            text = json.dumps(values, indent=1)
            temporary.write_text(f"{text}\n", encoding="utf-8")
            yield
        return
    yield
    if before is not None:
        # it would place the new voxels where the old ones were
        sidecar(path).unlink(missing_ok=True)
