"""Names of files as BIDS has them: `sub-01_ses-02_run-1_T1w.nii.gz`.

Entities (a key, a hyphen, a label), then a suffix that says what kind of image it is:
Gorgolewski et al. 2016, doi:10.1038/sdata.2016.44.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = re.compile(
    r"(?P<entities>(?:[A-Za-z]+-[A-Za-z0-9+]+_)*)(?P<suffix>[A-Za-z0-9]+)"
    r"(?P<extension>(?:\.[A-Za-z0-9]+)*)"
)


@dataclass(frozen=True)
class BidsName:
    """What a name says.

    Attributes:
        entities: Labels by their short keys, in their order: sub, ses, run …
        suffix: Kind of the image: T1w, T2w, bold …
        extension: From the first dot on; empty if there is none.
    """

    entities: Mapping[str, str]
    suffix: str
    extension: str

    @property
    def visit(self) -> str:
        """Subject and session, `sub-01 ses-02`; the session only where there is one."""
        return " ".join(
            f"{key}-{self.entities[key]}"
            for key in ("sub", "ses")
            if key in self.entities
        )


def bids_name(name: str) -> BidsName | None:
    """What the name of a file (without folders) says; None if BIDS has no such name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    words = match["entities"].split("_")[:-1]
    entities = dict(word.split("-", 1) for word in words)
    if len(entities) < len(words):  # one key twice
        return None
    return BidsName(entities, match["suffix"], match["extension"])
