"""Read a spectrum from whatever file it is in: SPC, JCAMP-DX, or two columns of text."""

from __future__ import annotations

from pathlib import Path

from edge.domain.errors import FormatError
from edge.domain.spectral import Spectrum
from edge.formats import jcamp, spc, spectra_text
from edge.formats.spectrum_points import FILE_BYTES_MAX, Hints, Points, to_spectrum

_JCAMP_LOOK = 512


def read_spectrum(path: Path, *, hints: Hints | None = None) -> Spectrum:
    """Read a spectrum; the format is told by the content, not by the name.

    Args:
        path: The file.
        hints: What the site says about files that do not say it themselves.

    Raises:
        FormatError: It is damaged, cut off, too large, or no spectrum.
        UnsupportedError: It is a spectrum of a kind we do not read, or nobody says what was measured.
        OSError: It cannot be read.
    """
    size_bytes = path.stat().st_size
    if size_bytes > FILE_BYTES_MAX:
        raise FormatError(f"a file of {size_bytes} bytes, wanted a spectrum of at most {FILE_BYTES_MAX}")
    return to_spectrum(parse(path.read_bytes()), hints or Hints())


def parse(content: bytes) -> Points:
    """Parse the content of a file of any of the formats; see `read_spectrum`."""
    if content[:_JCAMP_LOOK].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"##"):
        # `##` also opens a comment of a text with two columns; only JCAMP-DX goes on with LABEL=.
        first = content[:_JCAMP_LOOK].lstrip(b"\xef\xbb\xbf \t\r\n").splitlines()[0]
        if b"=" in first:
            return jcamp.parse(content)
    if spc.is_spc(content):
        return spc.parse(content)
    return spectra_text.parse(content)
