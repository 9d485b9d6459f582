"""Packets to access units: a picture is whole with its marker bit, and damaged where a packet is missing."""

from __future__ import annotations

from edge.domain.errors import FormatError
from edge.sources.rtsp.access_unit import AccessUnit, Codec
from edge.sources.rtsp.h264 import H264
from edge.sources.rtsp.h265 import H265
from edge.sources.rtsp.jpeg import Jpeg
from edge.sources.rtsp.rtp import RtpPacket

MISSING = "packets missing"
BADLY_PACKED = "badly packed"
TOO_LARGE = "too large"
_AHEAD_BYTES_MAX = 64 << 10
_CODECS: dict[str, type[H264] | type[H265] | type[Jpeg]] = {"H264": H264, "H265": H265, "JPEG": Jpeg}


class Depacketiser:
    """Collects the packets of one access unit; it holds no more than one."""

    def __init__(self, encoding: str, *, bytes_max: int) -> None:
        """Begin.

        Args:
            encoding: `H264`, `H265` or `JPEG`.
            bytes_max: Of one access unit; a larger one is damaged.
        """
        self.last_trouble = ""
        self._codec: Codec = _CODECS[encoding]()
        self._bytes_max = bytes_max
        self._timestamp: int | None = None
        self._arrival_ns = 0
        self._damage = ""
        self._ahead = b""  # parameter sets that came in a packet of their own, marker and all

    def put(self, packet: RtpPacket) -> list[AccessUnit]:
        """Take a packet in and return the access units it ends: with its marker, or by being of the next."""
        ended = []
        if self._timestamp is not None and packet.timestamp != self._timestamp:
            if packet.follows_gap:
                self._damage = self._damage or MISSING  # its end may be among what is missing
            ended += self._end()
        if self._timestamp is None:
            self._begin(packet)
        if packet.follows_gap:
            self._damage = self._damage or MISSING
        if not self._damage:
            self._add(packet.payload)
        if packet.marker:
            ended += self._end()
        return ended

    def _begin(self, packet: RtpPacket) -> None:
        self._codec.begin()
        self._timestamp, self._arrival_ns, self._damage = packet.timestamp, packet.arrival_ns, ""

    def _add(self, payload: bytes) -> None:
        try:
            self._codec.add(payload)
        except FormatError as trouble:
            self._damage, self.last_trouble = BADLY_PACKED, str(trouble)
        if self._codec.size_bytes() > self._bytes_max:
            self._damage = TOO_LARGE
            self.last_trouble = f"an access unit of more than {self._bytes_max} bytes"
            self._codec.begin()

    def _end(self) -> list[AccessUnit]:
        assert self._timestamp is not None, "one was begun"
        if not self._damage and not self._codec.is_complete():
            self._damage = MISSING
        content, is_key = b"", False
        if not self._damage:
            content, is_key = self._ahead + self._codec.content(), self._codec.is_key()
        timestamp, self._timestamp = self._timestamp, None
        is_announcement = not self._damage and not self._codec.has_picture()
        self._codec.begin()
        self._ahead = content if is_announcement and len(content) <= _AHEAD_BYTES_MAX else b""
        if is_announcement:
            return []
        arrival_ns, damage = self._arrival_ns, self._damage
        return [
            AccessUnit(
                content=content, timestamp=timestamp, arrival_ns=arrival_ns, is_key=is_key, damage=damage
            )
        ]
