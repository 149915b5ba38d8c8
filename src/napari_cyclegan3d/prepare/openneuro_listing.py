"""What OpenNeuro has: the newest files in its bucket, or those of a snapshot.

The bucket is listed as S3 lists them (ListObjectsV2: XML, at most 1000 keys a page). A
snapshot is asked for folder by folder at OpenNeuro's GraphQL interface, which names the
version of each file in the bucket.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.prepare.openneuro_files import (
    RemoteFile,
    from_etag,
    from_key,
    is_safe,
)
from napari_cyclegan3d.prepare.openneuro_web import UnreachableError, Web

# a million files, and folders deeper than any image of a subject lies
_MOST_PAGES = 1000
_DEEPEST = 4
_LARGEST_FILE = 2**46

_SNAPSHOTS = "query ($dataset: ID!) { dataset(id: $dataset) { snapshots { tag } } }"
_FILES = (
    "query ($dataset: ID!, $tag: String!, $tree: String) { "
    "snapshot(datasetId: $dataset, tag: $tag) { "
    "files(tree: $tree) { id filename size directory urls } } }"
)


@dataclass
class Bucket:
    """The newest state of a dataset.

    Attributes:
        web: Access to the server.
        endpoint: Address of the bucket, without a slash at its end.
        dataset: `ds002330`.
    """

    web: Web
    endpoint: str
    dataset: str

    def top(self) -> tuple[list[str], list[RemoteFile]]:
        """Folders and files in the root.

        Raises:
            InputError: There is no such dataset, or the server cannot be used.
        """
        folders: list[str] = []
        files: list[RemoteFile] = []
        for page in self._pages("", delimiter="/"):
            for prefix in page.iterfind("{*}CommonPrefixes/{*}Prefix"):
                folders.append(self._path(prefix.text).rstrip("/"))
            files += self._files(page)
        if not folders and not files:
            raise InputError(
                f"{self.dataset}: OpenNeuro has no public dataset of this number; "
                "look for it at https://openneuro.org"
            )
        return [name for name in folders if is_safe(name)], files

    def inside(self, folder: str) -> list[RemoteFile]:
        """All files below a folder; raises as `top`."""
        return [one for page in self._pages(f"{folder}/") for one in self._files(page)]

    def _pages(self, below: str, **more: str) -> Iterator[ElementTree.Element]:
        query = {
            "list-type": "2",
            "prefix": f"{self.dataset}/{below}",
            "encoding-type": "url",
            **more,
        }
        for _ in range(_MOST_PAGES):
            page = self._parsed(self.web.get(f"{self.endpoint}/", query))
            yield page
            token = page.findtext("{*}NextContinuationToken")
            if page.findtext("{*}IsTruncated") != "true" or not token:
                return
            query["continuation-token"] = token
        raise InputError(
            f"{self.dataset}: lists more than {_MOST_PAGES} pages of files; "
            "choose single subjects with --subject"
        )

    def _parsed(self, answer: bytes) -> ElementTree.Element:
        # S3 writes no document type; entities that grow without limit come with one
        if b"<!DOCTYPE" not in answer:
            try:
                page = ElementTree.fromstring(answer)
            except ElementTree.ParseError:
                page = None
            if page is not None and page.tag.endswith("ListBucketResult"):
                return page
        raise InputError(
            f"{self.endpoint}: answers with no list of files, as S3 gives it; check "
            "the address and the proxy, if there is one"
        )

    def _files(self, page: ElementTree.Element) -> Iterator[RemoteFile]:
        for entry in page.iterfind("{*}Contents"):
            path = self._path(entry.findtext("{*}Key"))
            size = _size(entry.findtext("{*}Size"))
            if is_safe(path) and size is not None:
                url = f"{self.endpoint}/{self.dataset}/{quote(path)}"
                etag = from_etag(entry.findtext("{*}ETag") or "")
                yield RemoteFile(path, size, url, etag)

    def _path(self, key: str | None) -> str:
        return unquote_plus(key or "").removeprefix(f"{self.dataset}/")


@dataclass
class Snapshot:
    """A published state of a dataset.

    Attributes:
        web: Access to the servers.
        endpoint: Address of the bucket, without a slash at its end.
        api: Address of the GraphQL interface.
        dataset: `ds002330`.
        tag: `1.0.3`.
    """

    web: Web
    endpoint: str
    api: str
    dataset: str
    tag: str
    _trees: dict[str, str] = field(default_factory=dict)

    def top(self) -> tuple[list[str], list[RemoteFile]]:
        """Folders and files in the root.

        Raises:
            InputError: There is no such dataset or snapshot, or the server cannot be
                used.
        """
        told = self._asked(_SNAPSHOTS, dataset=self.dataset).get("dataset")
        if not isinstance(told, dict):
            raise InputError(
                f"{self.dataset}: OpenNeuro has no public dataset of this number; "
                "look for it at https://openneuro.org"
            )
        listed = told.get("snapshots") or []
        tags = [str(one.get("tag")) for one in listed if isinstance(one, dict)]
        if self.tag not in tags:
            there = ", ".join(tags[-12:]) or "none"
            raise InputError(
                f"{self.dataset}: has no snapshot {self.tag}; there are {there}"
            )
        return self._listed("", None)

    def inside(self, folder: str) -> list[RemoteFile]:
        """All files below a folder that `top` gave; raises as `top`."""
        files: list[RemoteFile] = []
        waiting = [folder]
        while waiting:
            place = waiting.pop(0)
            folders, found = self._listed(place, self._trees[place])
            files += found
            if place.count("/") + 1 < _DEEPEST:
                waiting += folders
        return files

    def _listed(
        self, place: str, tree: str | None
    ) -> tuple[list[str], list[RemoteFile]]:
        told = self._asked(_FILES, dataset=self.dataset, tag=self.tag, tree=tree)
        snapshot = told.get("snapshot")
        entries = snapshot.get("files") if isinstance(snapshot, dict) else None
        if not isinstance(entries, list):
            raise InputError(
                f"{self.dataset}: OpenNeuro cannot list snapshot {self.tag} now; try "
                "later, or leave --snapshot out for the newest files"
            )
        folders, files = [], []
        for entry in filter(lambda one: isinstance(one, dict), entries):
            name = str(entry.get("filename")).rpartition("/")[2]
            path = f"{place}/{name}" if place else name
            if not is_safe(path):
                continue
            if entry.get("directory"):
                self._trees[path] = str(entry.get("id"))
                folders.append(path)
            elif (size := _size(entry.get("size"))) is not None:
                checksum = from_key(str(entry.get("id")))
                files.append(RemoteFile(path, size, self._url(path, entry), checksum))
        return folders, files

    def _url(self, path: str, entry: dict[str, Any]) -> str:
        """Where the version of the snapshot is; the bucket's newest one if unknown.

        A newer file in its place is found out by the checksum.
        """
        urls = [str(one) for one in entry.get("urls") or []]
        own = urlsplit(self.endpoint)
        ours = [one for one in urls if urlsplit(one)[:2] == own[:2]]
        secure = [one for one in urls if urlsplit(one).scheme == "https"]
        newest = f"{self.endpoint}/{self.dataset}/{quote(path)}"
        return (*ours, *secure, newest)[0]

    def _asked(self, query: str, **variables: str | None) -> dict[str, Any]:
        question = {"query": query, "variables": variables}
        try:
            data = json.loads(self.web.post(self.api, question))["data"]
        except UnreachableError:
            raise
        # refused, no JSON, or JSON without data
        except (ValueError, TypeError, KeyError, RecursionError):
            data = None
        if isinstance(data, dict):
            return data
        raise InputError(
            f"{urlsplit(self.api).hostname}: cannot tell about {self.dataset} now; try "
            "later, or leave --snapshot out for the newest files"
        )


def _size(value: object) -> int | None:
    """Bytes of a file; None where none or nonsense is stated."""
    try:
        size = int(str(value))
    except ValueError:
        return None
    return size if 0 <= size < _LARGEST_FILE else None
