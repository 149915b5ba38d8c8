"""The first kilobyte of an MRC file, by the standard of 2014 and IMOD's use of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import conversion, unit_name
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.flat import Layout

BYTES = 1024
REMEDY = (
    "is no MRC image that can be read (damaged, or another format under this name); "
    "copy it again or convert it"
)
_MODES = {0: "int8", 1: "int16", 2: "float32", 6: "uint16", 12: "float16"}
_OTHERS = {3: "complex numbers", 4: "complex numbers", 16: "colours", 101: "4 bits"}
# IMOD marks its files with a number, and says in the next one how it means them
_IMOD = slice(40, 48)
_IMOD_STAMP = 1146047817
_IMOD_SIGNED, _IMOD_STANDARD_ORIGIN = 1, 4
_STACKS_OF_VOLUMES = range(401, 631)
_LARGEST_MODE = 200
_VERSION = 20141
_NOTE = "napari-cyclegan3d: unit "
_AXES = "zyx"


@dataclass(frozen=True)
class Header:
    """What the header of a file means.

    Attributes:
        fields: The header as it is stored, in the byte order of the file.
        path: The file, for messages.
    """

    fields: NDArray[Any]
    path: Path

    @classmethod
    def of(cls, start: bytes, path: Path) -> "Header":
        """The header in the first bytes of a file, in either byte order.

        Raises:
            InputError: It is none of an MRC image.
        """
        if len(start) == BYTES and start[208:211] == b"MAP":
            for dtype in (_fields("<"), _fields(">")):
                fields = np.frombuffer(start, dtype)[0]
                # stamps of the byte order are wrong in files of old programs
                if 0 <= fields["mode"] < _LARGEST_MODE:
                    return cls(fields, path)
        raise InputError(f"{path}: {REMEDY}")

    @cached_property
    def order(self) -> Shape:
        """Which of the axes z y x (0, 1, 2) is stored slowest, second and fastest."""
        maps, mapr, mapc = (int(self.fields[key]) for key in ("maps", "mapr", "mapc"))
        # files from before the axes had numbers have zeros there
        if (maps, mapr, mapc) == (0, 0, 0):
            return 0, 1, 2
        if sorted((maps, mapr, mapc)) != [1, 2, 3]:
            raise InputError(
                f"{self.path}: names its axes {mapc}, {mapr} and {maps} instead of 1, "
                f"2 and 3; {REMEDY}"
            )
        return 3 - maps, 3 - mapr, 3 - mapc

    @property
    def frames(self) -> int:
        """How many volumes lie in the file, one after another."""
        sections, each = int(self.fields["nz"]), int(self.fields["mz"])
        if int(self.fields["ispg"]) not in _STACKS_OF_VOLUMES or each < 1:
            return 1
        return max(1, sections // each)

    @cached_property
    def layout(self) -> Layout:
        """Where the voxels of the first volume are."""
        columns, rows, sections = (int(self.fields[key]) for key in ("nx", "ny", "nz"))
        extended = int(self.fields["nsymbt"])
        if min(columns, rows, sections) < 1 or extended < 0:
            raise InputError(
                f"{self.path}: its header states {columns} × {rows} × {sections} "
                f"voxels; {REMEDY}"
            )
        shape = self._by_axis((sections // self.frames, rows, columns))
        z, y, x = (int(size) for size in shape)
        return Layout((z, y, x), self.dtype, BYTES + extended, self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel, in the byte order of the file."""
        mode = int(self.fields["mode"])
        if mode not in _MODES:
            raise InputError(
                f"{self.path}: holds {_OTHERS.get(mode, 'voxels')} of mode {mode}, no "
                "grey values that can be read; save it as float32 (mode 2)"
            )
        name = _MODES[mode]
        if name == "int8" and self._imod is not None and not self._imod & _IMOD_SIGNED:
            name = "uint8"
        return np.dtype(name).newbyteorder(self._order)

    @cached_property
    def place(self) -> tuple[NDArray[np.float64], str]:
        """Affine (z y x) and unit: ångström, or pixel where no size is stated."""
        note = _noted(self.fields["label"])
        affine, unit = self._stated
        if note is not None:
            noted, noted_unit = note
            spacing, origin = _in_angstrom(noted, noted_unit)
            unchanged = np.allclose(
                self._numbers("cella"), spacing * self._counts, rtol=1e-5
            ) and np.allclose(self._numbers("origin"), origin, rtol=1e-5)
            # another program may have kept the label and changed the numbers
            if unchanged:
                return noted, noted_unit
        return affine, unit

    @property
    def _stated(self) -> tuple[NDArray[np.float64], str]:
        self._refuse_slanted()
        cells, counts = self._numbers("cella"), self._counts
        known = np.isfinite(cells) & (cells > 0) & (counts > 0)
        affine = np.eye(4)
        if not known.any():
            return affine, "pixel"
        spacing = np.full(3, np.nan)
        spacing[known] = cells[known] / counts[known]
        spacing[~known] = spacing[known].max()
        affine[:3, :3] = np.diag(spacing)
        affine[:3, 3] = self._origin(spacing)
        return affine, "angstrom"

    def _origin(self, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
        origin = self._numbers("origin")
        if self._imod is not None and not self._imod & _IMOD_STANDARD_ORIGIN:
            origin = -origin
        if np.isfinite(origin).all() and origin.any():
            return origin
        starts = [int(self.fields[f"n{axis}start"]) for axis in _AXES]
        # unlike the rest these are of sections, rows and columns
        return self._by_axis(starts) * spacing

    def _refuse_slanted(self) -> None:
        cell = self.fields["cellb"]
        angles = [float(cell[key]) for key in ("alpha", "beta", "gamma")]
        if any(abs(angle - 90) > 0.1 for angle in angles if angle):
            raise InputError(
                f"{self.path}: its cell has the angles "
                f"{', '.join(f'{angle:g}' for angle in angles)} degrees; resample it "
                "on a rectangular grid"
            )

    @property
    def _counts(self) -> NDArray[np.float64]:
        return np.array([float(self.fields[f"m{axis}"]) for axis in _AXES])

    def _numbers(self, key: str) -> NDArray[np.float64]:
        """Three numbers of the header that belong to the axes z y x."""
        return np.array([float(self.fields[key][axis]) for axis in _AXES])

    def _by_axis(self, stored: Any) -> NDArray[Any]:
        """Numbers of sections, rows and columns, as those of z, y and x."""
        numbers = np.empty(3, np.asarray(stored).dtype)
        numbers[list(self.order)] = stored
        return numbers

    @property
    def _order(self) -> Literal["<", ">"]:
        # the native order has a name of its own
        return ">" if self.fields.dtype["nx"] == np.dtype(">i4") else "<"

    @cached_property
    def _imod(self) -> int | None:
        """How IMOD means its file; None in files of other programs."""
        words = self.fields["extra2"].tobytes()[_IMOD]
        order = np.dtype("i4").newbyteorder(self._order)
        stamp, flags = np.frombuffer(words, order)
        return int(flags) if stamp == _IMOD_STAMP else None


def header_for(volume: Volume, dtype: np.dtype[Any], frames: int) -> NDArray[Any]:
    """The header of volumes that are stored with x fastest, little-endian.

    Args:
        volume: Any of them.
        dtype: As they are stored.
        frames: How many of them lie one after another.
    """
    fields = np.zeros((), _fields("<"))
    fields["mode"] = {name: mode for mode, name in _MODES.items()}[dtype.name]
    spacing, origin = _in_angstrom(volume.affine, volume.unit)
    for index, axis in enumerate(_AXES):
        fields[f"n{axis}"] = fields[f"m{axis}"] = volume.shape[index]
        fields["cella"][axis] = volume.shape[index] * spacing[index]
        fields["origin"][axis] = origin[index]
    fields["nz"] *= frames
    for angle in ("alpha", "beta", "gamma"):
        fields["cellb"][angle] = 90
    fields["mapc"], fields["mapr"], fields["maps"] = 1, 2, 3
    fields["ispg"] = 1 if frames == 1 else _STACKS_OF_VOLUMES[0]
    fields["nversion"] = _VERSION
    fields["map"] = b"MAP "
    fields["machst"] = 0x44, 0x44, 0, 0
    labels = _note(volume)
    fields["nlabl"] = len(labels)
    fields["label"][: len(labels)] = labels
    return fields


def _fields(order: Literal["<", ">"]) -> np.dtype[Any]:
    """The fields of a header, little- or big-endian."""
    from mrcfile.dtypes import HEADER_DTYPE

    fields: np.dtype[Any] = HEADER_DTYPE.newbyteorder(order)
    return fields


def _in_angstrom(
    affine: NDArray[np.float64], unit: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Size of voxels and origin for the header; zeros where no length is known."""
    factor = 0.0 if unit == "pixel" else conversion(unit, "angstrom")
    return np.linalg.norm(affine[:3, :3], axis=0) * factor, affine[:3, 3] * factor


def _note(volume: Volume) -> list[str]:
    rows = [" ".join(f"{number:.12g}" for number in row) for row in volume.affine[:3]]
    return [f"{_NOTE}{volume.unit}, voxel z y x to world:", *rows]


def _noted(labels: NDArray[Any]) -> tuple[NDArray[np.float64], str] | None:
    """Affine and unit by the labels that `header_for` leaves."""
    texts = [label.decode("ascii", "replace").strip("\0 ") for label in labels]
    at = next((i for i, text in enumerate(texts) if text.startswith(_NOTE)), None)
    if at is None:
        return None
    try:
        rows = [[float(word) for word in text.split()] for text in texts[at + 1 :][:3]]
        affine = np.array([*rows, [0, 0, 0, 1]], dtype=np.float64)
    except ValueError:
        return None
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        return None
    if not np.linalg.det(affine[:3, :3]):
        return None
    return affine, unit_name(texts[at].removeprefix(_NOTE).partition(",")[0])
