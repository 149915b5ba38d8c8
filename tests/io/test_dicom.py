"""DICOM series: geometry as SimpleITK has it, and what is refused."""

import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.dicom import find_series
from napari_cyclegan3d.io.domains import open_domain, open_volume
from napari_cyclegan3d.io.origins import text_of

sitk: Any = pytest.importorskip("SimpleITK", reason="DICOM needs the extra mri")

_LONG = (b"OB", b"OW", b"UN")
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_MR = "1.2.840.10008.5.1.4.1.1.4"
UPRIGHT = np.eye(3)
VOXELS = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7) - 50


def element(group: int, number: int, kind: bytes, value: Any) -> bytes:
    """One data element in explicit little-endian form."""
    if kind == b"US":
        data = struct.pack("<H", value)
    elif isinstance(value, bytes):
        data = value
    else:
        texts = [value] if isinstance(value, str) else [f"{one:.10g}" for one in value]
        data = "\\".join(texts).encode()
    if len(data) % 2:
        data += b"\0" if kind == b"UI" else b" "
    length = struct.pack("<I", len(data))
    head = struct.pack("<HH", group, number) + kind
    return head + (b"\0\0" + length if kind in _LONG else length[:2]) + data


def dicom(
    pixels: NDArray[np.integer[Any]],
    position: Sequence[float] = (0, 0, 0),
    *,
    directions: NDArray[np.float64] = UPRIGHT,
    spacing: tuple[float, float] = (0.7, 0.9),
    thickness: float = 2.5,
    series: str = "1.2.3.4",
    description: str = "T1 axial",
    number: int = 1,
    scaling: tuple[float, float] | None = None,
) -> bytes:
    """The bytes of a file with one slice, or with several frames, or colours.

    Args:
        pixels: (rows, columns); (frames, rows, columns); (rows, columns, 3) in uint8.
        position: World position (left, posterior, superior) of the first pixel, mm.
        directions: Columns: where columns, rows and slices count towards.
        spacing: Pixel size along columns and rows, mm.
        thickness: Of the slice, mm.
        series: Number of the series.
        description: Of the series.
        number: Of the slice, from 1.
        scaling: Slope and intercept of the grey values.
    """
    colours = pixels.shape[-1] == 3 and pixels.ndim == 3
    rows, columns = pixels.shape[:2] if colours else pixels.shape[-2:]
    bits = 8 * pixels.dtype.itemsize
    uid = f"{series}.{number}"
    signed = int(pixels.dtype.kind == "i")
    meta = (
        element(0x2, 0x1, b"OB", b"\0\1")
        + element(0x2, 0x2, b"UI", _MR)
        + element(0x2, 0x3, b"UI", uid)
        + element(0x2, 0x10, b"UI", _EXPLICIT_LITTLE_ENDIAN)
    )
    body = [
        element(0x8, 0x16, b"UI", _MR),
        element(0x8, 0x18, b"UI", uid),
        element(0x8, 0x60, b"CS", "MR"),
        element(0x8, 0x103E, b"LO", description),
        element(0x18, 0x50, b"DS", (thickness,)),
        element(0x18, 0x88, b"DS", (thickness,)),
        element(0x20, 0xD, b"UI", "1.2.3"),
        element(0x20, 0xE, b"UI", series),
        element(0x20, 0x13, b"IS", str(number)),
        element(0x20, 0x32, b"DS", tuple(position)),
        element(0x20, 0x37, b"DS", (*directions[:, 0], *directions[:, 1])),
        element(0x28, 0x2, b"US", 3 if colours else 1),
        element(0x28, 0x4, b"CS", "RGB" if colours else "MONOCHROME2"),
        *([element(0x28, 0x6, b"US", 0)] if colours else []),
        *(
            [element(0x28, 0x8, b"IS", str(len(pixels)))]
            if pixels.ndim == 3 and not colours
            else []
        ),
        element(0x28, 0x10, b"US", rows),
        element(0x28, 0x11, b"US", columns),
        # the distance of rows comes first
        element(0x28, 0x30, b"DS", spacing[::-1]),
        element(0x28, 0x100, b"US", bits),
        element(0x28, 0x101, b"US", bits),
        element(0x28, 0x102, b"US", bits - 1),
        element(0x28, 0x103, b"US", signed),
    ]
    if scaling is not None:
        slope, intercept = scaling
        body.append(element(0x28, 0x1052, b"DS", (intercept,)))
        body.append(element(0x28, 0x1053, b"DS", (slope,)))
    stored = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    body.append(element(0x7FE0, 0x10, b"OB" if bits == 8 else b"OW", stored.tobytes()))
    length = element(0x2, 0x0, b"UL", struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + length + meta + b"".join(body)


def write_series(
    folder: Path,
    voxels: NDArray[np.integer[Any]],
    *,
    directions: NDArray[np.float64] = UPRIGHT,
    origin: Sequence[float] = (-10, 20, 30),
    distance: float = 2.5,
    name: str = "{}.dcm",
    **options: Any,
) -> None:
    """A series of slices (k, j, i), evenly spaced along the third direction.

    Args:
        folder: Where the files go; made if it is not there.
        voxels: (slices, rows, columns).
        directions: See `dicom`.
        origin: Position of the first voxel, mm.
        distance: Between slices, mm.
        name: Of the files, by the number of the slice.
        options: See `dicom`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for k, pixels in enumerate(voxels):
        position = np.array(origin) + k * distance * directions[:, 2]
        data = dicom(
            pixels,
            tuple(position),
            directions=directions,
            thickness=distance,
            number=k + 1,
            **options,
        )
        (folder / name.format(k)).write_bytes(data)


DIRECTIONS = {
    "axial": UPRIGHT,
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0.0]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]]),
    "oblique": Rotation.from_euler("zyx", (20, 10, 5), degrees=True).as_matrix(),
    "turned over": Rotation.from_euler("zyx", (170, -80, 60), degrees=True).as_matrix(),
}


def by_simpleitk(folder: Path) -> Any:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


@pytest.mark.parametrize("case", DIRECTIONS)
def test_each_voxel_is_where_simpleitk_has_it(case: str, tmp_path: Path) -> None:
    write_series(tmp_path, VOXELS, directions=DIRECTIONS[case])
    volume, image = io.read(tmp_path), by_simpleitk(tmp_path)
    grey = sitk.GetArrayFromImage(image)
    voxels = volume.read()
    for k, j, i in np.ndindex(grey.shape):
        left, posterior, superior = image.TransformIndexToPhysicalPoint((i, j, k))
        world = (superior, -posterior, -left, 1)
        place = (np.linalg.inv(volume.affine) @ world)[:3]
        nearest = tuple(np.rint(place).astype(int))
        assert np.abs(place - nearest).max() < 1e-3
        assert voxels[nearest] == grey[k, j, i]
    # each axis counts towards right, anterior or superior, as in NIfTI
    assert (np.abs(volume.affine[:3, :3]).argmax(axis=0) == [0, 1, 2]).all()
    assert (np.diag(volume.affine)[:3] > 0).all()
    assert volume.unit == "millimeter"


def test_a_region_equals_the_same_part_of_the_whole(tmp_path: Path) -> None:
    write_series(tmp_path, VOXELS, directions=DIRECTIONS["turned over"])
    volume = io.read(tmp_path)
    whole = volume.read()
    region = (slice(1, 4), slice(0, 5, 2), slice(3, None))
    assert np.array_equal(volume.read(region), whole[region])
    assert sorted(whole.ravel()) == sorted(VOXELS.ravel())


def test_slices_are_ordered_by_their_places_whatever_their_names(
    tmp_path: Path,
) -> None:
    names = [7, 3, 9, 1, 5]
    for k, pixels in enumerate(VOXELS):
        data = dicom(pixels, (0, 0, 2.5 * k), number=names[k])
        (tmp_path / f"IM{names[k]:04d}").write_bytes(data)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "readme").write_text("scan of Monday", encoding="utf-8")
    assert io.can_read(tmp_path)
    volume = io.read(tmp_path)
    assert volume.name == tmp_path.name
    # the world counts the other way along x and y
    assert np.array_equal(volume.read()[:, ::-1, ::-1], VOXELS)


def test_one_file_opens_the_series_it_belongs_to(tmp_path: Path) -> None:
    write_series(tmp_path, VOXELS)
    write_series(tmp_path, VOXELS[:2], series="1.2.9", name="scout{}.dcm")
    assert io.read(tmp_path / "3.dcm").shape == VOXELS.shape
    assert io.read(tmp_path / "scout0.dcm").shape == (2, 6, 7)


def test_several_series_are_listed_and_one_is_chosen_by_number_or_description(
    tmp_path: Path,
) -> None:
    write_series(tmp_path, VOXELS)
    write_series(
        tmp_path, VOXELS[:2], series="1.2.9", description="scout", name="s{}.dcm"
    )
    listed = r"2 series; choose one.*1\.2\.3\.4 \(MR 'T1 axial', 5 files\).*'scout', 2"
    with pytest.raises(InputError, match=listed):
        io.read(tmp_path)
    with pytest.raises(InputError, match=r"2 series, none or several .* are 'T2'"):
        io.read(tmp_path, "T2")
    assert [one.description for one in find_series(tmp_path)] == ["T1 axial", "scout"]
    for key in ("1.2.9", "scout"):
        assert open_volume(f"{tmp_path}::{key}").shape == (2, 6, 7)
    text = text_of(open_volume(f"{tmp_path}::scout"))
    assert text is not None
    assert open_volume(text).shape == (2, 6, 7)
    (volume,) = open_domain([text])
    assert volume.shape == (2, 6, 7)


def test_a_domain_takes_folders_of_subjects_and_patterns_of_files(
    tmp_path: Path,
) -> None:
    write_series(tmp_path / "anna", VOXELS)
    write_series(tmp_path / "bert", VOXELS[:3], name="IM{}")
    volumes = open_domain([str(tmp_path)])
    assert [(one.name, one.shape[0]) for one in volumes] == [("anna", 5), ("bert", 3)]
    (volume,) = open_domain([str(tmp_path / "anna" / "*.dcm")])
    assert volume.shape == VOXELS.shape
    assert text_of(volume) == str(tmp_path / "anna")


@pytest.mark.parametrize(
    ("scaling", "dtype"), [((1, -1024), "int32"), ((0.5, -3), "float64")]
)
def test_grey_values_are_scaled_by_slope_and_intercept(
    scaling: tuple[float, float], dtype: str, tmp_path: Path
) -> None:
    slope, intercept = scaling
    write_series(tmp_path, VOXELS, scaling=scaling)
    volume = io.read(tmp_path)
    assert np.array_equal(volume.read()[:, ::-1, ::-1], VOXELS * slope + intercept)
    assert volume.dtype == dtype


def test_slices_of_different_slopes_become_one_type_without_loss(
    tmp_path: Path,
) -> None:
    for k, pixels in enumerate(VOXELS):
        slope = (0.25, 1)[k % 2]
        data = dicom(pixels, (0, 0, k), number=k + 1, scaling=(slope, 0))
        (tmp_path / f"{k}.dcm").write_bytes(data)
    expected = VOXELS * np.array([0.25, 1, 0.25, 1, 0.25])[:, None, None]
    assert np.array_equal(io.read(tmp_path).read()[:, ::-1, ::-1], expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_stored_types_are_kept(dtype: str, tmp_path: Path) -> None:
    voxels = np.arange(2 * 4 * 6).reshape(2, 4, 6).astype(dtype)
    write_series(tmp_path, voxels)
    assert io.read(tmp_path).dtype == dtype
    assert np.array_equal(io.read(tmp_path).read()[:, ::-1, ::-1], voxels)


def test_a_single_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    write_series(tmp_path, VOXELS[:1], distance=3.5)
    assert np.allclose(io.read(tmp_path).spacing, (3.5, 0.9, 0.7))


def at(folder: Path, k: int, place: tuple[float, float, float], **options: Any) -> None:
    folder.mkdir(exist_ok=True)
    data = dicom(VOXELS[k], place, number=k + 1, **options)
    (folder / f"{k}.dcm").write_bytes(data)


def missing_slice(folder: Path) -> None:
    write_series(folder, VOXELS)
    (folder / "2.dcm").unlink()


def same_place_twice(folder: Path) -> None:
    write_series(folder, VOXELS)
    (folder / "again.dcm").write_bytes(dicom(VOXELS[0], (-10, 20, 30), number=9))


def tilted_gantry(folder: Path) -> None:
    for k in range(5):
        at(folder, k, (0, 0.5 * k, 2.5 * k))


def other_size(folder: Path) -> None:
    write_series(folder, VOXELS)
    (folder / "4.dcm").write_bytes(dicom(VOXELS[4, :5], (-10, 20, 40), number=5))


def other_direction(folder: Path) -> None:
    write_series(folder, VOXELS)
    turned = dicom(VOXELS[4], directions=DIRECTIONS["sagittal"], number=5)
    (folder / "4.dcm").write_bytes(turned)


def damaged_slice(folder: Path) -> None:
    """The last slice is cut off; the others would make a smaller volume."""
    write_series(folder, VOXELS)
    (folder / "4.dcm").write_bytes((folder / "4.dcm").read_bytes()[:-40])


def colours(folder: Path) -> None:
    folder.mkdir()
    pixels = np.zeros((6, 7, 3), np.uint8)
    (folder / "0.dcm").write_bytes(dicom(pixels))


def no_image(folder: Path) -> None:
    folder.mkdir()
    (folder / "0.dcm").write_text("This is no image.\n" * 100, encoding="utf-8")


def promises(folder: Path) -> None:
    """Rows and columns of four billion voxels, and some hundred bytes."""
    folder.mkdir()
    data = dicom(VOXELS[0])
    for tag in (b"\x28\0\x10\0US\2\0", b"\x28\0\x11\0US\2\0"):
        start = data.index(tag) + len(tag)
        data = data[:start] + b"\xff\xff" + data[start + 2 :]
    (folder / "0.dcm").write_bytes(data)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (missing_slice, r"not evenly spaced: 5 mm between 1\.dcm and 3\.dcm, .* 2\.5"),
        (same_place_twice, r"0\.dcm|again\.dcm.* lie at the same place"),
        (tilted_gantry, r"gantry tilt of 11\.3 degrees; convert it with dcm2niix"),
        (other_size, r"7 × 5 pixels .*7 × 6 .*; keep only slices of one size"),
        (other_direction, r"is turned against .*localizers"),
        (damaged_slice, r"4\.dcm: is no DICOM image .*or move it out of the folder"),
        (colours, r"is a colour image"),
        (no_image, r"0\.dcm: is no DICOM image that can be read"),
        (promises, r"is no DICOM image|promises 4294836225 voxels"),
    ],
)
def test_what_makes_no_regular_volume_is_refused_in_one_quiet_sentence(
    make: Callable[[Path], None],
    sentence: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "scan"
    make(folder)
    with pytest.raises(InputError, match=sentence) as refusal:
        io.read(folder)
    assert len(str(refusal.value).splitlines()) == 1
    assert str(tmp_path) in str(refusal.value)
    assert capfd.readouterr() == ("", "")


def test_a_slice_that_vanishes_or_changes_is_named_when_it_is_read(
    tmp_path: Path,
) -> None:
    write_series(tmp_path, VOXELS)
    volume = io.read(tmp_path)
    (tmp_path / "3.dcm").write_bytes(dicom(VOXELS[3, :5]))
    with pytest.raises(InputError, match=r"3\.dcm: has changed; open the series again"):
        volume.read()
    (tmp_path / "3.dcm").unlink()
    with pytest.raises(InputError, match=r"3\.dcm: could not be read \(No such file"):
        volume.read((slice(3, 4), slice(None), slice(None)))


def test_a_file_of_many_frames_is_a_volume(tmp_path: Path) -> None:
    (tmp_path / "frames.dcm").write_bytes(dicom(VOXELS))
    volume = io.read(tmp_path / "frames.dcm")
    assert np.array_equal(volume.read()[:, ::-1, ::-1], VOXELS)
    part: NDArray[Any] = volume.read((slice(2, 4), slice(None), slice(None)))
    assert np.array_equal(part[:, ::-1, ::-1], VOXELS[2:4])


def test_nothing_is_written_as_dicom(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written; known are \.tif"):
        io.write(Volume(VOXELS), tmp_path / "a.dcm")
    assert not list(tmp_path.iterdir())


def test_without_simpleitk_the_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path, VOXELS)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(InputError, match=r"DICOM needs SimpleITK.*cyclegan3d\[mri\]"):
        io.read(tmp_path)
