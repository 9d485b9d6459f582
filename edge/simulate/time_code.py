"""A time code in the picture: two rows of black and white blocks that survive encoding and scaling.

The band lies along the upper edge and is 2/45 of the picture high. Each of its two rows has 64 cells: white,
black, 60 bits, black, white. The 120 bits are 4 of the clock, 52 of the time, 32 of the frame number, 32 of a
CRC over the 88 before it. The threshold comes from the outer cells: brightness and contrast may change.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

CLOCKS: Final = ("none", "monotonic", "utc")
TIME_US_MAX = 2**52 - 1
FRAME_NUMBER_MAX = 2**32 - 1
WIDTH_PX_MIN, HEIGHT_PX_MIN = 256, 144  # four pixels for a cell
_CELLS, _ROWS = 64, 2
_BAND = 2 / 45  # of the height: 32 of 720 lines
_WHITE, _BLACK = 235, 16  # luma in limited range
_CONTRAST_MIN = 60
_LEFT, _RIGHT = (1, 0), (0, 1)

Luma = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeCode:
    """What a picture says about itself.

    Attributes:
        frame_number: 0 to 2**32 - 1.
        clock: Whose time it is; `none` where the picture carries a frame number only.
        time_us: Microseconds of that clock, 0 to 2**52 - 1; 0 where there is none.
    """

    frame_number: int
    clock: Literal["none", "monotonic", "utc"] = "none"
    time_us: int = 0

    @property
    def time_ms(self) -> float:
        """The time in milliseconds of its clock."""
        return self.time_us / 1000


def band_height_px(height_px: int) -> int:
    """Return how many lines at the upper edge the code takes: an even number, so that chroma has its half."""
    return max(2 * round(height_px * _BAND / 2), 2)


def draw_time_code(luma: Luma, code: TimeCode) -> None:
    """Write the code over the upper edge of a picture.

    Args:
        luma: (height, width) brightness, or one colour plane; at least 144 by 256; written to.
        code: What to write.
    """
    height_px, width_px = luma.shape
    assert width_px >= WIDTH_PX_MIN, f"{width_px} px wide, wanted {WIDTH_PX_MIN} or more"
    assert height_px >= HEIGHT_PX_MIN, f"{height_px} px high, wanted {HEIGHT_PX_MIN} or more"
    band_px = band_height_px(height_px)
    cells = _cells(code)
    rows = np.arange(band_px) * _ROWS // band_px
    columns = np.arange(width_px) * _CELLS // width_px
    luma[:band_px] = np.where(cells[np.ix_(rows, columns)], _WHITE, _BLACK)


def read_time_code(picture: Luma) -> TimeCode | None:
    """Read the code of a whole picture, at any scale.

    Args:
        picture: (height, width) luma, or (3, height, width) planes; uint8.

    Returns:
        The code, or None where the picture has none that can be read.
    """
    height_px, width_px = picture.shape[-2:]
    if height_px < 2 * _ROWS or width_px < _CELLS:
        return None
    band_px = height_px * _BAND
    rows = _samples(_ROWS, band_px / _ROWS)
    columns = _samples(_CELLS, width_px / _CELLS)
    picked = picture[..., rows[:, None], columns[None, :]].astype(np.float32)
    if picked.ndim == 3:
        picked = picked.mean(axis=0)
    levels = picked.reshape(_ROWS, 3, _CELLS, 3).mean(axis=(1, 3))
    return _code(levels)


def _samples(cells: int, cell_px: float) -> NDArray[np.intp]:
    """Return three positions in the middle of each cell."""
    middles = (np.arange(cells)[:, None] + np.array([0.35, 0.5, 0.65])) * cell_px
    return np.asarray(middles.ravel(), dtype=np.intp)


def _cells(code: TimeCode) -> NDArray[np.bool_]:
    """Return the (2, 64) cells, True for white."""
    assert 0 <= code.time_us <= TIME_US_MAX, f"{code.time_us} us do not fit"
    assert 0 <= code.frame_number <= FRAME_NUMBER_MAX, f"frame {code.frame_number} does not fit"
    said = CLOCKS.index(code.clock) << 84 | code.time_us << 32 | code.frame_number
    content = said.to_bytes(11, "big")
    content += zlib.crc32(content).to_bytes(4, "big")
    bits = np.unpackbits(np.frombuffer(content, np.uint8)).reshape(_ROWS, -1)
    edges = np.ones((_ROWS, 1), np.uint8)
    return np.hstack([edges * _LEFT, bits, edges * _RIGHT]).astype(np.bool_)


def _code(levels: NDArray[np.float32]) -> TimeCode | None:
    """Return what (2, 64) brightnesses say, or None."""
    white = levels[:, [0, -1]]
    black = levels[:, [1, -2]]
    if white.min() - black.max() < _CONTRAST_MIN:
        return None
    bits = levels[:, 2:-2] > (white.mean() + black.mean()) / 2
    content = np.packbits(bits.ravel()).tobytes()
    if zlib.crc32(content[:11]) != int.from_bytes(content[11:], "big"):
        return None
    said = int.from_bytes(content[:11], "big")
    clock = said >> 84
    if clock >= len(CLOCKS):
        return None
    return TimeCode(
        frame_number=said & FRAME_NUMBER_MAX, clock=CLOCKS[clock], time_us=said >> 32 & TIME_US_MAX
    )
