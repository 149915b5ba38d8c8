"""Names of length units, as they are written in headers and as napari knows them."""

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume

METRES = {
    "meter": 1.0,
    "centimeter": 1e-2,
    "inch": 2.54e-2,
    "millimeter": 1e-3,
    "micrometer": 1e-6,
    "nanometer": 1e-9,
    "angstrom": 1e-10,
    "picometer": 1e-12,
}

# "âµm" is "µm" of a UTF-8 file that was read as Latin-1, as ImageJ's text is
_SPELLINGS = {
    "meter": "m meters metre metres",
    "centimeter": "cm centimeters centimetre centimetres",
    "inch": "in inches",
    "millimeter": "mm millimeters millimetre millimetres",
    "micrometer": "um µm μm âµm \\u00b5m \\xb5m micron microns micrometers micrometre "
    "micrometres",
    "nanometer": "nm nanometers nanometre nanometres",
    "angstrom": "å ångström angstroms \\u00c5 \\xc5",
    "picometer": "pm picometers picometre picometres",
}
_NAMES = {
    spelling.casefold(): name
    for name, spellings in _SPELLINGS.items()
    for spelling in (name, *spellings.split())
}


def unit_name(text: str) -> str:
    """The name of a unit for napari: `µm` → `micrometer`; `pixel` if no length."""
    return _NAMES.get(text.strip().casefold(), "pixel")


def spacing_ratios(one: Volume, other: Volume) -> tuple[float, ...] | None:
    """How many times as large as another's a volume's voxels are (z, y, x).

    None if that is not known, as one of the sizes is in pixels.
    """
    if "pixel" in (one.unit, other.unit):
        return None
    try:
        factor = conversion(one.unit, other.unit)
    except InputError:
        return None
    pairs = zip(one.spacing, other.spacing, strict=True)
    return tuple(factor * a / b for a, b in pairs)


def conversion(source: str, target: str) -> float:
    """How many `target` units one `source` unit is (names as `unit_name` gives them).

    Raises:
        InputError: One of them is a length and the other one is not.
    """
    if source == target:
        return 1.0
    try:
        return METRES[source] / METRES[target]
    except KeyError:
        raise InputError(
            f"voxel sizes in {source} and {target} cannot be compared; "
            "correct the unit of the volume"
        ) from None
