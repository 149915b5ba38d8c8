import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.evidence import Confirmed, ObjectEvidence
from napari_cyclegan3d.engine.hallucination.gathering import Gatherer, Objects
from napari_cyclegan3d.engine.hallucination.store import blocks, finer
from napari_cyclegan3d.engine.volume import Shape

SHAPE: Shape = (24, 40, 32)


def measured(
    labels: NDArray[np.int32], values: NDArray[np.float64]
) -> list[ObjectEvidence]:
    """A test whose sums are those of `values` over the object."""
    found = []
    for number in range(1, int(labels.max()) + 1):
        inside = labels == number
        places = np.argwhere(inside)
        z, y, x = places.mean(0)
        brightest = places[values[inside].argmax()]
        found.append(
            ObjectEvidence(
                label=number,
                score=float(values[inside].sum()),
                energy=float(inside.sum()),
                voxels=int(inside.sum()),
                centroid=(z, y, x),
                centre=tuple(brightest.tolist()),
                contrast_enhanced=float(values[inside].mean()),
            )
        )
    return found


def gathered(
    labels: NDArray[np.int32], side: int, halo: int, scale: int = 1, splits: int = 0
) -> Objects:
    z, y, x = (size // scale for size in labels.shape)
    values = np.random.default_rng(5).uniform(1, 2, labels.shape)
    gatherer = Gatherer((z, y, x), scale, splits)
    for block in blocks((z, y, x), side, halo):
        place = finer(block.read, scale)
        # blocks number what they find each in its own way
        _, own = np.unique(labels[place], return_inverse=True)
        own = own.reshape(labels[place].shape).astype(np.int32)
        if labels[place].min() > 0:
            own += 1
        owned = gatherer.own(own, block)
        found = measured(owned.labels, values[place])
        again = {
            one.label: Confirmed(2 * one.score, 4 * one.energy, 0.5) for one in found
        }
        gatherer.add(owned, found, [again] * splits)
    return gatherer.gathered()


def scattered(shape: Shape = SHAPE) -> NDArray[np.int32]:
    """Boxes of up to 5 voxels that do not overlap."""
    random = np.random.default_rng(1)
    labels = np.zeros(shape, np.int32)
    number = 0
    for _ in range(200):
        start = random.integers(0, np.array(shape) - 4)
        stop = start + random.integers(1, 6, 3)
        place = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        if not labels[place].any():
            number += 1
            labels[place] = number
    return labels


def same_parts(one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    """Whether two volumes of labels differ in their numbers only."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()], 1), axis=0)
    return all(len(np.unique(column)) == len(pairs) for column in pairs.T)


@pytest.mark.parametrize(("side", "scale"), [(7, 1), (13, 1), (6, 2)])
def test_each_object_is_found_once_whatever_the_blocks(side: int, scale: int) -> None:
    labels = scattered()
    assert labels.max() > 60

    whole = gathered(labels, 64, 0, scale)
    tiled = gathered(labels, side, 8 // scale, scale)

    assert same_parts(whole.labels, labels)
    assert same_parts(tiled.labels, labels)
    for name in ("score", "energy", "contrast"):
        np.testing.assert_allclose(
            np.sort(getattr(tiled, name)), np.sort(getattr(whole, name))
        )


def test_rows_belong_to_their_labels() -> None:
    objects = gathered(scattered(), 9, 8)

    sizes = np.bincount(objects.labels.ravel())[1:]
    np.testing.assert_allclose(objects.energy, sizes)
    at = objects.labels[tuple(objects.centre.T)]
    assert at.tolist() == list(range(1, len(objects) + 1))


def test_an_object_larger_than_the_halo_is_put_together() -> None:
    labels = np.zeros((16, 16, 64), np.int32)
    labels[6:9, 6:9, 2:62] = 1
    labels[12:14, 12:14, 30:34] = 2

    whole, tiled = gathered(labels, 64, 0), gathered(labels, 12, 3)

    assert same_parts(tiled.labels, labels)
    np.testing.assert_allclose(np.sort(tiled.score), np.sort(whole.score))
    np.testing.assert_allclose(np.sort(tiled.contrast), np.sort(whole.contrast))


def test_an_object_that_one_block_sees_whole_is_not_found_in_parts_again() -> None:
    labels = np.zeros((16, 16, 48), np.int32)
    labels[6:9, 6:9, 17:35] = 1  # whole in the middle block, cut in the others

    objects = gathered(labels, 16, 4)

    assert len(objects) == 1
    assert same_parts(objects.labels, labels)
    assert objects.energy.tolist() == [(labels > 0).sum()]


def test_a_volume_that_is_one_object_is_one_object() -> None:
    objects = gathered(np.ones((12, 12, 12), np.int32), 5, 2)

    assert objects.energy.tolist() == [12**3]


def test_nothing_found_is_no_object() -> None:
    objects = gathered(np.zeros((8, 8, 8), np.int32), 5, 2)

    assert len(objects) == 0
    assert not objects.labels.any()


@pytest.mark.parametrize("splits", [1, 4])
def test_further_splits_say_less_each_as_they_share_noise(splits: int) -> None:
    objects = gathered(scattered(), 9, 8, splits=splits)

    assert objects.independent
    np.testing.assert_allclose(objects.agreement, 0.5)
    factor = splits / ((splits + 1) / 2)
    np.testing.assert_allclose(objects.score_again, factor * 2 * objects.score)
    np.testing.assert_allclose(objects.energy_again, factor * 4 * objects.energy)


def test_the_order_of_blocks_does_not_matter_for_what_is_found() -> None:
    labels = np.zeros((16, 16, 48), np.int32)
    labels[6:9, 6:9, 17:35] = 1
    values = np.ones(labels.shape)
    for order in itertools.permutations(blocks((16, 16, 48), 16, 4)):
        gatherer = Gatherer((16, 16, 48), 1)
        for block in order:
            owned = gatherer.own(labels[block.read], block)
            gatherer.add(owned, measured(owned.labels, values[block.read]))

        assert gatherer.gathered().energy.tolist() == [(labels > 0).sum()]
