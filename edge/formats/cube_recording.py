"""What a file of a hyperspectral camera holds before it is a cube: bands in the file's order, raw numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.spectral import Cube

CUBE_BYTES_MAX = 1 << 30
"""A cube larger than this in memory (float32) is refused, unless the caller says another limit."""

_NM_LIKELY = (100.0, 30_000.0)
_UM_LIKELY = (0.1, 30.0)
_NM_PER_UNIT = {
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometers": 1.0,
    "nanometre": 1.0,
    "nanometres": 1.0,
    "um": 1000.0,
    "µm": 1000.0,
    "μm": 1000.0,
    "micron": 1000.0,
    "microns": 1000.0,
    "micrometer": 1000.0,
    "micrometers": 1000.0,
    "micrometre": 1000.0,
    "micrometres": 1000.0,
    "angstrom": 0.1,
    "angstroms": 0.1,
}
_SAYS_NOTHING = ("", "unknown", "none", "unitless")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bands:
    """Which bands of a file become a cube, and where they lie.

    Attributes:
        order: (kept,) place in the file of each band that is kept, by increasing wavelength.
        wavelengths_nm: (kept,) strictly increasing.
        notes: What was left out or put in order.
    """

    order: NDArray[np.intp]
    wavelengths_nm: NDArray[np.float64]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """One cube file, read.

    Attributes:
        values: (height, width, bands) float32, writable, owned by whoever asked for it; NaN where the file
            marks a value as missing.
        bands: Where its bands lie, and which of the file's bands they are.
        unit: What the file says it holds.
        calibration: How `unit` was reached, or "".
        exposure_ms: Of the camera, or None where the file does not say.
        notes: What was done that a reader must know.
    """

    values: NDArray[np.float32]
    bands: Bands
    unit: Literal["reflectance", "radiance", "counts"]
    calibration: str = ""
    exposure_ms: float | None = None
    notes: tuple[str, ...] = ()

    def cube(self) -> Cube:
        """Hand the recording on as a cube; its values are read-only from now on."""
        return Cube(
            values=self.values,
            wavelengths_nm=self.bands.wavelengths_nm,
            unit=self.unit,
            calibration=self.calibration,
            notes=(*self.bands.notes, *self.notes),
        )

    def noting(self, note: str) -> Recording:
        """Return the same recording with one more note."""
        return replace(self, notes=(*self.notes, note))


def check_size(shape: tuple[int, int, int], *, bytes_max: int) -> None:
    """Refuse a cube that would not fit, before any of it is read.

    Args:
        shape: (height, width, bands) that would be kept.
        bytes_max: Limit for the float32 values.

    Raises:
        FormatError: It is empty or too large.
    """
    said = " × ".join(map(str, shape))
    if min(shape) < 1:
        raise FormatError(f"a cube of {said} values, wanted at least one of each")
    wanted = math.prod(shape) * 4
    if wanted > bytes_max:
        raise FormatError(
            f"a cube of {said} values takes {wanted / 2**20:.1f} MiB, "
            f"at most {bytes_max / 2**20:.1f} MiB are allowed"
        )


def order_bands(
    wavelengths: NDArray[np.float64], *, unit: str, is_bad: NDArray[np.bool_] | None = None
) -> Bands:
    """Choose the bands of a cube: bad ones left out, wavelengths in nm, increasing, none twice.

    Args:
        wavelengths: (bands,) as the file gives them, in the file's order.
        unit: What the file calls their unit; "" where it says nothing: then judged by their size.
        is_bad: (bands,) true where the file marks a band as bad; None where it marks none.

    Raises:
        FormatError: They are no wavelengths, or nothing is left.
        UnsupportedError: The unit is no length.
    """
    if not np.isfinite(wavelengths).all() or (wavelengths <= 0).any():
        raise FormatError("wavelengths that are no positive numbers, wanted nm or µm")
    factor, notes = _nm_per_unit(wavelengths, unit)
    with np.errstate(over="ignore"):
        all_nm = wavelengths * factor
    if not np.isfinite(all_nm).all():
        raise FormatError("wavelengths beyond any measure, wanted nm or µm")
    kept = np.arange(all_nm.size)
    if is_bad is not None and is_bad.any():
        kept = kept[~is_bad]
        notes.append(f"{int(is_bad.sum())} bad bands left out")
    if kept.size == 0:
        raise FormatError(f"all {all_nm.size} bands are marked bad, wanted at least one good band")
    sorted_kept = kept[np.argsort(all_nm[kept], kind="stable")]
    is_new = np.concatenate(([True], np.diff(all_nm[sorted_kept]) > 0))
    if not is_new.all():
        notes.append(f"{int((~is_new).sum())} bands at a wavelength that another band has left out")
    order = sorted_kept[is_new]
    if (np.diff(order) < 0).any():
        notes.append("bands put in order of their wavelengths")
    return Bands(order=order.astype(np.intp), wavelengths_nm=all_nm[order], notes=tuple(notes))


def count_missing(values: NDArray[np.float32]) -> int:
    """Return how many pixels have a value that is no number; infinities are made NaN, in place."""
    missing = 0
    for line in values:
        is_finite = np.isfinite(line)
        if not is_finite.all():
            line[~is_finite] = np.nan
            missing += int((~is_finite.all(axis=-1)).sum())
    return missing


def _nm_per_unit(wavelengths: NDArray[np.float64], unit: str) -> tuple[float, list[str]]:
    name = unit.strip().lower()
    if name in _NM_PER_UNIT:
        return _NM_PER_UNIT[name], []
    if name not in _SAYS_NOTHING:
        raise UnsupportedError(f"bands are in {unit[:40]!r}, wanted wavelengths in nm or µm")
    low, high = float(wavelengths.min()), float(wavelengths.max())
    if _NM_LIKELY[0] <= low and high <= _NM_LIKELY[1]:
        return 1.0, ["unit of the wavelengths not said, taken as nm"]
    if _UM_LIKELY[0] <= low and high <= _UM_LIKELY[1]:
        return 1000.0, ["unit of the wavelengths not said, taken as µm"]
    raise FormatError(f"wavelengths of {low:g} to {high:g} without a unit, wanted nm or µm")
