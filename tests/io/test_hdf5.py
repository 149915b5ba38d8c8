import multiprocessing
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import hdf5

Coordinates = Callable[..., NDArray[Any]]

KINDS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (2, 16, 16)},
    "compressed": {"compression": "gzip", "shuffle": True},
    "compressed with LZF": {"compression": "lzf", "fletcher32": True},
    "growing": {"maxshape": (None, 33, 40)},
    "big-endian": {"dtype": ">u2"},
}


def save(path: Path, **datasets: Any) -> Path:
    """A file with datasets; `__` in a name stands for a group."""
    with h5py.File(path, "w") as file:
        for name, voxels in datasets.items():
            file.create_dataset(name.replace("__", "/"), data=voxels)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_is_read_as_z_y_x(
    kind: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 33, 40))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=voxels, **KINDS[kind])
    volume = io.read(tmp_path / "a.h5")
    assert volume.dtype == np.uint16
    assert volume.dtype.isnative
    assert np.array_equal(volume.read(), voxels)
    region = (slice(1, 4), slice(30, 3), slice(17, None, 3))
    assert volume.read(region).shape == (3, 0, 8)
    region = (slice(-2, None), slice(3, 30, 5), slice(17, 18))
    assert np.array_equal(volume.read(region), voxels[region])
    assert (volume.spacing, volume.unit) == ((1, 1, 1), "pixel")


@pytest.mark.parametrize("dtype", ["float16", "uint64", "int64", "bool"])
def test_types_beyond_those_of_other_formats_come_back(
    dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 6, 7), dtype)
    io.write(Volume(voxels), tmp_path / "a.h5")
    volume = io.read(tmp_path / "a.h5")
    assert volume.dtype == voxels.dtype
    assert np.array_equal(volume.read(), voxels)


def test_values_that_are_no_numbers_stay(tmp_path: Path) -> None:
    voxels = np.array([[[np.nan, 1, np.inf]]], np.float16)
    volume = io.read(save(tmp_path / "a.h5", data=voxels))
    assert np.array_equal(volume.read(), voxels, equal_nan=True)


@pytest.mark.parametrize("shape", [(1, 5, 6, 7), (1, 1, 5, 6, 7), (6, 7), (1, 6, 7)])
def test_leading_axes_of_length_one_are_dropped_and_an_image_is_one_slice(
    shape: tuple[int, ...], tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates(shape)
    volume = io.read(save(tmp_path / "a.h5", data=voxels))
    expected = voxels.reshape(volume.shape)
    assert volume.shape == ((1, *shape)[-3:] if len(shape) < 4 else (5, 6, 7))
    assert np.array_equal(volume.read(), expected)
    region = (slice(0, 1), slice(2, 5), slice(1, 7, 2))
    assert np.array_equal(volume.read(region), expected[region])


@pytest.mark.parametrize(
    "key", ["data", "exchange/data", "entry/data/data", "entry1/tomo_entry/data/data"]
)
def test_the_usual_places_are_found_among_other_datasets(
    key: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 6, 7))
    others = {"exchange__data_white": voxels * 0, "exchange__theta": np.zeros(9)}
    path = save(tmp_path / "a.nxs", **others, **{key.replace("/", "__"): voxels})
    assert np.array_equal(io.read(path).read(), voxels)


def test_the_only_volume_is_found_under_any_name(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 6, 7))
    path = save(tmp_path / "a.h5", a__b__c=voxels, matrix=np.eye(4), note="text")
    assert np.array_equal(io.read(path).read(), voxels)


def test_one_of_several_is_chosen_by_name(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 6, 7))
    path = save(tmp_path / "a.h5", raw=voxels * 0, rec__fine=voxels)
    choice = r"holds several datasets; choose one, as in a\.h5::raw: "
    with pytest.raises(InputError, match=choice + r"raw \(5, 6, 7\), rec/fine \(5, 6"):
        io.read(path)
    volume = io.read(path, "/rec/fine")
    assert np.array_equal(volume.read(), voxels)
    assert volume.name == "a.h5::rec/fine"
    for wrong in ("rec", "rec/coarse", "raw/fine"):
        with pytest.raises(
            InputError, match=f"{wrong}: there is no such dataset; .*raw"
        ):
            io.read(path, wrong)


def test_a_format_without_datasets_refuses_a_choice(tmp_path: Path) -> None:
    io.write(Volume(np.zeros((2, 3, 4), np.uint8)), tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif::raw: only HDF5 files have datasets"):
        io.read(tmp_path / "a.tif", "raw")


def test_links_inside_the_file_are_followed(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    path = save(tmp_path / "a.h5", detector__frames=coordinates((5, 6, 7)))
    with h5py.File(path, "a") as file:
        file["entry/other"] = h5py.SoftLink("/detector/frames")
        file["entry/data/relative"] = h5py.SoftLink("near")
        file["entry/data/near"] = file["detector/frames"]
        file["circle"] = h5py.SoftLink("/circle")
    for key in ("entry/other", "entry/data/relative"):
        assert np.array_equal(io.read(path, key).read(), coordinates((5, 6, 7)))
    with pytest.raises(InputError, match="circle: takes its voxels from other files"):
        io.read(path, "circle")


def test_nothing_is_read_from_the_files_that_a_file_points_to(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    save(tmp_path / "secret.h5", data=coordinates((5, 6, 7)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("secret.h5", "/data")
        file["group"] = h5py.ExternalLink("secret.h5", "/")
        file["soft"] = h5py.SoftLink("/group/data")
        layout = h5py.VirtualLayout((5, 6, 7), "uint16")
        layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "data", (5, 6, 7))
        file.create_virtual_dataset("virtual", layout)
        raw = [(str(tmp_path / "secret.h5"), 0, 420)]
        file.create_dataset("raw", (5, 6, 7), "uint16", external=raw)
    for key in ("linked", "group/data", "soft", "virtual", "raw"):
        with pytest.raises(InputError, match=f"{key}: takes its voxels from other fil"):
            io.read(tmp_path / "a.h5", key)


def test_a_codec_that_is_not_there_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((5, 6, 7))
        creation.set_filter(32008, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((5, 6, 7))
        h5py.h5d.create(file.id, b"data", h5py.h5t.STD_U16LE, space, creation)
        file["data"][:] = 1
    with pytest.raises(InputError, match=r"is compressed with .*32008.*hdf5plugin"):
        io.read(tmp_path / "a.h5")


def test_the_voxel_size_is_read_where_other_programs_leave_it(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5", data=np.zeros((2, 3, 4), np.uint8))

    def stated(**attributes: Any) -> tuple[tuple[float, ...], str]:
        with h5py.File(path, "a") as file:
            file["data"].attrs.clear()
            file["data"].attrs.update(attributes)
        volume = io.read(path)
        return volume.spacing, volume.unit

    assert stated(element_size_um=(2, 0.5, 0.25)) == ((2, 0.5, 0.25), "micrometer")
    assert stated(spacing=(2, 1, 3), unit="mm") == ((2, 1, 3), "millimeter")
    assert stated(spacing=(2, 1, 3)) == ((2, 1, 3), "pixel")
    for wrong in ((2, 1), (0, 1, 1), (np.nan, 1, 1), "1 mm", np.zeros(1000)):
        assert stated(spacing=wrong, unit=7) == ((1, 1, 1), "pixel")


def test_what_fiji_reads_of_a_written_file_is_its_voxel_size(tmp_path: Path) -> None:
    affine = np.diag([2.5, 0.5, 0.25, 1])
    io.write(Volume(np.zeros((2, 3, 4)), affine, "millimeter"), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        sizes = file["data"].attrs["element_size_um"]
    assert sizes == pytest.approx((2500, 500, 250))


def test_the_writer_of_a_file_is_not_kept_from_it_by_a_reader(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    path = save(tmp_path / "a.h5", data=coordinates((5, 6, 7)))
    volume = io.read(path)
    with h5py.File(path, "a") as file:
        file["more"] = 1
    assert np.array_equal(volume.read(), coordinates((5, 6, 7)))
    save(path, data=np.zeros((5, 6, 8), np.uint16))
    with pytest.raises(InputError, match=r"a\.h5: has changed since it was opened"):
        volume.read()
    path.unlink()
    with pytest.raises(InputError, match=r"a\.h5: could not be read \(No such file"):
        volume.read()


def test_threads_and_processes_read_one_volume_at_once(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((40, 16, 16))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=voxels, chunks=(8, 8, 8), compression="gzip")
    volume = io.read(path)
    regions = [(slice(z, z + 4), slice(z % 9, None), slice(None)) for z in range(36)]
    spawn = multiprocessing.get_context("spawn")
    for pool in (ThreadPoolExecutor(4), ProcessPoolExecutor(1, mp_context=spawn)):
        with pool:
            for region, part in zip(
                regions, pool.map(volume.read, regions), strict=True
            ):
                assert np.array_equal(part, voxels[region])


def test_reading_a_slice_loads_about_a_slice(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stored = file.create_dataset(
            "data", (64, 512, 512), "uint16", chunks=(1, 256, 256), compression=1
        )
        stored[...] = 1
        stored[40, 5, 6] = 9
    tracemalloc.start()
    try:
        part = io.read(tmp_path / "a.h5").read((slice(40, 41),) + (slice(None),) * 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert part[0, 5, 6] == 9
    assert peak < 4e6


@pytest.mark.parametrize(
    "key",
    ["t0/channel0", "entry1/data/data", "exported_data", "entry0000/reconstruction/x"],
)
def test_the_places_of_fiji_beamlines_and_ilastik_are_found(
    key: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    key = key.replace("/x", "/results/data")
    others = {"exchange__data_white": coordinates((5, 6, 7)) * 0}
    path = save(
        tmp_path / "a.h5", **others, **{key.replace("/", "__"): coordinates((5, 6, 7))}
    )
    assert np.array_equal(io.read(path).read(), coordinates((5, 6, 7)))


def test_a_second_channel_of_fiji_makes_it_a_choice(tmp_path: Path) -> None:
    voxels = np.zeros((5, 6, 7), np.uint8)
    path = save(tmp_path / "a.h5", t0__channel0=voxels, t0__channel1=voxels)
    with pytest.raises(InputError, match=r"choose one, as in a\.h5::t0/channel0: "):
        io.read(path)


def test_the_step_of_the_axes_of_nexus_is_the_voxel_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = file.create_group("entry/data")
        group.attrs["NX_class"] = "NXdata"
        group.attrs["signal"] = "data"
        group.attrs["axes"] = ["rotation_axis", "y", "x"]
        group["data"] = np.zeros((3, 4, 5), np.uint8)
        group["rotation_axis"] = [10.0, 12.0, 14.0]
        group["y"] = np.arange(4)[::-1] * 0.5
        group["x"] = np.arange(5) * 250.0
        for name, unit in (("rotation_axis", "um"), ("y", "µm"), ("x", "nm")):
            group[name].attrs["units"] = unit
    volume = io.read(tmp_path / "a.nxs")
    assert volume.spacing == pytest.approx((2000, 500, 250))
    assert volume.unit == "nanometer"
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        file["entry/data/y"][:] = [0, 1, 5, 6]  # slices at uneven places have no step
    assert io.read(tmp_path / "a.nxs").unit == "pixel"


def test_the_datasets_are_listed_for_a_choice_with_what_is_known_of_them(
    tmp_path: Path,
) -> None:
    path = save(
        tmp_path / "a.h5",
        raw=np.zeros((5, 6, 7), np.uint8),
        exchange__data=np.zeros((3, 4, 5), np.float32),
        angles=np.zeros(180),
        note="text",
        movie=np.zeros((2, 3, 4, 5), np.int16),
    )
    with h5py.File(path, "a") as file:
        file["raw"].attrs["element_size_um"] = (2, 0.5, 0.25)
        file["elsewhere"] = h5py.ExternalLink("b.h5", "/data")
    first, movie, raw = hdf5.datasets(path)
    # the usual place comes first
    assert (first.path, first.shape, first.dtype) == (
        "exchange/data",
        (3, 4, 5),
        "float32",
    )
    assert (first.spacing, first.unit) == ((1, 1, 1), "pixel")
    assert (raw.path, raw.spacing, raw.unit) == ("raw", (2, 0.5, 0.25), "micrometer")
    assert (movie.path, movie.frames) == ("movie", 2)
    for info in (first, raw):
        assert io.read(path, info.path).shape == info.shape


def test_the_list_of_datasets_is_bounded(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(300):
            file.create_dataset(f"g/{number}", (5, 6, 7), "u1")
    assert len(hdf5.datasets(tmp_path / "a.h5")) == 200
    with pytest.raises(InputError, match=r"several datasets; .*, …"):
        io.read(tmp_path / "a.h5")
