"""ENVI headers: the text file beside the binary of a cube that says how to read it.

Their meaning (types, byte order, what is mandatory) is that of the package `spectral`; the text is parsed
here, because its parser depends on the locale, takes quadratic time and gives up on a missing byte order.
Attributes follow the ENVI header format (NV5 Geospatial, "ENVI Header Files").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from spectral.io import envi
from spectral.utilities.errors import SpyException

from edge.domain.errors import FormatError, UnsupportedError

HEADER_BYTES_MAX = 4 << 20
SIDE_MAX = 1 << 24  # lines, samples, bands: their product must stay a number that makes sense
_CUBE_TYPES = ("", "envi", "envi standard", "envi reflectance", "envi radiance")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Header:
    """What an ENVI header says.

    Attributes:
        shape: (lines, samples, bands) of the file.
        dtype: Of a value in the file, byte order included.
        interleave: Which axis runs fastest: `bsq` samples of a band, `bil` samples of a line, `bip` bands.
        offset_bytes: Where the values begin.
        wavelengths: (bands,) in the header's unit, or None.
        wavelength_unit: As written, or "".
        is_bad: (bands,) from the bad band list, or None.
        scale: What a value is divided by to become reflectance, or None.
        gains: (bands,) what a value is multiplied with, or None.
        offsets: (bands,) what is added then, or None.
        gives: What gains and offsets lead to.
        ignored: The value that stands for "nothing measured", or None.
        ceiling: The value at which the detector is full, or None.
        exposure_ms: Integration time (`tint`), or None.
        notes: What had to be assumed.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    interleave: Literal["bsq", "bil", "bip"]
    offset_bytes: int
    wavelengths: NDArray[np.float64] | None
    wavelength_unit: str
    is_bad: NDArray[np.bool_] | None
    scale: float | None
    gains: NDArray[np.float64] | None
    offsets: NDArray[np.float64] | None
    gives: Literal["reflectance", "radiance", "counts"]
    ignored: float | None
    ceiling: float | None
    exposure_ms: float | None
    notes: tuple[str, ...]

    @property
    def file_bytes(self) -> int:
        """Return how long the binary must be."""
        lines, samples, bands = self.shape
        return self.offset_bytes + lines * samples * bands * self.dtype.itemsize


def parse_header(content: bytes) -> Header:
    """Parse the text of an ENVI header.

    Raises:
        FormatError: It is none, or says what cannot be.
        UnsupportedError: It describes something other than a cube of real numbers.
    """
    if len(content) > HEADER_BYTES_MAX:
        raise FormatError(f"an ENVI header of more than {HEADER_BYTES_MAX} bytes")
    fields = _fields(_text(content))
    notes: list[str] = []
    if "byte order" not in fields:
        fields["byte order"] = "0"
        notes.append("byte order not said, taken as little-endian")
    _check(fields)
    try:
        envi.check_compatibility(fields)
        parameters: Any = envi.gen_params(fields)
    except (SpyException, KeyError, ValueError, TypeError) as trouble:
        raise FormatError(f"no usable ENVI header: {type(trouble).__name__}: {trouble}"[:200]) from trouble
    shape = (parameters.nrows, parameters.ncols, parameters.nbands)
    if not all(1 <= side <= SIDE_MAX for side in shape) or not 0 <= parameters.offset < 1 << 40:
        raise FormatError(f"lines, samples, bands are {shape}, offset {parameters.offset}: wanted a cube")
    bands = shape[2]
    gives, gains, offsets = _gains(fields, bands)
    bad = _numbers(fields, "bbl", count=bands)
    return Header(
        shape=shape,
        dtype=np.dtype(parameters.dtype),
        interleave=_interleave(fields),
        offset_bytes=parameters.offset,
        wavelengths=_numbers(fields, "wavelength", count=bands),
        wavelength_unit=_word(fields, "wavelength units"),
        is_bad=None if bad is None else bad == 0,
        scale=_scale(fields),
        gains=gains,
        offsets=offsets,
        gives=gives,
        ignored=_number(fields, "data ignore value"),
        ceiling=_number(fields, "ceiling"),
        exposure_ms=_number(fields, "tint"),
        notes=tuple(notes if np.dtype(parameters.dtype).itemsize > 1 else ()),
    )


def _text(content: bytes) -> str:
    if content[:3] == b"\xef\xbb\xbf":
        content = content[3:]
    if not content.startswith(b"ENVI") or b"\0" in content:
        raise FormatError("no ENVI header: its first line is not ENVI")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")  # cameras write µ and ° as one byte


def _fields(text: str) -> dict[str, str | list[str]]:
    """Return names in small letters with their values, lists in braces as lists."""
    fields: dict[str, str | list[str]] = {}
    lines = iter(text.splitlines()[1:])
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or line.startswith(";"):
            continue
        name, value = " ".join(name.lower().split()), value.strip()
        if not value.startswith("{"):
            fields[name] = value
            continue
        parts = [value]
        while not parts[-1].rstrip().endswith("}"):
            part = next(lines, None)
            if part is None:
                raise FormatError(f"ENVI header: the list {name[:40]!r} has no end; is the file cut off?")
            parts += [part] if not part.startswith(";") else [""]
        inside = " ".join(parts).strip()[1:-1]
        fields[name] = [item.strip() for item in inside.split(",") if item.strip()]
    return fields


def _check(fields: dict[str, str | list[str]]) -> None:
    """Refuse what `spectral` would read as something else."""
    kind = _word(fields, "file type").lower()
    if kind not in _CUBE_TYPES:
        raise UnsupportedError(f"ENVI file type is {kind[:40]!r}, wanted a cube (ENVI Standard)")
    if _word(fields, "file compression") not in ("", "0"):
        raise UnsupportedError("the binary is compressed, wanted plain values")
    if _word(fields, "byte order") not in ("0", "1"):
        raise FormatError(f"byte order is {_word(fields, 'byte order')[:40]!r}, wanted 0 or 1")
    if _word(fields, "data type") in ("6", "9"):
        raise UnsupportedError("values are complex numbers, wanted whole or real numbers")
    if _word(fields, "data type") not in envi.envi_to_dtype:
        known = ", ".join(envi.envi_to_dtype)
        raise FormatError(f"data type is {_word(fields, 'data type')[:40]!r}, wanted one of {known}")


def _word(fields: dict[str, str | list[str]], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else ", ".join(value)


def _number(fields: dict[str, str | list[str]], name: str) -> float | None:
    word = _word(fields, name)
    numbers = _numbers({name: [word]}, name, count=1) if word else None
    return None if numbers is None else float(numbers[0])


def _numbers(fields: dict[str, str | list[str]], name: str, *, count: int) -> NDArray[np.float64] | None:
    items = fields.get(name)
    if not items:
        return None
    if isinstance(items, str) or len(items) != count:
        raise FormatError(f"ENVI header: {name!r} has {len(items)} entries, wanted one for each of {count}")
    try:
        return np.array([float(item) for item in items])
    except ValueError as trouble:
        raise FormatError(f"ENVI header: {name!r} holds something other than numbers") from trouble


def _interleave(fields: dict[str, str | list[str]]) -> Literal["bsq", "bil", "bip"]:
    match _word(fields, "interleave").lower():
        case "bsq":
            return "bsq"
        case "bil":
            return "bil"
        case "bip":
            return "bip"
        case other:
            raise FormatError(f"interleave is {other[:40]!r}, wanted bsq, bil or bip")


def _scale(fields: dict[str, str | list[str]]) -> float | None:
    scale = _number(fields, "reflectance scale factor")
    if scale is not None and not 0 < scale < np.inf:
        raise FormatError(f"reflectance scale factor is {scale:g}, wanted a positive number")
    return scale


def _gains(
    fields: dict[str, str | list[str]], bands: int
) -> tuple[
    Literal["reflectance", "radiance", "counts"], NDArray[np.float64] | None, NDArray[np.float64] | None
]:
    """Return what gains and offsets lead to, and both of them."""
    for prefix, gives in (("data reflectance", "reflectance"), ("data", "radiance")):
        gains = _numbers(fields, f"{prefix} gain values", count=bands)
        offsets = _numbers(fields, f"{prefix} offset values", count=bands)
        if gains is not None or offsets is not None:
            return ("reflectance" if gives == "reflectance" else "radiance"), gains, offsets
    return "counts", None, None
