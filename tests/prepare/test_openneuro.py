"""Downloads from a server on this computer that answers as OpenNeuro's bucket does."""

import gzip
import hashlib
import json
import shutil
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import nibabel as nib
import numpy as np
import pytest

from napari_cyclegan3d import cli
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.io.domains import open_domain
from napari_cyclegan3d.prepare.openneuro import Plan, Request, planned
from napari_cyclegan3d.prepare.openneuro_download import Fetched, Fetching, download
from napari_cyclegan3d.prepare.openneuro_web import Web

pytest.importorskip("pooch", reason="downloads need the extra mri")

DATASET, BUCKET = "ds002330", "/openneuro.org/"
# what is lost of a connection that is cut
BLOCK = 2**16
LARGE = np.random.default_rng(0).bytes(2**20)


def nifti(seed: int) -> bytes:
    voxels = np.random.default_rng(seed).integers(0, 255, (20, 30, 40), np.uint8)
    return gzip.compress(nib.Nifti1Image(voxels, np.diag([1, 1, 2, 1])).to_bytes())


def dataset() -> dict[str, bytes]:
    """Twelve subjects; sub-03 has no T2w, sub-04 has sessions, sub-11 is sub-1."""
    files = {
        "dataset_description.json": b'{"Name": "A test", "License": "CC0"}',
        "participants.tsv": b"participant_id\tage\nsub-01\t30\n",
        "README": b"How these images were taken.",
        "T1w.json": b'{"MagneticFieldStrength": 3}',
        "task-rest_bold.json": b"{}",
        "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz": nifti(99),
        ".bidsignore": b"*.tmp",
    }
    for number in range(1, 13):
        subject = f"sub-{number:02}"
        inside = f"{subject}/anat/{subject}"
        if number == 4:
            inside = f"{subject}/ses-a/anat/{subject}_ses-a"
        for kind in ("T1w", "T2w", "bold"):
            if (number, kind) != (3, "T2w"):
                files[f"{inside}_{kind}.nii.gz"] = nifti(number * 10 + len(kind))
        files[f"{inside}_T1w.json"] = b'{"EchoTime": 0.003}'
    return files


def etag(content: bytes, part: int | None = None) -> str:
    if part is None:
        return hashlib.md5(content).hexdigest()
    parts = [content[n : n + part] for n in range(0, len(content), part)]
    whole = b"".join(hashlib.md5(one).digest() for one in parts)
    return f"{hashlib.md5(whole).hexdigest()}-{len(parts)}"


@dataclass
class Bucket:
    """What the server has, how it misbehaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dataset)
    page: int = 5
    etags: dict[str, str] = field(default_factory=dict)
    # bytes after which a connection is cut, one for each answer
    cuts: dict[str, list[int]] = field(default_factory=dict)
    busy: int = 0  # answers of 503 before any other
    ranges: bool = True
    broken: dict[str, bytes] = field(default_factory=dict)  # sent instead
    answer: bytes | None = None  # sent for any list
    snapshots: dict[str, dict[str, bytes]] = field(default_factory=dict)
    keys: Callable[[bytes], str] = lambda content: (
        f"MD5E-s{len(content)}--{etag(content)}.nii.gz"
    )
    asked: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    address: str = ""

    def listing(self, query: dict[str, str]) -> bytes:
        """A page as ListObjectsV2 writes it."""
        prefix = query["prefix"].removeprefix(f"{DATASET}/")
        if not query["prefix"].startswith(f"{DATASET}/"):
            found: list[tuple[str, bool]] = []
        else:
            below = [path for path in sorted(self.files) if path.startswith(prefix)]
            found = list(
                dict.fromkeys(self._rolled(path, prefix, query) for path in below)
            )
        first = int(query.get("continuation-token", "0=").rstrip("=") or 0)
        shown, more = found[first : first + self.page], found[first + self.page :]
        rows = "".join(self._row(*one) for one in shown)
        token = f"<NextContinuationToken>{first + self.page}=</NextContinuationToken>"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>openneuro.org</Name><Prefix>{escape(query['prefix'])}</Prefix>"
            f"{token if more else ''}<KeyCount>{len(shown)}</KeyCount>"
            f"<MaxKeys>{self.page}</MaxKeys><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{rows}"
            "</ListBucketResult>"
        ).encode()

    def _rolled(
        self, path: str, prefix: str, query: dict[str, str]
    ) -> tuple[str, bool]:
        inside, slash, _ = path[len(prefix) :].partition("/")
        if "delimiter" in query and slash:
            return f"{prefix}{inside}/", True
        return path, False

    def _row(self, path: str, folder: bool) -> str:
        key = quote(f"{DATASET}/{path}", safe="/")
        if folder:
            return f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"
        content = self.files[path]
        return (
            f"<Contents><Key>{key}</Key><LastModified>2020-01-17T10:40:12.000Z"
            f"</LastModified><ETag>&quot;{self.etags.get(path, etag(content))}&quot;"
            f"</ETag><Size>{len(content)}</Size><StorageClass>INTELLIGENT_TIERING"
            "</StorageClass></Contents>"
        )

    def graph(self, question: dict[str, Any]) -> dict[str, Any]:
        """An answer as OpenNeuro's GraphQL interface gives it."""
        asked = question["variables"]
        known = asked["dataset"] == DATASET
        if "snapshots" in question["query"]:
            tags = [{"tag": tag} for tag in self.snapshots]
            return {"data": {"dataset": {"snapshots": tags} if known else None}}
        files = self.snapshots[asked["tag"]]
        place = bytes.fromhex(asked["tree"] or "").decode()
        rows: dict[str, dict[str, Any]] = {}
        for path, content in files.items():
            if path.startswith(place):
                name, slash, _ = path[len(place) :].partition("/")
                address = (
                    f"{self.address}{BUCKET}{DATASET}/{path}?versionId={asked['tag']}"
                )
                rows[name] = {
                    "filename": name,
                    "directory": bool(slash),
                    "size": 0 if slash else len(content),
                    "urls": [] if slash else [address],
                    "id": f"{place}{name}/".encode().hex()
                    if slash
                    else self.keys(content),
                }
        return {"data": {"snapshot": {"files": list(rows.values())}}}


def handler(bucket: Bucket) -> type[BaseHTTPRequestHandler]:  # noqa: C901
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/crn/graphql"
            self.give(200, json.dumps(bucket.graph(json.loads(body))).encode())

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {key: some[0] for key, some in parse_qs(url.query).items()}
            bucket.asked.append(self.path)
            if bucket.busy:
                bucket.busy -= 1
                self.give(503, b"<Error><Code>SlowDown</Code></Error>")
            elif url.path == BUCKET and query["list-type"] == "2":
                self.give(200, bucket.answer or bucket.listing(query))
            else:
                self.file(unquote(url.path).removeprefix(f"{BUCKET}{DATASET}/"), query)

        def file(self, path: str, query: dict[str, str]) -> None:
            files = bucket.snapshots.get(query.get("versionId", ""), bucket.files)
            if path not in files:
                self.give(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            content = bucket.broken.get(path, files[path])
            first, headers, status = 0, {}, 200
            wanted = self.headers.get("Range")
            if wanted and bucket.ranges:
                first = int(wanted.removeprefix("bytes=").rstrip("-"))
                if first >= len(content):
                    self.give(416, b"<Error><Code>InvalidRange</Code></Error>")
                    return
                total = len(content)
                headers = {"Content-Range": f"bytes {first}-{total - 1}/{total}"}
                status = 206
            cuts = bucket.cuts.get(path)
            cut = cuts.pop(0) if cuts else None
            bucket.sent[path] += len(content[first:][:cut])
            self.give(status, content[first:], headers, cut)

        def give(
            self,
            status: int,
            content: bytes,
            headers: dict[str, str] | None = None,
            cut: int | None = None,
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Server", "AmazonS3")
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content[:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def served(bucket: Bucket, context: ssl.SSLContext | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(bucket))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    scheme = "http" if context is None else "https"
    bucket.address = f"{scheme}://127.0.0.1:{server.server_port}"
    try:
        yield bucket.address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    found = Bucket()
    with served(found):
        yield found


def asked_for(bucket: Bucket, **wanted: Any) -> Request:
    addresses = {
        "endpoint": f"{bucket.address}{BUCKET}".rstrip("/"),
        "api": f"{bucket.address}/crn/graphql",
    }
    values = {"dataset": DATASET, "suffix": ("T1w", "T2w"), **addresses, **wanted}
    return parse(Request, values)


def plan_of(bucket: Bucket, root: Path, replace: bool = False, **wanted: Any) -> Plan:
    web = Web(tries=3, pause=0.001, patience=5)
    return planned(asked_for(bucket, **wanted), root, replace=replace, web=web)


def fetched(plan: Plan) -> Fetched:
    *steps, last = download(plan)
    assert isinstance(last, Fetched)
    totals = [one.done for one in steps if isinstance(one, Fetching)]
    assert totals[-1] == plan.to_fetch
    return last


def contents(root: Path) -> dict[str, bytes]:
    """All files below a folder that belong to the dataset."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] != "sourcedata"
    }


def test_whole_subjects_come_with_what_describes_them(
    bucket: Bucket, tmp_path: Path
) -> None:
    plan = plan_of(bucket, tmp_path / "ds", subjects=3)
    assert plan.subjects == ("sub-01", "sub-02", "sub-04")
    assert plan.incomplete == ("sub-03",)
    assert not (tmp_path / "ds").exists()
    assert fetched(plan).unchecked == ()
    about = ("dataset_description.json", "participants.tsv", "README", "T1w.json")
    chosen = ("sub-01/", "sub-02/", "sub-04/")
    expected = {
        path: content
        for path, content in bucket.files.items()
        if path in about or (path.startswith(chosen) and "bold" not in path)
    }
    assert contents(tmp_path / "ds") == expected
    assert plan.size == plan.to_fetch == sum(map(len, expected.values()))
    assert not (tmp_path / "ds/sourcedata/openneuro/partial").exists()


def test_the_folder_is_a_bids_domain(bucket: Bucket, tmp_path: Path) -> None:
    fetched(plan_of(bucket, tmp_path, subjects=3))
    a = open_domain([f"bids:{tmp_path}?suffix=T1w&MagneticFieldStrength=3"])
    b = open_domain([f"bids:{tmp_path}?suffix=T2w&with=T1w"])
    assert [volume.name[:6] for volume in a] == ["sub-01", "sub-02", "sub-04"]
    assert [volume.shape for volume in b] == [(40, 30, 20)] * 3


def test_all_pages_of_a_list_are_read(bucket: Bucket, tmp_path: Path) -> None:
    for bucket.page in (1, 2, 1000):
        plan = plan_of(bucket, tmp_path, suffix=("T1w",))
        assert len(plan.subjects) == 12
        assert plan.incomplete == ()
        bucket.asked.clear()
    # no subject that is not needed is asked for
    plan_of(bucket, tmp_path, subjects=1)
    assert len(bucket.asked) == 2


def test_subjects_and_sessions_can_be_named(bucket: Bucket, tmp_path: Path) -> None:
    plan = plan_of(bucket, tmp_path, subject=("12", "04"))
    assert plan.subjects == ("sub-12", "sub-04")
    plan = plan_of(bucket, tmp_path, session=("a",))
    assert plan.subjects == ("sub-04",)


def test_keys_with_odd_letters_are_found_and_those_that_lead_out_are_not(
    bucket: Bucket, tmp_path: Path
) -> None:
    odd = "sub-01/anat/sub-01_acq-a+b_T1w.nii.gz"
    bucket.files |= {
        odd: nifti(1),
        "sub-01/../../../sub-01_T1w.nii.gz": b"x",
        "sub-01/anat/.sub-01_T1w.nii.gz": b"x",
        "sub-01/a b/sub-01_T1w.nii.gz": b"x",
        "sub-01//sub-01_T1w.nii.gz": b"x",
    }
    plan = plan_of(bucket, tmp_path / "in" / "ds", subject=("01",))
    fetched(plan)
    assert (tmp_path / "in/ds" / odd).read_bytes() == bucket.files[odd]
    inside = {path for path in contents(tmp_path / "in" / "ds") if "sub-" in path}
    assert inside == {
        odd,
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_second_start_fetches_only_what_is_missing(
    bucket: Bucket, tmp_path: Path
) -> None:
    fetched(plan_of(bucket, tmp_path, subjects=1))
    before = contents(tmp_path)
    (tmp_path / "sub-01/anat/sub-01_T2w.nii.gz").unlink()
    plan = plan_of(bucket, tmp_path, subjects=1)
    assert [one.path for one in plan.missing] == ["sub-01/anat/sub-01_T2w.nii.gz"]
    assert plan.to_fetch == len(before["sub-01/anat/sub-01_T2w.nii.gz"])
    fetched(plan)
    assert contents(tmp_path) == before
    bucket.asked.clear()
    fetched(plan_of(bucket, tmp_path, subjects=1))
    assert all("list-type" in one for one in bucket.asked)
    fetched(plan_of(bucket, tmp_path, subjects=2))
    listed = (
        (tmp_path / "sourcedata/openneuro/registry.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    assert listed[0].startswith(f"# OpenNeuro {DATASET} ")
    assert {line.split()[0] for line in listed[1:]} == set(contents(tmp_path))
    for line in listed[1:]:
        path, checksum, url = line.split()
        digest = hashlib.sha256((tmp_path / path).read_bytes()).hexdigest()
        assert checksum == f"sha256:{digest}"
        assert url.endswith(f"/{DATASET}/{path}")


def test_connections_that_are_cut_go_on_where_they_were(
    bucket: Bucket, tmp_path: Path
) -> None:
    path = "sub-01/anat/sub-01_T1w.nii.gz"
    # more cuts than tries: each brings something
    bucket.files[path], bucket.cuts[path] = LARGE, [150_000] * 7
    fetched(plan_of(bucket, tmp_path, subjects=1))
    assert contents(tmp_path)[path] == LARGE
    assert bucket.sent[path] - len(LARGE) < 7 * BLOCK


def test_a_server_without_ranges_is_asked_from_the_start(
    bucket: Bucket, tmp_path: Path
) -> None:
    path = "sub-01/anat/sub-01_T1w.nii.gz"
    bucket.files[path], bucket.cuts[path] = LARGE, [150_000]
    bucket.ranges = False
    fetched(plan_of(bucket, tmp_path, subjects=1))
    assert contents(tmp_path)[path] == bucket.files[path]


def test_what_came_before_a_stop_or_a_failure_is_kept_and_gone_on_with(
    bucket: Bucket, tmp_path: Path
) -> None:
    path = "sub-01/anat/sub-01_T1w.nii.gz"
    bucket.files[path], bucket.cuts[path] = LARGE, [900_000, *([0] * 20)]
    with pytest.raises(InputError, match=r"127\.0\.0\.1: does not answer .* 3 tries"):
        list(download(plan_of(bucket, tmp_path, subjects=1)))
    assert path not in contents(tmp_path)
    assert not list(tmp_path.rglob("sub-01_T1w.nii*"))
    bucket.cuts.clear()
    fetched(plan_of(bucket, tmp_path, subjects=1))
    assert contents(tmp_path)[path] == LARGE
    assert bucket.sent[path] - len(LARGE) < BLOCK


def test_closing_the_download_ends_it(bucket: Bucket, tmp_path: Path) -> None:
    events = download(plan_of(bucket, tmp_path, subjects=2))
    next(events)
    events.close()
    names = {one.name for one in threading.enumerate()}
    assert not any(name.startswith("openneuro") for name in names)
    fetched(plan_of(bucket, tmp_path, subjects=2))


def test_a_busy_server_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.busy = 2
    assert plan_of(bucket, tmp_path, subjects=1).subjects == ("sub-01",)
    bucket.busy = 3
    with pytest.raises(InputError, match=r"after 3 tries \(status 503\); check the"):
        plan_of(bucket, tmp_path, subjects=1)


def test_damaged_files_are_told_and_never_put_in_the_folder(
    bucket: Bucket, tmp_path: Path
) -> None:
    damaged, gone, short = (
        f"sub-01/anat/sub-01_{end}" for end in ("T1w.nii.gz", "T2w.nii.gz", "T1w.json")
    )
    plan = plan_of(bucket, tmp_path, subjects=1)
    kept = {path: bucket.files[path] for path in (damaged, gone, short)}
    bucket.broken[damaged] = bytes(len(kept[damaged]))
    bucket.broken[short] = bucket.files[short] + b"more"
    del bucket.files[gone]
    with pytest.raises(
        InputError, match=r"^3 of 7 files could not be fetched \("
    ) as no:
        list(download(plan))
    assert "the others are in" in str(no.value)
    assert set(contents(tmp_path)) == {
        "dataset_description.json", "participants.tsv", "README", "T1w.json"
    }  # fmt: skip
    assert bucket.sent[damaged] == 2 * len(kept[damaged])
    bucket.files |= kept
    bucket.broken.clear()
    fetched(plan_of(bucket, tmp_path, subjects=1))
    assert contents(tmp_path).items() >= kept.items()


def test_files_that_were_sent_in_parts_are_checked_too(
    bucket: Bucket, tmp_path: Path
) -> None:
    path = "sub-01/anat/sub-01_T1w.nii.gz"
    content = np.random.default_rng(0).bytes(9 * 2**20)
    bucket.files[path] = content
    bucket.etags[path] = etag(content, 8 * 2**20)
    assert fetched(plan_of(bucket, tmp_path / "1", subjects=1)).unchecked == ()
    bucket.etags[path] = etag(content, 7 * 2**20)
    done = fetched(plan_of(bucket, tmp_path / "2", subjects=1))
    assert done.unchecked == (path,)
    # what came then is the measure
    assert not plan_of(bucket, tmp_path / "2", subjects=1).missing
    (tmp_path / "2" / path).write_bytes(bytes(len(content)))
    with pytest.raises(InputError, match="other content"):
        plan_of(bucket, tmp_path / "2", subjects=1)


def test_files_of_the_user_are_not_replaced_unless_told(
    bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "README").write_text("My own notes", encoding="utf-8")
    (tmp_path / "T1w.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"README: .*as 1 more are; .*--overwrite"):
        plan_of(bucket, tmp_path, subjects=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README", "T1w.json"]
    fetched(plan_of(bucket, tmp_path, replace=True, subjects=1))
    assert (tmp_path / "README").read_bytes() == bucket.files["README"]


def test_a_folder_of_another_dataset_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    fetched(plan_of(bucket, tmp_path, subjects=1))
    with pytest.raises(InputError, match=r"holds ds002330 .* folder for ds000117"):
        plan_of(bucket, tmp_path, dataset="ds000117")


def test_a_full_disk_is_seen_before_the_start(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2**24)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"are to be fetched and 0\.0168 GB are free"):
        plan_of(bucket, tmp_path / "not" / "yet", subjects=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"dataset": "ds999999"}, "ds999999: OpenNeuro has no public dataset"),
        ({"suffix": ("FLAIR",)}, r"none of 12 .* has FLAIR; .* T1w \(12\), T2w \(11\)"),
        ({"suffix": ("T1w", "PDw")}, "has T1w and PDw; their images are"),
        ({"subject": ("01", "77")}, "no subject sub-77; there are sub-01, sub-02"),
        ({"session": ("z",)}, "has T1w and T2w in session z; their"),
        ({"snapshot": "9.9"}, "ds002330: has no snapshot 9.9; there are 1.0.0, 1.0.1"),
        ({"dataset": "ds999999", "snapshot": "1"}, "has no public dataset"),
        ({"dataset": "2330"}, "setting dataset = '2330': cannot be used"),
        ({"dataset": "ds000001/../x"}, "setting dataset = "),
        ({"suffix": ()}, "setting suffix = .*: give at least 1 values"),
        ({"suffix": ("T1w*",)}, "setting suffix, entry 1, = 'T1w"),
        ({"subjects": 0}, "setting subjects = 0: "),
        ({"endpoint": "ftp://x"}, "setting endpoint = 'ftp://x'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(
    wanted: dict[str, Any], sentence: str, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.snapshots = {"1.0.0": {}, "1.0.1": {}}
    with pytest.raises(InputError, match=sentence) as refusal:
        plan_of(bucket, tmp_path, **wanted)
    assert len(str(refusal.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "answer",
    [
        b"<html><body>Please log in</body></html>",
        b"not even markup",
        b"<ListBucketResult><Contents>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>',
        b"{}",
    ],
)
def test_what_is_no_list_of_s3_is_refused(
    answer: bytes, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.answer = answer
    with pytest.raises(InputError, match="no list of files, as S3 gives it; check"):
        plan_of(bucket, tmp_path)


def test_an_endless_answer_is_not_read_to_its_end(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.answer = b" " * (2**24 + 1)
    with pytest.raises(InputError, match="more than 16 MB to a short question"):
        plan_of(bucket, tmp_path)


def test_endless_pages_are_not_read_for_ever(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = "napari_cyclegan3d.prepare.openneuro_listing._MOST_PAGES"
    monkeypatch.setattr(listing, 3)
    bucket.page = 1
    with pytest.raises(InputError, match="more than 3 pages of files; choose"):
        plan_of(bucket, tmp_path)


def test_nobody_at_an_address_is_told_in_a_sentence(tmp_path: Path) -> None:
    bucket = Bucket()
    with served(bucket):
        pass
    with pytest.raises(InputError, match=r"3 tries \(.*refused.*\); check the conn"):
        plan_of(bucket, tmp_path)


def git_key(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha_key(content: bytes) -> str:
    return f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}.nii.gz"


@pytest.mark.parametrize("keys", [Bucket.keys, git_key, sha_key])
def test_a_snapshot_has_the_files_of_its_time(
    keys: Callable[[bytes], str], bucket: Bucket, tmp_path: Path
) -> None:
    older = dict(bucket.files)
    older["sub-04/ses-a/anat/sub-04_ses-a_T1w.nii.gz"] = nifti(1234)
    del older["T1w.json"]
    bucket.snapshots, bucket.keys = {"1.0.0": older, "1.0.1": {}}, keys
    plan = plan_of(bucket, tmp_path, subject=("04", "05"), snapshot="1.0.0")
    assert fetched(plan).unchecked == ()
    there = contents(tmp_path)
    assert len(there) == 3 + 3 + 3
    assert there.items() <= older.items()
    assert not plan_of(bucket, tmp_path, subject=("04", "05"), snapshot="1.0.0").missing
    damaged = "sub-05/anat/sub-05_T1w.nii.gz"
    (tmp_path / damaged).unlink()
    bucket.broken[damaged] = bytes(len(older[damaged]))
    plan = plan_of(bucket, tmp_path, subject=("05",), snapshot="1.0.0")
    with pytest.raises(InputError, match="is not what its checksum says, twice"):
        list(download(plan))
    assert damaged not in contents(tmp_path)


def run(*words: object) -> int:
    return cli.main(["prepare", "openneuro", *(str(word) for word in words)])


def words(bucket: Bucket, root: Path) -> list[object]:
    return [
        *(DATASET, "--suffix", "T1w", "--suffix", "T2w", "--subjects", 2),
        *("--endpoint", f"{bucket.address}{BUCKET}", "-o", root),
    ]


def test_the_command_tells_the_size_and_how_to_train_with_it(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "ds"
    assert run(*words(bucket, root), "--yes") == 0
    told = capsys.readouterr().out
    size = sum(map(len, contents(root).values())) / 1000
    assert f"T1w and T2w of 2 subjects, 10 files, {size:.3g} kB; {size:.3g} kB" in told
    texts = [word.strip("'") for word in told.split() if word.startswith("'bids:")]
    assert [len(open_domain([text])) for text in texts] == [2, 2]
    assert run(*words(bucket, root)) == 0  # nothing to fetch, nothing to ask
    assert "0 B (0 files) to fetch" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 1), ("no", 1)])
def test_the_command_asks_before_it_starts(
    answer: str,
    code: int,
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert run(*words(bucket, tmp_path / "ds")) == code
    assert (tmp_path / "ds").exists() == (code == 0)


def test_the_command_does_not_start_unasked_without_a_terminal(
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert run(*words(bucket, tmp_path / "ds")) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ds002330: ")
    assert last.endswith(
        "are to be fetched and there is no terminal to ask on; add --yes"
    )
    assert not (tmp_path / "ds").exists()


def test_impossible_options_are_wrong_use(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words(bucket, tmp_path), "--subjects", "many")
    assert ended.value.code == 2
    assert "setting subjects = 'many'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("a certificate needs the program openssl")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(paths[0]), "-keyout", str(paths[1])),
        ],
        check=True,
        capture_output=True,
    )
    return paths


def test_https_is_used_and_only_with_a_certificate_that_is_trusted(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with served(bucket := Bucket(), context):
        with pytest.raises(InputError, match="its certificate cannot be trusted"):
            plan_of(bucket, tmp_path, subjects=1)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
        fetched(plan_of(bucket, tmp_path, subjects=1))
    path = "sub-01/anat/sub-01_T1w.nii.gz"
    assert contents(tmp_path)[path] == bucket.files[path]


def test_a_missing_extra_says_how_to_install_it(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(InputError, match=r"OpenNeuro needs requests.*3d\[mri\]'$"):
        plan_of(bucket, tmp_path)
