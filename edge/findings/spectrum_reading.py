"""What is measured of a spectrum before anything is said: baseline, noise, peaks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.domain.spectral import Spectrum
from edge.findings.spectrum_policy import SpectrumPolicy
from edge.preprocess import peaks
from edge.preprocess.peaks import Peak
from edge.preprocess.spectrum import despike, noise
from edge.preprocess.spectrum_backend import OWN, Backend


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpectrumReading:
    """What was measured.

    Attributes:
        spectrum: As it came, less its spikes.
        baseline: (points,) what lies under the peaks.
        noise: Standard deviation.
        highest: The highest value above the baseline.
        detection_limit: A peak lower than this would not have been found.
        peaks: Those that a fit could describe, by position.
        unsound: Those that it could not.
        spikes: How many were taken out.
        backend: Who computed.
    """

    spectrum: Spectrum
    baseline: NDArray[np.float64]
    noise: float
    highest: float
    detection_limit: float
    peaks: tuple[Peak, ...]
    unsound: tuple[Peak, ...]
    spikes: int
    backend: str

    @property
    def snr(self) -> float:
        """Highest value over noise; infinite without noise, 0 without a signal."""
        if self.highest <= 0:
            return 0.0
        return self.highest / self.noise if self.noise > 0 else float("inf")


def read(spectrum: Spectrum, policy: SpectrumPolicy, backend: Backend = OWN) -> SpectrumReading:
    """Measure what a policy asks for.

    Raises:
        PictureRejectedError: Too few points.
    """
    spikes = 0
    if policy.remove_spikes:
        spectrum, spikes = despike(spectrum)
    under = backend.baseline(spectrum, policy.baseline)
    flat = replace(spectrum, values=spectrum.values - under)
    sigma = noise(spectrum.values)
    highest = float(flat.values.max())
    found = peaks.fit(flat, policy.peaks, fit_group=backend.fit_group)
    return SpectrumReading(
        spectrum=spectrum,
        baseline=under,
        noise=sigma,
        highest=highest,
        detection_limit=max(policy.peaks.prominence_sigmas * sigma, policy.peaks.prominence_share * highest),
        peaks=tuple(peak for peak in found if _is_sound(peak, policy, spectrum.axis)),
        unsound=tuple(peak for peak in found if not _is_sound(peak, policy, spectrum.axis)),
        spikes=spikes,
        backend=backend.name,
    )


def _is_sound(peak: Peak, policy: SpectrumPolicy, axis: NDArray[np.float64]) -> bool:
    is_seen_whole = axis[0] + peak.width / 2 <= peak.position <= axis[-1] - peak.width / 2
    is_sure = peak.height > policy.sigmas_min * peak.height_uncertainty
    is_placed = peak.position_uncertainty < peak.width
    fits = policy.peaks.width_min <= peak.width <= policy.peaks.width_max
    return (
        peak.has_converged and not peak.is_at_limit and bool(is_sure and is_placed and fits and is_seen_whole)
    )
