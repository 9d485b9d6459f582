"""What is said of a spectrum: which peaks, which of the expected ones, and when nothing can be said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edge.domain.errors import ConfigurationError
from edge.domain.finding import Observation, Verdict
from edge.domain.spectral import Spectrum
from edge.findings.spectrum import judge
from edge.findings.spectrum_policy import ExpectedPeak, SpectrumPolicy
from edge.findings.spectrum_reading import read
from edge.preprocess.baseline import Baseline
from edge.preprocess.peaks import PeakRules
from edge.preprocess.spectrum_backend import OWN, backend
from tests.builders.spectra import gauss, raman, spectrum

POLICY = SpectrumPolicy(
    kind="raman",
    baseline=Baseline(method="arpls", smoothness=1e7),
    expected=(
        ExpectedPeak(name="there", position=1000, window=10),
        ExpectedPeak(name="not there", position=1200, window=20),
        ExpectedPeak(name="beyond", position=3000, window=20),
        ExpectedPeak(name="too small to see", position=600, window=20, height_share_min=0.005),
    ),
)


def observed(seen: Spectrum, policy: SpectrumPolicy = POLICY) -> list[Observation]:
    return list(judge(read(seen, policy), policy))


def of(said: list[Observation], code: str) -> list[Observation]:
    return [one for one in said if one.code.value == code]


def numbers(one: Observation) -> dict[str, float]:
    return {
        each.code.value if each.of is None else f"{each.of.value}±": each.value for each in one.measurements
    }


def test_peaks_are_told_with_their_uncertainties_and_units() -> None:
    said = observed(raman()[0])
    peaks = of(said, "spectral-peak")
    assert [one.segment for one in peaks] == ["750.0 cm-1", "1004.0 cm-1", "1450.0 cm-1"]
    first = numbers(peaks[0])
    assert abs(first["peak-position"] - 750) < 5 * first["peak-position±"]
    assert abs(first["peak-width"] - 18) < 5 * first["peak-width±"]
    assert first["peak-height"] == pytest.approx(300, rel=0.05)
    units = {each.code.value: each.unit for each in peaks[0].measurements if each.of is None}
    assert units == {
        "peak-position": "/cm",
        "peak-height": "[arb'U]",
        "peak-width": "/cm",
        "peak-area": "[arb'U]/cm",
    }
    assert numbers(of(said, "spectral-peaks")[0])["count"] == 3


def test_expected_peaks_are_there_not_there_or_not_assessed() -> None:
    said = {one.segment: one for one in of(observed(raman()[0]), "expected-spectral-peak")}
    assert {name: one.verdict.value for name, one in said.items()} == {
        "there": "PRESENT",
        "not there": "ABSENT",
        "beyond": "NOT_ASSESSED",
        "too small to see": "NOT_ASSESSED",
    }
    assert said["beyond"].reason == "the axis reaches from 400 to 1800 cm-1, wanted 2980 to 3020 cm-1"
    assert "could not be told from noise" in said["too small to see"].reason
    assert numbers(said["not there"])["detection-limit"] == pytest.approx(16, rel=0.4)


def test_a_noisy_spectrum_says_nothing_of_peaks() -> None:
    said = observed(raman(noise=100)[0])
    assert {one.verdict for one in said} == {Verdict.NOT_ASSESSED}
    assert all("signal to noise is" in one.reason for one in said)


def test_noise_alone_is_not_assessed_and_never_absent() -> None:
    axis = np.linspace(400, 1800, 1200)
    said = observed(spectrum(np.random.default_rng(0).normal(500, 3, 1200), axis))
    assert {one.verdict for one in said} == {Verdict.NOT_ASSESSED}


def test_a_spectrum_of_another_kind_or_axis_is_not_assessed() -> None:
    seen = raman()[0]
    said = observed(seen, replace(POLICY, kind="infrared"))
    assert said[0].reason.startswith("the spectrum is raman, wanted infrared")
    said = observed(seen, replace(POLICY, kind=None, axis_unit="nm"))
    assert {one.verdict for one in said} == {Verdict.NOT_ASSESSED}


def test_a_spike_is_no_peak_and_is_told_of() -> None:
    seen = raman()[0]
    values = seen.values.copy()
    values[int(np.searchsorted(seen.axis, 1200))] += 2000
    said = observed(replace(seen, values=values))
    expected = {one.segment: one.verdict for one in of(said, "expected-spectral-peak")}
    assert expected["not there"] is Verdict.ABSENT
    assert "1 spikes taken out" in said[0].reason
    kept = observed(replace(seen, values=values), replace(POLICY, remove_spikes=False))
    assert len(of(kept, "spectral-peak")) == 3  # narrower than a line may be


def test_something_that_is_no_clear_peak_is_not_absent() -> None:
    seen = raman(noise=1)[0]
    block = np.where(np.abs(seen.axis - 1200) < 60, 80.0, 0.0)
    policy = replace(POLICY, peaks=PeakRules(shape="gauss", width_max=50))
    said = {
        one.segment: one
        for one in of(observed(replace(seen, values=seen.values + block), policy), "expected-spectral-peak")
    }
    assert said["not there"].verdict is not Verdict.PRESENT


def test_a_spectrum_without_noise_has_no_number_for_it() -> None:
    axis = np.linspace(400, 1800, 1200)
    said = observed(spectrum(gauss(axis, 100, 1000, 20), axis))
    assert "no noise can be seen" in said[0].reason
    assert all(math.isfinite(each.value) for one in said for each in one.measurements)


def test_the_highest_peaks_are_told_and_the_rest_counted() -> None:
    said = observed(raman()[0], replace(POLICY, peaks_told_max=1))
    assert [one.segment for one in of(said, "spectral-peak")] == ["750.0 cm-1"]
    (summary,) = of(said, "spectral-peaks")
    assert numbers(summary)["count"] == 3
    assert summary.reason == "the 1 highest are told"


def test_a_policy_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="window"):
        ExpectedPeak(name="a", position=1, window=0)
    with pytest.raises(ConfigurationError, match="a name of its own"):
        SpectrumPolicy(expected=(ExpectedPeak(name="a", position=1, window=1),) * 2)


def test_a_site_without_rampy_is_told_when_it_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert backend("own") is OWN
    with pytest.raises(ConfigurationError, match="rampy is not installed"):
        backend("rampy")
