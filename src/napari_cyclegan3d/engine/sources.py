"""The volumes that a training learns from, and what is made of them at its start."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import napari_cyclegan3d
from napari_cyclegan3d.engine.augment import noisy
from napari_cyclegan3d.engine.checkpoint import Provenance
from napari_cyclegan3d.engine.config import Place, TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity, fit_intensity
from napari_cyclegan3d.engine.pairing import matched
from napari_cyclegan3d.engine.patches import (
    Batch,
    GroupSampler,
    NormalisedVolume,
    PatchSampler,
    check_patches,
)
from napari_cyclegan3d.engine.sections.patches import AugmentConfig
from napari_cyclegan3d.engine.units import spacing_ratios
from napari_cyclegan3d.engine.validation import Validator
from napari_cyclegan3d.engine.volume import Volume

Intensities = tuple[Intensity, Intensity]
SPACING_TOLERANCE = 0.05
# another stream of random places than that of the training
VALIDATION_SEED = 1


@dataclass(frozen=True)
class Domains:
    """The volumes to learn from, and those to validate on.

    Nothing pairs those of A with those of B, unless the settings ask for pairs. A may
    be empty for a method that makes A from B.
    """

    a: Sequence[Volume]
    b: Sequence[Volume]
    validate_a: Sequence[Volume] = ()
    validate_b: Sequence[Volume] = ()

    def __post_init__(self) -> None:
        if not self.b:
            raise InputError("domain B is empty; give at least one volume")

    def check(self, config: TrainConfig) -> None:
        """Refuse what the method cannot learn from.

        Raises:
            InputError: A is empty and needed, only one side of the validation is
                there, a patch does not fit a volume, or a preview shows none.
        """
        # srgan makes A from B, in validation too
        makes_a = config.method == "srgan" and not self.a
        if not self.a and not makes_a:
            raise InputError("domain A is empty; give at least one volume")
        if bool(self.validate_a) != bool(self.validate_b) and not makes_a:
            side = "A" if self.validate_b else "B"
            raise InputError(
                f"validation has no volume of domain {side}; give some of both domains"
            )
        check_patches(self.a, self.b, config)
        for key, volumes, place in (
            ("preview_a", self.a, config.preview_a),
            ("preview_b", self.b, config.preview_b),
        ):
            if place is not None:
                _check_place(key, place, volumes)

    @property
    def can_validate(self) -> bool:
        """Whether there is anything to validate on."""
        return bool(self.validate_b)

    def shapes(self) -> list[list[list[int]]]:
        """Shapes of the volumes of A and of B, as plain lists."""
        return [[list(one.shape) for one in volumes] for volumes in (self.a, self.b)]

    def remarks(self, config: TrainConfig) -> list[str]:
        """Sentences about what the user should know before the training."""
        ratios = spacing_ratios(self.a[0], self.b[0]) if self.a else None
        if ratios is None or all(
            abs(r / config.scale - 1) < SPACING_TOLERANCE for r in ratios
        ):
            return []
        shown = " × ".join(f"{ratio:.3g}" for ratio in ratios)
        return [
            f"voxels of A are {shown} (z, y, x) times as large as those of B, but "
            f"scale is {config.scale}; resample one domain, or choose another scale"
        ]


def fit_domains(config: TrainConfig, domains: Domains) -> Intensities:
    """The intensity transforms of A and B; without A, that of B for both."""
    fit_b = fit_intensity(domains.b, config.intensity)
    if not domains.a:
        return fit_b, fit_b
    return fit_intensity(domains.a, config.intensity), fit_b


def training_sampler(
    config: TrainConfig, domains: Domains, intensities: Intensities
) -> PatchSampler:
    """Draws the patches to learn from."""
    return _sampler(config, domains.a, domains.b, intensities, config.seed)


def validator(
    config: TrainConfig, domains: Domains, intensities: Intensities
) -> Validator | None:
    """Scores a training on patches that are not trained on; None without volumes."""
    if not domains.can_validate or config.validation.every == 0:
        return None
    plain = config.model_copy(
        update={"augment": AugmentConfig(flips=False, rotations=False)}
    )
    sampler = _sampler(
        plain,
        domains.validate_a,
        domains.validate_b,
        intensities,
        config.seed + VALIDATION_SEED,
    )
    return Validator(plain, sampler)


def preview_patches(
    config: TrainConfig, domains: Domains, sampler: PatchSampler
) -> Batch:
    """The patches that all previews show: at their places, or drawn.

    Patches at a place are not changed at random; they are moved into their volume.

    Args:
        config: Settings, with places that `Domains.check` accepts.
        domains: The volumes.
        sampler: That of the training; it draws the same at each start.
    """
    drawn = sampler.draw(1)
    if sampler.paired:
        place = _paired_place(config, domains)
        if place is None:
            return drawn
        real_a, real_b = _at(place, sampler.samplers[0], config)
        return Batch(real_a, real_b, paired=True)
    images = [drawn.real_a, drawn.real_b]
    for i, place in enumerate((config.preview_a, config.preview_b)):
        if place is not None:
            (images[i],) = _at(place, sampler.samplers[i], config)
    return Batch(images[0], images[1])


def _paired_place(config: TrainConfig, domains: Domains) -> Place | None:
    """Number of a pair, in the order of A, and the centre in voxels of A."""
    if config.preview_a is not None or config.preview_b is None:
        return config.preview_a
    number, z, y, x = config.preview_b
    if domains.a:
        partners = [b for _, b in matched(domains.a, domains.b, config.scale)]
        number = partners.index(number)
    return number, z // config.scale, y // config.scale, x // config.scale


def _at(place: Place, sampler: GroupSampler, config: TrainConfig) -> list[Tensor]:
    """The normalised patches at a place, one of each volume of a group."""
    number, *centre = place
    group, patch = sampler.groups[number], sampler.patch
    if config.dims == 2:  # volumes are seen with the slices' axis first
        first = "zyx".index(config.slice_axis)
        centre.insert(0, centre.pop(first))
    starts = [
        min(max(0, middle - side // 2), size - side)
        for middle, side, size in zip(centre, patch, group[0].volume.shape, strict=True)
    ]
    images = []
    for one, scale in zip(group, sampler.scales, strict=True):
        z, y, x = (
            slice(start * scale, (start + side) * scale)
            for start, side in zip(starts, patch, strict=True)
        )
        block = one.intensity.apply(one.volume.read((z, y, x)))
        block = noisy(block, one.noise, np.random.default_rng(config.seed))
        images.append(torch.from_numpy(np.ascontiguousarray(block))[None])
    return images if config.dims == 2 else [image[None] for image in images]


def _check_place(key: str, place: Place, volumes: Sequence[Volume]) -> None:
    number, *centre = place
    if number >= len(volumes):
        raise InputError(
            f"{key} {place}: its domain has {len(volumes)} volumes, numbered from 0; "
            "give the number of one of them, or leave it out"
        )
    volume = volumes[number]
    if any(c >= size for c, size in zip(centre, volume.shape, strict=True)):
        raise InputError(
            f"{key} {place}: lies outside {volume.name} of shape {volume.shape}; give "
            "a voxel of it, or leave it out"
        )


def _sampler(
    config: TrainConfig,
    domain_a: Sequence[Volume],
    domain_b: Sequence[Volume],
    intensities: Intensities,
    seed: int,
) -> PatchSampler:
    own = config.intensity.scope == "volume"
    normalised = [
        [
            NormalisedVolume(
                volume, fit_intensity([volume], config.intensity) if own else shared
            )
            for volume in volumes
        ]
        for volumes, shared in zip((domain_a, domain_b), intensities, strict=True)
    ]
    return PatchSampler(normalised[0], normalised[1], config, seed)


def provenance(config: TrainConfig, domains: Domains) -> Provenance:
    """Where a model of these volumes comes from, before its first step."""
    first = domains.b[0]
    coarse = (
        domains.a[0].spacing
        if domains.a
        else tuple(side * config.scale for side in first.spacing)
    )
    return Provenance(
        version=napari_cyclegan3d.__version__,
        steps=0,
        volumes_a=tuple(volume.name for volume in domains.a),
        volumes_b=tuple(volume.name for volume in domains.b),
        spacing_a=(coarse[0], coarse[1], coarse[2]),
        spacing_b=first.spacing,
        unit_a=domains.a[0].unit if domains.a else first.unit,
        unit_b=first.unit,
    )
