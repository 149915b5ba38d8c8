"""What a user can name as data, and what is made of it."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.gui.contributions import layers_of
from napari_cyclegan3d.gui.layers import to_layer_data
from napari_cyclegan3d.gui.source import (
    Source,
    gathered,
    open_domains,
    parse_region,
    region_text,
)
from napari_cyclegan3d.io.domains import open_domain, open_volume
from napari_cyclegan3d.io.origins import text_of
from napari_cyclegan3d.io.series import write_series

PART = (slice(2, 5), slice(None), slice(1, 7))


@pytest.fixture
def file(upright: Volume, tmp_path: Path) -> Path:
    io.write(upright, tmp_path / "scan.tif")
    return tmp_path / "scan.tif"


def layer_of(volume: Volume) -> Image:
    data, attributes, _ = to_layer_data(volume)
    return Image(data, **attributes)


def slices_in(folder: Path, count: int = 4) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"s{z}.tif" for z in range(count)]
    for z, path in enumerate(paths):
        io.write(Volume(np.full((1, 6, 7), z, np.uint8)), path)
    return paths


def test_a_file_and_its_layer_give_the_same_voxels_at_the_same_place(
    file: Path,
) -> None:
    (from_file,) = Source(str(file), PART).volumes()
    (from_layer,) = Source(layer_of(open_volume(str(file))), PART).volumes()
    assert np.array_equal(from_file.read(), from_layer.read())
    assert np.allclose(from_file.affine, from_layer.affine)
    assert from_file.metadata["region"] == from_layer.metadata["region"]


def test_what_the_command_line_gets_opens_the_same_volume(file: Path) -> None:
    layer = layer_of(open_volume(str(file)))
    for source in (Source(str(file), PART), Source(layer, PART), Source(layer)):
        text = source.text()
        assert text is not None
        (again,) = open_domain([text])
        (volume,) = source.volumes()
        assert np.array_equal(again.read(), volume.read())
        assert np.allclose(again.affine, volume.affine)


def test_a_layer_of_a_folder_of_slices_gives_its_folder(tmp_path: Path) -> None:
    slices_in(tmp_path / "stack")
    (volume,) = open_domain([str(tmp_path / "stack")])
    text = Source(layer_of(volume)).text()
    assert text is not None
    assert open_domain([text])[0].shape == volume.shape


def film(path: Path) -> Image:
    """A file of three frames, as napari shows it."""
    random = np.random.default_rng(0)
    frames = [Volume(random.normal(size=(6, 5, 8))) for _ in range(3)]
    write_series(frames, path)
    ((data, attributes, _),) = layers_of(str(path))
    return Image(data, **attributes)


@pytest.mark.parametrize("region", [None, PART])
@pytest.mark.parametrize("suffix", [".nii.gz", ".h5"])
def test_a_series_layer_gives_its_file_and_each_of_its_frames(
    suffix: str, region: Region | None, tmp_path: Path
) -> None:
    source = Source(film(tmp_path / f"film{suffix}"), region)
    text = source.text()
    assert text is not None
    assert "::0" not in text
    volumes = source.volumes()
    for again in (
        open_domain([text]),
        # what a run writes down of each volume
        open_domain([text_of(volume) or "" for volume in volumes]),
    ):
        for one, other in zip(again, volumes, strict=True):
            assert np.array_equal(one.read(), other.read())
            assert np.allclose(one.affine, other.affine)


def test_a_series_layer_that_its_file_no_longer_is_has_no_text(tmp_path: Path) -> None:
    shorter, changed = (film(tmp_path / "film.nii") for _ in range(2))
    shorter.data = shorter.data[1:]
    changed.data = np.asarray(changed.data) + 1
    assert Source(shorter).text() is Source(changed).text() is None
    # frame 0 of what is left was frame 1 of the file
    assert [text_of(volume) for volume in Source(shorter).volumes()] == [None] * 2


def test_times_of_one_channel_are_known_by_their_numbers_in_the_file(
    tmp_path: Path,
) -> None:
    voxels = np.arange(3 * 5 * 2 * 20 * 24, dtype=np.uint16).reshape(3, 5, 2, 20, 24)
    path = tmp_path / "stained.tif"
    tifffile.imwrite(path, voxels, imagej=True, metadata={"axes": "TZCYX"})
    layers = [Image(data, **attributes) for data, attributes, _ in layers_of(str(path))]
    for channel, layer in enumerate(layers):
        volumes = Source(layer).volumes()
        texts = [text_of(volume) for volume in volumes]
        assert texts == [f"{path}::{2 * t + channel}" for t in range(3)]
        for text, volume in zip(texts, volumes, strict=True):
            assert np.array_equal(open_volume(text or "").read(), volume.read())


def test_a_layer_that_no_file_holds_has_no_text(file: Path) -> None:
    made = Image(np.zeros((4, 5, 6)))
    moved = layer_of(open_volume(str(file)))
    moved.translate = np.array([1.0, 2.0, 3.0])
    changed = layer_of(open_volume(str(file)))
    changed.data = np.asarray(changed.data) * 2
    deleted = layer_of(open_volume(str(file)))
    assert [Source(one).text() for one in (made, moved, changed)] == [None] * 3
    file.unlink()
    assert Source(deleted).text() is None


def test_a_region_at_the_end_of_a_text_is_its_region(file: Path) -> None:
    source = Source(f"{file}[2:5,:,1:7]")
    assert source.item == str(file)
    assert source.region == PART
    assert source.text() == f"{file}[2:5,:,1:7]"
    assert source.name == "scan.tif"
    assert source == Source(str(file), PART)


def test_a_relative_path_stays_what_it_was_when_the_folder_changes(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Source.of(Path("scan.tif"))
    monkeypatch.chdir("/")
    assert source.text() == str(file)


@pytest.mark.parametrize("text", ["[2:5,:,1:7]", "2:5, :, 1:7", " [2:5,:,1:7] "])
def test_a_region_is_typed_with_or_without_brackets(text: str) -> None:
    assert parse_region(text) == PART


@pytest.mark.parametrize("text", ["", "  ", "[:,:,:]"])
def test_a_region_of_everything_is_none(text: str) -> None:
    assert parse_region(text) is None
    assert region_text(parse_region(text)) == ""


@pytest.mark.parametrize("text", ["5", "[1:2,3:4]", "1:2,x:3,:", "[1:2,3:4,5:6]0"])
def test_what_is_no_region_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"\[0:64,:,100:200\]"):
        parse_region(text)


@pytest.mark.parametrize("as_layer", [True, False])
def test_a_region_beyond_the_volume_is_refused(as_layer: bool, file: Path) -> None:
    item = layer_of(open_volume(str(file))) if as_layer else str(file)
    with pytest.raises(InputError, match="goes beyond"):
        Source(item, (slice(0, 999), slice(None), slice(None))).volumes()


def test_a_part_of_a_part_remembers_where_it_lies_in_the_file(file: Path) -> None:
    layer = layer_of(open_volume(f"{file}[4:12,:,:]"))
    text = Source(layer, PART).text()
    assert text == f"{file}[6:9,0:18,1:7]"


def test_slices_of_one_folder_are_one_source_and_other_files_are_not(
    file: Path, tmp_path: Path
) -> None:
    paths = slices_in(tmp_path / "stack [1]")
    kept = gathered([file, *paths])
    assert kept[0] == file
    (pattern,) = kept[1:]
    (volume,) = Source.of(pattern).volumes()
    assert volume.shape == (4, 6, 7)
    assert gathered(paths[1:]) == paths[1:]


def test_single_slices_beside_each_other_are_one_volume(tmp_path: Path) -> None:
    paths = slices_in(tmp_path / "stack")[:3]
    domains, _ = open_domains({"b": [Source.of(path) for path in paths]})
    assert [volume.shape for volume in domains.b] == [(3, 6, 7)]


def test_what_is_trained_on_is_left_out_of_the_validation_and_told(
    file: Path, tmp_path: Path
) -> None:
    upper, lower, near = (
        f"{file}{part}" for part in ("[0:8,:,:]", "[8:,:,:]", "[4:12,:,:]")
    )
    domains, said = open_domains(
        {"b": [Source(upper)], "validate_b": [Source(lower), Source(near)]}
    )
    assert [volume.metadata["region"][0] for volume in domains.validate_b] == [(8, 16)]
    assert len(said) == 1
    assert "left out" in said[0]
