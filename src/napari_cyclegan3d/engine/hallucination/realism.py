"""Where the discriminator finds the result unlike domain B.

The generator was trained to please it, so it is blind to hallucinations that look
plausible. It sees seams, checkerboards, and places unlike anything in the training:
artefacts.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.hallucination.store import blocks, bounded, finer
from napari_cyclegan3d.engine.networks import PatchDiscriminator
from napari_cyclegan3d.engine.volume import Volume

# raw voxels that a block is judged in, with what is around it
SIDE, HALO = 64, 16
# median absolute deviation of a normal distribution of deviation 1
MAD = 0.6745


def can_judge(model: Model) -> bool:
    """Whether the model has a discriminator that judges place by place, in 3D."""
    return model.header.config.dims == 3 and isinstance(
        model.judge_b, PatchDiscriminator
    )


def fill_realism(
    out: NDArray[np.float16], enhanced: Volume, model: Model, scale: int
) -> None:
    """Write how far below the volume's usual verdict the discriminator's is.

    Args:
        out: A map on the grid of the raw volume, in robust standard deviations of the
            verdicts on this volume; positive: less like domain B.
        enhanced: The enhanced volume.
        model: With a discriminator that `can_judge`.
        scale: Size of `enhanced` over that of `out`.
    """
    assert model.judge_b is not None
    judge = model.judge_b.eval()
    with torch.inference_mode():
        for block in blocks(out.shape, SIDE // scale, HALO):
            grey = enhanced.read(finer(block.read, scale))
            image = torch.from_numpy(model.header.intensity_b.apply(grey))
            logits = judge(image[None, None])[0].mean(0).numpy()
            shape = tuple(part.stop - part.start for part in block.read)
            out[block.core] = -_resized(logits, shape)[block.inner]
    sample = out[:: max(1, len(out) // 64)].astype(np.float32)
    middle = float(np.median(sample))
    spread = float(np.median(np.abs(sample - middle))) / MAD or 1.0
    for plane in out:
        plane[:] = bounded((plane.astype(np.float32) - middle) / spread)


def _resized(
    logits: NDArray[np.float32], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Trilinear, with each logit at the centre of what it covers."""
    axes = [
        (np.arange(size) + 0.5) * have / size - 0.5
        for have, size in zip(logits.shape, shape, strict=True)
    ]
    places = np.stack(np.meshgrid(*axes, indexing="ij"))
    resized: NDArray[np.float32] = map_coordinates(
        logits, places, order=1, mode="nearest"
    )
    return resized
