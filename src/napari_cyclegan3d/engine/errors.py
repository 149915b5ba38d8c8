"""The ways in which work is turned down, each with a sentence for the user."""

from collections.abc import Mapping
from typing import Any


class InputError(ValueError):
    """Input that cannot be used.

    The message is one sentence for the person who brought the input: what was found,
    with its value, and what to do instead. Nothing has been changed when it is raised.
    """


class DivergedError(InputError):
    """The numbers of a training are no longer finite."""


class MemoryShortageError(MemoryError):
    """The device has too little memory; the message proposes sizes that fit.

    Attributes:
        settings: Changes of a training's settings that fit; empty where none is known.
    """

    def __init__(self, message: str, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.settings = dict(settings or {})
