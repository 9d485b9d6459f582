"""Counts to reflectance: what a white and a dark reference make of a recording.

reflectance = panel · (counts − dark) / (white − dark), each reference averaged over its lines where it was
taken as a line camera does (Geladi, Burger and Lestander, Chemom. Intell. Lab. Syst. 72 (2004) 209).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PictureRejectedError
from edge.formats.cube_recording import Bands, Recording

SIGNAL_MIN_SHARE = 0.01  # of the brightest reference value; what is darker was not lit, and divides noise
EXPOSURE_TOLERANCE = 0.01
_DEAD_SHARE = 0.5


def to_reflectance(
    recording: Recording,
    *,
    white: Recording,
    dark: Recording | None,
    panel_reflectance: float = 1.0,
) -> Recording:
    """Divide a recording in counts by its references.

    Args:
        recording: In counts. Its values are used up.
        white: Of a white panel, in the same bands: of the same size, or one or more lines of the same
            width, or one single spectrum.
        dark: With the shutter closed, likewise; None: taken as zero, and that is said.
        panel_reflectance: Of the white panel, 0 to 1.

    Returns:
        Reflectance, NaN where the white reference has no signal; bands without any are left out.

    Raises:
        PictureRejectedError: The references do not fit the recording, or are no references.
    """
    for name, reference in (("white", white), ("dark", dark)):
        if reference is not None:
            _check_fit(name, reference, recording)
    floor = np.zeros((1, 1, 1), np.float32) if dark is None else _averaged("dark", dark, recording)
    signal = _averaged("white", white, recording) - floor
    brightest = float(np.nanmax(signal, initial=-np.inf))
    if not brightest > 0:
        raise PictureRejectedError("the white reference is no brighter than the dark one, wanted a lit panel")
    with np.errstate(invalid="ignore"):
        signal[~(signal > SIGNAL_MIN_SHARE * brightest)] = np.nan
    values = recording.values
    with np.errstate(invalid="ignore"):
        for line in range(values.shape[0]):
            values[line] -= floor[min(line, floor.shape[0] - 1)]
            values[line] /= signal[min(line, signal.shape[0] - 1)] / np.float32(panel_reflectance)
    calibration = "white and dark reference" if dark is not None else "white reference, dark taken as 0"
    if panel_reflectance != 1:
        calibration += f", panel {panel_reflectance:g}"
    done = replace(recording, values=values, unit="reflectance", calibration=calibration)
    return _without_dead_bands(done, signal)


def _check_fit(name: str, reference: Recording, recording: Recording) -> None:
    if recording.unit != "counts" or reference.unit != "counts":
        raise PictureRejectedError(
            f"{name} reference in {reference.unit} for a cube in {recording.unit}, wanted counts for both"
        )
    if not np.array_equal(reference.bands.wavelengths_nm, recording.bands.wavelengths_nm):
        seen, wanted = reference.bands.wavelengths_nm.size, recording.bands.wavelengths_nm.size
        raise PictureRejectedError(
            f"the {name} reference has other bands: {seen} of them, the cube has {wanted}"
        )
    seen_ms, wanted_ms = reference.exposure_ms, recording.exposure_ms
    if seen_ms is None or wanted_ms is None:
        return
    if abs(seen_ms - wanted_ms) > EXPOSURE_TOLERANCE * wanted_ms:
        raise PictureRejectedError(
            f"the {name} reference was exposed for {seen_ms:g} ms, the cube for {wanted_ms:g} ms"
        )


def _averaged(name: str, reference: Recording, recording: Recording) -> NDArray[np.float32]:
    """Return (1 or height, 1 or width, bands) of a reference."""
    height, width, _ = recording.values.shape
    lines, samples, _ = reference.values.shape
    if (lines, samples) == (height, width):
        return reference.values.copy()
    if samples not in (1, width):
        raise PictureRejectedError(f"the {name} reference is {samples} pixels wide, the cube {width}")
    mean: NDArray[np.float32] = reference.values.mean(axis=0, keepdims=True, dtype=np.float64).astype(
        np.float32
    )
    return mean


def _without_dead_bands(recording: Recording, signal: NDArray[np.float32]) -> Recording:
    """Leave out bands in which most of the white reference has no signal."""
    is_dead = np.isnan(signal).mean(axis=(0, 1)) > _DEAD_SHARE
    if not is_dead.any():
        return recording
    if is_dead.all():
        raise PictureRejectedError("no band of the white reference has a signal, wanted a lit panel")
    bands = Bands(
        order=recording.bands.order[~is_dead],
        wavelengths_nm=recording.bands.wavelengths_nm[~is_dead],
        notes=(
            *recording.bands.notes,
            f"{int(is_dead.sum())} bands in which the white panel is dark left out",
        ),
    )
    return replace(recording, values=np.ascontiguousarray(recording.values[..., ~is_dead]), bands=bands)
