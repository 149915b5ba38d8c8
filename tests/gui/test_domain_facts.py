"""What is found out about a source before anything is trained on it."""

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QSize

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.gui.domains.counts import Counts, common_range, count, densities
from napari_cyclegan3d.gui.domains.facts import MOST_READ, describe, look_at
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.gui.thumbnails import (
    LONGEST_SIDE,
    PLANES,
    SIDE,
    sampled_planes,
    thumbnail,
    to_icon,
)


class Counting:
    """A large volume that is made where it is read, and counts what is read."""

    dtype = np.dtype(np.uint8)
    shape = (4000, 6000, 5000)

    def __init__(self) -> None:
        self.read = 0

    def __getitem__(self, region: Region) -> np.ndarray:
        sizes = [
            len(range(*p.indices(n))) for p, n in zip(region, self.shape, strict=True)
        ]
        self.read += int(np.prod(sizes))
        return np.ones(sizes, np.uint8)


def test_of_a_huge_volume_a_bounded_part_is_read() -> None:
    source = Counting()
    planes = sampled_planes(Volume(source))
    assert len(planes) == PLANES
    assert source.read == PLANES * LONGEST_SIDE**2


def test_a_flat_volume_is_sampled_once() -> None:
    plane = np.arange(12).reshape(1, 3, 4)
    (read,) = sampled_planes(Volume(plane))
    assert np.array_equal(read, plane[0])


@pytest.mark.parametrize("shape", [(3, 200), (200, 3), (40, 40), (1, 1), (1000, 999)])
def test_a_thumbnail_is_small_and_goes_from_black_to_white(
    shape: tuple[int, int],
) -> None:
    plane = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) * 3 + 1e6
    grey = thumbnail([plane])
    assert max(grey.shape) <= SIDE
    assert grey.min() == 0
    assert grey.max() == (255 if grey.size > 1 else 0)


def test_values_that_are_no_numbers_do_not_spoil_a_thumbnail() -> None:
    plane = np.linspace(0, 1, 400).reshape(20, 20)
    plane[3, 4], plane[5, 6] = np.nan, np.inf
    assert thumbnail([plane]).max() == 255
    assert thumbnail([np.full((4, 5), np.nan)]).max() == 0


def test_an_icon_keeps_the_proportions(qapp: object) -> None:
    icon = to_icon(np.zeros((10, 20), np.uint8))
    assert icon.availableSizes() == [QSize(SIDE, SIDE // 2)]


def test_counts_of_integers_have_a_bin_for_each_value() -> None:
    values = np.array([[3, 3, 5], [7, 7, 7]], np.uint16)
    counts = count([values])
    assert counts is not None
    assert np.array_equal(counts.counts, [2, 0, 1, 0, 3])
    assert np.array_equal(counts.edges, np.arange(6) + 2.5)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_coarse_shares_of_two_rows_are_those_of_all_their_voxels(kind: type) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, high, 50_000).astype(kind) for high in (120, 256)]
    counts = [found for part in parts if (found := count([part]))]
    edges = np.arange(0, 257, 16) - 0.5
    expected, _ = np.histogram(np.concatenate(parts), edges)
    assert np.allclose(densities(counts, edges), expected / 100_000, atol=2e-3)


def test_counts_are_of_a_million_voxels_at_most() -> None:
    counts = count(np.ones((1000, 900), np.uint8) for _ in range(4))
    assert counts is not None
    assert counts.counts.sum() == 900_000


def test_values_that_are_no_numbers_are_not_counted() -> None:
    counts = count([np.array([1, np.nan, 2, np.inf])])
    assert counts is not None
    assert counts.counts.sum() == 2
    assert count([np.array([np.nan])]) is None
    assert count([]) is None


def test_a_few_outliers_do_not_squeeze_the_histogram() -> None:
    values = np.random.default_rng(1).normal(0, 1, 100_000)
    values[:5] = 1e6
    low, high = common_range([counts] if (counts := count([values])) else [])
    assert -10 < low < -2
    assert high < 2000


def test_a_range_of_one_value_is_still_a_range() -> None:
    low, high = common_range([Counts(np.array([2.0, 2.0]), np.array([9.0]))])
    assert low < high


def test_facts_of_a_file_name_shape_voxel_size_and_type(
    upright: Volume, tmp_path: Path
) -> None:
    io.write(upright, tmp_path / "scan.tif")
    facts = look_at(Source(str(tmp_path / "scan.tif")))
    assert describe(facts) == "16 × 18 × 20 · 2 × 1 × 1.5 µm · float32"
    assert facts.thumbnail is not None
    assert facts.counts is not None
    assert facts.remarks == ()
    (known,) = facts.volumes
    assert np.allclose(known.affine, upright.affine)


def test_facts_keep_no_voxels(upright: Volume) -> None:
    layer = Image(upright.read())
    (known,) = look_at(Source(layer)).volumes
    assert known.shape == upright.shape
    assert known.array is not layer.data
    assert not known.read().any()


def test_facts_are_of_the_region() -> None:
    voxels = np.zeros((8, 10, 12), np.uint8)
    voxels[2:4] = np.arange(12)
    part = (slice(2, 4), slice(None), slice(0, 6))
    facts = look_at(Source(Image(voxels), part))
    assert describe(facts).startswith("2 × 10 × 6 · ")
    assert facts.counts is not None
    assert facts.counts.edges[-1] == 5.5


def test_a_folder_of_volumes_is_counted_and_not_read_whole(tmp_path: Path) -> None:
    for number in range(MOST_READ + 2):
        voxels = np.random.default_rng(number).integers(0, 9, (3, 4, 5 + number % 2))
        io.write(Volume(voxels.astype(np.uint8)), tmp_path / f"{number:02d}.tif")
    facts = look_at(Source(str(tmp_path)))
    assert describe(facts).startswith(f"{MOST_READ + 2} volumes · 3 × 4 × 5 and others")
    assert len(facts.fingerprints) == MOST_READ
    assert len(set(facts.fingerprints)) == MOST_READ


@pytest.mark.parametrize(("value", "word"), [(7.0, "all voxels"), (np.nan, "NaN")])
def test_a_volume_that_nothing_can_be_learnt_from_is_told(
    value: float, word: str
) -> None:
    voxels = np.full((5, 6, 7), value, np.float32)
    (remark,) = look_at(Source(Image(voxels, name="empty"))).remarks
    assert word in remark
    assert "empty" in remark


def test_a_file_that_is_none_is_told_and_does_not_stop_others(tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"no tiff")
    facts = look_at(Source(str(tmp_path / "broken.tif")))
    assert "broken.tif" in facts.error
    assert describe(facts) == facts.error
    assert facts.volumes == ()
