"""What an object says of how its grey pictures are to be shown, and what it leaves to us."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from edge.domain.errors import FormatError
from edge.formats.dicom_dataset import TROUBLES, items_of, number_of
from edge.formats.dicom_pixels import PixelFormat
from edge.preprocess.radiograph import (
    TABLE_BITS_MAX,
    Grey,
    Lookup,
    Showing,
    Window,
    grey_of,
    spread,
    whole,
)
from edge.studies.functional_groups import Groups

BRIGHT_LOW = "stored with low values bright (MONOCHROME1), turned"
NO_WINDOW = "names no window: shown from nearly its lowest to nearly its highest value"
_SAMPLED = 4_000_000  # pixels from which the lowest and highest are told
_READY_BITS = 8  # so few are meant for a screen as they are
# Their modality table leads to the beam's intensity, not to the screen (PS3.3, C.8.7.1.1.2).
_ANGIOGRAPHY = tuple(f"1.2.840.10008.5.1.4.1.1.12.{kind}" for kind in ("1", "2", "3"))
_FUNCTIONS: dict[str, Literal["linear", "linear_exact", "sigmoid"]] = {
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear_exact",
    "SIGMOID": "sigmoid",
}


class Shown(NamedTuple):
    """A grey picture as a person is shown it.

    Attributes:
        grey: (height, width) uint8.
        notes: What a reader must know.
    """

    grey: Grey
    notes: tuple[str, ...]


def shown(samples: NDArray[Any], form: PixelFormat, header: Dataset, groups: Groups) -> Shown:
    """Show a grey picture as its object says.

    Args:
        samples: (height, width), only the bits that count.
        form: How they are stored.
        header: Of the object.
        groups: Of the frame.

    Raises:
        FormatError: What the header says cannot be.
    """
    try:
        showing, notes = _showing(form, header, groups)
    except (IndexError, *TROUBLES) as trouble:  # whose own words may quote a patient
        raise FormatError(f"its window or tables cannot be read: {type(trouble).__name__}") from trouble
    is_whole = not form.is_float and form.bits_stored <= TABLE_BITS_MAX
    ends = form.ends if is_whole else None
    if showing.interest is None:
        is_ready = ends is not None and form.bits_stored <= _READY_BITS
        window = whole(form.ends, showing) if is_ready else spread(_some(samples), showing)
        showing = _with(showing, window)
        notes += () if is_ready else (NO_WINDOW,)
    return Shown(grey_of(samples, showing, ends=ends), notes)


def _some(samples: NDArray[Any]) -> NDArray[Any]:
    """Return every nth row and column, so that there are not too many."""
    step = max(1, math.isqrt(samples.size // _SAMPLED))
    return samples[::step, ::step]


def _with(showing: Showing, window: Window) -> Showing:
    return Showing(
        slope=showing.slope,
        intercept=showing.intercept,
        modality=showing.modality,
        interest=window,
        padding=showing.padding,
        is_inverted=showing.is_inverted,
    )


def _showing(form: PixelFormat, header: Dataset, groups: Groups) -> tuple[Showing, tuple[str, ...]]:
    is_inverted = form.photometric == "MONOCHROME1" or header.get("PresentationLUTShape") == "INVERSE"
    values = groups.item("PixelValueTransformationSequence") or header
    slope, intercept = number_of(values.get("RescaleSlope")), number_of(values.get("RescaleIntercept"))
    modality = _modality(header)
    interest, notes = _interest(groups.item("FrameVOILUTSequence"), header)
    showing = Showing(
        slope=_finite("RescaleSlope", slope if slope else 1.0),
        intercept=_finite("RescaleIntercept", intercept or 0.0),
        modality=modality,
        interest=interest,
        padding=_padding(header, form),
        is_inverted=is_inverted,
    )
    return showing, (*notes, *((BRIGHT_LOW,) if is_inverted else ()))


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise FormatError(f"{name} is {value}, wanted a finite number")
    return value


def _modality(header: Dataset) -> Lookup | None:
    tables = items_of(header, "ModalityLUTSequence")
    is_for_measuring = header.get("SOPClassUID") in _ANGIOGRAPHY and str(
        header.get("PixelIntensityRelationship", "")
    ) in ("LOG", "DISP")
    return _lookup(tables[0]) if tables and not is_for_measuring else None


def _interest(own: Dataset, header: Dataset) -> tuple[Window | Lookup | None, tuple[str, ...]]:
    """Return the first table, or else the first window, of the frame or else of the object."""
    for holder in (own, header):
        tables = items_of(holder, "VOILUTSequence")
        if tables:
            return _lookup(tables[0]), _first_of(len(tables), "tables of values of interest")
        centres, widths = _numbers(holder.get("WindowCenter")), _numbers(holder.get("WindowWidth"))
        if not (centres and widths):
            continue
        centre, width = centres[0], widths[0]
        if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
            return None, (f"its window of width {width:g} around {centre:g} is none",)
        function = _FUNCTIONS.get(str(holder.get("VOILUTFunction") or "LINEAR"), "linear")
        if function == "linear" and width < 1:
            function = "linear_exact"  # one of values that are no whole numbers, wrongly named
        window = Window(centre=centre, width=width, function=function)
        return window, _first_of(min(len(centres), len(widths)), "windows")
    return None, ()


def _first_of(count: int, what: str) -> tuple[str, ...]:
    return (f"shown with the first of {count} {what}",) if count > 1 else ()


def _numbers(value: Any) -> tuple[float, ...]:
    """Return one value of pydicom's or several as numbers."""
    if value is None or value == "":
        return ()
    several = value if hasattr(value, "__iter__") and not isinstance(value, str) else (value,)
    return tuple(float(one) for one in several)


def _lookup(item: Dataset) -> Lookup:
    """Read a table (PS3.3, C.11.1.1 and C.11.2.1.1).

    Raises:
        FormatError: It has no entries.
    """
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    stored = item.LUTData
    if isinstance(stored, bytes):
        is_narrow = bits <= 8 and len(stored) < 2 * (count or 1 << 16)
        entries = np.frombuffer(stored, np.uint8 if is_narrow else "<u2").astype(np.float64)
    else:
        entries = np.array([stored] if isinstance(stored, int) else list(stored), np.float64)
    entries = entries[: count or 1 << 16]
    if not entries.size:
        raise FormatError("a table of its header has no entries")
    top = max(float((1 << bits) - 1), float(entries.max()), 1.0)
    return Lookup(first=float(first), entries=entries, top=top)


def _padding(header: Dataset, form: PixelFormat) -> tuple[float, float] | None:
    value = number_of(header.get("PixelPaddingValue"))
    if value is None:
        return None
    limit = number_of(header.get("PixelPaddingRangeLimit"))
    low, high = sorted((value, value if limit is None else limit))
    return _as_stored(low, form), _as_stored(high, form)


def _as_stored(value: float, form: PixelFormat) -> float:
    """Read a number as the samples are: makers write signed ones as unsigned, and the other way round."""
    if form.is_float:
        return value
    span = 1 << form.bits_allocated
    if form.is_signed and value >= span // 2:
        return value - span
    return value + span if not form.is_signed and value < 0 else value
