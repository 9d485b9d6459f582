"""Files of thermal cameras: told apart by how they begin, read one picture at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.thermal import RawThermogram
from edge.formats import flir, flir_jpeg, ptw, thermal_tiff
from edge.formats.thermal_codecs import decode_png

SUFFIXES = (".csq", ".fcf", ".fff", ".jpeg", ".jpg", ".png", ".ptw", ".seq", ".tif", ".tiff")
"""What such files are usually called; the name decides nothing."""

_PNG = b"\x89PNG"
_PNG_MAX_BYTES = 64 << 20
_REFUSED = {
    b"AFF\0": "an AFF sequence, wanted FFF, SEQ or CSQ",
    b"FPF ": "a FLIR public format file (FPF), wanted the radiometric one it was made from",
    b"AIO": "an Agema PTW, wanted one of Cedip or FLIR",
    b"II+\0": "a BigTIFF, wanted a TIFF",
    b"MM\0+": "a BigTIFF, wanted a TIFF",
}

Reader = Callable[[BinaryIO], Iterator[RawThermogram]]


def read(path: Path) -> Iterator[RawThermogram]:
    """Yield the thermograms of a file, in its order; one is in memory at a time.

    Args:
        path: Radiometric JPEG, FFF, SEQ, CSQ, PTW, or a grey TIFF or PNG of 16 bits.

    Raises:
        FormatError: It cannot be read, or is none of these; or, after all whole pictures, one is damaged.
        UnsupportedError: It is one of these, but in a form this build does not know.
    """
    try:
        with path.open("rb") as file:
            yield from _reader(file.read(16))(file)
    except OSError as trouble:
        raise FormatError(f"{path.name}: {trouble.strerror}") from trouble
    except UnsupportedError as trouble:
        raise UnsupportedError(f"{path.name}: {trouble}") from trouble
    except FormatError as trouble:
        raise FormatError(f"{path.name}: {trouble}") from trouble


def is_thermal(begin: bytes) -> bool:
    """Whether a file that begins so may hold thermograms; a JPEG, TIFF or PNG may also be something else."""
    return any(begin.startswith(magic) for magic in _READERS)


def _reader(begin: bytes) -> Reader:
    for magic, reader in _READERS.items():
        if begin.startswith(magic):
            return reader
    for magic, reason in _REFUSED.items():
        if begin.startswith(magic):
            raise UnsupportedError(reason)
    raise FormatError(
        f"begins with {begin[:8]!r}, wanted FFF, SEQ, CSQ, PTW, radiometric JPEG, or a grey TIFF or PNG"
    )


def _from_jpeg(file: BinaryIO) -> Iterator[RawThermogram]:
    yield flir_jpeg.read_jpeg(file)


def _from_tiff(file: BinaryIO) -> Iterator[RawThermogram]:
    for counts in thermal_tiff.read_pages(file):
        yield RawThermogram(counts=counts)


def _from_png(file: BinaryIO) -> Iterator[RawThermogram]:
    file.seek(0)
    packed = file.read(_PNG_MAX_BYTES + 1)
    if len(packed) > _PNG_MAX_BYTES:
        raise FormatError(f"a PNG of more than {_PNG_MAX_BYTES} bytes")
    yield RawThermogram(counts=decode_png(packed))


_READERS: dict[bytes, Reader] = {
    flir.MAGIC: flir.read_sequence,
    flir_jpeg.MAGIC: _from_jpeg,
    ptw.MAGIC: ptw.read_sequence,
    thermal_tiff.MAGICS[0]: _from_tiff,
    thermal_tiff.MAGICS[1]: _from_tiff,
    _PNG: _from_png,
}
