"""H.265 out of RTP (RFC 7798): single NAL units, aggregation packets and fragmentation units, in order."""

from __future__ import annotations

from edge.domain.errors import FormatError
from edge.sources.rtsp.access_unit import START

_AGGREGATE, _FRAGMENT = 48, 49
_IRAP = range(16, 24)  # H.265, table 7-1: BLA, IDR and CRA: a decoder may begin here
_PICTURE_END = 32  # below: parts of pictures; from here on: parameter sets, SEI
_HEAD_BYTES = 2


class H265:
    """The NAL units of one access unit."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was taken in: a new access unit begins."""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_open = False
        self._is_key = False
        self._has_picture = False

    def add(self, payload: bytes) -> None:
        """Take in the payload of the next packet.

        Raises:
            FormatError: It is not packed as RFC 7798 says.
        """
        if len(payload) < _HEAD_BYTES + 1:
            raise FormatError(f"an H.265 packet of {len(payload)} bytes")
        kind = _kind(payload)
        if kind < _AGGREGATE:
            self._unit(payload)
        elif kind == _AGGREGATE:
            self._aggregate(payload)
        elif kind == _FRAGMENT:
            self._fragment(payload)
        else:
            raise FormatError(f"an H.265 packet of type {kind}, wanted a NAL unit, AP or FU")

    def is_complete(self) -> bool:
        """Whether nothing that was begun is unfinished."""
        return not self._is_open and bool(self._parts)

    def size_bytes(self) -> int:
        """Bytes taken in so far."""
        return self._size_bytes

    def content(self) -> bytes:
        """Return the access unit as an Annex B byte stream."""
        return b"".join(self._parts)

    def is_key(self) -> bool:
        """Whether a decoder can begin with what was taken in."""
        return self._is_key

    def has_picture(self) -> bool:
        """Whether a part of a picture was taken in, not only what announces one."""
        return self._has_picture

    def _unit(self, unit: bytes) -> None:
        if self._is_open:
            raise FormatError("a NAL unit begins before the fragments of the one before have ended")
        self._is_key |= _kind(unit) in _IRAP
        self._has_picture |= _kind(unit) < _PICTURE_END
        self._put(START, unit)

    def _aggregate(self, payload: bytes) -> None:
        at = _HEAD_BYTES
        while at < len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
            if end > len(payload) or end < at + 2 + _HEAD_BYTES:
                raise FormatError(
                    f"an aggregation packet of {len(payload)} bytes has a unit that ends at {end}"
                )
            self._unit(payload[at + 2 : end])
            at = end

    def _fragment(self, payload: bytes) -> None:
        if len(payload) < _HEAD_BYTES + 2:
            raise FormatError(f"a fragmentation unit of {len(payload)} bytes")
        begins, ends = bool(payload[2] & 0x80), bool(payload[2] & 0x40)
        if begins == self._is_open:
            raise FormatError("fragments of a NAL unit do not follow each other")
        if begins:
            kind = payload[2] & 0x3F
            self._is_key |= kind in _IRAP
            self._has_picture |= kind < _PICTURE_END
            self._put(START, bytes([(payload[0] & 0x81) | (kind << 1), payload[1]]))
        self._put(payload[3:])
        self._is_open = not ends

    def _put(self, *parts: bytes) -> None:
        self._parts.extend(parts)
        self._size_bytes += sum(map(len, parts))


def _kind(unit: bytes) -> int:
    return (unit[0] >> 1) & 0x3F
