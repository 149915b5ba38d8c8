"""Subjects of a public dataset of OpenNeuro as a BIDS folder on this computer.

```python
plan = planned(Request(dataset="ds002330", suffix=("T1w", "T2w"), subjects=10), folder)
for event in download(plan):
    ...
```

What is fetched is checked against what the server states of its content, and goes on
where it was interrupted. `sourcedata/openneuro/registry.txt` lists all files with their
checksums, as pooch reads them.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.prepare.openneuro_choice import Chosen, chosen
from napari_cyclegan3d.prepare.openneuro_files import (
    EXTRA,
    PURPOSE,
    Catalogue,
    RemoteFile,
    is_whole,
)
from napari_cyclegan3d.prepare.openneuro_listing import Bucket, Snapshot
from napari_cyclegan3d.prepare.openneuro_registry import Registry
from napari_cyclegan3d.prepare.openneuro_web import Web

ENDPOINT = "https://s3.amazonaws.com/openneuro.org"
API = "https://openneuro.org/crn/graphql"
# what a file system needs for itself
_SPARE = 2**24

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+]+$")]
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")]


class Request(Settings):
    """What is wanted of a dataset of OpenNeuro."""

    dataset: str = Field(
        pattern=r"^ds\d{6}$", description="Number of the dataset, as in ds002330."
    )
    suffix: tuple[Label, ...] = Field(
        min_length=1,
        description="Kinds of images, as in T1w, T2w; only subjects with all of them.",
    )
    subjects: int | None = Field(
        None, ge=1, description="How many subjects; automatic: all."
    )
    subject: tuple[Label, ...] = Field((), description="These subjects only, as in 01.")
    session: tuple[Label, ...] = Field((), description="These sessions only.")
    snapshot: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Published version, as in 1.0.3; automatic: the newest files.",
    )
    endpoint: Address = Field(ENDPOINT, description="Address of the bucket of files.")
    api: Address = Field(API, description="Address that is asked about snapshots.")


@dataclass(frozen=True)
class Plan:
    """What a download will do.

    Attributes:
        request: What is wanted.
        root: The BIDS folder; it need not exist.
        subjects: Whose images are fetched: `sub-01` …
        incomplete: Subjects that were passed over, as they lack an image.
        files: All files, also those that are there.
        there: Paths of the files that are there and whole.
        web: Access to the server.
    """

    request: Request
    root: Path
    subjects: tuple[str, ...]
    incomplete: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    there: frozenset[str]
    web: Web

    @property
    def missing(self) -> tuple[RemoteFile, ...]:
        """The files to fetch."""
        return tuple(one for one in self.files if one.path not in self.there)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)

    @property
    def to_fetch(self) -> int:
        """Bytes of the files to fetch."""
        return sum(one.size for one in self.missing)


def planned(
    request: Request, root: Path, *, replace: bool = False, web: Web | None = None
) -> Plan:
    """Ask the server what there is; fetches nothing yet.

    Args:
        request: What is wanted.
        root: The BIDS folder, with what an earlier download left there.
        replace: Files with other content may be replaced.
        web: Access to the server; by default a patient one.

    Raises:
        InputError: There is no such dataset or nothing that was asked for, the folder
            holds other files of the same names, or has too little space.
    """
    needed("pooch", EXTRA, PURPOSE)  # said before the question, not after it
    web = web or Web()
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is a file; give a folder")
    registry = Registry(root)
    registry.check(request.dataset)
    wanted = chosen(_catalogue(request, web), request)
    there = _there(wanted.files, root, registry.known(), replace)
    plan = _plan(request, root, wanted, there, web)
    _check_space(plan)
    return plan


def _catalogue(request: Request, web: Web) -> Catalogue:
    endpoint = request.endpoint.rstrip("/")
    if request.snapshot is None:
        return Bucket(web, endpoint, request.dataset)
    return Snapshot(web, endpoint, request.api, request.dataset, request.snapshot)


def _plan(
    request: Request, root: Path, wanted: Chosen, there: frozenset[str], web: Web
) -> Plan:
    subjects, incomplete = tuple(wanted.subjects), tuple(wanted.incomplete)
    files = tuple(wanted.files)
    return Plan(request, root, subjects, incomplete, files, there, web)


def _there(
    files: list[RemoteFile], root: Path, known: Mapping[str, str], replace: bool
) -> frozenset[str]:
    """Paths of files that are there and whole."""
    whole, other = set(), []
    for file in files:
        path = root / file.path
        if not path.exists():
            continue
        state = is_whole(path, file)
        if state is None:  # nothing to compare with but what came last time
            state = Registry.matches(path, known.get(file.path))
        if state:
            whole.add(file.path)
        else:
            other.append(path)
    if other and not replace:
        raise InputError(
            f"{other[0]}: is there with other content than OpenNeuro has"
            + (f", as {len(other) - 1} more are" if other[1:] else "")
            + "; choose another folder, or --overwrite"
        )
    return frozenset(whole)


def _check_space(plan: Plan) -> None:
    place = plan.root.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if plan.to_fetch and plan.to_fetch + _SPARE > free:
        raise InputError(
            f"{plan.root}: {plan.to_fetch / 1e9:.3g} GB are to be fetched and "
            f"{free / 1e9:.3g} GB are free; free space, choose another folder, or "
            "fewer --subjects"
        )
