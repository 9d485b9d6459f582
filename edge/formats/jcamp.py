"""JCAMP-DX spectra: one block, XYDATA or XYPOINTS, plain or packed, with every check the file carries.

After McDonald and Wilks, Appl. Spectrosc. 42 (1988) 151 (JCAMP-DX 4.24).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.jcamp_packed import unpack
from edge.formats.spectrum_points import FILE_BYTES_MAX, POINTS_MAX, Kind, Points

_Y_TOLERANCE = 1e-3  # of the largest value: FIRSTY is often rounded
_PAIRS = re.compile(r"[\s,;]*([^\s,;]+)")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[Ee][+-]?\d{1,3})?")
_REFUSED = {
    "NTUPLES": "several traces in one block (NTUPLES)",
    "PEAKTABLE": "a list of peaks",
    "PEAKASSIGNMENTS": "a list of peaks",
    "RADATA": "an interferogram",
}
_UNITS: dict[str, Literal["nm", "um", "cm-1"]] = {
    "1/CM": "cm-1",
    "CM-1": "cm-1",
    "CM^-1": "cm-1",
    "NANOMETERS": "nm",
    "NANOMETRES": "nm",
    "NM": "nm",
    "MICROMETERS": "um",
    "MICROMETRES": "um",
    "UM": "um",
}


def parse(content: bytes) -> Points:
    """Parse a JCAMP-DX file.

    Raises:
        FormatError: It is damaged: a check of the file fails, or numbers are missing.
        UnsupportedError: It holds something other than one spectrum: several blocks, traces, peaks.
    """
    if len(content) > FILE_BYTES_MAX:
        raise FormatError(f"a JCAMP-DX file of {len(content)} bytes, wanted at most {FILE_BYTES_MAX}")
    fields, form, lines = _fields(content.decode("latin-1"))
    unit = _unit(fields.get("XUNITS", ""))
    if form.startswith("(XY"):
        axis, values = _pairs(lines)
        axis, values = axis * _number(fields, "XFACTOR", 1.0), values * _number(fields, "YFACTOR", 1.0)
        _check_count(fields, values.size)
    elif form.startswith("(X++"):
        axis, values = _table(fields, lines)
    else:
        raise UnsupportedError(f"data in the form {form[:20]!r}, wanted (X++(Y..Y)) or (XY..XY)")
    ordinate = " ".join(fields.get("YUNITS", "").split())[:40].lower()
    notes = (f"ordinate in {ordinate}",) if ordinate else ()
    return Points(axis=axis, values=values, axis_unit=unit, kind=_kind(fields), notes=notes)


def _fields(text: str) -> tuple[dict[str, str], str, list[str]]:
    """Return labelled fields, the form of the data, and the data's lines; all of one block.

    Raises:
        FormatError: It is no JCAMP-DX, has no data or no end.
        UnsupportedError: There is more than one block or trace.
    """
    if not text.lstrip("\ufeffï»¿ \t\r\n").startswith("##"):
        raise FormatError("no JCAMP-DX file: it does not begin with ##")
    fields: dict[str, str] = {}
    form, data, label = "", [], ""
    for raw in text.splitlines():
        line = raw.partition("$$")[0]
        if not line.lstrip().startswith("##"):
            if label in ("XYDATA", "XYPOINTS"):
                data.append(line)
            continue
        label, equals, value = line.lstrip()[2:].partition("=")
        label = re.sub(r"[\s/_-]", "", label).upper()
        if not equals or (label in fields and label in ("XYDATA", "XYPOINTS", "TITLE")):
            raise UnsupportedError("several blocks in one JCAMP-DX file, wanted one spectrum")
        if label in _REFUSED:
            raise UnsupportedError(f"{_REFUSED[label]}, wanted one spectrum")
        if label == "DATATYPE" and value.strip().upper() == "LINK":
            raise UnsupportedError("several blocks in one JCAMP-DX file, wanted one spectrum")
        fields[label] = value.strip()
        if label in ("XYDATA", "XYPOINTS"):
            form = re.sub(r"\s", "", value).upper()
    if not form:
        raise FormatError("a JCAMP-DX file without XYDATA or XYPOINTS")
    if label != "END":
        raise FormatError("a JCAMP-DX file without ##END=; is it cut off?")
    return fields, form, data


def _table(fields: dict[str, str], lines: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unpack (X++(Y..Y)) and hold it against what the labels and the lines say."""
    unpacked = unpack(lines, points_max=POINTS_MAX)
    raw = np.array([value for line in unpacked for value in line.values], np.float64)
    _check_count(fields, raw.size)
    if raw.size < 2:
        raise FormatError(f"{raw.size} points, wanted a spectrum")
    first, last = _number(fields, "FIRSTX", None), _number(fields, "LASTX", None)
    axis = np.linspace(first, last, raw.size)
    heads = np.array([line.x for line in unpacked]) * _number(fields, "XFACTOR", 1.0)
    places = np.cumsum([0, *(len(line.values) for line in unpacked[:-1])])
    # Behind a difference the line's head belongs to the ordinate that repeats the line before.
    places -= np.array([0, *(line.ends_in_difference for line in unpacked[:-1])], places.dtype)
    step = abs(last - first) / (raw.size - 1)
    off = np.abs(heads - axis[places])
    is_rounded = all(line.x.is_integer() for line in unpacked)
    rounding = 0.5 * abs(_number(fields, "XFACTOR", 1.0)) if is_rounded else 0.0
    if not (off <= step + rounding + 1e-6 * np.abs(heads)).all():
        worst = int(np.argmax(off))
        raise FormatError(
            f"data line {worst + 1} begins at {heads[worst]:g}, wanted {axis[places[worst]]:g}: "
            "points are missing"
        )
    values = raw * _number(fields, "YFACTOR", 1.0)
    _check_first(fields, values)
    return axis, values


def _pairs(lines: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    words = [word for line in lines for word in _PAIRS.findall(line)]
    if len(words) > 2 * POINTS_MAX:
        raise FormatError(f"more than {POINTS_MAX} points")
    if len(words) % 2 or not all(_NUMBER.fullmatch(word) for word in words):
        raise FormatError("XYPOINTS that are no pairs of numbers")
    table = np.array([float(word) for word in words], np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _check_count(fields: dict[str, str], seen: int) -> None:
    wanted = _number(fields, "NPOINTS", float(seen))
    if wanted != seen:
        raise FormatError(f"{seen} points, NPOINTS announces {wanted:g}: is the file cut off?")


def _check_first(fields: dict[str, str], values: NDArray[np.float64]) -> None:
    wanted = _number(fields, "FIRSTY", float(values[0]))
    scale = float(np.abs(values).max())
    if not abs(wanted - values[0]) <= _Y_TOLERANCE * max(scale, abs(wanted)):
        raise FormatError(f"the first ordinate is {values[0]:g}, FIRSTY announces {wanted:g}")


def _number(fields: dict[str, str], label: str, otherwise: float | None) -> float:
    word = (fields.get(label, "").split() or [""])[0]
    if not word and otherwise is not None:
        return otherwise
    if not _NUMBER.fullmatch(word) or not np.isfinite(float(word)):
        raise FormatError(f"{label} is {word[:20]!r}, wanted a number")
    return float(word)


def _unit(said: str) -> Literal["nm", "um", "cm-1"] | None:
    word = re.sub(r"\s", "", said).upper()
    if not word:
        return None
    if word not in _UNITS:
        raise UnsupportedError(f"an axis in {said[:30]!r}, wanted 1/CM, NANOMETERS or MICROMETERS")
    return _UNITS[word]


def _kind(fields: dict[str, str]) -> Kind | None:
    what = fields.get("DATATYPE", "").upper()
    if "RAMAN" in what:
        return "raman"
    if "INFRARED" in what:
        return "infrared"
    if "UV" in what or not what:
        return "reflectance" if "REFLECTANCE" in fields.get("YUNITS", "").upper() else None
    raise UnsupportedError(f"{fields['DATATYPE'][:40]!r}, wanted an infrared or Raman spectrum")
