"""Decompress one picture: imagecodecs first, whatever pydicom finds where that gives up."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from edge.domain.errors import UnsupportedError
from edge.formats.dicom_dataset import TROUBLES, unwarned
from edge.formats.dicom_uids import name_of
from edge.kit.log import Log

_log = Log("formats.dicom")

Pixels = NDArray[Any]

_JPEG = "1.2.840.10008.1.2.4."
RLE: Final = "1.2.840.10008.1.2.5"
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
JPEG_BASELINE: Final = _JPEG + "50"
_ADOBE: Final = b"\xff\xee\x00\x0eAdobe"  # a whole one says which colours the JPEG holds
_JPEG_HEAD_BYTES: Final = 4096
_DECODERS: dict[str, Callable[[bytes], Pixels]] = {
    _JPEG + "50": imagecodecs.jpeg8_decode,
    _JPEG + "57": imagecodecs.ljpeg_decode,
    _JPEG + "70": imagecodecs.ljpeg_decode,
    _JPEG + "80": imagecodecs.jpegls_decode,
    _JPEG + "81": imagecodecs.jpegls_decode,
    _JPEG + "90": imagecodecs.jpeg2k_decode,
    _JPEG + "91": imagecodecs.jpeg2k_decode,
    _JPEG + "201": imagecodecs.htj2k_decode,
    _JPEG + "202": imagecodecs.htj2k_decode,
    _JPEG + "203": imagecodecs.htj2k_decode,
}


def decode(
    encoded: bytes, syntax: str, *, dtype: np.dtype[Any], frame_bytes: int, is_rgb: bool = False
) -> Pixels | None:
    """Decode one picture with the fastest codec; return None where there is none or it gives up.

    Args:
        encoded: Its code stream.
        syntax: Transfer syntax.
        dtype: Of the samples, for codecs that do not know it themselves.
        frame_bytes: Size of the picture when it is not compressed.
        is_rgb: The header says that it is stored as RGB: believed where a JPEG itself does not say.

    Returns:
        The samples; of a JPEG in colour always RGB, of all others as they are stored.
    """
    try:
        if syntax == _DEFLATED_FRAMES:
            return np.frombuffer(zlib.decompress(encoded, -zlib.MAX_WBITS, frame_bytes), dtype)
        if syntax == RLE:
            return np.frombuffer(imagecodecs.dicomrle_decode(encoded, dtype), dtype)
        if syntax == JPEG_BASELINE and is_rgb and _ADOBE not in encoded[:_JPEG_HEAD_BYTES]:
            return imagecodecs.jpeg8_decode(encoded, colorspace="RGB", outcolorspace="RGB")
        if syntax in _DECODERS:
            return _DECODERS[syntax](encoded)
    except (RuntimeError, ValueError, ImportError, zlib.error) as trouble:
        _log.debug("codec gave up", syntax=syntax, told=trouble)
    return None


def decode_elsewhere(path: Path, frame: int, syntax: str) -> Pixels:
    """Decode frame `frame` of a file with whatever pydicom finds.

    Raises:
        UnsupportedError: It finds nothing that gives a picture.
    """
    try:
        with unwarned():
            dataset = pydicom.dcmread(path, force=True)
            samples: Pixels = get_decoder(UID(syntax)).as_array(dataset, index=frame, raw=True)[0]
        return samples
    except (RuntimeError, *TROUBLES) as trouble:
        raise UnsupportedError(
            f"no codec gives a picture of frame {frame + 1} in transfer syntax {name_of(syntax)} ({syntax})"
        ) from trouble
