"""Track X: fine texture that a scan of half the resolution cannot show.

The result is on a grid finer by two. Its structures are true; over them lies a texture
of single fine voxels that the scan holds no trace of. The right answer to it is
"unverifiable", never "supported".
"""

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from hallucination_tracks.volumes import SIDE, Array, field, noise, render, scene

BLUR, SIGMA = 1.0, 0.1
SCALE = 2
STRENGTH = 0.35  # of the texture: its standard deviation, in contrasts of structures


def null_space(seed: int) -> tuple[Array, Array, Array]:
    """Raw scan, result on the finer grid, and the texture that was added to it."""
    random = np.random.default_rng([seed, 3])
    side = SIDE // SCALE
    shapes = scene(random, fibres=6, balls=4, thick=1.2)
    fine = render([*shapes], side, SCALE)
    low = gaussian_filter(fine, BLUR * SCALE)
    raw = low.reshape(side, SCALE, side, SCALE, side, SCALE).mean((1, 3, 5))
    raw = raw + noise(random, SIGMA, 0.0)[:side, :side, :side]
    sign = np.indices(fine.shape).sum(0) % 2 * 2 - 1
    texture = sign * np.abs(gaussian_filter(random.normal(size=fine.shape), 1.5))
    patchy = zoom(field(random, 4)[:side, :side, :side], SCALE, order=1) > 1
    where = patchy & (gaussian_filter(np.abs(fine), 3.0) < 0.02)
    texture = (texture / texture.std() * STRENGTH * where).astype(np.float32)
    return raw.astype(np.float32), fine + texture, texture
