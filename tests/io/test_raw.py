"""Raw voxels and the sidecar that describes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import raw
from napari_cyclegan3d.io.raw import RawLayout

Coordinates = Callable[..., NDArray[Any]]


@pytest.mark.parametrize("dtype", raw.TYPES)
@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("offset", [0, 17])
def test_voxels_are_read_as_the_sidecar_says(
    dtype: Any,
    byte_order: Any,
    offset: int,
    tmp_path: Path,
    coordinates: Coordinates,
) -> None:
    voxels = coordinates((3, 4, 5), dtype)
    path = tmp_path / "scan.raw"
    stored = voxels.astype(voxels.dtype.newbyteorder(byte_order))
    path.write_bytes(bytes(offset) + stored.tobytes())
    layout = RawLayout(
        shape=(3, 4, 5),
        dtype=dtype,
        byte_order=byte_order,
        offset=offset,
        spacing=(2, 1, 0.5),
        unit="µm",
        origin=(7, 8, 9),
    )
    assert raw.describe(path, layout) == tmp_path / "scan.raw.json"
    volume = io.read(path)
    assert volume.dtype == dtype
    assert np.array_equal(volume.read(), voxels)
    assert (volume.spacing, volume.unit) == ((2, 1, 0.5), "micrometer")
    assert volume.origin == (7, 8, 9)


def test_few_words_suffice(tmp_path: Path, coordinates: Coordinates) -> None:
    (tmp_path / "a.vol").write_bytes(coordinates((3, 4, 5)).tobytes())
    (tmp_path / "a.vol.json").write_text('{"shape": [3, 4, 5]}', encoding="utf-8")
    volume = io.read(tmp_path / "a.vol")
    assert np.array_equal(volume.read(), coordinates((3, 4, 5)))
    assert volume.unit == "pixel"


def test_what_is_written_has_no_header_and_a_sidecar_that_anybody_can_read(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5), "float32")
    affine = np.diag([2, 1, 0.5, 1])
    io.write(Volume(voxels, affine, "millimeter"), tmp_path / "a.raw")
    assert (tmp_path / "a.raw").read_bytes() == voxels.astype("<f4").tobytes()
    assert json.loads((tmp_path / "a.raw.json").read_text(encoding="utf-8")) == {
        "shape": [3, 4, 5],
        "dtype": "float32",
        "byte_order": "little",
        "offset": 0,
        "spacing": [2, 1, 0.5],
        "unit": "millimeter",
        "origin": [0, 0, 0],
    }


@pytest.mark.parametrize(
    ("values", "proposal"),
    [
        ({"shape": [40, 64, 50]}, "shape [50, 64, 50]"),
        ({"shape": [50, 60, 50]}, "shape [50, 64, 50]"),
        ({"shape": [50, 64, 50], "dtype": "uint8"}, "dtype uint16"),
        ({"shape": [50, 64, 25], "dtype": "uint16"}, "dtype float32"),
        ({"shape": [50, 64, 50], "offset": 8}, "offset 0"),
        ({"shape": [50, 64, 49]}, "offset 6400"),
    ],
)
def test_a_layout_that_does_not_fit_is_answered_with_one_that_does(
    values: dict[str, Any], proposal: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(2 * 50 * 64 * 50))
    layout = parse(RawLayout, values)
    with pytest.raises(InputError, match=r"has 320000 bytes, and .* need") as refusal:
        raw.describe(path, layout)
    assert not raw.sidecar(path).exists()
    assert proposal in str(refusal.value)
    key, _, value = proposal.partition(" ")
    fitting = values | {key: value if key == "dtype" else json.loads(value)}
    raw.describe(path, parse(RawLayout, fitting))
    assert io.read(path).shape == tuple(fitting["shape"])


def test_a_cube_is_proposed_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(2 * 40**3))
    with pytest.raises(InputError, match=r"what fits: .*shape \[40, 40, 40\]"):
        raw.open_with(tmp_path / "a.raw", RawLayout(shape=(7, 9, 11)))


def test_where_nothing_fits_the_sentence_says_what_to_correct(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(1009))
    with pytest.raises(InputError, match="correct the shape, the type or the offset"):
        raw.open_with(tmp_path / "a.raw", RawLayout(shape=(7, 9, 11)))


def test_a_file_that_cannot_be_written_leaves_the_old_pair(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    path = tmp_path / "a.raw"
    io.write(Volume(coordinates((3, 4, 5))), path)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}

    def fail() -> None:
        with io.create(Volume(coordinates((3, 4, 6))), path):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_another_volume_replaces_file_and_sidecar(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    path = tmp_path / "a.raw"
    io.write(Volume(coordinates((3, 4, 5))), path)
    io.write(Volume(coordinates((2, 3, 7), "uint8"), unit="millimeter"), path)
    assert np.array_equal(io.read(path).read(), coordinates((2, 3, 7), "uint8"))


def test_a_real_scan_comes_back_from_raw(
    tmp_path: Path, real_data: Callable[[str], Path]
) -> None:
    scan = real_data("microct_fibre_gpl3") / "fibre_crop_z000-127_y0-255_x0-255_u16.tif"
    volume = io.read(scan)
    io.write(volume, tmp_path / "scan.raw")
    again = io.read(tmp_path / "scan.raw")
    assert np.array_equal(again.read(), tifffile.imread(scan))
    assert np.array_equal(again.affine, volume.affine)
