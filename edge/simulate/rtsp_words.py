"""The words of RTSP (RFC 2326): requests, answers, descriptions of streams, and who may ask (RFC 2617)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from edge.simulate import rtp
from edge.simulate.encoding import VideoForm

Scheme = Literal["basic", "digest"]
REQUEST_BYTES_MAX = 16_384
REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
}
_REALM = "edge simulate"
_PARAMETER = re.compile(r'(\w+)="?([^",]*)"?')


@dataclass(frozen=True, slots=True)
class Request:
    """One request; names of headers in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path of the URL, without a slash at its end."""
        path = re.sub(r"^rtsps?://[^/]*", "", self.url)
        return path.partition("?")[0].rstrip("/")


@dataclass(frozen=True, slots=True)
class Transport:
    """What a SETUP asks for: channels in the connection, or ports for datagrams."""

    is_interleaved: bool
    first: int
    second: int


def parse_request(head: bytes) -> Request | None:
    """Read a request without its body; None where it is none."""
    line, *rest = head.decode("latin-1").split("\r\n")
    words = line.split()
    if len(words) != 3 or not words[2].startswith("RTSP/"):
        return None
    pairs = (header.partition(":") for header in rest if ":" in header)
    return Request(
        words[0].upper(), words[1], {name.strip().lower(): value.strip() for name, _, value in pairs}
    )


def answer(status: int, request: Request, headers: Mapping[str, str], body: str = "") -> bytes:
    """Write an answer."""
    lines = [f"RTSP/1.0 {status} {REASONS[status]}", f"CSeq: {request.headers.get('cseq', '0')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return "\r\n".join([*lines, "", body]).encode()


def parse_transport(header: str) -> Transport | None:
    """Read the first transport that we can do; None where there is none."""
    for choice in header.split(","):
        for key, is_interleaved in (("interleaved", True), ("client_port", False)):
            found = re.search(rf"{key}=(\d+)(?:-(\d+))?", choice)
            if found and "multicast" not in choice:
                first = int(found[1])
                return Transport(is_interleaved, first, int(found[2] or first + 1))
        if "RTP/AVP/TCP" in choice:
            return Transport(True, 0, 1)
    return None


def description(form: VideoForm, unit: bytes, *, host: str) -> str:
    """Write the session description (SDP, RFC 4566) of a stream.

    Args:
        form: How it is encoded.
        unit: An access unit with its parameter sets.
        host: Our address.
    """
    payload_type = rtp.PAYLOAD_TYPE[form.codec]
    parameters = rtp.format_parameters(unit, form.codec)
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {host}",
        "s=edge simulate",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        "a=range:npt=now-",
        f"m=video 0 RTP/AVP {payload_type}",
        f"a=rtpmap:{payload_type} {rtp.ENCODING[form.codec]}/{rtp.CLOCK_HZ}",
        *([f"a=fmtp:{payload_type} {parameters}"] if parameters else []),
        f"a=framerate:{form.fps:g}",
        "a=control:trackID=0",
    ]
    return "\r\n".join([*lines, ""])


class Doorkeeper:
    """Who may ask: nobody is asked, or Basic, or Digest."""

    def __init__(self, *, scheme: Scheme | None, user: str, password: str) -> None:
        self._scheme = scheme
        self._user, self._password = user, password
        self._nonce = secrets.token_hex(16)

    @property
    def challenge(self) -> str:
        """What a caller without credentials is told."""
        if self._scheme == "basic":
            return f'Basic realm="{_REALM}"'
        return f'Digest realm="{_REALM}", nonce="{self._nonce}"'

    def admits(self, request: Request) -> bool:
        """Whether the request may be answered."""
        if self._scheme is None:
            return True
        scheme, _, said = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != self._scheme:
            return False
        expected = self._basic() if self._scheme == "basic" else self._digest(request, said)
        given = (
            said.strip() if self._scheme == "basic" else dict(_PARAMETER.findall(said)).get("response", "")
        )
        return hmac.compare_digest(given, expected)

    def _basic(self) -> str:
        return base64.b64encode(f"{self._user}:{self._password}".encode()).decode()

    def _digest(self, request: Request, said: str) -> str:
        """The response that RFC 2069 wants; the URI is the caller's, as clients differ in what they sign."""
        uri = dict(_PARAMETER.findall(said)).get("uri", "")
        who = _md5(f"{self._user}:{_REALM}:{self._password}")
        return _md5(f"{who}:{self._nonce}:{_md5(f'{request.method}:{uri}')}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()  # the digest that RFC 2617 names
