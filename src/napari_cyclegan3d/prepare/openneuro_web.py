"""Requests to a server that may be slow, busy or cut off: answered or explained."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.prepare.openneuro_files import EXTRA, PURPOSE, RemoteFile

_Answer = TypeVar("_Answer")
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_LARGEST_ANSWER = 2**24
_BLOCK = 2**16
_LONGEST_PAUSE = 60.0


class MissingError(InputError):
    """The server has no such thing, gives it to nobody, or has another one."""


class UnreachableError(InputError):
    """All tries failed."""


class CancelledError(Exception):
    """The caller wants no more."""


class _BusyError(Exception):
    """Worth another try."""


@dataclass
class Web:
    """Access to servers: sessions, patience, and a stop.

    Attributes:
        tries: How often one thing is asked for before giving up.
        pause: Seconds before the second try; doubled before each further one.
        patience: Seconds without any answer that count as a failure.
        stop: Set by the caller to end all that runs.
    """

    tries: int = 5
    pause: float = 1.0
    patience: float = 30.0
    stop: threading.Event = field(default_factory=threading.Event)
    _own: threading.local = field(default_factory=threading.local, repr=False)

    def get(self, url: str, parameters: Mapping[str, str]) -> bytes:
        """A short answer.

        Raises:
            MissingError: The server refuses.
            UnreachableError: All tries failed.
            InputError: It answers with too much, or cannot be trusted.
        """
        return self._patiently(
            url, lambda: self._short("GET", url, params=dict(parameters))
        )

    def post(self, url: str, content: Mapping[str, Any]) -> bytes:
        """A short answer to a question in JSON; raises as `get`."""
        return self._patiently(
            url, lambda: self._short("POST", url, json=dict(content))
        )

    def fetch(self, file: RemoteFile, part: Path, told: Callable[[int], None]) -> None:
        """Fill `part` with a file, beginning where it ends.

        Args:
            file: What to fetch.
            part: A file for it, which may have its beginning; it stays on a failure.
            told: Called with each number of bytes that came; negative when what was
                there turned out to be of no use.

        Raises:
            MissingError: The server has no such file, or another one by now.
            UnreachableError: Nothing more came in all tries.
            InputError: The server cannot be trusted.
            CancelledError: By `stop`.
        """
        while True:
            before = _bytes_in(part)
            try:
                self._patiently(file.url, lambda: self._rest(file, part, told))
                return
            except UnreachableError:
                # a connection that is cut often still gets there
                if _bytes_in(part) <= before:
                    raise

    def _patiently(self, url: str, attempt: Callable[[], _Answer]) -> _Answer:
        requests = needed("requests", EXTRA, PURPOSE)
        host = urlsplit(url).hostname or url
        reason = ""
        for number in range(self.tries):
            try:
                return attempt()
            except requests.exceptions.SSLError:
                raise InputError(
                    f"{host}: its certificate cannot be trusted; check the clock of "
                    "this computer and the proxy, if there is one"
                ) from None
            except _BusyError as error:
                reason = str(error)
            except requests.exceptions.RequestException as error:
                reason = _plain(error)
            if number + 1 < self.tries:
                pause = min(self.pause * 2**number, _LONGEST_PAUSE)
                if self.stop.wait(pause):
                    raise CancelledError
        raise UnreachableError(
            f"{host}: does not answer as it should after {self.tries} tries "
            f"({reason}); check the connection and start again later: what is there "
            "is kept"
        )

    def _short(self, method: str, url: str, **options: Any) -> bytes:
        with self._asked(method, url, **options) as response:
            _check_status(response.status_code, url)
            answer = bytearray()
            for block in response.iter_content(_BLOCK):
                answer += block
                if len(answer) > _LARGEST_ANSWER:
                    raise InputError(
                        f"{urlsplit(url).hostname}: answers with more than "
                        f"{_LARGEST_ANSWER >> 20} MB to a short question; check "
                        "--endpoint"
                    )
        return bytes(answer)

    def _rest(self, file: RemoteFile, part: Path, told: Callable[[int], None]) -> None:
        """One request for what is missing; what comes is kept, whatever happens."""
        there = _bytes_in(part)
        if there == file.size and part.exists():
            return
        if there > file.size:  # no beginning of it
            part.unlink()
            told(-there)
            there = 0
        # the sizes that are listed are those of the content as it is stored
        headers = {"Accept-Encoding": "identity"}
        if there:
            headers["Range"] = f"bytes={there}-"
        with self._asked("GET", file.url, headers=headers) as response:
            _check_status(response.status_code, file.path)
            goes_on = response.headers.get("Content-Range", "").startswith(
                f"bytes {there}-"
            )
            if there and not goes_on:
                told(-there)
                there = 0
            with part.open("ab" if there else "wb") as target:
                for block in response.iter_content(_BLOCK):
                    if self.stop.is_set():
                        raise CancelledError
                    there += len(block)
                    if there > file.size:
                        raise MissingError(
                            f"{file.path}: the server sends another size"
                        )
                    target.write(block)
                    told(len(block))
        if there < file.size:
            raise _BusyError("the connection was cut")

    def _asked(self, method: str, url: str, **options: Any) -> Any:
        if self.stop.is_set():
            raise CancelledError
        if not hasattr(self._own, "session"):  # a session serves one thread
            self._own.session = needed("requests", EXTRA, PURPOSE).Session()
        limits = (min(10.0, self.patience), self.patience)
        return self._own.session.request(
            method, url, stream=True, timeout=limits, **options
        )


def _bytes_in(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _check_status(status: int, named: str) -> None:
    if status in _BUSY:
        raise _BusyError(f"status {status}")
    if status == 416:
        raise _BusyError("the server has less than it lists")
    if not 200 <= status < 300:
        raise MissingError(f"{named}: the server refuses it (status {status})")


def _plain(error: Exception) -> str:
    """The last reason of a chain of errors, in a few words."""
    while (cause := error.__cause__ or error.__context__) is not None:
        if not isinstance(cause, Exception):
            break
        error = cause
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:120]
