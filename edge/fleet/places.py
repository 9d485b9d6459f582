"""Where a package may lie: a web server, asked from the byte on that is still missing, or a file."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import edge
from edge.domain.errors import EdgeError
from edge.fleet.addresses import shown, trouble_with
from edge.fleet.cancel import Cancel

REDIRECTS_MAX: Final = 5
CONNECT_S: Final = 10.0
RETRY_AFTER_MAX_S: Final = 60.0
MOVED: Final = (301, 302, 303, 307, 308)
BUSY: Final = (408, 425, 429)
RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")

TlsMaker = Callable[[], ssl.SSLContext]


class PlaceError(EdgeError):
    """A place does not give what it should; nothing will change that soon."""


class BusyPlaceError(PlaceError):
    """A place does not answer now, or broke off; another try may do better.

    Attributes:
        pause_s: How long it asks to be left alone.
    """

    def __init__(self, message: str, *, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.pause_s = pause_s


class RangeRefusedError(PlaceError):
    """A place will not go on from that byte; from the first one it may."""


class Readable(Protocol):
    """What gives bytes."""

    def read1(self, count: int, /) -> bytes:
        """Return what is there, at most so many; waits for the first, gives none at the end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a place gives.

    Attributes:
        begins_at: Which byte of the package comes first.
        total_bytes: Size of the whole package as the place says, or None where it does not.
        tag: What the place calls this state of the file, or "".
        stream: The bytes; an error of the network is an OSError or an HTTPException.
    """

    begins_at: int
    total_bytes: int | None
    tag: str
    stream: Readable


@dataclass(frozen=True, slots=True)
class Place:
    """One address of a package.

    Attributes:
        url: https, http or file.
        idle_s: So long nothing may come.
        tls: Makes the context for https.
    """

    url: str
    idle_s: float = 20.0
    tls: TlsMaker = ssl.create_default_context

    def __str__(self) -> str:
        return shown(self.url)

    @contextmanager
    def opened(self, *, offset: int, tag: str, cancel: Cancel) -> Iterator[Reply]:
        """Ask for the package from a byte on; what comes may begin earlier.

        Args:
            offset: The first byte that is missing.
            tag: Of the state of the file that the bytes before it are from, or "".
            cancel: Cuts the line.

        Raises:
            PlaceError: It will not give it.
            RangeRefusedError: … from there on.
            BusyPlaceError: It does not give it now; also for all that goes wrong within the `with`.
        """
        try:
            wrong = trouble_with(self.url)
            if wrong:
                raise PlaceError(f"{self}: {wrong}")
            opening = self._file(offset) if self.url.startswith("file:") else self._web(offset, tag, cancel)
            with opening as reply:
                yield reply
        except ssl.SSLCertVerificationError as error:
            raise PlaceError(f"{self}: its certificate is not believed: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            raise BusyPlaceError(f"{self}: {type(error).__name__}: {error}") from error

    @contextmanager
    def _file(self, offset: int) -> Iterator[Reply]:
        path = Path(unquote(urlsplit(self.url).path))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait
        except OSError as error:
            raise PlaceError(f"{self}: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PlaceError(f"{self}: is no plain file")
            begins_at = min(offset, status.st_size)
            file.seek(begins_at)
            yield Reply(begins_at, status.st_size, "", file)

    @contextmanager
    def _web(self, offset: int, tag: str, cancel: Cancel) -> Iterator[Reply]:
        url, headers = self.url, _headers(offset, tag)
        for _ in range(REDIRECTS_MAX + 1):
            with self._asked(urlsplit(url), headers, cancel) as response:
                if response.status in MOVED:
                    url = self._next(url, response.getheader("Location", ""))
                    continue
                yield self._reply(response, offset)
                return
        raise PlaceError(f"{self}: leads on more than {REDIRECTS_MAX} times")

    @contextmanager
    def _asked(
        self, url: SplitResult, headers: dict[str, str], cancel: Cancel
    ) -> Iterator[http.client.HTTPResponse]:
        assert url.hostname is not None, "looked at before"
        line: http.client.HTTPConnection
        if url.scheme == "https":
            line = http.client.HTTPSConnection(
                url.hostname, url.port, timeout=CONNECT_S, context=self.tls(), blocksize=1 << 18
            )
        else:
            line = http.client.HTTPConnection(url.hostname, url.port, timeout=CONNECT_S, blocksize=1 << 18)
        with contextlib.closing(line):
            line.connect()
            line.sock.settimeout(self.idle_s)
            with cancel.cutting(partial(_cut, line.sock)):
                target = (url.path or "/") + (f"?{url.query}" if url.query else "")
                line.request("GET", target, headers=headers)
                with line.getresponse() as response:
                    yield response

    def _next(self, url: str, location: str) -> str:
        leads_to = urljoin(url, location)
        wrong = trouble_with(leads_to) if location else "names no place"
        if not wrong and leads_to.startswith("file:"):
            wrong = "a web server may not name a file here"
        if not wrong and url.startswith("https:") and not leads_to.startswith("https:"):
            wrong = "leads from https to http"
        if wrong:
            raise PlaceError(f"{self}: leads on to {shown(leads_to)}: {wrong}")
        return leads_to

    def _reply(self, response: http.client.HTTPResponse, offset: int) -> Reply:
        status = response.status
        if status >= 500 or status in BUSY:
            raise BusyPlaceError(f"{self}: answers {status}", pause_s=_pause_s(response))
        if status not in (200, 206, 416):
            raise PlaceError(f"{self}: answers {status} {response.reason[:80]!r}")
        coding = response.getheader("Content-Encoding", "identity")
        if coding != "identity":
            raise PlaceError(f"{self}: sends it encoded as {coding[:20]!r}, and was asked not to")
        tag = response.getheader("ETag", "")
        if status == 200:
            return Reply(0, response.length, tag, response)
        said = response.getheader("Content-Range", "")
        found = RANGE.fullmatch(said) if status == 206 else None
        if found is None:  # 416: what we have is longer than what it has
            kind = RangeRefusedError if offset else PlaceError
            raise kind(f"{self}: answers {status} with the range {said[:80]!r}, asked from byte {offset} on")
        total = None if found[3] == "*" else int(found[3])
        return Reply(int(found[1]), total, tag, response)


def _headers(offset: int, tag: str) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": f"edge/{edge.__version__}"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if tag and not tag.startswith("W/"):
            headers["If-Range"] = tag
    return headers


def _pause_s(response: http.client.HTTPResponse) -> float:
    said = response.getheader("Retry-After", "")
    return min(float(said), RETRY_AFTER_MAX_S) if re.fullmatch(r"\d{1,9}", said) else 0.0


def _cut(line: socket.socket) -> None:
    """End a line that another thread may be reading; SSLSocket's own way is not meant for that."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)
