"""The camera record of FLIR files: Planck constants, what was set at the camera, when it was.

Where each value stands is known from ExifTool (Phil Harvey, `FLIR.pm`); the maker publishes no description.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.domain.errors import FormatError
from edge.domain.thermal import COUNTS, Atmosphere, PlanckScale, Surroundings, what_is_wrong
from edge.formats.thermal_bytes import text_in, unpack

_ZERO_CELSIUS_K = 273.15
_OBJECT, _PLANCK, _AIR, _CAMERA = 0x20, 0x58, 0x70, 0xD4
_PLANCK_O, _RAW_RANGE, _TIME = 0x308, 0x310, 0x384
_WHAT = "a FLIR camera record"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRecord:
    """What a FLIR camera says about itself and about one picture.

    Attributes:
        scale: Its Planck constants.
        surroundings: What was set when the picture was taken.
        atmosphere: Its constants for air.
        saturated_counts: Below the first and above the second nothing was measured.
        taken_at_s: Seconds since 1970, with milliseconds.
        model: `FLIR SC660`.
    """

    scale: PlanckScale
    surroundings: Surroundings
    atmosphere: Atmosphere
    saturated_counts: tuple[int, int]
    taken_at_s: float
    model: str


def read_camera(record: bytes) -> CameraRecord:
    """Read a camera record.

    Args:
        record: All of it; either byte order.

    Raises:
        FormatError: It is too short, or holds what no camera can have meant.
    """
    order = byte_order(record, mark=2, what=_WHAT)
    emissivity, distance_m, reflected_k, air_k, window_k, window, _, humidity = unpack(
        f"{order}8f", record, _OBJECT, what=_WHAT
    )
    given = {
        "emissivity": emissivity,
        "reflected_celsius": reflected_k - _ZERO_CELSIUS_K,
        "air_celsius": air_k - _ZERO_CELSIUS_K,
        "distance_m": distance_m,
        "humidity": humidity / 100 if humidity > 2 else humidity,  # some write percent (ExifTool)
        "window_celsius": window_k - _ZERO_CELSIUS_K,
        "window_transmission": window,
    }
    r1, b, f = unpack(f"{order}3f", record, _PLANCK, what=_WHAT)
    o, r2 = unpack(f"{order}if", record, _PLANCK_O, what=_WHAT)
    scale = PlanckScale(r1=r1, b_kelvin=b, f=f, o=o, r2=r2)
    atmosphere = _atmosphere(unpack(f"{order}5f", record, _AIR, what=_WHAT))
    problem = what_is_wrong(given) or scale.problem()
    if problem:
        raise FormatError(f"{_WHAT}: {problem}")
    return CameraRecord(
        scale=scale,
        surroundings=Surroundings(**given),
        atmosphere=atmosphere,
        saturated_counts=_saturated(*unpack(f"{order}2H", record, _RAW_RANGE, what=_WHAT)),
        taken_at_s=_time_s(*unpack(f"{order}2I", record, _TIME, what=_WHAT)),
        model=text_in(record[_CAMERA : _CAMERA + 32]),
    )


def byte_order(record: bytes, *, mark: int, what: str) -> str:
    """Return `<` or `>` by a number that every record begins with.

    Raises:
        FormatError: It is there in neither order.
    """
    begin = record[:2]
    for order in ("<", ">"):
        if begin == struct.pack(f"{order}H", mark):
            return order
    raise FormatError(f"{what} begins with {begin.hex() or 'nothing'}, wanted {mark:04x} in either order")


def _atmosphere(constants: tuple[float, ...]) -> Atmosphere:
    """Return the constants for air; zeros, as some recorders write them, stand for the usual ones."""
    if not any(constants):
        return Atmosphere()
    if not all(abs(constant) <= 10 for constant in constants):
        seen = ", ".join(f"{constant:g}" for constant in constants)
        raise FormatError(f"{_WHAT}: constants for air {seen}, wanted -10 to 10")
    alpha1, alpha2, beta1, beta2, x = constants
    return Atmosphere(alpha1=alpha1, alpha2=alpha2, beta1=beta1, beta2=beta2, x=x)


def _saturated(low: int, high: int) -> tuple[int, int]:
    return (low, high) if low < high else (0, COUNTS - 1)


def _time_s(seconds: int, fraction: int) -> float:
    """Return the time; only the lower half of the second number holds milliseconds."""
    return seconds + (fraction & 0xFFFF) / 1000
