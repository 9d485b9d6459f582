"""H.265 out of RTP (RFC 7798): single NAL units, aggregation packets and fragmentation units, in order."""

from __future__ import annotations

from edge.domain.errors import FormatError
from edge.sources.rtsp.nal import NalUnits

_AGGREGATE, _FRAGMENT = 48, 49
_IRAP = range(16, 24)  # H.265, table 7-1: BLA, IDR and CRA: a decoder may begin here
_PICTURE_END = 32  # below: parts of pictures; from here on: parameter sets, SEI
_HEAD_BYTES = 2


class H265(NalUnits):
    """The NAL units of one access unit."""

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

    def _unit(self, unit: bytes) -> None:
        kind = _kind(unit)
        self._whole(unit, is_key=kind in _IRAP, is_picture=kind < _PICTURE_END)

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
        kind = payload[2] & 0x3F
        self._part(
            payload[3:],
            head=bytes([(payload[0] & 0x81) | (kind << 1), payload[1]]),
            begins=bool(payload[2] & 0x80),
            ends=bool(payload[2] & 0x40),
            is_key=kind in _IRAP,
            is_picture=kind < _PICTURE_END,
        )


def _kind(unit: bytes) -> int:
    return (unit[0] >> 1) & 0x3F
