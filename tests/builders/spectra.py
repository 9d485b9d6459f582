"""Spectra with a truth, and the files they come in: text of every dialect, JCAMP-DX, SPC, written by us."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.spectral import Spectrum

Form = Literal["AFFN", "PAC", "SQZ", "DIF", "SQZDUP", "DIFDUP"]
_SQZ = "@ABCDEFGHI"
_DIF = "%JKLMNOPQR"
_DUP = " STUVWXYZs"


def spectrum(
    values: NDArray[np.float64],
    axis: NDArray[np.float64] | None = None,
    kind: Literal["infrared", "raman", "reflectance"] = "raman",
) -> Spectrum:
    """A spectrum; its axis runs in steps of one from 100 unless given."""
    place = np.arange(100.0, 100.0 + values.size) if axis is None else axis
    unit: Literal["nm", "cm-1"] = "nm" if kind == "reflectance" else "cm-1"
    return Spectrum(
        values=values.astype(np.float64), axis=place.astype(np.float64), axis_unit=unit, kind=kind
    )


def gauss(axis: NDArray[np.float64], height: float, at: float, fwhm: float) -> NDArray[np.float64]:
    """A Gaussian peak."""
    peak: NDArray[np.float64] = height * np.exp(-4 * np.log(2) * ((axis - at) / fwhm) ** 2)
    return peak


def lorentz(axis: NDArray[np.float64], height: float, at: float, fwhm: float) -> NDArray[np.float64]:
    """A Lorentzian peak."""
    peak: NDArray[np.float64] = height / (1 + 4 * ((axis - at) / fwhm) ** 2)
    return peak


def raman(
    *, noise: float = 2.0, background: float = 500.0, seed: int = 0, points: int = 1200
) -> tuple[Spectrum, NDArray[np.float64]]:
    """A Raman spectrum of three peaks on a broad fluorescence; with the background that is in it."""
    axis = np.linspace(400.0, 1800.0, points)
    floor = background * (1.2 + np.sin((axis - 300) / 700)) * np.exp(-axis / 3000)
    values = floor + gauss(axis, 300, 750, 18) + gauss(axis, 150, 1004, 12) + gauss(axis, 220, 1450, 30)
    values += np.random.default_rng(seed).normal(0, noise, axis.size)
    return spectrum(values, axis), floor


def _packed(value: int, letters: str) -> str:
    digits = str(abs(value))
    letter = letters[int(digits[0])]
    return (letter.lower() if value < 0 else letter) + digits[1:]


def _line(values: Sequence[int], form: Form) -> str:
    """Pack the ordinates of one line."""
    if form == "AFFN":
        return "".join(f" {value}" for value in values)
    if form == "PAC":
        return "".join(f"{value:+d}" for value in values)
    items = [_packed(values[0], _SQZ)]
    if form.startswith("SQZ"):
        items = [_packed(value, _SQZ) for value in values]
    else:
        items += [_packed(b - a, _DIF) for a, b in itertools.pairwise(values)]
    if not form.endswith("DUP"):
        return "".join(items)
    text, place = "", 0
    while place < len(items):
        count = 1
        while place + count < len(items) and items[place + count] == items[place]:
            count += 1
        text += items[place]
        if count > 1:
            digits = str(count)
            text += _DUP[int(digits[0])] + digits[1:]
        place += count
    return text


def jcamp(
    values: Sequence[int],
    *,
    form: Form = "AFFN",
    first: float = 400.0,
    last: float | None = None,
    per_line: int = 8,
    y_factor: float = 1.0,
    **labels: str | None,
) -> str:
    """Write a JCAMP-DX file as its paper says; a label of None is left out."""
    last = first + len(values) - 1 if last is None else last
    step = (last - first) / (len(values) - 1)
    fields: dict[str, str | None] = {
        "TITLE": "built for a test",
        "JCAMP-DX": "4.24",
        "DATA TYPE": "INFRARED SPECTRUM",
        "XUNITS": "1/CM",
        "YUNITS": "ABSORBANCE",
        "FIRSTX": f"{first:.6f}",
        "LASTX": f"{last:.6f}",
        "XFACTOR": "1",
        "YFACTOR": f"{y_factor:g}",
        "FIRSTY": f"{values[0] * y_factor:.9g}",
        "NPOINTS": str(len(values)),
    }
    fields |= {name.replace("_", " "): value for name, value in labels.items()}
    lines = [f"##{label}={value}" for label, value in fields.items() if value is not None]
    lines.append("##XYDATA=(X++(Y..Y))")
    ends_in_difference = False
    place = 0
    while place < len(values):
        start = place - 1 if ends_in_difference else place
        lines.append(f"{first + start * step:.6f}" + _line(values[start : place + per_line], form))
        ends_in_difference = form.startswith("DIF") and len(values[start : place + per_line]) > 1
        place += per_line
    if ends_in_difference:
        lines.append(f"{last:.6f}" + _line(values[-1:], form) + " $$ checkpoint")
    return "\n".join([*lines, "##END=", ""])


def spc(
    values: NDArray[Any],
    *,
    axis: NDArray[Any] | None = None,
    first: float = 400.0,
    last: float = 1800.0,
    exponent: int = -128,
    flags: int = 0,
    version: int = 0x4B,
    traces: int = 1,
    x_type: int = 1,
    y_type: int = 2,
    experiment: int = 4,
) -> bytes:
    """Write an SPC file: IEEE floats, or whole numbers with a common exponent."""
    flags |= 0x80 if axis is not None else 0
    head = struct.pack(
        "<BBbbi2diBBB",
        flags,
        version,
        experiment,
        exponent,
        values.size,
        first,
        last,
        traces,
        x_type,
        y_type,
        0,
    )
    content = head.ljust(512, b"\0")
    if axis is not None:
        content += axis.astype("<f4").tobytes()
    content += struct.pack("<Bb", 0, exponent).ljust(32, b"\0")
    if exponent == -128:
        return content + values.astype("<f4").tobytes()
    item, form = (2, "<i2") if flags & 1 else (4, "<i4")
    whole: bytes = np.round(np.ldexp(values, 8 * item - exponent)).astype(form).tobytes()
    return content + whole
