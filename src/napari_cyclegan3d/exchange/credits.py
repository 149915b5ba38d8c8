"""Who made a model, and what others may do with it: asked for, never guessed."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from napari_cyclegan3d.engine.errors import InputError

AUTHOR = re.compile(r"(?P<name>[^()/]+?)\s*(\((?P<place>[^()]+)\))?")


@dataclass(frozen=True)
class Credits:
    """What is said of a model beside its numbers.

    Attributes:
        authors: Name and affiliation of each author; the latter may be empty.
        license: SPDX identifier, such as CC-BY-4.0; empty if not given.
        name: What the model is called; empty: after its file or its training.
    """

    authors: tuple[tuple[str, str], ...] = ()
    license: str = ""
    name: str = ""


def authors_in(text: str) -> tuple[tuple[str, str], ...]:
    """Names and affiliations: `Anna Meier (ESRF); Jan Novák`.

    Raises:
        InputError: The text cannot be read so.
    """
    found = []
    for part in filter(None, map(str.strip, text.split(";"))):
        match = AUTHOR.fullmatch(part)
        if match is None:
            raise InputError(
                f"--authors {part!r}: write names and, in brackets, affiliations, "
                "between semicolons: 'Anna Meier (ESRF); Jan Novák'"
            )
        found.append((match["name"], match["place"] or ""))
    return tuple(found)


def check_credits(credits: Credits, licenses: Sequence[str]) -> None:
    """Refuse a package that does not say whose it is and what may be done with it.

    Args:
        credits: What is known.
        licenses: Identifiers of the SPDX list.

    Raises:
        InputError: Authors or licence are missing, or the licence is not in the list.
    """
    if not credits.authors:
        raise InputError(
            "a package names its authors: give --authors 'Anna Meier (ESRF); Jan Novák'"
        )
    if not credits.license:
        raise InputError(
            "a package says what others may do with it: give --license, such as "
            "CC-BY-4.0, CC0-1.0 or MIT"
        )
    if credits.license not in licenses:
        close = difflib.get_close_matches(credits.license, licenses, 3, 0.4)
        like = ", ".join(close or ("CC-BY-4.0", "CC0-1.0", "MIT"))
        raise InputError(
            f"--license {credits.license}: is not in the SPDX list (spdx.org/licenses);"
            f" give an identifier of it, such as {like}"
        )
