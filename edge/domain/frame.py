"""What a live source shows: frames, each with its age; pictures are converted when somebody looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

TimedBy = Literal["stream", "arrival"]


class Picture(Protocol):
    """A colour picture in the form its decoder left it; every answer is a new or a read-only array."""

    @property
    def shape_px(self) -> tuple[int, int]:
        """(height, width) as it was captured."""

    def planes(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (3, height_px, width_px) uint8 planes, R, G, B: converted and scaled in one pass."""

    def rgb(self) -> NDArray[np.uint8]:
        """Return (height, width, 3) uint8 RGB at full size."""

    def luma(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (height_px, width_px) uint8 brightness: what quality is judged by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the degrees of a thermogram rest on; it goes with every finding.

    Attributes:
        state: `factory`: constants of the camera's maker, found in the stream or file. `site`: constants that
            the site entered. `assumed`: a linear scale or constants nobody checked.
        emissivity: 0 to 1, of what is looked at.
        reflected_celsius: Apparent temperature of what is mirrored.
        air_celsius: Of the air between.
        distance_m: To what is looked at.
        humidity: Relative, 0 to 1.
        window_transmission: Of an infrared window in between, 0 to 1; 1 where there is none.
        uncertainty_celsius: Standard uncertainty of a temperature, in K, as far as it is known.
    """

    state: Literal["factory", "site", "assumed"]
    emissivity: float
    reflected_celsius: float
    air_celsius: float
    distance_m: float
    humidity: float
    window_transmission: float
    uncertainty_celsius: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thermogram:
    """One radiometric picture.

    Attributes:
        celsius: (height, width) float32, read-only; NaN where the detector was saturated or dead.
        calibration: What the degrees rest on.
    """

    celsius: NDArray[np.float32]
    calibration: Calibration

    def __post_init__(self) -> None:
        assert self.celsius.ndim == 2, f"a thermogram has 2 axes, this one {self.celsius.ndim}"
        assert self.celsius.dtype == np.float32, f"degrees are {self.celsius.dtype}, wanted float32"
        self.celsius.flags.writeable = False

    @property
    def shape_px(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.celsius.shape
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One moment of a live source.

    Attributes:
        source: Name of the source in the configuration.
        sequence: Counts what the source captured since the daemon started; a gap is a loss.
        captured_at_ns: When it was captured, on our own monotonic clock, as well as is known.
        timed_by: `stream`: from the sender's timestamps, laid onto our clock. `arrival`: when it came in.
        content: What it shows.
    """

    source: str
    sequence: int
    captured_at_ns: int
    timed_by: TimedBy
    content: Picture | Thermogram
