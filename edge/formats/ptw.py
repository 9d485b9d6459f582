"""PTW files of Cedip and FLIR research cameras: a header, then frames, each with a header of its own.

Where each value stands is known from pyradi (`ryptw`, after the Altair Reference Guide DL002U-D). A PTW holds
digital levels: what they mean is in no file, so the site has to give a scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.thermal import RawThermogram
from edge.formats.thermal_bytes import check_size, counts_of, read_part, text_in, unpack

MAGIC = b"CED"
_HEAD_BYTES = 403
_HEADER_MAX_BYTES = 1 << 20
_FRAMES_MAX = 10_000_000
_TIME_AT, _THOUSANDTHS_AT = 80, 160
_DAY_S = 86_400.0
_LOCK_IN = (1220, 3907, 1204, 2382)  # a first row that begins so is no picture
_WHAT = "a PTW header"


@dataclass(frozen=True, slots=True, kw_only=True)
class PtwHeader:
    """What a PTW file says about all of its frames.

    Attributes:
        header_bytes: Of the file's header.
        frame_header_bytes: Of the header before each frame.
        frames: How many there are.
        width: Of a frame.
        height: Of a frame.
        bits: Of the converter, 8 to 16.
        camera: Its name.
    """

    header_bytes: int
    frame_header_bytes: int
    frames: int
    width: int
    height: int
    bits: int
    camera: str

    @property
    def frame_bytes(self) -> int:
        """Of one frame with its header."""
        return self.frame_header_bytes + self.width * self.height * 2


def read_sequence(file: BinaryIO) -> Iterator[RawThermogram]:
    """Yield every frame of a PTW file, in its order.

    Args:
        file: Open for reading, can seek.

    Raises:
        FormatError: It is no such file; or, after all whole frames, one is cut off.
        UnsupportedError: It holds lock-in results, or values that were scaled already.
    """
    header = read_header(file)
    days_s, before_s = 0.0, 0.0
    for number in range(header.frames):
        at = header.header_bytes + number * header.frame_bytes
        what = f"frame {number + 1} of {header.frames} of a PTW"
        frame = read_part(file, at, header.frame_bytes, what=what, max_bytes=header.frame_bytes)
        time_s = _time_s(frame)
        days_s += _DAY_S if time_s < before_s - _DAY_S / 2 else 0.0
        before_s = time_s
        pixels = frame[header.frame_header_bytes :]
        if header.width >= len(_LOCK_IN) and unpack("<4H", pixels, 0, what=what) == _LOCK_IN:
            raise UnsupportedError("a PTW of lock-in results, wanted a sequence of thermograms")
        yield RawThermogram(
            counts=counts_of(pixels, width=header.width, height=header.height, order="<", what=what),
            saturated_counts=(0, (1 << header.bits) - 1),
            recorded_at_s=days_s + time_s,
            camera=header.camera,
        )


def read_header(file: BinaryIO) -> PtwHeader:
    """Return what a PTW file says about all of its frames.

    Raises:
        FormatError: It is no such file, or one that cannot be.
        UnsupportedError: Its values were scaled already.
    """
    head = read_part(file, 0, _HEAD_BYTES, what=_WHAT, max_bytes=_HEAD_BYTES)
    if head[:3] != MAGIC:
        raise FormatError(f"{head[:3]!r}, wanted the {MAGIC!r} of a PTW")
    header_bytes, frame_header_bytes = unpack("<2I", head, 11, what=_WHAT)
    (frames,) = unpack("<I", head, 27, what=_WHAT)
    width, height, bits = unpack("<3H", head, 377, what=_WHAT)
    (special,) = unpack("<H", head, 277, what=_WHAT)
    if special:
        raise UnsupportedError(f"a PTW in {text_in(head[279:289]) or 'a scale of its own'}, wanted counts")
    if not _HEAD_BYTES <= header_bytes <= _HEADER_MAX_BYTES:
        raise FormatError(f"{_WHAT} of {header_bytes} bytes, wanted {_HEAD_BYTES} to {_HEADER_MAX_BYTES}")
    if not _THOUSANDTHS_AT < frame_header_bytes <= _HEADER_MAX_BYTES:
        raise FormatError(
            f"a PTW frame header of {frame_header_bytes} bytes, "
            f"wanted {_THOUSANDTHS_AT + 1} to {_HEADER_MAX_BYTES}"
        )
    if not 0 < frames <= _FRAMES_MAX:
        raise FormatError(f"a PTW of {frames} frames, wanted 1 to {_FRAMES_MAX}")
    if not 8 <= bits <= 16:
        raise FormatError(f"a PTW of {bits} bits, wanted 8 to 16")
    check_size(width, height, what="a PTW frame")
    return PtwHeader(
        header_bytes=header_bytes,
        frame_header_bytes=frame_header_bytes,
        frames=frames,
        width=width,
        height=height,
        bits=bits,
        camera=text_in(head[44:64]),
    )


def _time_s(frame: bytes) -> float:
    """Return the seconds since midnight on the recorder's clock."""
    minute, hour, hundredth, second = frame[_TIME_AT : _TIME_AT + 4]
    return float(hour * 3600 + minute * 60 + second + hundredth / 100 + frame[_THOUSANDTHS_AT] / 1000)
