"""SPC spectra: Galactic's new format, little-endian, one trace, evenly spaced or with its own axis.

After "The Galactic Universal Data Format Specification" (Galactic Industries, 1997): a main header of 512
bytes, the axis where there is one, a header of 32 bytes for the trace, and its ordinates as IEEE floats or as
whole numbers that share an exponent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.spectrum_points import POINTS_MAX, Kind, Points

HEADER_BYTES, TRACE_BYTES = 512, 32
_HEAD = struct.Struct("<BBbbi2diBBB")  # ftflgs … fztype: the 31 bytes that say how to read the rest
_SHORT, _MULTI, _EACH_ITS_AXIS, _OWN_AXIS = 0x01, 0x04, 0x40, 0x80
_NEW_LITTLE, _NEW_BIG, _OLD = 0x4B, 0x4C, 0x4D
_FLOATS = -128  # the exponent that says: IEEE floats
_UNITS: dict[int, Literal["nm", "um", "cm-1"]] = {1: "cm-1", 2: "um", 3: "nm", 13: "cm-1"}
_RAMAN_SHIFT = 13
_KINDS: dict[int, Kind] = {4: "infrared", 5: "infrared", 11: "raman"}
_ORDINATES = {2: "absorbance", 3: "kubelka-monk", 4: "counts", 128: "transmission", 129: "reflectance"}
_INTERFEROGRAM, _REFLECTANCE = 1, 129


@dataclass(frozen=True, slots=True)
class Head:
    """What the main header says."""

    flags: int
    experiment: int
    exponent: int
    points: int
    first: float
    last: float
    traces: int
    x_type: int
    y_type: int


def is_spc(content: bytes) -> bool:
    """Whether this may be an SPC file of any version, by its second byte."""
    has_version = len(content) >= HEADER_BYTES // 2 and content[1] in (_NEW_LITTLE, _NEW_BIG, _OLD)
    return has_version and b"\0" in content[:HEADER_BYTES]  # no text: `OK` begins a text too


def parse(content: bytes) -> Points:
    """Parse an SPC file.

    Raises:
        FormatError: It is damaged or cut off.
        UnsupportedError: It is of the old or the big-endian format, or holds several traces.
    """
    head = _head(content)
    is_own = bool(head.flags & _OWN_AXIS)
    item = 2 if head.flags & _SHORT and head.exponent != _FLOATS else 4
    at = HEADER_BYTES + (4 * head.points if is_own else 0)
    wanted = at + TRACE_BYTES + item * head.points
    if len(content) < wanted:
        raise FormatError(f"an SPC file of {len(content)} bytes, its header announces {wanted}")
    if is_own:
        axis = np.frombuffer(content, "<f4", head.points, HEADER_BYTES).astype(np.float64)
    else:
        axis = np.linspace(head.first, head.last, head.points)
    trace_exponent = struct.unpack_from("<b", content, at + 1)[0]
    exponent = head.exponent if head.exponent == _FLOATS else trace_exponent or head.exponent
    values = _ordinates(content, at + TRACE_BYTES, head.points, exponent, item)
    ordinate = _ORDINATES.get(head.y_type, "")
    return Points(
        axis=axis,
        values=values,
        axis_unit=_UNITS[head.x_type],
        kind=_kind(head),
        notes=(f"ordinate in {ordinate}",) if ordinate else (),
    )


def _head(content: bytes) -> Head:
    if len(content) < HEADER_BYTES:
        raise FormatError(f"an SPC file of {len(content)} bytes, its header alone has {HEADER_BYTES}")
    flags, version, experiment, exponent, points, first, last, traces, x_type, y_type, _ = _HEAD.unpack_from(
        content
    )
    if version in (_NEW_BIG, _OLD):
        name = "big-endian" if version == _NEW_BIG else "old"
        raise UnsupportedError(f"an SPC file of the {name} format, wanted the new little-endian one")
    if version != _NEW_LITTLE:
        raise FormatError(f"no SPC file: its version is 0x{version:02x}, wanted 0x{_NEW_LITTLE:02x}")
    if flags & (_MULTI | _EACH_ITS_AXIS) or traces not in (0, 1):
        raise UnsupportedError(f"an SPC file of {traces} traces, wanted one")
    if not 2 <= points <= POINTS_MAX:
        raise FormatError(f"an SPC file of {points} points, wanted 2 to {POINTS_MAX}")
    if not np.isfinite((first, last)).all():
        raise FormatError("an SPC file whose axis has no ends")
    if x_type not in _UNITS:
        raise UnsupportedError(
            f"an SPC file with an axis of type {x_type}, wanted cm-1, nm, µm or Raman shift"
        )
    if y_type == _INTERFEROGRAM:
        raise UnsupportedError("an SPC file with an interferogram, wanted a spectrum")
    return Head(flags, experiment, exponent, points, first, last, traces, x_type, y_type)


def _ordinates(content: bytes, at: int, points: int, exponent: int, item: int) -> NDArray[np.float64]:
    if exponent == _FLOATS:
        return np.frombuffer(content, "<f4", points, at).astype(np.float64)
    whole = np.frombuffer(content, "<i2" if item == 2 else "<i4", points, at)
    return np.ldexp(whole.astype(np.float64), exponent - 8 * item)


def _kind(head: Head) -> Kind | None:
    if head.x_type == _RAMAN_SHIFT:
        return "raman"
    if head.experiment in _KINDS:
        return _KINDS[head.experiment]
    return "reflectance" if head.y_type == _REFLECTANCE else None
