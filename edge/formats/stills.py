"""Still pictures on disk: PNG, JPEG, TIFF, BMP and WebP as bytes of colour, the right way up."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.still_headers import Declared, Still, kind_of, read_header

FILE_BYTES_MAX: Final = 512 << 20
PIXELS_MAX: Final = 200_000_000  # 600 MB of colour


class StillPicture(NamedTuple):
    """A picture, and what was done to it.

    Attributes:
        rgb: (height, width, 3) uint8, read-only, turned as its EXIF says.
        notes: What a reader must know.
    """

    rgb: NDArray[np.uint8]
    notes: tuple[str, ...]


def about(path: Path) -> Still:
    """Read what the header of a picture says, and whether it can be looked at.

    Raises:
        FormatError: It cannot be read, is none, or is too large.
        UnsupportedError: It is one, but of a form this build does not look at.
    """
    return _header(path, _content(path))


def read_still(path: Path, *, stated: tuple[int, int] | None = None) -> StillPicture:
    """Read a picture.

    Grey becomes three equal colours. What is see-through is shown as the colour it hides. Of 16 bits that
    range is shown which is stated; else the upper 8 of the bits that the file declares; else of those that
    the picture uses, so that two pictures of one source may differ.

    Args:
        path: The file.
        stated: Of numbers of 16 bits, as the file holds them: the lowest, 0, and the highest, 255.

    Raises:
        FormatError: It cannot be read, is none, is damaged, or is too large.
        UnsupportedError: It is one, but of a form this build does not look at.
    """
    content = _content(path)
    header = _header(path, content)
    bgr = _decoded(content)
    if bgr is None:
        raise FormatError(f"{path.name}: a {header.kind} that cannot be decoded")
    if bgr.dtype not in (np.uint8, np.uint16):
        raise UnsupportedError(f"{path.name}: its pixels are {bgr.dtype}, wanted 8 or 16 bits")
    eight, notes = _eight_bits(bgr, header, stated)
    rgb = np.asarray(cv2.cvtColor(eight, cv2.COLOR_BGR2RGB), np.uint8)
    rgb.flags.writeable = False
    return StillPicture(rgb, notes)


def begins_like_one(path: Path) -> bool:
    """Whether a file may be a still picture by its first bytes.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return kind_of(file.read(16)) is not None


def _header(path: Path, content: bytes) -> Still:
    try:
        header = read_header(content)
    except UnsupportedError as trouble:
        raise UnsupportedError(f"{path.name}: {trouble}") from trouble
    except FormatError as trouble:
        raise FormatError(f"{path.name}: {trouble}") from trouble
    if header.pages > 1:
        raise UnsupportedError(
            f"{path.name}: holds several pictures, wanted one; give each a file of its own"
        )
    if min(header.width_px, header.height_px) < 1:
        raise FormatError(f"{path.name}: is {header.width_px} x {header.height_px} px, wanted a picture")
    if header.width_px * header.height_px > PIXELS_MAX:
        raise FormatError(
            f"{path.name}: has {header.width_px} x {header.height_px} px, wanted at most {PIXELS_MAX}"
        )
    return header


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as trouble:
        raise FormatError(f"{path.name}: {trouble.strerror}") from trouble
    if len(content) > FILE_BYTES_MAX:
        raise FormatError(f"{path.name}: more than {FILE_BYTES_MAX} bytes, wanted a picture")
    return content


def _decoded(content: bytes) -> NDArray[np.generic] | None:
    """Decode to (height, width, 3) B, G, R, or None: what is wrong the caller says, not OpenCV."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)


def _eight_bits(
    picture: NDArray[np.generic], header: Still, stated: tuple[int, int] | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    if picture.dtype == np.uint8:
        return np.asarray(picture, np.uint8), ()
    # OpenCV moves numbers of 9 to 15 bits up; here they are as the file holds them.
    deep = np.right_shift(np.asarray(picture, np.uint16), 16 - header.packed_bits)
    if stated is not None:
        low, high = stated
        is_beyond = bool(deep.min() < low or deep.max() > high)
        beyond = "; the picture goes beyond" if is_beyond else ""
        return _shown(deep, low, high), (
            f"of 16 bits {low} to {high} were looked at, as the bundle says{beyond}",
        )
    bits, note = _bits(deep, header.declared)
    return _shown(deep, 0, (1 << bits) - 1), (note,)


def _bits(deep: NDArray[np.uint16], declared: Declared | None) -> tuple[int, str]:
    """Return how many bits hold the picture, at least 8: of 12 in 16 nearly nothing would be left else."""
    used = max(8, int(deep.max()).bit_length())
    note = f"of 16 bits the picture uses {used}, of which the upper 8 were looked at"
    if declared is None:
        return used, note
    if declared.bits < used:
        return used, f"{note}: more than the {declared.bits} of its {declared.by}"
    bits = max(8, declared.bits)
    return bits, f"of 16 bits the file declares {bits} ({declared.by}), of which the upper 8 were looked at"


def _shown(deep: NDArray[np.uint16], low: int, high: int) -> NDArray[np.uint8]:
    """Map low to 0 and high to 255 in equal steps; of a whole number of bits that keeps the upper 8."""
    steps = (np.arange(1 << 16) - low) * 256 // (high - low + 1)
    return np.asarray(steps.clip(0, 255).astype(np.uint8)[deep], np.uint8)
