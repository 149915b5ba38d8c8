"""Texts that name images of a BIDS folder: `bids:DIR?suffix=T1w&subject=01,02`.

Behind the question mark stand conditions `key=value`, joined by `&`; a file is meant if
it fulfils all of them. Values are separated by commas, one of which is enough, and may
be patterns (`subject=0*`). Keys are
    suffix              T1w, T2w, bold …
    subject, session, run, acquisition, … or their short forms sub, ses, run, acq, …
    datatype            the folder: anat, func …
    with                only where the same subject and session has such a suffix, too
    a field of the JSON sidecars, with a capital: MagneticFieldStrength=3
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError

PREFIX = "bids:"
_LONG = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "modality": "mod",
    "inversion": "inv",
    "mtransfer": "mt",
    "processing": "proc",
    "hemisphere": "hemi",
    "resolution": "res",
    "density": "den",
    "description": "desc",
}
_SHORT = (
    *("sub", "ses", "sample", "task", "tracksys", "acq", "ce", "trc", "stain", "rec"),
    *("dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi"),
    *("space", "split", "recording", "chunk", "seg", "res", "den", "label", "desc"),
)
_KNOWN = ("suffix", "subject", "session", "run", "acquisition", "datatype", "with")

Conditions = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Query:
    """The text that a user gives, in its parts.

    Attributes:
        root: The BIDS folder.
        conditions: Accepted patterns by key; entities by their short keys.
    """

    root: Path
    conditions: Conditions

    def __str__(self) -> str:
        """The text, for `open_domain`."""
        parts = [f"{key}={','.join(some)}" for key, some in self.conditions.items()]
        return f"{PREFIX}{self.root}" + ("?" if parts else "") + "&".join(parts)


def is_bids(text: str) -> bool:
    """Whether a text is meant for this module."""
    return text.startswith(PREFIX)


def parse_bids(text: str) -> Query:
    """The parts of a text.

    Raises:
        InputError: It has an unknown key, or a condition that is none.
    """
    named = text.removeprefix(PREFIX)
    root, mark, rest = named.partition("?")
    if Path(named).is_dir() or not mark:
        root, rest = named, ""
    if not root:
        raise InputError(f"{text}: names no folder; write bids:DIR?suffix=T1w")
    conditions: dict[str, tuple[str, ...]] = {}
    for condition in filter(None, rest.split("&")):
        key, equals, values = condition.partition("=")
        accepted = tuple(filter(None, values.split(",")))
        short = _LONG.get(key, key)
        if not equals or not accepted:
            raise InputError(
                f"{text}: {condition!r} is no condition; write bids:DIR?suffix=T1w, "
                "and more behind &, as in &subject=01,02"
            )
        if short not in (*_SHORT, *_KNOWN) and not key[:1].isupper():
            raise InputError(
                f"{text}: {key!r} is nothing to choose by; known are "
                f"{', '.join(_KNOWN)}, the other entities of BIDS, and fields of the "
                "JSON files, which begin with a capital"
            )
        if short in conditions:
            raise InputError(
                f"{text}: {key} is there twice; write its values with commas, as in "
                f"{key}={','.join((*conditions[short], *accepted))}"
            )
        prefix = f"{short}-"
        conditions[short] = tuple(one.removeprefix(prefix) for one in accepted)
    return Query(Path(root).expanduser(), conditions)
