"""Track N: a network stand-in that really invents, and truth to tell by.

The restorer replaces each patch of a noisy volume by the clean version of the most
similar noisy patch of its dictionary. Its dictionary comes from volumes that are more
crowded than what it is used on, so that it sees structures in noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hallucination_tracks.volumes import Array, noise, render, scene

PATCH, STEP = 5, 2
WORDS = 6000
BLUR = 1.2
THICK = 1.5  # times the structures of the planted track
TRUE, FALSE = 0.6, 0.3  # share of an object that the truth has: real, invented


@dataclass(frozen=True)
class Regime:
    """How the volumes and the dictionary differ.

    Attributes:
        sigma: Of the noise.
        correlated: Voxels over which the noise is blurred.
        crowded: Share of the dictionary's patches that hold a structure.
    """

    sigma: float
    correlated: float
    crowded: float


REGIMES = {
    "crowded": Regime(0.3, 0.5, 0.7),
    "mild": Regime(0.3, 0.5, 0.4),
    "white": Regime(0.45, 0.0, 0.6),
}


def natural(seed: int, regime: Regime) -> tuple[Array, Array, Array]:
    """Truth, raw scan and a second scan of it."""
    random = np.random.default_rng([seed, 2])
    truth = render(scene(random, thick=THICK))
    clean = gaussian_filter(truth, BLUR)
    first, second = (
        clean + noise(random, regime.sigma, regime.correlated) for _ in range(2)
    )
    return truth, first, second


@lru_cache(maxsize=4)
def restorer(regime: Regime) -> Callable[[Array], Array]:
    """The stand-in for a network, trained on volumes that are not tested on."""
    random = np.random.default_rng(10_000)
    words, meanings = [], []
    for _ in range(4):
        truth = render(scene(random, fibres=40, balls=24, thick=THICK))
        blurred = gaussian_filter(truth, BLUR)
        raw = _patches(blurred + noise(random, regime.sigma, regime.correlated))
        clean = _patches(truth)
        full = np.abs(clean).max(1) > 0.5
        count = round(WORDS * regime.crowded / 4)
        for group, size in ((full, count), (~full, WORDS // 4 - count)):
            chosen = random.choice(np.flatnonzero(group), size, replace=False)
            words.append(raw[chosen])
            meanings.append(clean[chosen])
    return _Restorer(np.concatenate(words), np.concatenate(meanings))


@dataclass(frozen=True, eq=False)
class _Restorer:
    words: Array
    meanings: Array

    def __call__(self, raw: Array) -> Array:
        patches = _patches(raw, STEP)
        nearest = np.empty(len(patches), np.int64)
        lengths = (self.words**2).sum(1) / 2
        for start in range(0, len(patches), 4096):
            part = slice(start, start + 4096)
            nearest[part] = (patches[part] @ self.words.T - lengths).argmax(1)
        return _put_together(self.meanings[nearest], raw.shape)


def _places(shape: tuple[int, ...], step: int) -> list[NDArray[np.int64]]:
    return [np.unique([*range(0, n - PATCH + 1, step), n - PATCH]) for n in shape]


def _patches(volume: Array, step: int = 1) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(volume, (PATCH,) * 3)
    chosen = windows[np.ix_(*_places(volume.shape, step))]
    return np.ascontiguousarray(chosen.reshape(-1, PATCH**3))


def _put_together(patches: Array, shape: tuple[int, ...]) -> Array:
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    places = _places(shape, STEP)
    blocks = patches.reshape(*(len(one) for one in places), *(PATCH,) * 3)
    for z, y, x in np.ndindex(PATCH, PATCH, PATCH):
        where = np.ix_(*(one + o for one, o in zip(places, (z, y, x), strict=True)))
        total[where] += blocks[..., z, y, x]
        count[where] += 1
    return total / count
