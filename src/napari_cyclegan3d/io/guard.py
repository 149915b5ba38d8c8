"""What file libraries say, in one sentence for the user or not at all."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError


@contextmanager
def one_sentence(
    path: Path, remedy: str, damage: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Turn what a library raises about a damaged file into an `InputError`.

    Args:
        path: The file that is being read.
        remedy: What is wrong and what to do, the second half of the sentence.
        damage: The exceptions by which the library reports damaged content.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{path}: could not be read ({error.strerror or error}); "
            "check that the file is there, whole and permitted to you"
        ) from error
    except damage as error:
        raise InputError(f"{path}: {remedy}") from error


@contextmanager
def quiet(logger_name: str) -> Iterator[None]:
    """Keep a library's own remarks about a file away from the user."""

    def drop(_: logging.LogRecord) -> bool:
        return False

    # a filter of its own, so that other threads keep theirs when this one ends
    logger = logging.getLogger(logger_name)
    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)
