"""The ways in which work is turned down, each with a sentence for the user."""


class InputError(ValueError):
    """Input that cannot be used.

    The message is one sentence for the person who brought the input: what was found,
    with its value, and what to do instead. Nothing has been changed when it is raised.
    """


class DivergedError(InputError):
    """The numbers of a training are no longer finite."""


class MemoryShortageError(MemoryError):
    """The device has too little memory; the message proposes sizes that fit."""
