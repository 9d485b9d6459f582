"""Points of a file to a spectrum: one axis in nm or cm⁻¹, increasing, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.spectral import Spectrum

AxisUnit = Literal["nm", "cm-1"]
Kind = Literal["infrared", "raman", "reflectance"]

FILE_BYTES_MAX = 32 << 20
POINTS_MAX = 1_000_000
POINTS_MIN = 3
_TURNS_MAX = 8  # windows that a spectrometer measured one after the other and glued together


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a site says about spectra whose files do not; a file's own word goes first.

    Attributes:
        kind: What is measured there, or None.
        axis_unit: Of the axis there, or None: cm-1 for infrared and Raman, nm for reflectance, and noted.
    """

    kind: Kind | None = None
    axis_unit: AxisUnit | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """What a file holds.

    Attributes:
        axis: (points,) float64, in the file's order.
        values: (points,) float64.
        axis_unit: `nm`, `um`, `cm-1`, or None where the file does not say.
        kind: None where the file does not say.
        notes: What was done that a reader must know.
    """

    axis: NDArray[np.float64]
    values: NDArray[np.float64]
    axis_unit: Literal["nm", "um", "cm-1"] | None
    kind: Kind | None
    notes: tuple[str, ...] = ()


def to_spectrum(points: Points, hints: Hints) -> Spectrum:
    """Put the points in order and say what they are.

    Raises:
        FormatError: They are too few or too many, no numbers, or their first column is no axis.
        UnsupportedError: Neither the file nor the site says what was measured.
    """
    axis, values = points.axis, points.values
    if not POINTS_MIN <= axis.size <= POINTS_MAX:
        raise FormatError(f"a spectrum of {axis.size} points, wanted {POINTS_MIN} to {POINTS_MAX}")
    if not (np.isfinite(axis).all() and np.isfinite(values).all()):
        raise FormatError("a spectrum with points that are no finite numbers")
    kind = points.kind or hints.kind
    if kind is None:
        raise UnsupportedError("says nothing of what was measured, and the site neither: infrared, raman …")
    notes = list(points.notes)
    if points.kind and hints.kind and points.kind != hints.kind:
        notes.append(f"the file says {points.kind}, the site {hints.kind}: taken as {points.kind}")
    unit, factor = _unit(points, hints, kind, notes)
    axis, values = _in_order(axis * factor, values, notes)
    if axis.size < POINTS_MIN:
        raise FormatError(f"a spectrum of {axis.size} different points, wanted {POINTS_MIN} or more")
    if not np.isfinite(axis).all() or ((unit == "nm" or kind == "infrared") and axis[0] <= 0):
        raise FormatError(f"an axis from {axis[0]:g} {unit}, wanted positive numbers")
    return Spectrum(values=values, axis=axis, axis_unit=unit, kind=kind, notes=tuple(notes))


def _unit(points: Points, hints: Hints, kind: Kind, notes: list[str]) -> tuple[AxisUnit, float]:
    match points.axis_unit:
        case "um":
            return "nm", 1000.0
        case "nm" | "cm-1" as said:
            return said, 1.0
        case None:
            if hints.axis_unit is not None:
                return hints.axis_unit, 1.0
            usual: AxisUnit = "nm" if kind == "reflectance" else "cm-1"
            notes.append(f"unit of the axis not said, taken as {usual}")
            return usual, 1.0


def _in_order(
    axis: NDArray[np.float64], values: NDArray[np.float64], notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make the axis increase; windows that overlap are sorted, what was measured twice is averaged."""
    steps = np.diff(axis)
    if (steps < 0).all():
        return np.ascontiguousarray(axis[::-1]), np.ascontiguousarray(values[::-1])
    if not (steps > 0).all():
        up = np.sign(steps[steps != 0])
        turns = int((np.diff(up) != 0).sum())
        if turns > _TURNS_MAX:
            raise FormatError(f"the first column turns {turns} times, wanted an axis")
        if turns:
            notes.append("windows of the axis overlap and were sorted")
        axis, place = np.unique(axis, return_inverse=True)
        counts = np.bincount(place)
        with np.errstate(over="ignore"):
            values = np.bincount(place, weights=values) / counts
        if not np.isfinite(values).all():
            raise FormatError("a spectrum with values beyond any measure")
        if (counts > 1).any():
            notes.append(f"{int((counts > 1).sum())} points measured more than once were averaged")
    return axis, values
