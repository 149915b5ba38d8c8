"""Layers remember the file that they came from, and results do not claim it."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from napari.layers import Image, Layer

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.contributions import read
from napari_cyclegan3d.gui.layers import result_layer_data, to_volume
from napari_cyclegan3d.io.origins import text_of

VOXELS = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)


def opened(path: Path) -> Image:
    io.write(Volume(VOXELS), path)
    ((data, attributes, kind),) = read(str(path))
    return Layer.create(data, attributes, kind)


def test_a_layer_that_the_reader_opened_tells_its_file(tmp_path: Path) -> None:
    layer = opened(tmp_path / "scan.nii.gz")
    assert text_of(to_volume(layer)) == str((tmp_path / "scan.nii.gz").resolve())


def test_a_result_of_the_same_size_is_not_taken_for_the_file_of_its_source(
    tmp_path: Path,
) -> None:
    layer = opened(tmp_path / "scan.tif")
    volume = to_volume(layer)
    result = volume.resampled(-volume.read(), Fraction(1))
    data, attributes, kind = result_layer_data(layer, result, Fraction(1))
    shown = Layer.create(data, attributes, kind)
    assert text_of(to_volume(shown)) is None
    np.testing.assert_allclose(to_volume(shown).affine, volume.affine)
