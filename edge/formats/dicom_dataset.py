"""Read a whole DICOM header with pydicom, for objects whose sequences must be looked into."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from edge.domain.errors import FormatError
from edge.kit.log import Log

_log = Log("formats.dicom")
# What pydicom raises on damaged bytes, found by feeding it damaged bytes.
TROUBLES = (
    InvalidDicomError,
    BytesLengthException,
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


_filters = threading.Lock()  # the filters of `warnings` belong to the whole process


def read_header(path: Path) -> Dataset:
    """Return everything of a DICOM file but its pixels.

    Raises:
        FormatError: It cannot be parsed.
    """
    try:
        with unwarned():
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            dataset.walk(_look)
            return dataset
    except TROUBLES as trouble:  # whose own words may quote a patient
        raise FormatError(f"the header cannot be parsed: {type(trouble).__name__}") from trouble


@contextmanager
def unwarned() -> Iterator[None]:
    """Count pydicom's warnings instead of showing them, and keep its log still: both may quote a patient."""
    theirs = logging.getLogger("pydicom")
    with _filters, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        level = theirs.level
        theirs.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            theirs.setLevel(level)
    if caught:
        kinds = sorted({warning.category.__name__ for warning in caught})
        _log.debug("pydicom has warned", times=len(caught), kinds=",".join(kinds))


def items_of(holder: Dataset, key: str | int) -> Sequence[Dataset]:
    """Return the items of a sequence, () where there is none."""
    if key not in holder:
        return ()
    element = holder[key]
    return tuple(element.value) if element.VR == "SQ" else ()


def number_of(value: Any) -> float | None:
    """Return a value of pydicom's, or that of one of its elements, as a number; None where it is empty."""
    value = getattr(value, "value", value)
    return None if value is None or value == "" else float(value)


def numbers_of(values: Any) -> tuple[float, ...]:
    """Return several values of pydicom's as numbers, () where there are none."""
    return tuple(float(value) for value in values or ())


def _look(_dataset: Dataset, _element: object) -> None:
    """Do nothing: to be able to call this, `walk` has parsed a value that would be parsed when first used."""
