"""Access units cut into RTP payloads, with the headers and reports around them.

H.264 after RFC 6184 (single NAL units, STAP-A, FU-A), H.265 after RFC 7798 (single NAL units, FU), Motion
JPEG after RFC 2435 (type 1, tables in band). Header and sender report after RFC 3550.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from edge.domain.errors import UnsupportedError
from edge.simulate.encoding import Codec

CLOCK_HZ: Final = 90_000
PAYLOAD_BYTES_MAX = 1_400
PAYLOAD_TYPE: Final = {"h264": 96, "h265": 96, "mjpeg": 26}
ENCODING: Final = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}
_NTP_FROM_UNIX_S = 2_208_988_800
_H264_SPS, _H264_PPS, _H264_STAP_A, _H264_FU_A = 7, 8, 24, 28
_H265_VPS, _H265_SPS, _H265_PPS, _H265_FU = 32, 33, 34, 49
_JPEG_SOF0, _JPEG_DQT, _JPEG_SOS = 0xC0, 0xDB, 0xDA


def payloads(content: bytes, codec: Codec) -> list[bytes]:
    """Cut an access unit into the payloads of its packets; the last one gets the marker bit.

    Raises:
        UnsupportedError: A JPEG that RFC 2435 has no words for.
    """
    if codec == "mjpeg":
        return list(_jpeg(content))
    units = nal_units(content)
    return list(_h264(units) if codec == "h264" else _h265(units))


def header(*, payload_type: int, is_last: bool, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """Return the twelve bytes before a payload."""
    return struct.pack(
        ">BBHII",
        0x80,
        is_last << 7 | payload_type,
        sequence & 0xFFFF,
        timestamp & 0xFFFF_FFFF,
        ssrc,
    )


def sender_report(*, ssrc: int, utc_ns: int, timestamp: int, packets: int, octets: int, name: str) -> bytes:
    """Return a compound RTCP packet: the wall clock of a timestamp, the counts so far, and who we are."""
    seconds, rest_ns = divmod(utc_ns, 1_000_000_000)
    report = struct.pack(
        ">BBHIIIIII",
        0x80,
        200,
        6,
        ssrc,
        seconds + _NTP_FROM_UNIX_S & 0xFFFF_FFFF,
        (rest_ns << 32) // 1_000_000_000,
        timestamp & 0xFFFF_FFFF,
        packets & 0xFFFF_FFFF,
        octets & 0xFFFF_FFFF,
    )
    said = name.encode()
    item = struct.pack(">BB", 1, len(said)) + said
    item += b"\0" * (4 - len(item) % 4)
    return report + struct.pack(">BBHI", 0x81, 202, 1 + len(item) // 4, ssrc) + item


def nal_units(content: bytes) -> list[bytes]:
    """Split an Annex B byte stream."""
    units = []
    start = content.find(b"\0\0\1")
    while start >= 0:
        after = content.find(b"\0\0\1", start + 3)
        unit = content[start + 3 : after if after >= 0 else None].rstrip(b"\0")
        if unit:
            units.append(unit)
        start = after
    return units


def format_parameters(content: bytes, codec: Codec) -> str:
    """Return what SDP says in `a=fmtp` for a stream whose first access unit this is; "" for JPEG."""
    if codec == "mjpeg":
        return ""
    units = nal_units(content)
    if codec == "h264":
        sets = [unit for unit in units if unit[0] & 31 in (_H264_SPS, _H264_PPS)]
        coded = ",".join(base64.b64encode(unit).decode() for unit in sets)
        return f"packetization-mode=1;profile-level-id={sets[0][1:4].hex()};sprop-parameter-sets={coded}"
    kinds = {"sprop-vps": _H265_VPS, "sprop-sps": _H265_SPS, "sprop-pps": _H265_PPS}
    return ";".join(
        f"{key}={base64.b64encode(unit).decode()}"
        for key, kind in kinds.items()
        for unit in units
        if unit[0] >> 1 & 63 == kind
    )


def _h264(units: Sequence[bytes]) -> Iterator[bytes]:
    small: list[bytes] = []
    for unit in units:
        if len(unit) < 256 and sum(map(len, small)) < PAYLOAD_BYTES_MAX - 512:
            small.append(unit)  # parameter sets and the like travel together
            continue
        yield from _aggregated(small)
        small = []
        if len(unit) <= PAYLOAD_BYTES_MAX:
            yield unit
            continue
        yield from _fragments(
            unit, header_bytes=1, first=bytes([unit[0] & 0xE0 | _H264_FU_A]), kind=unit[0] & 31
        )
    yield from _aggregated(small)


def _aggregated(units: Sequence[bytes]) -> Iterator[bytes]:
    """Put small NAL units into one STAP-A; one alone travels as it is."""
    if len(units) < 2:
        yield from units
        return
    importance = max(unit[0] & 0x60 for unit in units)
    yield bytes([importance | _H264_STAP_A]) + b"".join(struct.pack(">H", len(unit)) + unit for unit in units)


def _h265(units: Sequence[bytes]) -> Iterator[bytes]:
    for unit in units:
        if len(unit) <= PAYLOAD_BYTES_MAX:
            yield unit
            continue
        first = bytes([unit[0] & 0x81 | _H265_FU << 1, unit[1]])
        yield from _fragments(unit, header_bytes=2, first=first, kind=unit[0] >> 1 & 63)


def _fragments(unit: bytes, *, header_bytes: int, first: bytes, kind: int) -> Iterator[bytes]:
    """Cut one NAL unit; `first` is the header that each fragment begins with, `kind` the type it carries."""
    room = PAYLOAD_BYTES_MAX - len(first) - 1
    for start in range(header_bytes, len(unit), room):
        end = start + room
        flags = (start == header_bytes) << 7 | (end >= len(unit)) << 6
        yield first + bytes([flags | kind]) + unit[start:end]


def _jpeg(content: bytes) -> Iterator[bytes]:
    """RFC 2435, type 1 (4:2:0), Q = 255: the quantisation tables travel in the first packet."""
    tables, height_px, width_px, scan = _jpeg_parts(content)
    quantisation = struct.pack(">BBH", 0, 0, len(tables)) + tables
    offset = 0
    while offset < len(scan):
        head = struct.pack(
            ">BBHBBBB", 0, offset >> 16, offset & 0xFFFF, 1, 255, width_px // 8, height_px // 8
        )
        if offset == 0:
            head += quantisation
        piece = scan[offset : offset + PAYLOAD_BYTES_MAX - len(head)]
        yield head + piece
        offset += len(piece)


def _jpeg_parts(content: bytes) -> tuple[bytes, int, int, bytes]:
    """Return the two quantisation tables, height and width in pixels, and the entropy-coded scan."""
    tables = {0: b"", 1: b""}
    height_px = width_px = 0
    at = 2
    while True:
        marker, length = content[at + 1], struct.unpack_from(">H", content, at + 2)[0]
        body = content[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == _JPEG_DQT:
            for start in range(0, len(body), 65):
                tables[body[start] & 15] = body[start + 1 : start + 65]
        elif marker == _JPEG_SOF0:
            height_px, width_px = struct.unpack_from(">HH", body, 1)
            is_420 = body[7] == 0x22
            tables[1] = tables[body[11]]  # some encoders use one table for all three
            if not is_420 or height_px % 8 or width_px % 8 or max(height_px, width_px) > 2040:
                raise UnsupportedError(
                    f"a JPEG of {width_px}x{height_px}, sampling 0x{body[7]:02x}: RTP carries 4:2:0 up to "
                    "2040 px with sides that are multiples of 8"
                )
        elif marker == _JPEG_SOS:
            scan = content[at:]
            return tables[0] + tables[1], height_px, width_px, scan.removesuffix(b"\xff\xd9")
