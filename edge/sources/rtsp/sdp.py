"""What a session description (RFC 4566) says about its video: which track, how packed, where to ask."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import urljoin

from edge.domain.errors import FormatError, UnsupportedError

_STATIC = {"26": ("JPEG", 90_000)}  # RFC 3551, table 5
ENCODINGS = ("H264", "H265", "JPEG")
_FPS_MAX = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One video track that we can decode.

    Attributes:
        encoding: `H264`, `H265` or `JPEG`.
        payload_type: Of its RTP packets, 0 to 127.
        clock_rate_hz: Of its RTP timestamps.
        url: What SETUP is asked for.
        frames_per_s: As the description says, or None.
        parameter_sets: NAL units that come ahead of the stream (SPS, PPS, VPS), without start codes.
    """

    encoding: str
    payload_type: int
    clock_rate_hz: int
    url: str
    frames_per_s: float | None = None
    parameter_sets: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A session: what PLAY is asked for, and its video."""

    url: str
    track: Track


class _Media:
    """The lines of one `m=` section."""

    def __init__(self, line: str) -> None:
        parts = line.split()
        self.kind = parts[0] if parts else ""
        self.profile = parts[2] if len(parts) > 2 else ""
        self.payload_types = parts[3:]
        self.attributes: list[tuple[str, str]] = []

    def first(self, name: str, payload_type: str = "") -> str | None:
        """Return the value of an attribute; for those of a payload type what follows its number."""
        for key, value in self.attributes:
            number, _, rest = value.partition(" ")
            if key == name and not payload_type:
                return value
            if key == name and number == payload_type:
                return rest.strip()
        return None


def read(text: str, *, base_url: str) -> Description:
    """Find the first video track that we can decode.

    Args:
        text: The description.
        base_url: What relative addresses in it are relative to.

    Raises:
        FormatError: It is no session description.
        UnsupportedError: No video in it is one we can decode; the message says what there is.
    """
    media: list[_Media] = []
    session_control = "*"
    if not text.lstrip().startswith("v="):
        raise FormatError(f"a session description begins {text[:20]!r}, wanted v=0")
    for line in text.replace("\r\n", "\n").split("\n"):
        kind, _, value = line.strip().partition("=")
        if kind == "m":
            media.append(_Media(value))
        elif kind == "a":
            name, _, rest = value.partition(":")
            if media:
                media[-1].attributes.append((name, rest))
            elif name == "control":
                session_control = rest.strip()
    aggregate = base_url if session_control == "*" else _join(base_url, session_control)
    refusals: list[str] = []
    for one in media:
        track = _track(one, aggregate, refusals)
        if track is not None:
            return Description(url=aggregate, track=track)
    raise UnsupportedError(
        f"its tracks are {'; '.join(refusals) or 'none'}; wanted video in {', '.join(ENCODINGS)}"
    )


def _track(media: _Media, aggregate: str, refusals: list[str]) -> Track | None:
    for payload_type in media.payload_types:
        mapping = media.first("rtpmap", payload_type) or ""
        encoding, _, rate = mapping.partition("/")
        rate = rate.partition("/")[0]
        if payload_type in _STATIC and not mapping:
            encoding, rate = _STATIC[payload_type][0], str(_STATIC[payload_type][1])
        encoding = encoding.strip().upper()
        options = _options(media.first("fmtp", payload_type) or "")
        why = _refusal(media, encoding, rate.strip(), payload_type, options)
        if why:
            refusals.append(f"{media.kind} {encoding or payload_type} ({why})")
            continue
        control = (media.first("control") or "*").strip()
        return Track(
            encoding=encoding,
            payload_type=int(payload_type),
            clock_rate_hz=int(rate),
            url=aggregate if control == "*" else _join(aggregate, control),
            frames_per_s=_frame_rate(media, payload_type),
            parameter_sets=_parameter_sets(options),
        )
    return None


def _refusal(media: _Media, encoding: str, rate: str, payload_type: str, options: dict[str, str]) -> str:
    """Say why a track is not for us, or "" where it is."""
    if media.kind != "video":
        return "no video"
    if "SAVP" in media.profile:
        return f"{media.profile} is encrypted (SRTP)"
    if encoding not in ENCODINGS:
        return "no codec of ours"
    if not rate.isdecimal() or int(rate) == 0 or not payload_type.isdecimal() or int(payload_type) > 127:
        return f"clock rate {rate[:12]!r}, payload type {payload_type[:12]!r}"
    if options.get("packetization-mode", "0") == "2":
        return "packetization-mode 2, interleaved NAL units"
    if options.get("sprop-max-don-diff", "0") != "0" or options.get("sprop-depack-buf-nalus", "0") != "0":
        return "interleaved NAL units"
    return ""


def _options(fmtp: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in fmtp.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _parameter_sets(options: dict[str, str]) -> tuple[bytes, ...]:
    """Return the NAL units of the description; what is damaged there comes in the stream again."""
    names = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
    units = []
    for encoded in ",".join(options.get(name, "") for name in names).split(","):
        try:
            units.append(base64.b64decode(encoded, validate=True))
        except binascii.Error:
            continue
    return tuple(unit for unit in units if unit)


def _frame_rate(media: _Media, payload_type: str) -> float | None:
    text = (
        media.first("framerate") or media.first("x-framerate") or media.first("framerate", payload_type) or ""
    )
    number = re.match(r"\s*(\d+(?:\.\d+)?)", text)
    frames_per_s = float(number[1]) if number else 0.0
    return frames_per_s if 0 < frames_per_s <= _FPS_MAX else None


def _join(base_url: str, control: str) -> str:
    """Return the address of a control attribute (RFC 2326, C.1.1); cameras append rather than resolve."""
    if re.match(r"rtspu?://", control, re.IGNORECASE):
        return control
    if control.startswith("/"):
        # urljoin does not know that rtsp has authorities; http has the same form.
        return "rtsp" + urljoin("http" + base_url[4:], control)[4:]
    return base_url.rstrip("/") + "/" + control
