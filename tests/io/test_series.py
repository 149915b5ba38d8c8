"""Files with more axes than z y x: every frame is a volume, and goes back as one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain, open_frames, open_volume
from napari_cyclegan3d.io.frames import Series
from napari_cyclegan3d.io.origins import text_of
from napari_cyclegan3d.io.partition import overlaps, split
from napari_cyclegan3d.io.series import create_series, read_series, write_series

Coordinates = Callable[..., NDArray[Any]]
RealData = Callable[[str], Path]

WRITTEN = (".nii", ".nii.gz", ".tif", ".h5", ".zarr")
OBLIQUE = np.array(
    [[2.4, 0.1, -0.1, 11], [0.3, -0.5, 0.1, -7], [-0.2, 0.1, 0.3, 1 / 3], [0, 0, 0, 1]]
)
SWAP = np.eye(4)[[2, 1, 0, 3]]


def movie(voxels: NDArray[Any], step: float = 2.5) -> list[Volume]:
    """Frames that are 2.5 s apart, on an oblique grid."""
    series = Series("t", (len(voxels),), step, "second")
    told = {"series": series}
    return [Volume(one, OBLIQUE, "millimeter", metadata=told) for one in voxels]


def places(volume: Volume) -> dict[tuple[float, ...], Any]:
    """Grey values by their place in the world."""
    index = np.indices(volume.shape).reshape(3, -1)
    world = (volume.affine @ np.vstack([index, np.ones(index.shape[1])]))[:3]
    keys = map(tuple, np.round(world.T, 2) + 0.0)
    return dict(zip(keys, volume.read().ravel().tolist(), strict=True))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_frames_come_back_in_their_order_at_their_place(
    suffix: str, dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5, 6), dtype)
    write_series(movie(voxels), tmp_path / f"a{suffix}")
    frames = read_series(tmp_path / f"a{suffix}")
    assert len(frames) == 3
    for number, (frame, source) in enumerate(zip(frames, movie(voxels), strict=True)):
        assert places(frame) == places(source)
        assert frame.dtype == source.dtype
        assert frame.unit == "millimeter"
        assert frame.metadata["frame"] == number
        assert frame.metadata["series"] == Series("t", (3,), 2.5, "second")


@pytest.mark.parametrize("suffix", [".tif", ".h5", ".zarr"])
def test_bool_frames_come_back(suffix: str, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).random((2, 4, 5, 6)) > 0.5
    write_series(movie(voxels), tmp_path / f"a{suffix}")
    frames = read_series(tmp_path / f"a{suffix}")
    assert all(frame.dtype == bool for frame in frames)
    assert np.array_equal([frame.read() for frame in frames], voxels)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_part_of_a_frame_is_that_part(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    write_series(movie(coordinates((3, 4, 5, 6))), tmp_path / f"a{suffix}")
    region = (slice(1, 3), slice(0, 5, 2), slice(4, None))
    for frame in read_series(tmp_path / f"a{suffix}"):
        assert np.array_equal(frame.read(region), frame.read()[region])


@pytest.mark.parametrize("suffix", WRITTEN)
def test_one_frame_is_named_by_its_number(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    path = tmp_path / f"a{suffix}"
    write_series(movie(coordinates((3, 4, 5, 6))), path)
    expected = read_series(path)[2]
    frame = open_volume(f"{path}::2")
    assert np.array_equal(frame.read(), expected.read())
    part = open_volume(f"{path}::2[1:3,:,:]")
    assert np.array_equal(part.read(), expected.read()[1:3])
    # what a run writes down opens the same frame again
    again = open_volume(text_of(part) or "")
    assert np.array_equal(again.read(), part.read())
    with pytest.raises(InputError, match="::3: has frames 0 to 2, and no frame 3; cor"):
        open_volume(f"{path}::3")
    with pytest.raises(InputError, match=rf"as in a\{suffix}(::data)?::0"):
        io.read(path)


def test_a_file_of_one_volume_has_one_frame(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    for suffix in (*WRITTEN, ".npy"):
        path = tmp_path / f"a{suffix}"
        io.write(Volume(coordinates((4, 5, 6))), path)
        (frame,) = read_series(path)
        assert "frame" not in frame.metadata
        assert np.array_equal(open_volume(f"{path}::0").read(), io.read(path).read())
    with pytest.raises(InputError, match="no such file or folder"):
        read_series(tmp_path / "b.nii")
    (tmp_path / "empty.nii").touch()
    with pytest.raises(InputError, match="0 bytes"):
        read_series(tmp_path / "empty.nii")


def test_an_array_of_numpy_gives_its_frames(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5, 6))
    np.save(tmp_path / "a.npy", voxels)
    frames = open_frames(str(tmp_path / "a.npy"))
    assert np.array_equal([frame.read() for frame in frames], voxels)
    assert [frame.metadata["frame"] for frame in frames] == [0, 1, 2]
    number_2 = open_volume(f"{tmp_path / 'a.npy'}::2")
    assert np.array_equal(number_2.read(), voxels[2])


def test_a_domain_takes_all_frames_and_a_split_keeps_them_together(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        voxels = random.integers(0, 99, (3, 4, 5, 6), np.uint8)
        write_series(movie(voxels), tmp_path / f"{name}.nii.gz")
    for texts in ([str(tmp_path)], [f"{tmp_path}/*.nii.gz"]):
        volumes = open_domain(texts)
        names = [volume.name for volume in volumes]
        assert names == [f"{file}.nii.gz::{n}" for file in "ab" for n in range(3)]
    train, validate = split(volumes, 0.5, seed=0)
    assert len({one.metadata["files"] for one in train}) == 1
    assert len(train) == len(validate) == 3
    assert not overlaps(train[:2], train[2:])
    assert len(overlaps(train, train[:1])) == 1
    parts = open_domain([f"{tmp_path}/a.nii.gz[1:3,:,:]"])
    assert [part.shape for part in parts] == [(2, 5, 6)] * 3
    assert len(open_domain([f"{tmp_path}/a.nii.gz::1"])) == 1


def test_files_of_one_name_are_told_apart_by_their_folders(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_series(movie(coordinates((2, 4, 5, 6))), tmp_path / folder / "a.nii")
    expected = ["one::0", "one::1", "two::0", "two::1"]
    assert [one.name for one in open_domain([f"{tmp_path}/*/a.nii"])] == expected
    assert len(open_domain([str(tmp_path)])) == 4


def test_channels_are_no_frames_of_one_kind(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    """Training on two stains at once would be training on neither."""
    voxels = coordinates((5, 2, 20, 24), "uint8")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, voxels, imagej=True, metadata={"axes": "ZCYX"})
    for open_all in (lambda: open_domain([str(path)]), lambda: open_frames(str(path))):
        with pytest.raises(InputError, match=r"has 2 channels; name one .* a\.tif::0"):
            open_all()
    (second,) = open_domain([f"{path}::1"])
    assert np.array_equal(second.read(), voxels[:, 1])
    assert len(open_frames(str(path), channels=True)) == 2


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_hyperstack_of_imagej_gives_its_frames_and_channels(
    compression: str | None, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 2, 5, 6))  # t z c y x, as ImageJ has them
    metadata = {"axes": "TZCYX", "spacing": 2.0, "unit": "um", "finterval": 0.5}
    tifffile.imwrite(
        tmp_path / "a.tif",
        voxels,
        imagej=True,
        resolution=(2, 2),
        metadata=metadata,
        compression=compression,
    )
    frames = read_series(tmp_path / "a.tif")
    assert frames[0].metadata["series"] == Series("tc", (3, 2), 0.5, "second")
    for number, frame in enumerate(frames):
        t, c = divmod(number, 2)
        assert np.array_equal(frame.read(), voxels[t, :, c])
        assert frame.spacing == (2, 0.5, 0.5)


def test_an_ome_tiff_gives_its_frames(tmp_path: Path, coordinates: Coordinates) -> None:
    voxels = coordinates((3, 4, 5, 6), "int16")
    metadata = {
        "axes": "TZYX",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "TimeIncrement": 40.0,
        "TimeIncrementUnit": "ms",
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", voxels, ome=True, metadata=metadata)
    frames = read_series(tmp_path / "a.ome.tif")
    assert np.array_equal([frame.read() for frame in frames], voxels)
    assert frames[1].metadata["series"] == Series("t", (3,), 0.04, "second")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_gives_its_frames_and_channels(
    version: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 2, 4, 5, 6))
    step = {"type": "scale", "scale": [250, 1, 2, 0.5, 0.5]}
    image = {
        "axes": [
            {"name": "t", "type": "time", "unit": "millisecond"},
            {"name": "c", "type": "channel"},
            *({"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"),
        ],
        "datasets": [{"path": "0", "coordinateTransformations": [step]}],
    }
    attributes: dict[str, Any] = {"ome": {"version": version, "multiscales": [image]}}
    if version == "0.4":
        attributes = {"multiscales": [{"version": version, **image}]}
    form: Any = 2 if version == "0.4" else 3
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=form)
    group.attrs.update(attributes)
    group.create_array("0", data=voxels, chunks=(1, 1, 2, 5, 6))
    frames = read_series(tmp_path / "a.zarr")
    assert frames[0].metadata["series"] == Series("tc", (3, 2), 0.25, "second")
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.read(), voxels[divmod(number, 2)])
        assert frame.spacing == (2, 0.5, 0.5)


def test_an_hdf5_dataset_gives_its_frames(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((2, 3, 4, 5, 6))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/frames"] = voxels
        file["scan/frames"].attrs["element_size_um"] = (2, 0.5, 0.5)
        file["other"] = voxels[0, 0]
    text = f"{tmp_path / 'a.h5'}::scan/frames"
    frames = open_frames(text)
    expected = voxels.reshape(6, 4, 5, 6)
    assert np.array_equal([frame.read() for frame in frames], expected)
    assert np.array_equal(open_volume(f"{text}::4").read(), expected[4])
    assert frames[0].spacing == (2, 0.5, 0.5)


@pytest.mark.parametrize(
    "name", ["nibabel_example4d.nii.gz", "nibabel_example_nifti2.nii.gz"]
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_real_series_is_written_back_with_its_own_header_and_both_forms_equal(
    name: str, suffix: str, real_data: RealData, tmp_path: Path
) -> None:
    source = nib.load(real_data(f"odd_nifti/{name}"))
    write_series(read_series(real_data(f"odd_nifti/{name}")), tmp_path / f"a{suffix}")
    copy = nib.load(tmp_path / f"a{suffix}")
    assert type(copy.header) is type(source.header)
    assert copy.shape == source.shape
    assert np.array_equal(np.asarray(copy.dataobj), np.asarray(source.dataobj))
    assert np.allclose(copy.affine, source.affine, atol=1e-6)
    assert np.allclose(copy.get_qform(), copy.get_sform(), atol=1e-4)
    zooms = source.header.get_zooms()
    assert copy.header.get_zooms() == pytest.approx(zooms, rel=1e-6)
    assert copy.header.get_xyzt_units() == source.header.get_xyzt_units()
    assert copy.header["descrip"] == source.header["descrip"]


def test_a_real_series_lies_in_memory_nearest_to_superior_anterior_right(
    real_data: RealData,
) -> None:
    path = real_data("odd_nifti/nibabel_example4d.nii.gz")
    image = nib.as_closest_canonical(nib.load(path))
    frames = read_series(path)
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.read(), np.asarray(image.dataobj[..., number]).T)
        assert np.allclose(frame.affine, SWAP @ image.affine @ SWAP, atol=1e-6)


def test_a_series_that_cannot_be_written_leaves_the_older_file(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    frames = movie(coordinates((2, 4, 5, 6)))
    path = tmp_path / "a.nii"
    path.write_bytes(b"older")
    other = replace(frames[1], array=coordinates((4, 5, 7)))
    with pytest.raises(InputError, match=r"\(4, 5, 7\).* frames of one file are alike"):
        write_series([frames[0], other], path)

    def stop() -> None:
        with create_series(frames[0], 2, path) as sinks:
            sinks[0][0:4, 0:5, 0:6] = 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert path.read_bytes() == b"older"
    with pytest.raises(
        InputError, match="2 frames cannot be written into a file of th"
    ):
        write_series(frames, tmp_path / "a.raw")
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_that_promises_millions_of_frames_is_refused(tmp_path: Path) -> None:
    header = nib.Nifti2Header()
    header.set_data_shape((1, 1, 1, 10**9))
    header.set_data_dtype(np.uint8)
    header["vox_offset"] = 544
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(8))
    with pytest.raises(InputError, match="promises 1000000000 frames, more than 65536"):
        read_series(tmp_path / "a.nii")


@pytest.mark.parametrize("suffix", [".nii", ".tif"])
def test_frames_that_have_changed_on_disk_are_not_mixed_up(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    path = tmp_path / f"a{suffix}"
    write_series(movie(coordinates((3, 4, 5, 6))), path)
    frames = read_series(path)
    write_series(movie(coordinates((2, 4, 5, 6)) + 7), path)
    assert np.array_equal(frames[1].read(), read_series(path)[1].read())
    with pytest.raises(InputError, match="has changed since it was opened; open it"):
        frames[2].read()
