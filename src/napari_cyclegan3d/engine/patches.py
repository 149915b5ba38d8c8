"""Random training patches from two domains of volumes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.sections import AugmentConfig, SamplingConfig
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

TRIES = 20
CACHE_BYTES = 2**31
# voxel sizes that differ by less are the same for a rotation
SPACING_TOLERANCE = 0.02
PLANES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches of both domains, (batch, 1, z, y, x), normalised."""

    real_a: Tensor
    real_b: Tensor


@dataclass(frozen=True, eq=False)
class NormalisedVolume:
    """A volume of a domain and the intensity transform that goes with it."""

    volume: Volume
    intensity: Intensity


class DomainSampler:
    """Draws patches of one domain, uniformly over all places where a patch fits.

    Volumes that fit a cache of 2 GiB together are read once; others are read patch by
    patch.

    Args:
        domain: Volumes of the domain.
        patch: Voxels of a patch (z, y, x).
        config: What is drawn again.
        augment: Random changes of patches.
        rng: The only source of randomness; its state is the sampler's state.

    Raises:
        InputError: A patch does not fit a volume.
    """

    def __init__(
        self,
        domain: Sequence[NormalisedVolume],
        patch: Shape,
        config: SamplingConfig,
        augment: AugmentConfig,
        rng: np.random.Generator,
    ) -> None:
        for item in domain:
            _check_patch(item.volume, patch)
        self.patch, self.config, self.augment, self.rng = patch, config, augment, rng
        self.domain = [_cached(item, _bytes(domain)) for item in domain]
        places = [
            np.prod([n - p + 1 for n, p in zip(v.volume.shape, patch, strict=True)])
            for v in domain
        ]
        self.chances = np.array(places, dtype=np.float64) / np.sum(places)
        self.planes = _rotation_planes([item.volume for item in domain], patch)

    def draw(self) -> NDArray[np.float32]:
        """One normalised, augmented patch (z, y, x).

        A patch that shows nothing, or that holds voxels without a value, is drawn
        again up to 20 times.
        """
        for _ in range(TRIES):
            item = self.domain[self.rng.choice(len(self.domain), p=self.chances)]
            raw = item.volume.read(self._region(item.volume.shape))
            patch = item.intensity.apply(raw)
            if np.isfinite(raw).all() and patch.std() >= self.config.min_content:
                break
        return self._augmented(patch)

    def _region(self, shape: Shape) -> Region:
        starts = [
            int(self.rng.integers(n - p + 1))
            for n, p in zip(shape, self.patch, strict=True)
        ]
        z, y, x = (slice(s, s + p) for s, p in zip(starts, self.patch, strict=True))
        return z, y, x

    def _augmented(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.augment.flips:
            axes = tuple(axis for axis in range(3) if self.rng.random() < 0.5)
            patch = np.flip(patch, axes)
        if self.augment.rotations and self.planes:
            plane = self.planes[self.rng.integers(len(self.planes))]
            patch = np.rot90(patch, int(self.rng.integers(4)), plane)
        return patch


class PatchSampler:
    """Independent patches of A and B: nothing pairs them.

    Args:
        domain_a: Volumes of A.
        domain_b: Volumes of B, whose patches are `scale` times as large.
        config: Settings of the training: patch, scale, sampling, augmentation.
        seed: Seed of all draws.

    Raises:
        InputError: A patch does not fit a volume.
    """

    def __init__(
        self,
        domain_a: Sequence[NormalisedVolume],
        domain_b: Sequence[NormalisedVolume],
        config: TrainConfig,
        seed: int,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        sampling, augment = config.sampling, config.augment
        self.sampler_a = DomainSampler(
            domain_a, config.patch, sampling, augment, self.rng
        )
        self.sampler_b = DomainSampler(
            domain_b, config.patch_b, sampling, augment, self.rng
        )

    def draw(self, batch: int) -> Batch:
        """The next `batch` patches of each domain."""
        return Batch(
            real_a=_stack([self.sampler_a.draw() for _ in range(batch)]),
            real_b=_stack([self.sampler_b.draw() for _ in range(batch)]),
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers from which the same patches follow again."""
        return dict(self.rng.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.rng.bit_generator.state = state


def _stack(patches: list[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(patches)[:, None])


def _check_patch(volume: Volume, patch: Shape) -> None:
    if min(volume.shape) == 1:
        raise InputError(
            f"{volume.name}: shape {volume.shape} is a single slice; 3D training needs "
            f"volumes of at least {patch} voxels"
        )
    if any(p > n for p, n in zip(patch, volume.shape, strict=True)):
        raise InputError(
            f"{volume.name}: patch {patch} is larger than the volume {volume.shape}; "
            "choose a smaller patch or a larger region"
        )


def _bytes(domain: Sequence[NormalisedVolume]) -> int:
    return sum(
        int(np.prod(item.volume.shape)) * item.volume.dtype.itemsize for item in domain
    )


def _cached(item: NormalisedVolume, domain_bytes: int) -> NormalisedVolume:
    if domain_bytes > CACHE_BYTES:
        return item
    volume = Volume(item.volume.read(), item.volume.affine, name=item.volume.name)
    return NormalisedVolume(volume, item.intensity)


def _rotation_planes(volumes: Sequence[Volume], patch: Shape) -> list[tuple[int, int]]:
    """Planes in which a quarter turn keeps voxel size and patch shape everywhere."""

    def turnable(first: int, second: int) -> bool:
        ratios = [volume.spacing[first] / volume.spacing[second] for volume in volumes]
        return patch[first] == patch[second] and all(
            abs(ratio - 1) < SPACING_TOLERANCE for ratio in ratios
        )

    return [plane for plane in PLANES if turnable(*plane)]
