"""Random training patches from two domains of volumes.

Each patch of a training has a number, and its own source of randomness made from the
seed and that number. So the state of a sampler is how many it has drawn, patches can be
drawn ahead of time, and several processes draw different ones without a word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cyclegan3d.engine.augment import (
    Margins,
    Patch,
    Plane,
    augmented,
    draw_augmentation,
    margins,
    noisy,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.degrade import noise_deviation, reduced
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.pairing import matched
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume

TRIES = 20
CACHE_BYTES = 2**31
# voxel sizes that differ by less are the same for a rotation
SPACING_TOLERANCE = 0.02
PLANES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, eq=False)
class Batch:
    """Normalised patches of both domains.

    Attributes:
        real_a: (batch, 1, z, y, x); for 2D networks (batch, 1, rows, columns).
        real_b: The same of B, `scale` times as large.
        paired: Whether real_b shows the same place as real_a.
    """

    real_a: Tensor
    real_b: Tensor
    paired: bool = False


@dataclass(frozen=True, eq=False)
class NormalisedVolume:
    """A volume of a domain and the intensity transform that goes with it.

    Attributes:
        volume: Where the voxels are read.
        intensity: From grey values to numbers around zero.
        noise: Deviation of noise that each patch gets, in normalised units.
    """

    volume: Volume
    intensity: Intensity
    noise: float = 0.0


# volumes that show the same place, the grid of each a multiple of the first one's
Group = tuple[NormalisedVolume, ...]


def slices_first(volume: Volume, axis: Literal["z", "y", "x"]) -> Volume:
    """The same voxels at the same places, seen with `axis` as the first array axis.

    Lazy. The other two axes keep their order; the world stays (z, y, x).
    """
    number = "zyx".index(axis)
    order = (number, *(other for other in range(3) if other != number))
    affine = volume.affine[:, [*order, 3]]
    z, y, x = (volume.axis_labels[one] for one in order)
    array = _Transposed(volume.array, order)
    return replace(volume, array=array, affine=affine, axis_labels=(z, y, x))


class GroupSampler:
    """Draws patches, uniformly over all places where a patch fits.

    Args:
        groups: Volumes that are read at the same place.
        patch: Voxels of a patch of a group's first volume (z, y, x).
        config: What is drawn again, and random changes of patches.
    """

    def __init__(
        self, groups: Sequence[Group], patch: Shape, config: TrainConfig
    ) -> None:
        self.groups, self.patch = groups, patch
        self.augment, self.least = config.augment, config.sampling.min_content
        shapes = [group[0].volume.shape for group in groups]
        self.scales = (1, config.scale)[: len(groups[0])]
        places = np.prod(np.array(shapes) - patch + 1, axis=1, dtype=np.float64)
        self.chances = places / places.sum()
        planes = PLANES if config.dims == 3 else PLANES[2:]
        volumes = [one.volume for group in groups for one in group]
        self.angle_planes = [one for one in planes if _isotropic(volumes, one)]
        self.turn_planes = [
            one for one in self.angle_planes if patch[one[0]] == patch[one[1]]
        ]

    def draw(self, rng: np.random.Generator) -> list[Patch]:
        """A normalised, augmented patch (z, y, x) of each volume of a group.

        Patches of which one shows nothing, or holds voxels without a value, are drawn
        again up to 20 times.

        Args:
            rng: The only source of randomness.
        """
        change = draw_augmentation(
            self.augment, self.turn_planes, self.angle_planes, rng
        )
        shapes = [_times(self.patch, scale) for scale in self.scales]
        around = [margins(change, shape) for shape in shapes]
        for _ in range(TRIES):
            group, start = self._place(rng)
            raw = [
                _read(one.volume, _times(start, scale), shape, margin)
                for one, scale, shape, margin in zip(
                    group, self.scales, shapes, around, strict=True
                )
            ]
            blocks = [
                one.intensity.apply(grey) for one, grey in zip(group, raw, strict=True)
            ]
            if self._shows_something(raw, blocks):
                break
        return [
            noisy(augmented(block, change, shape), one.noise, rng)
            for one, block, shape in zip(group, blocks, shapes, strict=True)
        ]

    def _place(self, rng: np.random.Generator) -> tuple[Group, Shape]:
        group = self.groups[rng.choice(len(self.groups), p=self.chances)]
        z, y, x = (
            int(rng.integers(size - side + 1))
            for size, side in zip(group[0].volume.shape, self.patch, strict=True)
        )
        return group, (z, y, x)

    def _shows_something(
        self, raw: list[NDArray[np.generic]], blocks: list[Patch]
    ) -> bool:
        return all(np.isfinite(grey).all() for grey in raw) and all(
            block.std() >= self.least for block in blocks
        )


class PatchSampler:
    """Patches of A and B: independent of each other, or of the same places.

    With `sampling.pairs`, and for srgan, volumes of A and B are paired by their names.
    For srgan A may be empty: it is made from B, see `degrade`, with B's intensities.
    Both members of a pair get the same changes, but for the noise, which A alone gets:
    B is what results shall look like. 2D networks see the volumes with `slice_axis`
    first. The volumes of a domain that fit a cache of 2 GiB together are read once;
    others are read patch by patch.

    Args:
        domain_a: Volumes of A.
        domain_b: Volumes of B, whose patches are `scale` times as large.
        config: Settings of the training: patch, scale, sampling, augmentation.
        seed: Seed of all draws.

    Raises:
        InputError: A patch does not fit a volume, or volumes that should be pairs are
            none.
    """

    def __init__(
        self,
        domain_a: Sequence[NormalisedVolume],
        domain_b: Sequence[NormalisedVolume],
        config: TrainConfig,
        seed: int,
    ) -> None:
        self.seed, self.drawn = seed, 0
        self.config = config
        self.paired = config.sampling.pairs or config.method == "srgan"
        if domain_a and self.paired:
            domain_b = _in_order(domain_a, domain_b, config.scale)
        check_patches(
            [one.volume for one in domain_a], [one.volume for one in domain_b], config
        )
        a, b = _seen(domain_a, config), _seen(domain_b, config)
        b = _cached(b)
        a = _cached(a or [_made_from(one, config) for one in b])
        sources: list[tuple[Sequence[Group], Shape]]
        if self.paired:
            sources = [(list(zip(a, b, strict=True)), config.patch)]
        else:
            sources = [
                ([(one,) for one in a], config.patch),
                ([(one,) for one in b], config.patch_b),
            ]
        self.samplers = [
            GroupSampler(groups, patch, config) for groups, patch in sources
        ]

    def draw(self, batch: int) -> Batch:
        """The next `batch` patches of each domain."""
        self.drawn += batch
        return self.numbered(range(self.drawn - batch, self.drawn))

    def numbered(self, numbers: Iterable[int]) -> Batch:
        """The patches of each domain with these numbers, from 0: always the same."""
        real_a, real_b = zip(*(self._pair(number) for number in numbers), strict=True)
        return Batch(self._stacked(real_a), self._stacked(real_b), self.paired)

    def _pair(self, number: int) -> tuple[Patch, Patch]:
        rng = np.random.default_rng((self.seed, number))
        a, b = (patch for sampler in self.samplers for patch in sampler.draw(rng))
        most = self.config.augment.noise
        return noisy(a, float(rng.uniform(0, most)), rng) if most else a, b

    def _stacked(self, patches: Sequence[Patch]) -> Tensor:
        stack = np.stack(patches)
        # the one slice of a 2D patch is where the channel belongs
        return torch.from_numpy(stack if self.config.dims == 2 else stack[:, None])


@dataclass(frozen=True)
class _Transposed:
    """An array source with its axes in another order, without reading it."""

    source: ArraySource
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.source.shape[axis] for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.source.dtype)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        theirs = tuple(region[self.order.index(axis)] for axis in range(3))
        return np.asarray(self.source[theirs]).transpose(self.order)


def _in_order(
    domain_a: Sequence[NormalisedVolume],
    domain_b: Sequence[NormalisedVolume],
    scale: int,
) -> list[NormalisedVolume]:
    """The partners of A's volumes."""
    pairs = matched(
        [one.volume for one in domain_a], [one.volume for one in domain_b], scale
    )
    return [domain_b[index] for _, index in pairs]


def _seen(
    domain: Sequence[NormalisedVolume], config: TrainConfig
) -> list[NormalisedVolume]:
    if config.dims == 3:
        return list(domain)
    return [
        replace(one, volume=slices_first(one.volume, config.slice_axis))
        for one in domain
    ]


def _made_from(one: NormalisedVolume, config: TrainConfig) -> NormalisedVolume:
    """A volume of A, from one of B."""
    noise = noise_deviation(one.volume, config.degrade) / one.intensity.gain
    volume = reduced(one.volume, config.scale, config.degrade)
    return NormalisedVolume(volume, one.intensity, noise)


def check_patches(
    domain_a: Sequence[Volume], domain_b: Sequence[Volume], config: TrainConfig
) -> None:
    """Refuse patches that do not fit the volumes.

    Raises:
        InputError: A patch is larger than a volume, or than its slices.
    """
    sized = [(volume, config.patch, 1) for volume in domain_a]
    sized += [(volume, config.patch_b, config.scale) for volume in domain_b]
    if config.dims == 2:
        sized = [
            (slices_first(volume, config.slice_axis), patch, scale)
            for volume, patch, scale in sized
        ]
    room = np.min([np.array(volume.shape) // scale for volume, _, scale in sized], 0)
    for volume, patch, _ in sized:
        if config.dims == 3 and min(volume.shape) == 1:
            raise InputError(
                f"{volume.name}: shape {volume.shape} is a single slice; 3D training "
                f"needs volumes of at least {patch} voxels, dims 2 takes slices"
            )
        if any(p > n for p, n in zip(patch, volume.shape, strict=True)):
            what = "volume" if config.dims == 3 else "slices of the volume"
            raise InputError(
                f"{volume.name}: patch {patch} is larger than the {what} "
                f"{volume.shape}; {_smaller_patch(room, config)}"
            )


def _smaller_patch(room: NDArray[np.int64], config: TrainConfig) -> str:
    """What to do where a patch is too large for a volume."""
    multiple = config.patch_multiple
    sides = [
        min(side, int(voxels) // multiple * multiple)
        for side, voxels in zip(config.patch, room, strict=True)
    ]
    sides[: 3 - config.dims] = [1] * (3 - config.dims)
    if min(sides[3 - config.dims :]) < config.smallest_patch:
        return (
            f"the smallest patch of A that these networks take has "
            f"{config.smallest_patch} voxels a side: give larger volumes"
        )
    remedy = f"choose patch {tuple(sides)} or a larger region"
    return remedy if config.scale == 1 else f"{remedy} (patches of A)"


def _times(shape: Shape, factor: int) -> Shape:
    z, y, x = shape
    return z * factor, y * factor, x * factor


def _read(
    volume: Volume, start: Shape, patch: Shape, around: Margins
) -> NDArray[np.generic]:
    """A patch and its margins; what lies outside the volume is mirrored."""
    region, missing = [], []
    for first, side, size, (before, after) in zip(
        start, patch, volume.shape, around, strict=True
    ):
        low, high = first - before, first + side + after
        region.append(slice(max(0, low), min(size, high)))
        missing.append((max(0, -low), max(0, high - size)))
    z, y, x = region
    block = volume.read((z, y, x))
    # mirrored at voxel edges, where A and a B of other voxel size agree
    return np.pad(block, missing, "symmetric") if np.any(missing) else block


def _cached(domain: list[NormalisedVolume]) -> list[NormalisedVolume]:
    voxels = [one.volume for one in domain]
    if sum(np.prod(v.shape) * v.dtype.itemsize for v in voxels) > CACHE_BYTES:
        return domain
    return [
        replace(one, volume=replace(one.volume, array=one.volume.read()))
        for one in domain
    ]


def _isotropic(volumes: Sequence[Volume], plane: Plane) -> bool:
    """Whether the two axes have the same voxel size everywhere."""
    first, second = plane
    ratios = [volume.spacing[first] / volume.spacing[second] for volume in volumes]
    return all(abs(ratio - 1) < SPACING_TOLERANCE for ratio in ratios)
