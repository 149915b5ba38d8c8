"""Files that cannot be used are refused with one sentence, and quietly."""

import gzip
import io as memory
import json
import os
import pickle
import shutil
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import mrcfile
import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume

VOXELS = np.arange(5 * 20 * 24, dtype=np.uint16).reshape(5, 20, 24)
NOISE = np.random.default_rng(0).integers(0, 2**16, (5, 20, 24), np.uint16)


def missing(path: Path) -> None:
    pass


def folder_without_tiff(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("scan of Monday", encoding="utf-8")


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("This is no image.\n" * 100, encoding="utf-8")


def written(path: Path) -> bytes:
    suffix = path.suffix
    if suffix in (".png", ".bmp", ".jpg", ".jpeg"):
        Image.fromarray(NOISE[0].astype(np.uint8)).save(path)
    elif suffix == ".pt":
        torch.save(torch.ones(20, 24), path)
    elif suffix == ".nxs":
        path.write_bytes(written(path.with_suffix(".h5")))
    elif not io.can_write(path):
        text(path)
    else:
        io.write(Volume(NOISE), path)
    return b"" if path.is_dir() else path.read_bytes()


def half(path: Path) -> None:
    path.write_bytes(written(path)[:2500])


def without_last_voxels(path: Path) -> None:
    data = written(path)
    path.write_bytes(data[: len(data) - 40])


def voxels_after_the_headers_cut(path: Path) -> None:
    """One header for all slices, as ImageJ writes beyond 4 GB, and then the voxels."""
    tifffile.imwrite(path, NOISE, imagej=True, metadata={"axes": "ZYX"}, truncate=True)
    path.write_bytes(path.read_bytes()[:-40])


def compressed_voxels_cut(path: Path) -> None:
    tifffile.imwrite(path, NOISE[0], compression="zlib", metadata=None)
    path.write_bytes(path.read_bytes()[:-40])


def pages_in_a_circle(path: Path) -> None:
    """The last page header points to the first one."""
    tifffile.imwrite(path, NOISE[0], metadata=None)
    data = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", data, 8)
    struct.pack_into("<I", data, 10 + tags * 12, 8)
    path.write_bytes(data)


def compressed_half(path: Path) -> None:
    tifffile.imwrite(path, NOISE, compression="zlib")
    path.write_bytes(path.read_bytes()[:2500])


def one_page_lost(path: Path) -> None:
    tifffile.imwrite(path, VOXELS, metadata=None)
    path.write_bytes(path.read_bytes()[:-100])


def colours(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((5, 20, 24, 3), np.uint8), photometric="rgb")


def channels(path: Path) -> None:
    voxels = np.zeros((5, 2, 20, 24), np.uint8)
    tifffile.imwrite(path, voxels, imagej=True, metadata={"axes": "ZCYX"})


def two_channels(path: Path) -> None:
    voxels = np.zeros((2, 20, 24), np.uint8)
    tifffile.imwrite(path, voxels, imagej=True, metadata={"axes": "CYX"})


def movie(path: Path) -> None:
    voxels = np.zeros((3, 5, 20, 24), np.uint8)
    tifffile.imwrite(path, voxels, imagej=True, metadata={"axes": "TZYX"})


def images_of_two_sizes(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((5, 20, 24), np.uint8))
        writer.write(np.zeros((6, 8), np.uint8))


def complex_voxels(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((5, 20, 24), np.complex64))


def x_last(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((5, 20, 24), np.uint8), metadata={"axes": "YXZ"})


def no_codec(path: Path) -> None:
    """A stack of an unknown compression (a private code)."""
    tifffile.imwrite(path, VOXELS, compression="zlib")
    data = bytearray(path.read_bytes())
    tag = struct.pack("<HHI", 259, 3, 1)
    at = data.find(tag)
    while at >= 0:
        data[at + 8 : at + 10] = struct.pack("<H", 34661)
        at = data.find(tag, at + 1)
    path.write_bytes(data)


def vast_tiff(path: Path) -> None:
    """Two billion rows and columns promised, a few bytes there."""
    tifffile.imwrite(path, NOISE, compression="zlib", metadata=None)
    data = bytearray(path.read_bytes())
    for code in (256, 257, 278):
        at = data.find(struct.pack("<HHI", code, 4, 1))
        while at >= 0:
            data[at + 8 : at + 12] = struct.pack("<I", 2**31 - 1)
            at = data.find(struct.pack("<HHI", code, 4, 1), at + 1)
    path.write_bytes(data)


def missing_ome_file(path: Path) -> None:
    tifffile.imwrite(path, VOXELS, ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata or ""
    xml = xml.replace('<TiffData IFD="0" PlaneCount="5"/>', OTHER_FILE)
    tifffile.imwrite(path, VOXELS[:1], description=xml, metadata=None)


OTHER_FILE = (
    '<TiffData IFD="0" FirstZ="0" PlaneCount="1"/>'
    '<TiffData IFD="0" FirstZ="1" PlaneCount="4">'
    '<UUID FileName="other.ome.tif">urn:uuid:0</UUID></TiffData>'
)


def cut_ome_text(path: Path) -> None:
    """The voxels are all there, the text with their size is not."""
    io.write(Volume(NOISE.astype(np.int16), unit="micrometer"), path)
    path.write_bytes(path.read_bytes()[:-500])


def half_of_noise(path: Path) -> None:
    data = written(path)
    path.write_bytes(data[: len(data) // 2])


def packed_but_short(path: Path) -> None:
    """An intact gzip file with half of the voxels in it."""
    plain = path.with_name("plain.nii")
    path.write_bytes(gzip.compress(written(plain)[:2000]))


def renamed_to_gz(path: Path) -> None:
    path.write_bytes(written(path.with_name("plain.nii")))


def renamed_from_gz(path: Path) -> None:
    path.write_bytes(written(path.with_name("packed.nii.gz")))


def nifti(path: Path, *changes: tuple[str, object]) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((4, 5, 6))
    header.set_data_dtype(np.int16)
    for field, value in changes:
        header[field] = value
    data = header.binaryblock + bytes(4 + 2 * 4 * 5 * 6)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def vast(path: Path) -> None:
    nifti(path, ("dim", [3, 30000, 30000, 30000, 1, 1, 1, 1]), ("vox_offset", 352))


def vast_beyond_32_bits(path: Path) -> None:
    """The size noted at the end of gzip files fits, as that counts modulo 2^32."""
    header = nib.Nifti1Header()
    header.set_data_shape((16384, 16384, 8))
    header.set_data_dtype(np.int16)
    header["vox_offset"] = 352
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)))


def negative(path: Path) -> None:
    nifti(path, ("dim", [3, -4, -5, 6, 1, 1, 1, 1]))


def frames(path: Path) -> None:
    nifti(path, ("dim", [4, 4, 5, 3, 2, 1, 1, 1]))


def rgb_voxels(path: Path) -> None:
    nifti(path, ("dim", [3, 4, 5, 2, 1, 1, 1, 1]), ("datatype", 128), ("bitpix", 24))


def unknown_type(path: Path) -> None:
    nifti(path, ("datatype", 77))


def flat_affine(path: Path) -> None:
    nifti(path, ("sform_code", 1))


def far_extension(path: Path) -> None:
    nifti(path, ("vox_offset", 2.0**30))


def nan_offset(path: Path) -> None:
    nifti(path, ("vox_offset", np.nan))


def pair_header(path: Path) -> None:
    nifti(path, ("magic", b"ni1"))


def without_dataset(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["notes/text"] = "scan of Monday"
        file["angles"] = np.zeros(180)


def two_datasets(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["raw"], file["rec"] = VOXELS, VOXELS


def channels_first(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.stack([VOXELS, VOXELS])


def complex_dataset(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((5, 6, 7), np.complex64)


def table(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((5, 6, 7), [("grey", "u1"), ("mask", "u1")])


def texts(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = [[["a", "b"]]]


def empty_dataspace(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = h5py.Empty("uint8")


def vast_hdf5(path: Path) -> None:
    """Voxels of which none was ever written."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (9999, 9999, 9999), "uint8", chunks=(64, 64, 64))


def vast_chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        shape = (4, 4, 4)
        chunk = (512, 512, 4096)
        file.create_dataset("data", shape, "u1", chunks=chunk, maxshape=(None,) * 3)


def flat_hdf5(path: Path) -> None:
    io.write(Volume(VOXELS), path)
    with h5py.File(path, "a") as file:
        file["data"].attrs["affine_zyx"] = np.zeros((4, 4))


def png_of_16_bit_colours(path: Path) -> None:
    path.write_bytes(png_start(24, 20, 16, 2))


def vast_png(path: Path) -> None:
    path.write_bytes(png_start(2**31 - 1, 2**31 - 1, 8, 0))


def png_start(width: int, height: int, bits: int, colours: int) -> bytes:
    grey = memory.BytesIO()
    Image.fromarray(NOISE[0]).save(grey, "png")
    head = struct.pack(">IIBB", width, height, bits, colours)
    return grey.getvalue()[:16] + head + grey.getvalue()[26:]


class Harm:
    """Would make a file if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("harm_was_done",)


def pickle_with_code(path: Path) -> None:
    torch.save(Harm(), path)


def dictionary(path: Path) -> None:
    torch.save({"slice": torch.zeros(20, 24)}, path)


def old_tensor(path: Path) -> None:
    torch.save(torch.zeros(20, 24), path, _use_new_zipfile_serialization=False)


def stack_of_tensors(path: Path) -> None:
    torch.save(torch.zeros(5, 20, 24), path)


def repeated_tensor(path: Path) -> None:
    """Ten billion values that share the place of one."""
    torch.save(torch.zeros(1).expand(100_000, 100_000), path)


def complex_tensor(path: Path) -> None:
    torch.save(torch.zeros(20, 24, dtype=torch.complex64), path)


def packed_tensor(path: Path) -> None:
    """A zip archive whose content is compressed, and unpacks to any size."""
    torch.save(torch.zeros(2000, 2000), path)
    with zipfile.ZipFile(path) as stored:
        content = {name: stored.read(name) for name in stored.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in content.items():
            packed.writestr(name, data)


def describe(path: Path, **changes: object) -> None:
    """A written OME-Zarr with other attributes of its image."""
    io.write(Volume(NOISE, unit="micrometer"), path)
    content = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    del content["attributes"]["napari_cyclegan3d"]
    content["attributes"]["ome"]["multiscales"][0] |= changes
    (path / "zarr.json").write_text(json.dumps(content), encoding="utf-8")


def placed_by(path: Path, **step: object) -> None:
    level = {"path": "0", "coordinateTransformations": [step]}
    describe(path, datasets=[level])


def zero_scale(path: Path) -> None:
    placed_by(path, type="scale", scale=[1, 0, 1])


def short_scale(path: Path) -> None:
    placed_by(path, type="scale", scale=[1, 1])


def rotated(path: Path) -> None:
    placed_by(path, type="rotation", rotation=[1, 0, 0, 1])


def far_away_array(path: Path) -> None:
    level = {"path": "../b.zarr/0", "coordinateTransformations": []}
    describe(path, datasets=[level])


def lost_array(path: Path) -> None:
    describe(path, datasets=[{"path": "1", "coordinateTransformations": []}])


def mixed_units(path: Path) -> None:
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    describe(path, axes=[axes[0] | {"unit": "micrometer"}, *axes[1:]])


def x_first(path: Path) -> None:
    describe(path, axes=[{"name": name, "type": "space"} for name in "xyz"])


def five_axes(path: Path) -> None:
    step = {"type": "scale", "scale": [1, 1, 1, 1, 1]}
    level = {"path": "0", "coordinateTransformations": [step]}
    axes = [{"name": name, "type": "space"} for name in "tczyx"]
    describe(path, axes=axes, datasets=[level])


def no_axes(path: Path) -> None:
    describe(path, axes=7)


def future_version(path: Path) -> None:
    describe(path)
    text = (path / "zarr.json").read_text(encoding="utf-8")
    (path / "zarr.json").write_text(text.replace('"0.5"', '"0.9"'), encoding="utf-8")


def cut_metadata(path: Path) -> None:
    io.write(Volume(NOISE), path)
    text = (path / "zarr.json").read_text(encoding="utf-8")
    (path / "zarr.json").write_text(text[: len(text) // 2], encoding="utf-8")


def cut_array_metadata(path: Path) -> None:
    io.write(Volume(NOISE), path)
    (path / "0" / "zarr.json").write_text("{", encoding="utf-8")


def vast_metadata(path: Path) -> None:
    path.mkdir()
    with (path / "zarr.json").open("wb") as file:
        file.truncate(2**40)


def changed_array(path: Path, **changes: object) -> None:
    io.write(Volume(NOISE), path)
    content = json.loads((path / "0" / "zarr.json").read_text(encoding="utf-8"))
    (path / "0" / "zarr.json").write_text(
        json.dumps(content | changes), encoding="utf-8"
    )


def vast_chunks(path: Path) -> None:
    sides = {"chunk_shape": [99999, 99999, 99999]}
    changed_array(path, chunk_grid={"name": "regular", "configuration": sides})


def unknown_codec(path: Path) -> None:
    changed_array(path, codecs=[{"name": "magic", "configuration": {}}])


def empty_zarr(path: Path) -> None:
    path.mkdir()


def bare_array(path: Path) -> None:
    zarr.create_array(path, data=VOXELS)


def channels_zarr(path: Path) -> None:
    step = {"type": "scale", "scale": [1, 1, 1, 1]}
    level = {"path": "0", "coordinateTransformations": [step]}
    axes = [{"name": name, "type": "space"} for name in "czyx"]
    image = {"axes": axes, "datasets": [level]}
    ome = {"version": "0.5", "multiscales": [image]}
    group = zarr.create_group(path, attributes={"ome": ome})
    group.create_array("0", data=np.stack([VOXELS, VOXELS]))


def complex_zarr(path: Path) -> None:
    describe(path)
    shutil.rmtree(path / "0")
    zarr.create_array(path / "0", data=NOISE.astype(np.complex64))


def pickles(path: Path) -> None:
    """Voxels that run a program when they are decoded."""
    step = {"type": "scale", "scale": [1, 1, 1]}
    level = {"path": "0", "coordinateTransformations": [step]}
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    image = {"version": "0.4", "axes": axes, "datasets": [level]}
    group = zarr.create_group(path, zarr_format=2, attributes={"multiscales": [image]})
    group.create_array("0", shape=(1, 1, 1), dtype="u1", compressors=None)
    content = json.loads((path / "0" / ".zarray").read_text(encoding="utf-8"))
    content["compressor"] = {"id": "pickle"}
    (path / "0" / ".zarray").write_text(json.dumps(content), encoding="utf-8")
    (path / "0" / "0.0.0").write_bytes(pickle.dumps(Harm()))


def pickled_objects(path: Path) -> None:
    np.save(path, np.array([Harm()], dtype=object), allow_pickle=True)


def vast_npy(path: Path) -> None:
    header = {"descr": "<u2", "fortran_order": False, "shape": (9999, 9999, 9999)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))


def vast_npy_header(path: Path) -> None:
    """A header of four billion bytes, most of them not there."""
    path.write_bytes(b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + b"{" * 1000)


def program_as_npy_header(path: Path) -> None:
    header = b"__import__('os').mkdir('harm_was_done')".ljust(118) + b"\n"
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)


def unclosed_npy_header(path: Path) -> None:
    header = b"{'descr': '<u2', 'shape': (5".ljust(118) + b"\n"
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)


def complex_npy(path: Path) -> None:
    np.save(path, np.zeros((5, 6, 7), np.complex64))


def fields_npy(path: Path) -> None:
    np.save(path, np.zeros((5, 6, 7), [("grey", "u1"), ("mask", "u1")]))


def row_of_values(path: Path) -> None:
    np.save(path, np.zeros(7))


def no_values(path: Path) -> None:
    np.save(path, np.zeros((5, 0, 7)))


def frames_npy(path: Path) -> None:
    np.save(path, np.stack([VOXELS, VOXELS]))


def fortran_frames(path: Path) -> None:
    np.save(path, np.asfortranarray(np.stack([VOXELS, VOXELS])))


def misplaced(path: Path) -> None:
    """Voxels with a sidecar that is none."""
    np.save(path, VOXELS)
    path.with_name(f"{path.name}.json").write_text(
        '{"spacing": [1, 0, 1]}', encoding="utf-8"
    )


def mrc_with(path: Path, **changes: object) -> None:
    io.write(Volume(NOISE, unit="micrometer"), path)
    with mrcfile.open(path, "r+") as file:
        for field, value in changes.items():
            file.header[field] = value


def vast_mrc(path: Path) -> None:
    mrc_with(path, nx=30000, ny=30000, nz=30000)


def overflowing_mrc(path: Path) -> None:
    mrc_with(path, nx=2**31 - 1, ny=2**31 - 1, nz=2**31 - 1)


def vast_extended_header(path: Path) -> None:
    mrc_with(path, nsymbt=2**31 - 1)


def negative_mrc(path: Path) -> None:
    mrc_with(path, ny=-20)


def complex_mrc(path: Path) -> None:
    mrc_with(path, mode=4)


def half_bytes(path: Path) -> None:
    mrc_with(path, mode=101)


def same_axis_twice(path: Path) -> None:
    mrc_with(path, mapc=1, mapr=1)


def slanted(path: Path) -> None:
    mrc_with(path, cellb=(90, 90, 120))


def volumes_mrc(path: Path) -> None:
    mrc_with(path, nz=4, mz=2, ispg=401)


def undescribed(path: Path) -> None:
    path.write_bytes(NOISE.tobytes())


def described(path: Path, text: str) -> None:
    path.write_bytes(NOISE.tobytes())
    path.with_name(f"{path.name}.json").write_text(text, encoding="utf-8")


def too_large_layout(path: Path) -> None:
    described(path, '{"shape": [6, 20, 24]}')


def too_small_layout(path: Path) -> None:
    described(path, '{"shape": [5, 20, 20], "offset": 100}')


def no_layout(path: Path) -> None:
    described(path, "scan of Monday")


def list_as_layout(path: Path) -> None:
    described(path, "[5, 20, 24]")


def unknown_key(path: Path) -> None:
    described(path, '{"shape": [5, 20, 24], "voxel": 3}')


def unknown_unit(path: Path) -> None:
    described(path, '{"shape": [5, 20, 24], "unit": "furlong"}')


def no_directions(path: Path) -> None:
    described(path, '{"shape": [5, 20, 24], "directions": [[1,0,0],[1,0,0],[0,0,1]]}')


def infinite_spacing(path: Path) -> None:
    described(path, '{"shape": [5, 20, 24], "spacing": [1, 1, Infinity]}')


def deep_layout(path: Path) -> None:
    described(path, "[" * 100_000)


def vast_layout(path: Path) -> None:
    described(path, '{"shape": [999999999999, 999999999999, 999999999999]}')


def vast_sidecar(path: Path) -> None:
    described(path, "")
    with path.with_name(f"{path.name}.json").open("wb") as file:
        file.truncate(2**40)


def inks(path: Path) -> None:
    Image.new("CMYK", (24, 20)).save(path)


def vast_jpeg(path: Path) -> None:
    Image.fromarray(NOISE[0].astype(np.uint8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack(">HH", 20, 24), b"\xff" * 4))


CASES: list[tuple[Callable[[Path], None], str, str]] = [
    (missing, "a.tif", "no such file or folder; check the path"),
    (missing, "a.nii", "no such file"),
    (folder_without_tiff, "slices", r"holds no \.tif or \.tiff file"),
    (text, "a.txt", r"known are \.tif, \.tiff, \.nii, \.nii\.gz, \.h5"),
    (text, "a.gz", "known are"),
    (empty, "a.tif", "0 bytes"),
    (empty, "a.nii", "0 bytes"),
    (empty, "a.nii.gz", "0 bytes"),
    (text, "a.tif", "is no TIFF image"),
    (text, "a.nii", "is no NIfTI image"),
    (text, "a.nii.gz", r"is not compressed with gzip; rename it .*\.nii"),
    (half, "a.tif", "is cut off: parts of the"),
    (compressed_half, "a.tif", "is cut off: parts of the"),
    (voxels_after_the_headers_cut, "a.tif", "is cut off: parts of the"),
    (compressed_voxels_cut, "a.tif", "is cut off: parts of the"),
    (pages_in_a_circle, "a.tif", "is no TIFF image"),
    (one_page_lost, "a.tif", "is cut off: parts of the"),
    (cut_ome_text, "a.tif", "is cut off"),
    (missing_ome_file, "a.ome.tif", "slices are in other files"),
    (vast_tiff, "a.tif", "promises .* bytes of voxels"),
    (colours, "a.tif", "colour or multi-channel image .*5 Q × 3 S.*; save one"),
    (channels, "a.tif", "2 C.*Split Channels"),
    (two_channels, "a.tif", "2 C.*Split Channels"),
    (movie, "a.tif", "4 axes .*3 T × 5 Z"),
    (images_of_two_sizes, "a.tif", r"holds 2 images .*\(5, 20, 24\), \(6, 8\)"),
    (complex_voxels, "a.tif", "complex64 are no grey values"),
    (x_last, "a.tif", "axes are stored as YXZ"),
    (no_codec, "a.tif", "compressed with JBIG, .* `pip install imagecodecs`"),
    (half, "a.nii", "its header promises 5152 bytes and 2500 are there"),
    (without_last_voxels, "a.nii", "promises 5152 bytes and 5112 are there"),
    (half_of_noise, "a.nii.gz", "inside its compressed data"),
    (packed_but_short, "a.nii.gz", "promises 5152 bytes and 2000 are there"),
    (renamed_to_gz, "a.nii.gz", "is not compressed with gzip"),
    (renamed_from_gz, "a.nii", r"is compressed with gzip; rename it .*\.nii\.gz"),
    (vast, "a.nii", "promises 54000000000352 bytes"),
    (vast, "a.nii.gz", "promises 54000000000352 bytes"),
    (vast_beyond_32_bits, "a.nii.gz", "promises 4294967648 bytes"),
    (negative, "a.nii", r"shape \(-4, -5, 6\)"),
    (frames, "a.nii", "4D image of 2 frames"),
    (rgb_voxels, "a.nii", "no grey values"),
    (unknown_type, "a.nii", "is no NIfTI image"),
    (flat_affine, "a.nii", "affine in its header cannot be inverted"),
    (far_extension, "a.nii.gz", "is no NIfTI image"),
    (nan_offset, "a.nii", "is no NIfTI image"),
    (pair_header, "a.nii", "is no NIfTI image"),
    (empty, "a.h5", "0 bytes"),
    (text, "a.h5", "is no HDF5 file that can be read"),
    (half, "a.h5", "is no HDF5 file that can be read .*cut off"),
    (without_last_voxels, "a.h5", "is no HDF5 file that can be read .*cut off"),
    (without_dataset, "a.hdf5", "holds no dataset of grey values"),
    (two_datasets, "a.nxs", r"several datasets; choose one, as in a\.nxs::raw"),
    (channels_first, "a.h5", r"data: has shape \(2, 5, 20, 24\); save one channel"),
    (complex_dataset, "a.h5", "type complex64 are no grey values"),
    (table, "a.h5", "are no grey values"),
    (texts, "a.h5", "are no grey values"),
    (empty_dataspace, "a.h5", "no grey values"),
    (vast_hdf5, "a.h5", "promises 999700029999 bytes"),
    (vast_chunk, "a.h5", "promises 1073741824 bytes"),
    (flat_hdf5, "a.h5", "attribute affine_zyx cannot be inverted"),
    (empty, "a.png", "0 bytes"),
    (text, "a.png", "is no PNG image"),
    (png_of_16_bit_colours, "a.png", "is a colour image"),
    (vast_png, "a.png", "promises 2147483647 × 2147483647 pixels"),
    (empty, "a.pt", "0 bytes"),
    (text, "a.pt", "is no tensor that can be read safely"),
    (half, "a.pt", "is no tensor that can be read safely"),
    (pickle_with_code, "a.pt", "is no tensor that can be read safely"),
    (dictionary, "a.pt", "is no tensor that can be read safely"),
    (old_tensor, "a.pt", "is no tensor that can be read safely .*PyTorch 1.6"),
    (packed_tensor, "a.pt", "is no tensor that can be read safely"),
    (stack_of_tensors, "a.pt", r"tensor of shape \(5, 20, 24\); save one slice"),
    (repeated_tensor, "a.pt", r"promises \(100000, 100000\) values"),
    (complex_tensor, "a.pt", "complex64 are no grey values"),
    (missing, "a.zarr", "no such file or folder"),
    (text, "a.zarr", "is a file; an OME-Zarr is a folder"),
    (empty_zarr, "a.zarr", r"holds no zarr\.json, \.zattrs or \.zgroup"),
    (bare_array, "a.zarr", r"no multiscales in its attributes\); give the folder"),
    (cut_metadata, "a.zarr", "is no OME-Zarr image that can be read"),
    (cut_array_metadata, "a.zarr", "is no OME-Zarr image that can be read"),
    (vast_metadata, "a.zarr", "is too large for attributes"),
    (future_version, "a.zarr", r"is OME-Zarr 0\.9; known are 0\.4 and 0\.5"),
    (no_axes, "a.zarr", "is no OME-Zarr image that can be read"),
    (x_first, "a.zarr", "has the axes x y z; save it with z y x"),
    (five_axes, "a.zarr", "does not fit its axes"),
    (channels_zarr, "a.zarr", r"shape \(2, 5, 20, 24\); save one channel"),
    (mixed_units, "a.zarr", "in micrometer and pixel cannot be compared"),
    (zero_scale, "a.zarr", r"scale of \[1\.0, 0\.0, 1\.0\] places no image"),
    (short_scale, "a.zarr", "its scale has not one number per axis"),
    (rotated, "a.zarr", "is placed by 'rotation'"),
    (far_away_array, "a.zarr", r"takes its voxels from '\.\./b\.zarr/0', outside"),
    (lost_array, "a.zarr", "could not be read|is no OME-Zarr image that can be"),
    (vast_chunks, "a.zarr", "chunks of shape .* at most 1 GiB"),
    (unknown_codec, "a.zarr", "is no OME-Zarr image that can be read"),
    (complex_zarr, "a.zarr", "type complex64, which are no grey values"),
    (pickles, "a.zarr", "is no OME-Zarr image that can be read"),
    (text, "a.npy", "is no array of NumPy that can be read"),
    (half, "a.npy", "header promises 4928 bytes and 2500 are there"),
    (pickled_objects, "a.npy", "values of type object are no grey values"),
    (vast_npy, "a.npy", "promises 1999400060126 bytes and 228 are there"),
    (vast_npy_header, "a.npy", "is no array of NumPy"),
    (program_as_npy_header, "a.npy", "is no array of NumPy"),
    (unclosed_npy_header, "a.npy", "is no array of NumPy"),
    (complex_npy, "a.npy", "type complex64 are no grey values"),
    (fields_npy, "a.npy", "are no grey values"),
    (row_of_values, "a.npy", r"has shape \(7,\); save an array with the axes z y x"),
    (no_values, "a.npy", r"has shape \(5, 0, 7\)"),
    (frames_npy, "a.npy", r"\(2, 5, 20, 24\), 2 volumes; choose .* a\.npy::0"),
    (fortran_frames, "a.npy", r"\(2, 5, 20, 24\) in Fortran's order"),
    (misplaced, "a.npy", r"a\.npy\.json: does not describe a\.npy \(setting spacing"),
    (text, "a.mrc", "is no MRC image that can be read"),
    (half, "a.mrc", "header promises 5824 bytes and 2500 are there"),
    (vast_mrc, "a.mrc", "header promises 54000000001024 bytes"),
    (overflowing_mrc, "a.rec", "header promises 1980704.* bytes"),
    (vast_extended_header, "a.map", "header promises 2147489471 bytes"),
    (negative_mrc, "a.mrc", r"states 24 × -20 × 5 voxels"),
    (complex_mrc, "a.mrc", "holds complex numbers of mode 4"),
    (half_bytes, "a.mrc", "holds 4 bits of mode 101"),
    (same_axis_twice, "a.mrc", "names its axes 1, 1 and 3"),
    (slanted, "a.mrc", "has the angles 90, 90, 120 degrees; resample"),
    (volumes_mrc, "a.mrc", r"holds 2 volumes; choose one, as in a\.mrc::0"),
    (undescribed, "a.raw", r"need a description; write a\.raw\.json beside"),
    (undescribed, "a.vol", r"need a description; write a\.vol\.json beside"),
    (too_large_layout, "a.raw", r"need 5760; what fits: shape \[5, 20, 24\];"),
    (too_small_layout, "a.raw", r"need 4100; what fits: offset 800$"),
    (no_layout, "a.raw", r"a\.raw\.json: does not describe a\.raw \(Expecting value"),
    (list_as_layout, "a.raw", "is no list of values such as"),
    (unknown_key, "a.raw", "unknown setting 'voxel'; known are"),
    (unknown_unit, "a.raw", "unit 'furlong' is no length; use one of"),
    (no_directions, "a.raw", "no three independent vectors"),
    (infinite_spacing, "a.raw", "spacing.* = inf"),
    (deep_layout, "a.raw", "does not describe"),
    (vast_layout, "a.raw", "has 4800 bytes, and 999999999999 × .* need 19999"),
    (vast_sidecar, "a.raw", "it is too large for a description"),
    (text, "a.bmp", "is no BMP picture that can be read"),
    (text, "a.jpg", "is no JPEG picture that can be read"),
    (inks, "a.jpeg", "is a colour image"),
    (vast_jpeg, "a.jpg", "is no JPEG picture that can be read .*larger than"),
    (empty, "a.dcm", "0 bytes"),
    (text, "a.dcm", "is no DICOM image that can be read"),
]


@pytest.mark.parametrize(
    ("make", "name", "sentence"),
    CASES,
    ids=[f"{make.__name__}-{name}" for make, name, _ in CASES],
)
def test_what_cannot_be_read_is_refused_in_one_quiet_sentence(
    make: Callable[[Path], None],
    name: str,
    sentence: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / name
    monkeypatch.chdir(tmp_path)
    make(path)
    left = sorted(tmp_path.iterdir())
    capfd.readouterr()
    caplog.clear()
    recwarn.clear()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=sentence) as refusal:
            io.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(refusal.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not recwarn.list
    assert peak < 20e6
    assert sorted(tmp_path.iterdir()) == left


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """A folder open to everybody, and no rights to do everything."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions are POSIX ones")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)


@pytest.mark.parametrize("suffix", io.READABLE_SUFFIXES)
def test_a_file_that_may_not_be_read_is_named(suffix: str) -> None:
    with ordinary_user() as folder:
        path = folder / f"private{suffix}"
        written(path)
        path.chmod(0)
        with pytest.raises(InputError, match=r"private.*Permission denied.*check"):
            io.read(path)


def test_a_file_in_a_closed_folder_is_named() -> None:
    with ordinary_user() as folder:
        closed = folder / "closed"
        closed.mkdir()
        written(closed / "a.tif")
        closed.chmod(0)
        with pytest.raises(InputError, match=r"a\.tif.*Permission denied"):
            io.read(closed / "a.tif")
        with pytest.raises(InputError, match=r"closed: .*Permission denied"):
            io.read(closed)
        assert not io.can_read(closed)
        closed.chmod(0o700)


def test_a_protected_file_is_not_replaced() -> None:
    with ordinary_user() as folder:
        before = written(folder / "raw.nii")
        (folder / "raw.nii").chmod(0o444)
        with pytest.raises(InputError, match=r"raw\.nii: could not be .*Permission"):
            io.write(Volume(NOISE), folder / "raw.nii")
        assert (folder / "raw.nii").read_bytes() == before


def test_a_compressed_stack_damaged_in_its_voxels_is_refused_when_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        at = tif.pages[3].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[at : at + 8] = b"\xff" * 8
    path.write_bytes(data)
    volume = io.read(path)
    assert np.array_equal(volume.read((slice(0, 3),) + (slice(None),) * 2), NOISE[:3])
    with pytest.raises(InputError, match=r"a\.tif: is no TIFF image .*damaged"):
        volume.read()
