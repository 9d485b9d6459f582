"""A real web server that gives out one file, and behaves as badly as a test wants."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One question, and the words to answer it with."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:  # the name that http.server calls
        self.server.asked.append((self.path, self.headers.get("Range", "")))
        answers = self.server.answers
        answer = answers.popleft() if answers else self.server.usual
        with contextlib.suppress(OSError):  # the client had enough
            answer(self)

    @property
    def content(self) -> bytes:
        return self.server.content

    @property
    def first(self) -> int:
        """The first byte that was asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def say(self, status: int, headers: dict[str, Any], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    content: bytes
    asked: list[tuple[str, str]]
    answers: deque[Answer]
    usual: Answer


class PackageServer:
    """A server on loopback while its `with` lasts; each of `answers` is given once, then `usual` for ever."""

    def __init__(self, content: bytes, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._server = Server(("127.0.0.1", 0), Request)
        self._server.content, self._server.asked = content, []
        self._server.answers, self._server.usual = deque(answers), ranges
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{self.root}/tiny-1.0.0.edgebundle"

    @property
    def root(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ranges_asked(self) -> list[str]:
        return [asked for _, asked in self._server.asked]

    @property
    def paths_asked(self) -> list[str]:
        return [path for path, _ in self._server.asked]

    def always(self, answer: Answer) -> Self:
        self._server.usual = answer
        return self


# ── ways to answer ────────────────────────────────────────────────────────────────────────────────────────


def ranges(request: Request) -> None:
    """Give what was asked for."""
    partly(len(request.content))(request)


def partly(count: int, *, content: bytes | None = None) -> Answer:
    """Promise what was asked for, and break off after so many bytes; of other content, if one is given."""

    def answer(request: Request) -> None:
        given, first = content or request.content, request.first
        rest = given[first:]
        headers = {"Content-Length": len(rest), "ETag": '"one"'}
        if request.headers.get("Range"):
            headers["Content-Range"] = f"bytes {first}-{len(given) - 1}/{len(given)}"
        request.say(206 if request.headers.get("Range") else 200, headers, rest[:count])
        request.close_connection = True

    return answer


def whole(request: Request) -> None:
    """Know nothing of ranges."""
    request.say(200, {"Content-Length": len(request.content)}, request.content)


def whole_partly(count: int) -> Answer:
    """Know nothing of ranges, and break off after so many bytes."""

    def answer(request: Request) -> None:
        request.say(200, {"Content-Length": len(request.content)}, request.content[:count])
        request.close_connection = True

    return answer


def unmeasured(more: bytes = b"") -> Answer:
    """Give all, and perhaps more, without a word of how much."""

    def answer(request: Request) -> None:
        request.say(200, {"Connection": "close"}, request.content + more)
        request.close_connection = True

    return answer


def chunked(request: Request) -> None:
    """Give all in pieces."""
    half = len(request.content) // 2
    request.say(200, {"Transfer-Encoding": "chunked"})
    for piece in (request.content[:half], request.content[half:], b""):
        request.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")


def status(code: int, **headers: object) -> Answer:
    """Say no."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: request.say(code, {"Content-Length": 0, **named})


def silence(release: threading.Event) -> Answer:
    """Promise, give a little, and then nothing until released."""

    def answer(request: Request) -> None:
        request.say(200, {"Content-Length": len(request.content)}, request.content[:10])
        release.wait(20)
        request.close_connection = True

    return answer
