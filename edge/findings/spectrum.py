"""What may be said about a spectrum: how good it is, which peaks it has, which of the expected ones.

A peak is ABSENT only where the axis reaches, the spectrum is good enough, and one of that height would have
been found; the limit of detection is told with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge.domain.finding import Code, Measurement, Observation, Verdict
from edge.domain.spectral import Spectrum
from edge.findings.spectrum_policy import ExpectedPeak, SpectrumPolicy
from edge.findings.spectrum_reading import SpectrumReading
from edge.findings.thermal import COUNT, STANDARD_UNCERTAINTY
from edge.preprocess.peaks import Peak

QUALITY = Code("99EDGE", "spectrum-quality", "Quality of a spectrum")
PEAKS = Code("99EDGE", "spectral-peaks", "Peaks of a spectrum")
PEAK = Code("99EDGE", "spectral-peak", "Peak of a spectrum")
EXPECTED_PEAK = Code("99EDGE", "expected-spectral-peak", "Expected peak of a spectrum")
SIGNAL_TO_NOISE = Code("99EDGE", "signal-to-noise", "Signal to noise")
POSITION = Code("99EDGE", "peak-position", "Position of a peak")
HEIGHT = Code("99EDGE", "peak-height", "Height of a peak above the baseline")
WIDTH = Code("99EDGE", "peak-width", "Full width of a peak at half maximum")
PEAK_AREA = Code("99EDGE", "peak-area", "Area of a peak")
DETECTION_LIMIT = Code("99EDGE", "detection-limit", "Height from which a peak would have been found")

ARBITRARY = "[arb'U]"  # UCUM: an ordinate without a unit of its own
AXIS_UNITS = {"nm": "nm", "cm-1": "/cm"}
AREA_UNITS = {"nm": f"{ARBITRARY}.nm", "cm-1": f"{ARBITRARY}/cm"}


def judge(reading: SpectrumReading, policy: SpectrumPolicy) -> tuple[Observation, ...]:
    """Read what was measured of a spectrum.

    Returns:
        Its quality; its peaks, and each of them with position, height, width and area and their standard
        uncertainties; each expected peak PRESENT, ABSENT, or NOT_ASSESSED with the reason.
    """
    doubt = mismatch(reading.spectrum, policy) or _doubt(reading, policy)
    return (
        _quality(reading, doubt),
        *_peaks(reading, policy, doubt),
        *(_expected(reading, peak, doubt) for peak in policy.expected),
    )


def mismatch(spectrum: Spectrum, policy: SpectrumPolicy) -> str:
    """Say why a spectrum is not what a policy is for, or ""."""
    if policy.kind is not None and spectrum.kind != policy.kind:
        return f"the spectrum is {spectrum.kind}, wanted {policy.kind}"
    if spectrum.axis_unit != policy.axis_unit:
        return f"its axis is in {spectrum.axis_unit}, wanted {policy.axis_unit}"
    return ""


def _doubt(reading: SpectrumReading, policy: SpectrumPolicy) -> str:
    if reading.snr < policy.snr_min:
        return f"signal to noise is {reading.snr:.1f}, wanted {policy.snr_min:g}"
    return ""


def _quality(reading: SpectrumReading, doubt: str) -> Observation:
    spectrum = reading.spectrum
    unit = spectrum.axis_unit
    words = [doubt] if doubt else []
    words += [
        f"{spectrum.kind}, {spectrum.axis.size} points, {spectrum.axis[0]:g} to {spectrum.axis[-1]:g} {unit}"
    ]
    words += [f"computed by {reading.backend}", *spectrum.notes]
    measured = (Measurement(SIGNAL_TO_NOISE, reading.snr, "1"),) if math.isfinite(reading.snr) else ()
    if not measured:
        words.append("no noise can be seen in it")
    return Observation(
        code=QUALITY,
        verdict=Verdict.NOT_ASSESSED if doubt else Verdict.PRESENT,
        measurements=measured,
        reason="; ".join(words),
    )


def _peaks(reading: SpectrumReading, policy: SpectrumPolicy, doubt: str) -> Iterator[Observation]:
    if doubt:
        yield Observation(code=PEAKS, verdict=Verdict.NOT_ASSESSED, reason=doubt)
        return
    told = sorted(reading.peaks, key=lambda peak: -peak.height)[: policy.peaks_told_max]
    words = []
    if len(told) < len(reading.peaks):
        words.append(f"the {len(told)} highest are told")
    if reading.unsound:
        words.append(f"{len(reading.unsound)} more are no peaks of this shape or not sure enough")
    yield Observation(
        code=PEAKS,
        verdict=Verdict.PRESENT if reading.peaks else _verdict_without_peaks(reading),
        measurements=(Measurement(COUNT, float(len(reading.peaks)), "1"), _limit(reading)),
        reason="; ".join(words),
    )
    unit = reading.spectrum.axis_unit
    for peak in sorted(told, key=lambda peak: peak.position):
        yield Observation(
            code=PEAK,
            verdict=Verdict.PRESENT,
            measurements=_numbers(peak, unit),
            segment=f"{peak.position:.1f} {unit}",
        )


def _verdict_without_peaks(reading: SpectrumReading) -> Verdict:
    return Verdict.NOT_ASSESSED if reading.unsound else Verdict.ABSENT


def _expected(reading: SpectrumReading, wanted: ExpectedPeak, doubt: str) -> Observation:
    def said(verdict: Verdict, reason: str = "", numbers: tuple[Measurement, ...] = ()) -> Observation:
        return Observation(
            code=EXPECTED_PEAK, verdict=verdict, measurements=numbers, reason=reason, segment=wanted.name
        )

    unit, axis = reading.spectrum.axis_unit, reading.spectrum.axis
    low, high = wanted.position - wanted.window, wanted.position + wanted.window
    if doubt:
        return said(Verdict.NOT_ASSESSED, doubt)
    if low < axis[0] or high > axis[-1]:
        return said(
            Verdict.NOT_ASSESSED,
            f"the axis reaches from {axis[0]:g} to {axis[-1]:g} {unit}, wanted {low:g} to {high:g} {unit}",
        )
    floor = (wanted.height_share_min or 0.0) * reading.highest
    inside = [peak for peak in reading.peaks if low <= peak.position <= high and peak.height >= floor]
    if inside:
        best = max(inside, key=lambda peak: peak.height)
        more = f"the highest of {len(inside)} peaks between {low:g} and {high:g} {unit}"
        return said(Verdict.PRESENT, more if len(inside) > 1 else "", _numbers(best, unit))
    if any(low <= peak.position <= high and peak.height >= floor for peak in reading.unsound):
        return said(Verdict.NOT_ASSESSED, f"what lies between {low:g} and {high:g} {unit} is no clear peak")
    if wanted.height_share_min is not None and reading.detection_limit > floor:
        return said(
            Verdict.NOT_ASSESSED,
            f"a peak of {wanted.height_share_min:.1%} of the highest one could not be told from noise here",
            (_limit(reading),),
        )
    return said(Verdict.ABSENT, f"no peak between {low:g} and {high:g} {unit}", (_limit(reading),))


def _limit(reading: SpectrumReading) -> Measurement:
    return Measurement(DETECTION_LIMIT, reading.detection_limit, ARBITRARY)


def _numbers(peak: Peak, unit: str) -> tuple[Measurement, ...]:
    rows = (
        (POSITION, peak.position, peak.position_uncertainty, AXIS_UNITS[unit]),
        (HEIGHT, peak.height, peak.height_uncertainty, ARBITRARY),
        (WIDTH, peak.width, peak.width_uncertainty, AXIS_UNITS[unit]),
        (PEAK_AREA, peak.area, peak.area_uncertainty, AREA_UNITS[unit]),
    )
    return tuple(
        number
        for code, value, uncertainty, unit_of in rows
        for number in (
            Measurement(code, value, unit_of),
            Measurement(STANDARD_UNCERTAINTY, uncertainty, unit_of, of=code),
        )
        if math.isfinite(number.value)
    )
