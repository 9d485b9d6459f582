"""H.264 out of RTP (RFC 6184): single NAL units, STAP-A and FU-A; the interleaved forms are refused."""

from __future__ import annotations

from edge.domain.errors import FormatError
from edge.sources.rtsp.access_unit import START

_STAP_A, _FU_A = 24, 28
_SINGLE = range(1, 24)
_PICTURE = range(1, 6)
_IDR, _SEI = 5, 6
_RECOVERY_POINT = 6  # SEI payload type (H.264, D.1.8): a decoder may begin here too


class H264:
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
            FormatError: It is not packed as RFC 6184 says.
        """
        if not payload:
            raise FormatError("an RTP packet without a payload")
        kind = payload[0] & 0x1F
        if kind in _SINGLE:
            self._unit(payload)
        elif kind == _STAP_A:
            self._aggregate(payload)
        elif kind == _FU_A:
            self._fragment(payload)
        else:
            raise FormatError(f"an H.264 packet of type {kind}, wanted a NAL unit, STAP-A or FU-A")

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
        kind = unit[0] & 0x1F
        self._is_key |= kind == _IDR or (kind == _SEI and len(unit) > 1 and unit[1] == _RECOVERY_POINT)
        self._has_picture |= kind in _PICTURE
        self._put(START, unit)

    def _aggregate(self, payload: bytes) -> None:
        at = 1
        while at < len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
            if end > len(payload) or end == at + 2:
                raise FormatError(f"a STAP-A of {len(payload)} bytes has a unit that ends at {end}")
            self._unit(payload[at + 2 : end])
            at = end

    def _fragment(self, payload: bytes) -> None:
        if len(payload) < 3:
            raise FormatError(f"an FU-A of {len(payload)} bytes")
        begins, ends = bool(payload[1] & 0x80), bool(payload[1] & 0x40)
        if begins == self._is_open:
            raise FormatError("fragments of a NAL unit do not follow each other")
        if begins:
            head = (payload[0] & 0xE0) | (payload[1] & 0x1F)
            self._is_key |= head & 0x1F == _IDR
            self._has_picture |= head & 0x1F in _PICTURE
            self._put(START, bytes([head]))
        self._put(payload[2:])
        self._is_open = not ends

    def _put(self, *parts: bytes) -> None:
        self._parts.extend(parts)
        self._size_bytes += sum(map(len, parts))
