"""Motion JPEG out of RTP (RFC 2435): the packets leave the head of the JPEG out, we write it again.

Huffman tables are the standard's (ITU-T T.81, annex K.3); decoders have them, so they are not written.
"""

from __future__ import annotations

import struct

from edge.domain.errors import FormatError

_HEAD = struct.Struct(">B3sBBBB")
_WITH_RESTARTS = 64  # added to the type
_TABLES_FOLLOW = 128  # Q from here on: the tables are in the packet
_DYNAMIC = 255  # Q whose tables change with every picture
# ITU-T T.81, tables K.1 and K.2, in zigzag order
_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMA = bytes.fromhex(
    "1112121815182f1a1a2f63423842636363636363636363636363636363636363"
    "6363636363636363636363636363636363636363636363636363636363636363"
)


class Jpeg:
    """The fragments of one picture."""

    def __init__(self) -> None:
        self._kept: dict[int, bytes] = {}  # tables by Q, where a packet says "as before"
        self.begin()

    def begin(self) -> None:
        """Forget what was taken in: a new picture begins."""
        self._scan = bytearray()
        self._front = b""

    def add(self, payload: bytes) -> None:
        """Take in the payload of the next packet.

        Raises:
            FormatError: It is not packed as RFC 2435 says.
        """
        if len(payload) < _HEAD.size:
            raise FormatError(f"a JPEG packet of {len(payload)} bytes")
        _, offset, kind, quality, width, height = _HEAD.unpack_from(payload)
        at, restart_interval = _HEAD.size, 0
        if int.from_bytes(offset, "big") != len(self._scan):
            raise FormatError(f"a JPEG fragment at {int.from_bytes(offset, 'big')}, wanted {len(self._scan)}")
        if kind & _WITH_RESTARTS:
            restart_interval = int.from_bytes(payload[at : at + 2], "big")
            at += 4
        if not self._scan:
            tables, at = self._tables(payload, at, quality)
            self._front = _front(kind, tables, width * 8, height * 8, restart_interval)
        self._scan += payload[at:]

    def is_complete(self) -> bool:
        """Whether nothing that was begun is unfinished."""
        return bool(self._scan)

    def size_bytes(self) -> int:
        """Bytes taken in so far."""
        return len(self._scan)

    def content(self) -> bytes:
        """Return the picture as a JPEG file."""
        ends = b"" if self._scan.endswith(b"\xff\xd9") else b"\xff\xd9"
        return self._front + bytes(self._scan) + ends

    def is_key(self) -> bool:
        """Every picture stands for itself."""
        return True

    def has_picture(self) -> bool:
        """Nothing comes ahead of a picture."""
        return True

    def _tables(self, payload: bytes, at: int, quality: int) -> tuple[bytes, int]:
        """Return the quantization tables as DQT segments, and where the scan begins."""
        if 1 <= quality <= 99:
            return _segment(0, _scaled(_LUMA, quality)) + _segment(1, _scaled(_CHROMA, quality)), at
        if quality < _TABLES_FOLLOW or at + 4 > len(payload):
            raise FormatError(f"a JPEG packet with Q {quality}")
        precision = payload[at + 1]
        length = int.from_bytes(payload[at + 2 : at + 4], "big")
        at += 4
        if length:
            self._kept[quality] = _segments(payload[at : at + length], precision)
        if quality not in self._kept or (quality == _DYNAMIC and not length):
            raise FormatError(f"a JPEG packet refers to tables for Q {quality} that never came")
        return self._kept[quality], at + length


def _front(kind: int, tables: bytes, width_px: int, height_px: int, restart_interval: int) -> bytes:
    """Write everything that stands ahead of the scan (RFC 2435, appendix B)."""
    sampling = {0: 0x21, 1: 0x22}.get(kind & ~_WITH_RESTARTS)
    if sampling is None or not width_px or not height_px:
        raise FormatError(
            f"JPEG type {kind}, {width_px}x{height_px} px; wanted type 0 or 1, at most 2040x2040 px"
        )
    restarts = b"\xff\xdd\x00\x04" + restart_interval.to_bytes(2, "big") if restart_interval else b""
    components = bytes([1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1])
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HHB", height_px, width_px, 3) + components
    scan = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00"
    return b"\xff\xd8" + tables + restarts + frame + scan


def _scaled(table: bytes, quality: int) -> bytes:
    """Return a table for a quality of 1 to 99 (RFC 2435, 4.2)."""
    factor = 5000 // quality if quality < 50 else 200 - 2 * quality
    return bytes(min(max((step * factor + 50) // 100, 1), 255) for step in table)


def _segments(tables: bytes, precision: int) -> bytes:
    """Return one or two tables as they came as DQT segments; one serves both."""
    cut: list[bytes] = []
    at = 0
    while at < len(tables) and len(cut) < 2:
        size = 128 if precision >> len(cut) & 1 else 64
        if at + size > len(tables):
            raise FormatError(f"quantization tables of {len(tables)} bytes")
        cut.append(tables[at : at + size])
        at += size
    luma, chroma = cut[0], cut[-1]
    return _segment(0, luma) + _segment(1, chroma)


def _segment(number: int, table: bytes) -> bytes:
    wide = 0x10 if len(table) == 128 else 0
    return b"\xff\xdb" + (len(table) + 3).to_bytes(2, "big") + bytes([wide | number]) + table
