"""OME-Zarr as others write it, and as it is written and gone on with here."""

import itertools
import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Planned, Region, Volume
from napari_cyclegan3d.io import ome_zarr
from napari_cyclegan3d.io.domains import open_domain

Coordinates = Callable[..., NDArray[Any]]

SHAPE = (40, 50, 60)
CHUNKS = (16, 20, 60)
JOB = {"model": "a1b2", "scale": 2, "config": {"precision": "fp32"}}
OBLIQUE = np.array(
    [[2.4, 0.1, -0.1, 11], [0.3, -0.5, 0.1, -7], [-0.2, 0.1, 0.3, 1 / 3], [0, 0, 0, 1]]
)


def scale(*numbers: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(numbers)}


def shift(*numbers: float) -> dict[str, Any]:
    return {"type": "translation", "translation": list(numbers)}


def axes(names: str = "zyx", unit: str | None = "micrometer") -> list[dict[str, str]]:
    kinds = {"t": "time", "c": "channel"}
    return [
        {"name": name, "type": kinds.get(name, "space")}
        | ({"unit": unit} if unit and name not in kinds else {})
        for name in names
    ]


def save(
    path: Path,
    voxels: NDArray[Any],
    version: str = "0.5",
    image: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """An image as other programs write it."""
    level = {"path": "s0", "coordinateTransformations": [scale(*[1] * voxels.ndim)]}
    stated = {"axes": axes("tczyx"[-voxels.ndim :]), "datasets": [level]}
    stated |= image or {}
    if version == "0.4":
        attributes: dict[str, Any] = {"multiscales": [{"version": "0.4", **stated}]}
        options |= {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    else:
        attributes = {"ome": {"version": version, "multiscales": [stated]}}
    form: Any = 2 if version == "0.4" else 3
    group = zarr.create_group(path, zarr_format=form, attributes=attributes)
    group.create_array("s0", data=voxels, **options)
    return path


KINDS: dict[str, dict[str, Any]] = {
    "0.4": {"version": "0.4"},
    "0.4 in chunks": {"version": "0.4", "chunks": (3, 7, 40)},
    "0.5": {},
    "0.5 in chunks": {"chunks": (3, 7, 40)},
    "0.5 in shards": {"chunks": (2, 8, 8), "shards": (4, 16, 40)},
    "uncompressed": {"compressors": None},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_is_read_as_z_y_x(
    kind: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 33, 40))
    volume = io.read(save(tmp_path / "a.zarr", voxels, **KINDS[kind]))
    assert volume.dtype == np.uint16
    assert np.array_equal(volume.read(), voxels)
    region = (slice(1, 4), slice(30, 3), slice(17, None, 3))
    assert volume.read(region).shape == (3, 0, 8)
    region = (slice(-2, None), slice(3, 30, 5), slice(17, 18))
    assert np.array_equal(volume.read(region), voxels[region])
    assert (volume.spacing, volume.unit) == ((1, 1, 1), "micrometer")
    assert io.can_read(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("leading", [(1,), (1, 1)])
def test_leading_axes_of_length_one_are_dropped_with_their_numbers(
    version: str, leading: tuple[int, ...], tmp_path: Path, coordinates: Coordinates
) -> None:
    ones = [7.0] * len(leading)
    steps = [scale(*ones, 2, 0.5, 0.25), shift(*ones, 10, 20, 30)]
    image = {"datasets": [{"path": "s0", "coordinateTransformations": steps}]}
    voxels = coordinates((*leading, 5, 6, 7))
    volume = io.read(save(tmp_path / "a.zarr", voxels, version, image))
    assert np.array_equal(volume.read(), voxels.reshape(5, 6, 7))
    assert volume.spacing == (2, 0.5, 0.25)
    assert volume.origin == (10, 20, 30)


def test_the_place_of_the_image_comes_on_top_of_that_of_its_level(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    steps = [scale(2, 3, 4), shift(1, 1, 1)]
    image = {
        "datasets": [{"path": "s0", "coordinateTransformations": steps}],
        "coordinateTransformations": [scale(10, 10, 0.5)],
    }
    volume = io.read(save(tmp_path / "a.zarr", coordinates((5, 6, 7)), "0.4", image))
    assert volume.spacing == (20, 30, 2)
    assert volume.origin == (10, 10, 0.5)


def test_axes_in_different_units_are_brought_to_that_of_x(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    units = ("millimeter", "nanometer", "micrometer")
    image = {
        "axes": [axes(a, unit)[0] for a, unit in zip("zyx", units, strict=True)],
        "datasets": [{"path": "s0", "coordinateTransformations": [scale(2, 500, 1)]}],
    }
    volume = io.read(save(tmp_path / "a.zarr", coordinates((5, 6, 7)), "0.5", image))
    assert volume.spacing == pytest.approx((2000, 0.5, 1))
    assert volume.unit == "micrometer"


def test_an_image_without_units_is_in_pixels(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    image = {"axes": axes(unit=None)}
    path = save(tmp_path / "a.zarr", coordinates((5, 6, 7)), "0.4", image)
    assert io.read(path).unit == "pixel"


def test_an_image_inside_a_collection_is_opened_by_its_own_folder(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    zarr.create_group(tmp_path / "all.zarr", attributes={"bioformats2raw.layout": 3})
    save(tmp_path / "all.zarr" / "0", coordinates((5, 6, 7)), "0.5")
    volume = io.read(tmp_path / "all.zarr" / "0")
    assert np.array_equal(volume.read(), coordinates((5, 6, 7)))
    with pytest.raises(InputError, match=r"is no OME-Zarr image .* give the folder"):
        io.read(tmp_path / "all.zarr")


def test_what_others_read_of_a_written_image_is_its_voxel_size_and_place(
    tmp_path: Path,
) -> None:
    volume = Volume(np.zeros((3, 4, 5), np.uint8), OBLIQUE, "millimeter")
    io.write(volume, tmp_path / "a.zarr")
    ome = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text(encoding="utf-8"))[
        "attributes"
    ]["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert image["axes"] == axes("zyx", "millimeter")
    (level,) = image["datasets"]
    spacing = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    first, second = level["coordinateTransformations"]
    assert first == scale(*spacing.tolist())
    assert second == shift(11, -7, 1 / 3)
    array = zarr.open_array(tmp_path / "a.zarr" / level["path"], mode="r")
    assert array.metadata.dimension_names == ("z", "y", "x")


def test_the_whole_affine_comes_back_unless_the_image_is_another_one(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    path = tmp_path / "a.zarr"
    io.write(Volume(coordinates((6, 4, 5)), OBLIQUE, "millimeter"), path)
    assert np.array_equal(io.read(path).affine, OBLIQUE)
    # a script that crops and copies all attributes
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    attributes["ome"]["multiscales"][0]["datasets"][0]["path"] = "s0"
    group = zarr.create_group(tmp_path / "crop.zarr", attributes=attributes)
    group.create_array("s0", data=coordinates((6, 4, 5))[2:])
    crop = io.read(tmp_path / "crop.zarr")
    assert np.array_equal(crop.affine[:3, :3], np.diag(crop.spacing))
    assert crop.spacing == pytest.approx(tuple(np.linalg.norm(OBLIQUE[:3, :3], axis=0)))


def test_folders_and_patterns_give_these_images_as_they_give_files(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    for name in ("b", "a"):
        io.write(Volume(coordinates((5, 6, 7))), tmp_path / f"{name}.zarr")
    for text in (f"{tmp_path}", f"{tmp_path}/*.zarr", f"{tmp_path}/**/*.zarr"):
        volumes = open_domain([text])
        assert [volume.name for volume in volumes] == ["a.zarr", "b.zarr"]
    (part,) = open_domain([f"{tmp_path}/a.zarr[2:4,:,1:3]"])
    assert np.array_equal(part.read(), coordinates((5, 6, 7))[2:4, :, 1:3])
    assert part.metadata["files"] == (str(tmp_path / "a.zarr"),)


def planned(shape: tuple[int, int, int] = SHAPE) -> Volume:
    return Volume(Planned(shape, np.dtype(np.float32)), OBLIQUE, "micrometer")


def regions() -> list[Region]:
    z, y, x = (
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(SHAPE, CHUNKS, strict=True)
    )
    return list(itertools.product(z, y, x))


def compute(region: Region) -> NDArray[np.float32]:
    """Voxels that depend on their place alone; those of the first chunk are all 0."""
    index = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    index[tuple(slice(side) for side in CHUNKS)] = 0
    return index[region]


class StoppedError(Exception):
    """Somebody pressed Stop."""


def begin(path: Path, chunks: int) -> None:
    """Write some chunks of an image and stop."""

    def stop() -> None:
        with ome_zarr.create(planned(), path, CHUNKS, JOB) as sink:
            for region in regions()[:chunks]:
                sink[region] = compute(region)
            raise StoppedError

    with pytest.raises(StoppedError):
        stop()


def go_on(path: Path) -> list[Region]:
    """Write the chunks that are left; gives their regions."""
    written = []
    with ome_zarr.create(planned(), path, CHUNKS, JOB) as sink:
        for region in regions():
            if not sink.is_done(region):
                sink[region] = compute(region)
                written.append(region)
    return written


EVERYTHING = (slice(None),) * 3


def test_a_stopped_image_is_gone_on_with_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    begin(path, 4)
    with pytest.raises(InputError, match="is not finished; give the command that bega"):
        io.read(path)
    assert go_on(path) == regions()[4:]
    assert np.array_equal(io.read(path).read(), compute(EVERYTHING))
    assert np.array_equal(io.read(path).affine, OBLIQUE)


def test_chunks_of_one_value_count_as_done(tmp_path: Path) -> None:
    begin(tmp_path / "a.zarr", 1)
    assert not compute(regions()[0]).any()
    assert ome_zarr.reopen(tmp_path / "a.zarr").is_done(regions()[0])
    assert not ome_zarr.reopen(tmp_path / "a.zarr").is_done(EVERYTHING)


def test_an_empty_file_that_a_power_failure_leaves_is_not_done(tmp_path: Path) -> None:
    begin(tmp_path / "a.zarr", 3)
    (tmp_path / "a.zarr" / "0" / "c" / "0" / "1" / "0").write_bytes(b"")
    assert go_on(tmp_path / "a.zarr") == [regions()[1], *regions()[3:]]


def test_another_job_and_a_finished_image_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    begin(path, 2)
    other = {**JOB, "scale": 4}
    for volume, job in ((planned(), other), (planned((40, 50, 61)), JOB)):
        with (
            pytest.raises(InputError, match="unfinished result of another job; finish"),
            io.create(volume, path, job),
        ):
            pass
    go_on(path)
    for job in (JOB, other):
        with (
            pytest.raises(InputError, match="exists already; replace it with --over"),
            io.create(planned(), path, job),
        ):
            pass
    assert np.array_equal(io.read(path).read(), compute(EVERYTHING))
    ome_zarr.remove(path)
    assert not list(tmp_path.iterdir())


def test_nothing_but_an_image_is_removed_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.zarr").mkdir()
    (tmp_path / "thesis.zarr" / "chapter1.tex").touch()
    (tmp_path / "file.zarr").touch()
    for name in ("thesis.zarr", "file.zarr"):
        with pytest.raises(InputError, match="already and no OME-Zarr image; choose"):
            io.write(Volume(np.zeros((2, 3, 4))), tmp_path / name)
        with pytest.raises(InputError, match="already and no OME-Zarr image"):
            ome_zarr.remove(tmp_path / name)
        with (
            pytest.raises(InputError, match="exists already"),
            io.create(planned(), tmp_path / name, JOB),
        ):
            pass
    assert (tmp_path / "thesis.zarr" / "chapter1.tex").exists()


def test_chunks_left_out_are_counted_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with (
        pytest.raises(InputError, match="8 of 9 chunks are not written; give the same"),
        ome_zarr.create(planned(), path, CHUNKS, JOB) as sink,
    ):
        sink[regions()[3]] = 1
    assert len(go_on(path)) == 8


def test_a_part_of_a_chunk_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    begin(tmp_path / "a.zarr", 0)
    sink = ome_zarr.reopen(tmp_path / "a.zarr")
    with pytest.raises(
        ValueError, match=r"parts of chunks; write whole chunks of \(16"
    ):
        sink[0:15, 0:20, 0:60] = 1
    assert not sink.is_done(regions()[0])


KILLED = """
import sys
from pathlib import Path
from tests_of_ome_zarr import CHUNKS, JOB, compute, planned, regions
from napari_cyclegan3d.io import ome_zarr

with ome_zarr.create(planned(), Path(sys.argv[1]), CHUNKS, JOB) as sink:
    while True:  # again and again, so that it is killed while it writes
        for region in regions()[:6]:
            sink[region] = compute(region)
            print(flush=True)
"""


def test_a_writer_killed_while_it_writes_leaves_only_whole_chunks(
    tmp_path: Path,
) -> None:
    shutil.copy(__file__, tmp_path / "tests_of_ome_zarr.py")
    path = tmp_path / "a.zarr"
    command = [sys.executable, "-c", KILLED, str(path)]
    for kill_after in (3, 5, 9):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as writer:
            assert writer.stdout is not None
            for _ in range(kill_after):
                writer.stdout.readline()
            time.sleep(0.001 * kill_after)
            writer.kill()
        sink = ome_zarr.reopen(path)
        done = [region for region in regions() if sink.is_done(region)]
        assert done
        for region in done:
            assert np.array_equal(sink[region], compute(region))
    go_on(path)
    assert np.array_equal(io.read(path).read(), compute(EVERYTHING))
    assert not list(path.rglob("*.partial"))


def write_share(sink: Any, share: list[Region]) -> None:
    for region in share:
        sink[region] = compute(region)


def test_two_processes_write_different_chunks_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    spawn = multiprocessing.get_context("spawn")
    with ome_zarr.create(planned(), path, CHUNKS, JOB) as sink:
        assert pickle.loads(pickle.dumps(sink)).shape == SHAPE
        shares = [regions()[::2], regions()[1::2]]
        with spawn.Pool(2) as pool:
            pool.starmap(write_share, [(sink, share) for share in shares])
    assert np.array_equal(io.read(path).read(), compute(EVERYTHING))


def test_a_full_disk_keeps_what_is_done_and_says_so(
    tmp_path: Path, limited: Callable[[int], Any]
) -> None:
    path = tmp_path / "a.zarr"
    noise = np.random.default_rng(0).random(SHAPE, np.float32)

    def write() -> None:
        with ome_zarr.create(planned(), path, CHUNKS, JOB) as sink:
            sink[regions()[0]] = 1
            sink[regions()[1]] = noise[regions()[1]]

    sentence = "could not be written .* what was done is kept: the same command goes on"
    with limited(20_000), pytest.raises(InputError, match=sentence):
        write()
    assert go_on(path) == regions()[1:]


@pytest.mark.parametrize("damage", ["lost", "cut off", "filled with noise"])
def test_a_damaged_chunk_is_refused_when_it_is_read(
    damage: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.zarr"
    begin(path, 0)
    go_on(path)
    chunk = path / "0" / "c" / "1" / "0" / "0"
    content = chunk.read_bytes()
    chunk.unlink()
    if damage == "cut off":
        chunk.write_bytes(content[: len(content) // 2])
    elif damage == "filled with noise":
        chunk.write_bytes(bytes(range(256)) * 10)
    volume = io.read(path)
    assert np.array_equal(volume.read(regions()[0]), compute(regions()[0]))
    with pytest.raises(InputError, match=r"a\.zarr: (has lost some|is no OME-Zarr im)"):
        volume.read(regions()[3])


def test_a_volume_goes_to_another_process(tmp_path: Path) -> None:
    io.write(Volume(compute(EVERYTHING)), tmp_path / "a.zarr")
    volume = pickle.loads(pickle.dumps(io.read(tmp_path / "a.zarr")))
    assert np.array_equal(volume.read(), compute(EVERYTHING))


def levels_of(path: Path) -> list[tuple[Any, NDArray[Any], NDArray[Any]]]:
    """Voxels, scale and translation of each level, as any program reads them."""
    group = zarr.open_group(path, mode="r")
    attributes: Any = dict(group.attrs)
    (image,) = attributes.get("ome", attributes)["multiscales"]
    found = []
    for level in image["datasets"]:
        scaled, shifted = level["coordinateTransformations"]
        place = np.array(scaled["scale"]), np.array(shifted["translation"])
        found.append((group[level["path"]], *place))
    return found


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_every_voxel_of_every_level_lies_where_its_voxels_have_their_mean(
    version: str, tmp_path: Path
) -> None:
    spacing, origin = np.array([3.0, 0.5, 0.25]), np.array([-7.0, 40.0, 1 / 3])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    index = np.indices((20, 300, 273)).reshape(3, -1).T
    # each voxel holds its own world position
    world = (index * spacing + origin) @ [1.0, 10.0, 100.0]
    voxels = world.reshape(20, 300, 273)
    metadata = {"ome_zarr_version": version}
    path = tmp_path / "a.zarr"
    io.write(Volume(voxels, affine, "micrometer", metadata=metadata), path)
    levels = levels_of(path)
    shapes = [array.shape for array, _, _ in levels]
    # 20 planes are too few to be halved
    assert shapes == [(20, 300, 273), (20, 150, 137), (20, 75, 69)]
    for array, scaled, shifted in levels:
        index = np.indices(array.shape).reshape(3, -1).T
        world = (index * scaled + shifted) @ [1.0, 10.0, 100.0]
        whole = np.ones(array.shape, bool)
        # beyond the last whole pair there is but a part
        whole[:, :, -1] = array.shape[2] == 273
        got = np.asarray(array[:])[whole]
        assert np.allclose(got, world.reshape(array.shape)[whole], atol=1e-9)
    assert np.array_equal(io.read(path).read(), voxels)
    assert np.allclose(io.read(path).affine, affine)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float16"])
def test_a_level_is_the_rounded_mean_of_eight_voxels(
    dtype: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    top = 2 if dtype == "bool" else 200
    voxels = random.integers(0, top, (40, 136, 32)).astype(dtype)
    io.write(Volume(voxels), tmp_path / "a.zarr")
    (_, level) = (
        np.asarray(array[:]) for array, _, _ in levels_of(tmp_path / "a.zarr")
    )
    eight = voxels.astype(float).reshape(20, 2, 68, 2, 16, 2).mean((1, 3, 5))
    assert level.dtype == dtype
    assert np.abs(level.astype(float) - eight).max() <= {
        "bool": 0.5,
        "uint64": 2,
        "float16": 0.1,
    }.get(dtype, 0.5)


def test_the_largest_numbers_of_64_bits_stay_in_the_pyramid(tmp_path: Path) -> None:
    top = np.iinfo(np.uint64).max
    io.write(Volume(np.full((32, 130, 32), top, np.uint64)), tmp_path / "a.zarr")
    (_, level) = (array[:] for array, _, _ in levels_of(tmp_path / "a.zarr"))
    assert (level == top).all()


def test_a_pyramid_that_was_interrupted_is_finished_by_the_same_job(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.zarr"
    volume = Volume(Planned((40, 150, 140), np.dtype(np.uint8)))
    noise = np.random.default_rng(0).integers(0, 255, (40, 150, 140), np.uint8)

    with ome_zarr.create(volume, path, None, JOB) as sink:
        for region in sink.parts():
            sink[region] = noise[region]
    expected = [np.asarray(array[:]) for array, _, _ in levels_of(path)]
    # as a process leaves it that was killed while it made the pyramid
    content = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    content["attributes"]["napari_cyclegan3d"]["state"] = "unfinished"
    (path / "zarr.json").write_text(json.dumps(content), encoding="utf-8")
    lost = path / "1" / "c" / "0" / "0" / "0"
    lost.unlink()
    with pytest.raises(InputError, match="is not finished"):
        io.read(path)
    with ome_zarr.create(volume, path, None, JOB) as sink:
        assert sink.progress() == (8, 8)
    assert lost.is_file()
    for (array, _, _), before in zip(levels_of(path), expected, strict=True):
        assert np.array_equal(array[:], before)
    assert np.array_equal(io.read(path).read(), noise)


def test_a_large_image_is_written_in_shards_that_are_done_or_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.zarr"
    shape = (70, 150, 140)
    volume = Volume(Planned(shape, np.dtype(np.float32)), OBLIQUE, "micrometer")
    noise = np.random.default_rng(0).random(shape, np.float32)

    def write(most: int) -> list[Region]:
        written = []
        with ome_zarr.create(volume, path, None, JOB, sharded_from=0) as sink:
            assert sink.chunks == (64, 128, 128)
            for region in sink.parts():
                if sink.is_done(region):
                    continue
                if len(written) == most:
                    raise StoppedError
                sink[region] = noise[region]
                written.append(region)
        return written

    with pytest.raises(StoppedError):
        write(1)
    first = ome_zarr.reopen(path).progress()
    assert 0 < first[0] < first[1]
    write(99)
    assert np.array_equal(io.read(path).read(), noise)
    array = levels_of(path)[0][0]
    assert (array.chunks, array.shards) == ((64, 64, 64), (64, 128, 128))
    assert len([one for one in (path / "0" / "c").rglob("*") if one.is_file()]) == 8
    assert np.array_equal(pickle.loads(pickle.dumps(io.read(path))).read(), noise)


def test_only_images_beyond_four_gigabytes_are_sharded(tmp_path: Path) -> None:
    sizes = {(1024, 1024, 1024): (32, 128, 128), (1024, 1024, 1025): (64, 128, 128)}
    for shape, files in sizes.items():
        begun = Volume(Planned(shape, np.dtype(np.float32)))
        path = tmp_path / f"{shape[2]}.zarr"
        with pytest.raises(StoppedError), ome_zarr.create(begun, path, None, JOB):
            raise StoppedError
        assert ome_zarr.reopen(path).chunks == files


def test_version_0_4_is_written_for_older_programs_and_gone_on_with(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.zarr"
    volume = planned()
    older = Volume(
        volume.array, OBLIQUE, "micrometer", metadata={"ome_zarr_version": "0.4"}
    )

    def write(most: int) -> None:
        with ome_zarr.create(older, path, CHUNKS, JOB) as sink:
            todo = [region for region in regions() if not sink.is_done(region)]
            for region in todo[:most]:
                sink[region] = compute(region)
            if len(todo) > most:
                raise StoppedError

    with pytest.raises(StoppedError):
        write(4)
    with (
        pytest.raises(InputError, match="unfinished result of another job"),
        ome_zarr.create(volume, path, CHUNKS, JOB),
    ):
        pass
    write(99)
    attributes = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
    assert attributes["multiscales"][0]["version"] == "0.4"
    array = json.loads((path / "0" / ".zarray").read_text(encoding="utf-8"))
    assert (array["zarr_format"], array["dimension_separator"]) == (2, "/")
    again = io.read(path)
    assert np.array_equal(again.read(), compute(EVERYTHING))
    assert np.array_equal(again.affine, OBLIQUE)
    # what was 0.4 goes back as 0.4
    io.write(again, tmp_path / "b.zarr")
    assert (tmp_path / "b.zarr" / ".zattrs").is_file()


def test_making_a_pyramid_needs_little_memory(tmp_path: Path) -> None:
    shape = (256, 512, 512)
    path = tmp_path / "a.zarr"
    volume = Volume(Planned(shape, np.dtype(np.float32)))
    tracemalloc.start()
    try:
        with ome_zarr.create(volume, path, sharded_from=0) as sink:
            for region in sink.parts():
                sink[region] = np.float32(1)
            tracemalloc.reset_peak()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(levels_of(path)) == 3
    assert peak < 4 * 256 * 512 * 512 / 4
