"""One picture plane of a series: where it lies, what it shows, and where its pixels are."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from edge.domain.errors import FormatError, SeriesRejectedError
from edge.formats.dicom_pixels import PixelSource

Vector = tuple[float, float, float]

_MOMENT = re.compile(r"(\d{8})?(\d{2})(\d{2})(\d{2}(?:\.\d+)?)(?:[+-]\d{4})?")
_UNIT_LENGTH_TOLERANCE = 0.01  # makers round direction cosines; the worst of the corpus is 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Where a picture lies in the patient, in mm, LPS.

    Attributes:
        position_mm: Centre of its first pixel.
        row: Unit vector along a row, the way columns count up.
        column: Unit vector along a column, the way rows count up.
        spacing_mm: Distance between rows, and between columns.
    """

    position_mm: Vector
    row: Vector
    column: Vector
    spacing_mm: tuple[float, float]


class Scaling(NamedTuple):
    """From stored samples to values: `value = slope * sample + intercept`."""

    slope: float = 1.0
    intercept: float = 0.0
    unit: str = "arbitrary"


class Moments(NamedTuple):
    """What may tell pictures of one place apart, the best evidence first; None where the header is silent."""

    temporal_position: float | None = None
    b_value: float | None = None
    acquisition_number: float | None = None
    acquired_ms: float | None = None
    trigger_ms: float | None = None
    content_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One picture of a series.

    Attributes:
        label: Names it in messages, `instance 12 (…4f3a01)`: its number and the tail of its UID.
        sop_uid: Of the instance it belongs to.
        number: Its place in the order the scanner gave, or 0.
        modality: Of its instance.
        source: Where its pixels are.
        frame: Which frame of the source, from 0.
        crop: (top, left) of a tile within the frame, for mosaics, or None.
        rows: Height of this picture in pixels.
        columns: Width.
        plane: Where it lies.
        thickness_mm: SliceThickness, or None.
        scaling: What its samples mean.
        kind: What sort of picture: magnitude, phase, a map …, in the words of the header.
        echo_ms: Echo time, or None.
        moments: When it was taken.
        is_lossy: It has been compressed with loss at some time.
    """

    label: str
    sop_uid: str
    number: int
    modality: str
    source: PixelSource
    frame: int
    crop: tuple[int, int] | None = None
    rows: int
    columns: int
    plane: Plane
    thickness_mm: float | None
    scaling: Scaling
    kind: str
    echo_ms: float | None
    moments: Moments
    is_lossy: bool


def label_of(number: int | None, sop_uid: str, *, frame: int | None = None) -> str:
    """Name an instance without giving its identity away."""
    of_frame = "" if frame is None else f"frame {frame + 1} of "
    return f"{of_frame}instance {number if number is not None else '?'} (…{sop_uid[-6:]})"


def plane_of(
    label: str, position: tuple[float, ...], orientation: tuple[float, ...], spacing: tuple[float, ...]
) -> Plane:
    """Return a plane from the values of ImagePositionPatient, ImageOrientationPatient and PixelSpacing.

    Raises:
        SeriesRejectedError: The header does not say where the picture lies.
        FormatError: What it says cannot be.
    """
    names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    found = (len(position) == 3, len(orientation) == 6, len(spacing) == 2)
    absent = [name for name, is_there in zip(names, found, strict=True) if not is_there]
    if absent:
        raise SeriesRejectedError(f"{label}: no {' and no '.join(absent)}, so it is no slice of a volume")
    if not all(map(math.isfinite, (*position, *orientation, *spacing))) or min(spacing) <= 0:
        raise FormatError(f"{label}: position, orientation or spacing {spacing} is no place in a patient")
    row, column = orientation[:3], orientation[3:]
    lengths = math.hypot(*row), math.hypot(*column)
    skew = sum(a * b for a, b in zip(row, column, strict=True))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(skew)) > _UNIT_LENGTH_TOLERANCE:
        raise FormatError(f"{label}: orientation {orientation} is no pair of perpendicular unit vectors")
    return Plane(
        position_mm=(position[0], position[1], position[2]),
        row=(row[0] / lengths[0], row[1] / lengths[0], row[2] / lengths[0]),
        column=(column[0] / lengths[1], column[1] / lengths[1], column[2] / lengths[1]),
        spacing_mm=(spacing[0], spacing[1]),
    )


def scaling_of(
    modality: str,
    slope: float | None,
    intercept: float | None,
    *,
    rescale_type: str,
    pet_units: str = "",
    philips_scale: float | None = None,
) -> Scaling:
    """Return what stored samples mean.

    Philips MR displays `slope * sample + intercept` but measured that divided by `slope * philips_scale`:
    only the latter can be compared between scans, and the reference volumes hold it.
    """
    is_rescaled = slope is not None or intercept is not None
    slope, intercept = slope or 1.0, intercept or 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise FormatError(f"RescaleSlope {slope}, RescaleIntercept {intercept}: wanted finite numbers")
    if philips_scale is not None and philips_scale > 0 and math.isfinite(philips_scale):
        return Scaling(1.0 / philips_scale, intercept / (slope * philips_scale), "arbitrary")
    unit = "arbitrary"
    if modality == "CT" and is_rescaled and rescale_type in ("", "HU"):
        unit = "hounsfield"
    if modality == "PT" and pet_units == "BQML":
        unit = "bq_ml"
    return Scaling(slope, intercept, unit)


@lru_cache(maxsize=4096)
def milliseconds(moment: str) -> float | None:
    """Return a TM value as ms since midnight, a DT value as ms since year 1; None where it is neither."""
    match = _MOMENT.fullmatch(moment.replace(":", ""))
    if match is None:
        return None
    day, hours, minutes, seconds = match.groups()
    try:
        days = datetime.date.fromisoformat(day).toordinal() if day else 0
    except ValueError:
        return None
    return (((days * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)) * 1000.0
