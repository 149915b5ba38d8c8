"""Reading before a training that the user need not wait for.

The engine looks at all voxels before the first step; of a large volume that takes
minutes, in which a generator cannot be closed.
"""

from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.sources import Domains
from napari_cyclegan3d.engine.volume import ArraySource, Volume


class GivenUpError(Exception):
    """The user does not want to wait for the end of the reading."""


@dataclass(frozen=True)
class Reading:
    """What is read before a training; it can be given up from another thread."""

    _given_up: Event = field(default_factory=Event)
    _done: Event = field(default_factory=Event)

    def give_up(self) -> None:
        """Read nothing more, if not all is read yet."""
        self._given_up.set()

    def end(self) -> None:
        """All is read: a training that has begun is stopped in other ways."""
        self._done.set()

    def check(self) -> None:
        """Raise if nothing more is to be read.

        Raises:
            GivenUpError: It was given up.
        """
        if self._given_up.is_set() and not self._done.is_set():
            raise GivenUpError

    def of(self, domains: Domains) -> Domains:
        """The same volumes, whose voxels can be read as long as nobody gives up."""
        a, b, validate_a, validate_b = (
            [replace(volume, array=_Voxels(volume.array, self)) for volume in volumes]
            for volumes in _lists(domains)
        )
        return Domains(a, b, validate_a, validate_b)


@dataclass(frozen=True, eq=False)
class _Voxels:
    """An array that is read as long as nobody gives up."""

    array: ArraySource
    reading: Reading

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        self.reading.check()
        return np.asarray(self.array[key])


def _lists(domains: Domains) -> list[list[Volume]]:
    return [
        list(domains.a),
        list(domains.b),
        list(domains.validate_a),
        list(domains.validate_b),
    ]
