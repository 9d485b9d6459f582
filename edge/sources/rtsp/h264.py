"""H.264 out of RTP (RFC 6184): single NAL units, STAP-A and FU-A; the interleaved forms are refused."""

from __future__ import annotations

from edge.domain.errors import FormatError
from edge.sources.rtsp.nal import NalUnits

_STAP_A, _FU_A = 24, 28
_SINGLE = range(1, 24)
_PICTURE = range(1, 6)
_IDR, _SEI = 5, 6
_RECOVERY_POINT = 6  # SEI payload type (H.264, D.1.8): a decoder may begin here too


class H264(NalUnits):
    """The NAL units of one access unit."""

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

    def _unit(self, unit: bytes) -> None:
        kind = unit[0] & 0x1F
        is_key = kind == _IDR or (kind == _SEI and len(unit) > 1 and unit[1] == _RECOVERY_POINT)
        self._whole(unit, is_key=is_key, is_picture=kind in _PICTURE)

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
        head = (payload[0] & 0xE0) | (payload[1] & 0x1F)
        kind = head & 0x1F
        self._part(
            payload[2:],
            head=bytes([head]),
            begins=bool(payload[1] & 0x80),
            ends=bool(payload[1] & 0x40),
            is_key=kind == _IDR,
            is_picture=kind in _PICTURE,
        )
