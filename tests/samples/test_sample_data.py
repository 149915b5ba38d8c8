from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d import io, samples
from napari_cyclegan3d.samples.__main__ import main

Image = NDArray[Any]
BUNDLED = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All samples, made by the documented command in a folder that is not there yet."""
    folder = tmp_path_factory.mktemp("samples") / "new"
    main([str(folder)])
    return folder


@pytest.fixture(scope="module")
def fast() -> Image:
    return io.read(BUNDLED / "fibre_fast.tif").read().astype(float)


@pytest.fixture(scope="module")
def truth() -> Image:
    return io.read(BUNDLED / "fibre_fast_truth.tif").read().astype(float)


def psnr(image: Image, truth: Image) -> float:
    """In dB, after the gain and offset that fit best; range is that of the truth."""
    gain, offset = np.polyfit(image.ravel(), truth.ravel(), 1)
    error = np.sqrt(((gain * image + offset - truth) ** 2).mean())
    return 20 * np.log10((truth.max() - truth.min()) / error)


def test_the_command_writes_every_sample_and_nothing_else(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted(samples.SAMPLES)


def test_a_folder_that_cannot_be_made_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "taken"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main([str(file)])
    assert stop.value.code == 2
    assert f"{file}: cannot be made" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_the_bundled_files_are_what_the_command_writes(
    written: Path, name: str
) -> None:
    bundled, new = io.read(BUNDLED / name), io.read(written / name)
    assert bundled.dtype == new.dtype
    difference = bundled.read().astype(int) - new.read().astype(int)
    # arithmetic may round differently on another machine
    assert np.abs(difference).max() <= 1
    np.testing.assert_allclose(bundled.affine, new.affine, atol=1e-6)
    assert bundled.unit == new.unit


def test_the_bundled_files_take_less_than_15_megabytes() -> None:
    sizes = [(BUNDLED / name).stat().st_size for name in samples.SAMPLES]
    assert sum(sizes) < 15e6


@pytest.mark.parametrize("name", ["fibre_fast", "fibre_fast_truth", "fibre_slow"])
def test_composite_scans_carry_their_voxel_size_in_micrometres(name: str) -> None:
    volume = io.read(BUNDLED / f"{name}.tif")
    assert volume.shape == (96, 128, 128)
    assert volume.dtype == np.uint16
    assert volume.spacing == pytest.approx((1.6, 1.6, 1.6), rel=1e-5)
    assert volume.unit == "micrometer"


@pytest.mark.parametrize("name", ["head_t1", "head_t2"])
def test_the_oblique_affine_of_the_head_survives_the_file(name: str) -> None:
    volume = io.read(BUNDLED / f"{name}.nii.gz")
    assert volume.shape == (72, 96, 80)
    assert volume.unit == "millimeter"
    np.testing.assert_allclose(volume.affine, samples.oblique_affine(), atol=1e-4)
    assert volume.spacing == pytest.approx((2.4, 2, 2), rel=1e-5)


def test_the_head_lies_oblique_by_15_degrees_about_two_axes() -> None:
    directions = samples.oblique_affine()[:3, :3] / samples.HEAD_SPACING
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    assert np.linalg.det(directions) == pytest.approx(1)
    angles = np.degrees(np.arccos(np.diag(directions)))
    assert angles[0] == pytest.approx(15)
    assert angles[2] == pytest.approx(15)
    middle = samples.oblique_affine() @ [35.5, 47.5, 39.5, 1]
    np.testing.assert_allclose(middle[:3], 0, atol=1e-9)


def test_names_of_the_volumes_are_those_of_their_files() -> None:
    for name, make in samples.SAMPLES.items():
        assert make().name == name.split(".")[0]


def test_the_composite_has_the_fibre_content_and_porosity_that_the_page_states(
    truth: Image,
) -> None:
    assert (truth > 33_000).mean() == pytest.approx(0.16, abs=0.01)
    assert (truth < 12_000).mean() == pytest.approx(0.02, abs=0.003)


def test_the_fast_and_the_slow_scan_show_different_specimens(truth: Image) -> None:
    slow = io.read(BUNDLED / "fibre_slow.tif").read().astype(float)
    assert abs(np.corrcoef(slow.ravel(), truth.ravel())[0, 1]) < 0.1


def test_the_fast_scan_is_as_noisy_as_stated_and_a_gaussian_helps(
    fast: Image, truth: Image
) -> None:
    raw = psnr(fast, truth)
    assert 14 < raw < 18
    blurred = {s: psnr(ndimage.gaussian_filter(fast, s), truth) for s in (0.8, 1.2, 2)}
    assert blurred[1.2] > raw + 3
    assert blurred[1.2] > max(blurred[0.8], blurred[2])


def test_the_best_gaussian_leaves_edges_blurred(fast: Image, truth: Image) -> None:
    blurred = ndimage.gaussian_filter(fast, 1.2)
    gain, offset = np.polyfit(blurred.ravel(), truth.ravel(), 1)
    edges = ndimage.gaussian_gradient_magnitude(truth, 1)
    at_edges = edges > np.quantile(edges, 0.9)
    steepness = ndimage.gaussian_gradient_magnitude(gain * blurred + offset, 1)
    assert steepness[at_edges].mean() < 0.7 * edges[at_edges].mean()
