"""What is seen in more than three colours: hyperspectral cubes and single spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

NEAR_INFRARED_NM = (700.0, 900.0)  # where tissue lets light through far enough to measure oxygenation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cube:
    """A picture with a spectrum in every pixel.

    Attributes:
        values: (height, width, bands) float32, read-only.
        wavelengths_nm: (bands,) float64, strictly increasing, read-only; the centre of each band.
        unit: `reflectance` (0 to 1 and a little above), `radiance`, or `counts` as the detector gave them.
        calibration: How `unit` was reached, in words: `white and dark reference`, or "" for none.
        notes: What was done that a reader must know: `20 bad bands left out`.
    """

    values: NDArray[np.float32]
    wavelengths_nm: NDArray[np.float64]
    unit: Literal["reflectance", "radiance", "counts"]
    calibration: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.values.ndim == 3, f"a cube has 3 axes, this one {self.values.ndim}"
        assert self.values.dtype == np.float32, f"values are {self.values.dtype}, wanted float32"
        assert self.wavelengths_nm.shape == self.values.shape[2:], "each band has one wavelength"
        assert bool(np.all(np.diff(self.wavelengths_nm) > 0)), "wavelengths increase"
        self.values.flags.writeable = False
        self.wavelengths_nm.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """Intensity over wavelength or wavenumber.

    Attributes:
        values: (points,) float64, read-only.
        axis: (points,) float64, strictly increasing, read-only.
        axis_unit: `nm`, or `cm-1` for wavenumbers and Raman shifts.
        kind: What was measured.
        notes: What was done that a reader must know.
    """

    values: NDArray[np.float64]
    axis: NDArray[np.float64]
    axis_unit: Literal["nm", "cm-1"]
    kind: Literal["infrared", "raman", "reflectance"]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.values.ndim == 1, f"a spectrum has 1 axis, this one {self.values.ndim}"
        assert self.values.shape == self.axis.shape, "each value has its place on the axis"
        assert bool(np.all(np.diff(self.axis) > 0)), "the axis increases"
        self.values.flags.writeable = False
        self.axis.flags.writeable = False
