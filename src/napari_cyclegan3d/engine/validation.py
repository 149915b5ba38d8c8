"""Scoring a training while it goes on, on volumes that it does not learn from."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.metrics import (
    SSIM_RADIUS,
    psnr,
    sliced_wasserstein,
    ssim,
)
from napari_cyclegan3d.engine.patches import Batch, PatchSampler

Translate = Callable[[Batch], Mapping[str, Tensor]]
Patches = NDArray[np.float32]


class Validator:
    """Fixed patches, and how well they are translated.

    They are drawn once, so that equal networks get equal scores and scores of
    different steps can be compared.

    With pairs, fake_b is compared with real_b, patch by patch, in normalised units:
    "psnr" (dB, of all patches together) and "ssim" (mean over the patches), both with
    the range of all patches of real_b; "score" is the SSIM.

    Without pairs: "distance", the sliced Wasserstein distance of the looks of fake_b
    and real_b, is low when fakes look like B, whatever they show; "cycle", the mean of
    |cyclic_a − real_a| in normalised units, is low when they keep what A shows. Either
    alone is easily cheated; "score" is −(distance + cycle).

    Args:
        config: Number of patches, batch.
        sampler: Draws from the volumes to validate on; without augmentation.

    Raises:
        InputError: Patches are too small for SSIM.
    """

    def __init__(self, config: TrainConfig, sampler: PatchSampler) -> None:
        count, batch = config.validation.patches, config.batch
        self.batches = [
            sampler.draw(min(batch, count - start)) for start in range(0, count, batch)
        ]
        self.paired = self.batches[0].paired
        real_b = self._together([batch.real_b for batch in self.batches])
        self.data_range = float(real_b.max()) - float(real_b.min()) or 1.0
        smallest = min(real_b.shape[1:])
        if self.paired and smallest < 2 * SSIM_RADIUS + 1:
            raise InputError(
                f"patch {config.patch}: pairs are validated by SSIM, which needs "
                f"{2 * SSIM_RADIUS + 1} voxels of B per side; use larger patches, or "
                "validation.every 0"
            )

    def score(self, translate: Translate) -> dict[str, float]:
        """Translate all patches and score them; of "score", higher is better.

        Args:
            translate: Gives for a batch fake_b and real_b and, without pairs, real_a
                and cyclic_a: each (n, 1, z, y, x), in 2D (n, 1, rows, columns).
        """
        with torch.no_grad():
            images = [translate(batch) for batch in self.batches]

        def together(name: str) -> Patches:
            return self._together([one[name] for one in images])

        fake_b, real_b = together("fake_b"), together("real_b")
        if self.paired:
            return self._paired_scores(fake_b, real_b)
        distance = sliced_wasserstein(fake_b, real_b)
        cycle = float(np.abs(together("cyclic_a") - together("real_a")).mean())
        return {"distance": distance, "cycle": cycle, "score": -(distance + cycle)}

    def _paired_scores(self, fake_b: Patches, real_b: Patches) -> dict[str, float]:
        similarities = [
            ssim(fake, real, self.data_range)
            for fake, real in zip(fake_b, real_b, strict=True)
        ]
        similarity = float(np.mean(similarities))
        return {
            "psnr": psnr(fake_b, real_b, self.data_range),
            "ssim": similarity,
            "score": similarity,
        }

    @staticmethod
    def _together(batches: Sequence[Tensor]) -> Patches:
        """Patches of all batches (n, …), without their one channel."""
        patches = torch.cat([batch[:, 0].float().cpu() for batch in batches])
        return np.asarray(patches.numpy())
