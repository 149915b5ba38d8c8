"""Which volume of A shows the same as which volume of B, by their names."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from napari_cyclegan3d.engine.bids import BidsName, bids_name
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume

Key = tuple[str, ...]

# ends that name no volume: a region, a frame, the suffixes of a file
_REGION = re.compile(r"\[[^\]]*\]$")
_FRAME = re.compile(r"::\d+$")
_SUFFIXES = re.compile(r"(\.[a-z][a-z0-9]*)+$")
_BETWEEN = re.compile(r"[_\s/\\]+|::")
# contrasts of MRI, as whole words: T1w, T2star, BraTS's t1ce …
_CONTRAST = re.compile(
    r"(t[12](w|c|ce|gd|km|n|f|rho|star|starw)?|flair|pdw?|pdt2|inplanet[12]|adc|dwi)"
)
# what says how an image was taken, not of what: BIDS entities, voxel sizes
_MANNER = re.compile(r"(acq|ce|rec|mod|desc|res)-.*|\d+([.p]\d+)?(nm|um|µm|mm)")
SHOWN = 5


def pair_key(name: str) -> Key:
    """The words of a name that say what is shown, without its contrast.

    `sub-01_ses-02_T1w.nii.gz` and `sub-01_ses-02_T2w.nii.gz` have the same key; so
    have `IMG_003_T1.png` and `IMG_003_T2`. Words end at underscores, blanks and
    slashes; capitals do not count. Entities are those of BIDS (Gorgolewski et al.
    2016, doi:10.1038/sdata.2016.44).
    """
    words = [
        _SUFFIXES.sub("", word)
        for word in _BETWEEN.split(_REGION.sub("", name.strip()).lower())
    ]
    return tuple(
        word
        for word in words
        if word and not _CONTRAST.fullmatch(word) and not _MANNER.fullmatch(word)
    )


def matched(
    volumes_a: Sequence[Volume], volumes_b: Sequence[Volume], scale: int = 1
) -> list[tuple[int, int]]:
    """Pairs of volumes by `matched_names`, whose voxels lie over one another.

    Where both volumes state the same unit, their places in the world are compared as
    well as their shapes.

    Args:
        volumes_a: Volumes of A.
        volumes_b: Volumes of B, one for each of A.
        scale: Size of B over size of A per axis.

    Raises:
        InputError: A name has no partner or more than one, or the voxels of two
            partners do not lie over one another.
    """
    pairs = matched_names(
        [volume.name for volume in volumes_a], [volume.name for volume in volumes_b]
    )
    for first, second in pairs:
        _check_grids(volumes_a[first], volumes_b[second], scale)
    return pairs


def matched_names(
    names_a: Sequence[str], names_b: Sequence[str]
) -> list[tuple[int, int]]:
    """Pairs of names that mean the same, as indices into A and B, in the order of A.

    If all are names of BIDS, the images of one subject and session are a pair; of
    several, those with the same `pair_key`. Other names are compared by `pair_key`,
    without the one word without digits that all names of a domain have and no name of
    the other (`fast_07` and `slow_07`).

    Raises:
        InputError: A name has no partner or more than one.
    """
    bids_a, bids_b = _as_bids(names_a), _as_bids(names_b)
    if bids_a and bids_b:
        return _visits_matched(bids_a, bids_b)
    full_a = [pair_key(name) for name in names_a]
    full_b = [pair_key(name) for name in names_b]
    keys_a, keys_b = _without_label(full_a, full_b), _without_label(full_b, full_a)
    _check_names(names_a, keys_a, "A", keys_b)
    _check_names(names_b, keys_b, "B", keys_a)
    return [(index, keys_b.index(key)) for index, key in enumerate(keys_a)]


def _as_bids(names: Sequence[str]) -> list[tuple[str, BidsName]]:
    """What all names say; nothing if one of them is no name of a subject's image."""
    bare = [_FRAME.sub("", _REGION.sub("", name.strip())) for name in names]
    read = [(name, bids_name(one)) for name, one in zip(names, bare, strict=True)]
    found = [(name, one) for name, one in read if one and "sub" in one.entities]
    return found if len(found) == len(names) else []


def _visits_matched(
    bids_a: list[tuple[str, BidsName]], bids_b: list[tuple[str, BidsName]]
) -> list[tuple[int, int]]:
    """Pairs by subject and session."""
    _check_visits(bids_a, "A", bids_b)
    _check_visits(bids_b, "B", bids_a)
    pairs: dict[int, int] = {}
    for visit in dict.fromkeys(one.visit for _, one in bids_a):
        of_a, of_b = (
            {n: some[n] for n in range(len(some)) if some[n][1].visit == visit}
            for some in (bids_a, bids_b)
        )
        if len(of_a) == len(of_b) == 1:
            pairs |= zip(of_a, of_b, strict=True)
        else:
            pairs |= _told_apart(visit, of_a, of_b)
    return sorted(pairs.items())


def _check_visits(
    own: list[tuple[str, BidsName]], domain: str, others: list[tuple[str, BidsName]]
) -> None:
    there = {one.visit for _, one in others}
    alone = [(name, one.visit) for name, one in own if one.visit not in there]
    if alone:
        other, suffix = "B" if domain == "A" else "A", others[0][1].suffix
        visits = list(dict.fromkeys(visit for _, visit in alone))
        raise InputError(
            f"{_listed([name for name, _ in alone])} of {domain}: {other} has no "
            f"volume of {_listed(visits)}; leave them out, in a bids: text with "
            f"&with={suffix}"
        )


def _told_apart(
    visit: str,
    of_a: dict[int, tuple[str, BidsName]],
    of_b: dict[int, tuple[str, BidsName]],
) -> dict[int, int]:
    """Pairs of several images of one subject and session: by run and the like.

    Args:
        visit: Subject and session, for the message.
        of_a: Names by their index in A.
        of_b: Names by their index in B.
    """
    by_key_a, by_key_b = (
        {_rest(*named): number for number, named in some.items()}
        for some in (of_a, of_b)
    )
    told = len(by_key_a) == len(of_a) and len(by_key_b) == len(of_b)
    if not told or by_key_a.keys() != by_key_b.keys():
        names_a, names_b = (
            [name for name, _ in some.values()] for some in (of_a, of_b)
        )
        raise InputError(
            f"{_listed(names_a)} of A and {_listed(names_b)} of B: which of {visit} "
            "are pairs cannot be told; keep one of each, in a bids: text with &run=1, "
            "&acq=… or another entity"
        )
    return {number: by_key_b[key] for key, number in by_key_a.items()}


def _rest(name: str, read: BidsName) -> Key:
    return tuple(word for word in pair_key(name) if word != read.suffix.lower())


def _without_label(keys: list[Key], others: list[Key]) -> list[Key]:
    """Keys without the word that says which domain they belong to."""
    if not keys:
        return keys
    shared = set.intersection(*map(set, keys)).difference(*others)
    labels = [word for word in shared if word.isalpha()]
    if len(labels) != 1:
        return keys
    return [tuple(word for word in key if word != labels[0]) for key in keys]


def _check_names(
    names: Sequence[str], keys: list[Key], domain: str, others: list[Key]
) -> None:
    counts = Counter(keys)
    twice = [name for name, key in zip(names, keys, strict=True) if counts[key] > 1]
    if twice:
        raise InputError(
            f"{_listed(twice)} of {domain}: names that differ in nothing but the "
            "contrast cannot be told apart; keep one of them, or rename them"
        )
    alone = [name for name, key in zip(names, keys, strict=True) if key not in others]
    if alone:
        other = "B" if domain == "A" else "A"
        raise InputError(
            f"{_listed(alone)} of {domain}: no volume of {other} has the same name but "
            "for the contrast, as sub-01_T1w and sub-01_T2w have; rename or leave out"
        )


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _check_grids(a: Volume, b: Volume, scale: int) -> None:
    expected = tuple(size * scale for size in a.shape)
    if b.shape != expected:
        raise InputError(
            f"{a.name} and {b.name}: shapes {a.shape} and {b.shape} are no pair at "
            f"scale {scale}, which needs {expected} for B; resample one of them to the "
            "grid of the other first, or change the scale"
        )
    if a.unit != b.unit or a.unit == "pixel":
        return
    apart = float(np.linalg.norm(_corners(a) - _corners(b), axis=1).max())
    if apart > min(a.spacing) / 2:
        raise InputError(
            f"{a.name} and {b.name}: the voxels of the pair lie up to {apart:.3g} "
            f"{a.unit} apart in the world; resample one of them to the grid of the "
            "other first"
        )


def _corners(volume: Volume) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """World positions of the eight outer corners, which no scale moves."""
    sides = [(-0.5, size - 0.5) for size in volume.shape]
    corners = np.array([[*corner, 1.0] for corner in itertools.product(*sides)])
    places: np.ndarray[tuple[int, int], np.dtype[np.float64]] = (
        corners @ volume.affine.T
    )[:, :3]
    return places
