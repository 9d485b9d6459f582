"""Counts to degrees: the chain forth and back, what is no measurement, and how sure a temperature is."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.domain.errors import ConfigurationError, UnsupportedError
from edge.domain.thermal import (
    Atmosphere,
    LinearScale,
    PlanckScale,
    RadianceScale,
    RawThermogram,
    Scale,
    Surroundings,
)
from edge.preprocess.thermal import thermogram
from edge.preprocess.thermal_band import flat_band
from edge.preprocess.thermal_chain import BandSignal, PlanckSignal, surface_kelvin, transmission, weigh
from edge.preprocess.thermal_site import SiteCalibration
from edge.preprocess.thermal_uncertainty import GRID_KELVIN, Uncertainties, standard_uncertainty_k
from tests.builders.thermal import ramp

SC660 = PlanckScale(r1=21106.77, b_kelvin=1501.0, f=1.0, o=-7340.0, r2=0.012545258)
NEAR = Surroundings(emissivity=0.95, distance_m=1.0)
CENTIKELVIN = LinearScale(kelvin_per_count=0.01)
NO_SITE = SiteCalibration()


def raw(scale: Scale | None = SC660, surroundings: Surroundings | None = NEAR) -> RawThermogram:
    return RawThermogram(counts=ramp(), scale=scale, surroundings=surroundings)


def test_a_black_body_needs_the_five_constants_only() -> None:
    """T = B / ln(R1 / (R2 (count + O)) + F), the equation for an emissivity of 1 at distance 0."""
    seen = thermogram(raw(surroundings=Surroundings()), NO_SITE).celsius
    counts = ramp().astype(float)
    wanted = 1501.0 / np.log(21106.77 / (0.012545258 * (counts - 7340.0)) + 1.0) - 273.15
    assert seen == pytest.approx(wanted, abs=1e-4)


def test_the_example_of_thermimage() -> None:
    """Its README gives 18.30964, 24.77935 and 57.07821 °C for these counts, as in SampleSEQ.seq."""
    counts = np.array([[17172, 18273, 24932]], np.uint16)
    seen = thermogram(replace(raw(), counts=counts), NO_SITE).celsius
    assert seen[0] == pytest.approx([18.30964, 24.77935, 57.07821], abs=1e-4)


def test_air_lets_through_what_the_constants_say() -> None:
    """At 1 m, 20 °C and 50 %: 1.9 · exp(-(0.006569 - 0.002276 √ω)) - 0.9 · exp(-(0.01262 - 0.00667 √ω)).

    ω is 0.5 · exp(1.5587 + 1.3878 - 0.111264 + 0.0054764) = 8.5683 there.
    """
    water = 0.5 * math.exp(1.5587 + 1.3878 - 0.111264 + 0.0054764)
    wanted = 1.9 * math.exp(-(0.006569 - 0.002276 * water**0.5)) - 0.9 * math.exp(
        -(0.01262 - 0.00667 * water**0.5)
    )
    assert transmission(1.0, NEAR, Atmosphere()) == pytest.approx(wanted, rel=1e-12)
    assert transmission(1.0, NEAR, Atmosphere()) == pytest.approx(0.99394, abs=1e-5)
    assert transmission(0.0, NEAR, Atmosphere()) == 1.0


surroundings = st.builds(
    Surroundings,
    emissivity=st.floats(0.3, 1.0),
    reflected_celsius=st.floats(-20.0, 60.0),
    air_celsius=st.floats(-10.0, 45.0),
    distance_m=st.floats(0.0, 30.0),
    humidity=st.floats(0.0, 1.0),
    window_celsius=st.floats(0.0, 40.0),
    window_transmission=st.floats(0.5, 1.0),
)
signals = st.sampled_from([PlanckSignal(SC660), BandSignal(flat_band(7.5, 13.5, "own"))])


@given(surroundings, signals, st.floats(-20.0, 200.0))
def test_the_chain_ends_where_it_began(
    around: Surroundings, signal: PlanckSignal | BandSignal, celsius: float
) -> None:
    weights = weigh(signal, around, Atmosphere())
    seen = weights.surface * signal.of_kelvin(celsius + 273.15) + weights.rest
    assert float(surface_kelvin(seen, weights, signal)) - 273.15 == pytest.approx(celsius, abs=1e-3)


@given(surroundings, st.floats(0.0, 40.0))
def test_where_all_is_equally_warm_nothing_can_be_told_apart(around: Surroundings, celsius: float) -> None:
    same = replace(around, reflected_celsius=celsius, air_celsius=celsius, window_celsius=celsius)
    signal = PlanckSignal(SC660)
    seen = float(signal.of_kelvin(celsius + 273.15))
    found = surface_kelvin(seen, weigh(signal, same, Atmosphere()), signal)
    assert float(found) - 273.15 == pytest.approx(celsius, abs=1e-6)


@given(surroundings, surroundings)
def test_warmer_counts_are_warmer_surfaces(one: Surroundings, other: Surroundings) -> None:
    assume(one != other)
    for around in (one, other):
        celsius = thermogram(raw(surroundings=around), NO_SITE).celsius.ravel()
        known = celsius[np.isfinite(celsius)]
        assert (np.diff(known) >= 0).all()


def test_saturated_counts_are_no_number() -> None:
    counts = np.array([[0, 8812, 8813, 57239, 57240, 65535]], np.uint16)
    given_limits = replace(raw(), counts=counts, saturated_counts=(8812, 57240))
    seen = thermogram(given_limits, NO_SITE).celsius
    assert np.isnan(seen).tolist() == [[True, True, False, False, True, True]]


def test_counts_below_the_offset_mean_no_temperature() -> None:
    counts = np.array([[1, 7000, 18000]], np.uint16)
    seen = thermogram(replace(raw(), counts=counts), NO_SITE).celsius
    assert np.isnan(seen).tolist() == [[True, True, False]]


def test_a_picture_without_any_measurement_is_as_uncertain_as_can_be() -> None:
    dark = replace(raw(), counts=np.zeros((4, 4), np.uint16))
    seen = thermogram(dark, NO_SITE)
    assert np.isnan(seen.celsius).all()
    assert 2.0 < seen.calibration.uncertainty_celsius < 1000.0


def test_a_scale_by_which_nothing_is_a_temperature_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="gives no count a temperature"):
        thermogram(raw(scale=replace(SC660, o=-70_000.0)), NO_SITE)


def test_what_nobody_says_is_not_guessed() -> None:
    with pytest.raises(UnsupportedError, match="without a calibration; wanted Planck constants"):
        thermogram(raw(scale=None), NO_SITE)


# ── scales ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_centikelvin_are_what_they_say() -> None:
    counts = np.array([[27315, 31015]], np.uint16)
    seen = thermogram(RawThermogram(counts=counts, scale=CENTIKELVIN), NO_SITE)
    assert seen.celsius[0] == pytest.approx([0.0, 37.0], abs=1e-4)
    assert seen.calibration.state == "assumed"
    assert seen.calibration.emissivity == 1.0


def test_an_emissivity_corrects_centikelvin_in_the_band_of_the_camera() -> None:
    """Skin at 34 °C with 0.98, mirroring a wall of 20 °C, looks colder than it is."""
    table = flat_band(7.5, 13.5, "own")
    seen_radiance = 0.98 * table.radiance_at(307.15) + 0.02 * table.radiance_at(293.15)
    count = round(float(table.kelvin_at(seen_radiance)) * 100)
    site = SiteCalibration(scale=CENTIKELVIN, emissivity=0.98, reflected_celsius=20.0, is_checked=True)
    seen = thermogram(RawThermogram(counts=np.full((2, 2), count, np.uint16)), site)
    assert seen.celsius[0, 0] == pytest.approx(34.0, abs=0.006)
    assert count / 100 - 273.15 == pytest.approx(33.73, abs=0.05)


def test_two_black_bodies_calibrate_a_camera_of_counts() -> None:
    """Counts of 5000 at 20 °C and 9000 at 40 °C between 3.7 and 4.8 µm; 30 °C lies between."""
    table = flat_band(3.7, 4.8, "own")
    cold, warm, between = (float(table.radiance_at(k)) for k in (293.15, 313.15, 303.15))
    gain = (warm - cold) / 4000
    scale = RadianceScale(gain=gain, offset=cold - 5000 * gain, low_um=3.7, high_um=4.8)
    count = round(5000 + (between - cold) / gain)
    counts = np.array([[5000, 9000, count]], np.uint16)
    seen = thermogram(RawThermogram(counts=counts), SiteCalibration(scale=scale))
    assert seen.celsius[0] == pytest.approx([20.0, 40.0, 30.0], abs=0.004)
    assert seen.calibration.state == "site"


@pytest.mark.parametrize(
    ("site", "state"),
    [
        (NO_SITE, "factory"),
        (SiteCalibration(emissivity=0.98), "site"),
        (SiteCalibration(scale=SC660), "site"),
        (SiteCalibration(scale=CENTIKELVIN), "assumed"),
        (SiteCalibration(scale=CENTIKELVIN, emissivity=0.98), "assumed"),
        (SiteCalibration(scale=CENTIKELVIN, is_checked=True), "site"),
    ],
)
def test_the_calibration_says_what_it_rests_on(site: SiteCalibration, state: str) -> None:
    assert thermogram(raw(), site).calibration.state == state


def test_the_site_goes_before_the_file() -> None:
    site = SiteCalibration(emissivity=0.98, reflected_celsius=23.0, distance_m=2.5, humidity=0.4)
    told = thermogram(raw(), site).calibration
    assert (told.emissivity, told.reflected_celsius, told.distance_m, told.humidity) == (0.98, 23.0, 2.5, 0.4)
    assert told.air_celsius == NEAR.air_celsius


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"emissivity": 0.0}, "emissivity 0, wanted 0.01 to 1"),
        ({"humidity": 50.0}, "humidity 50, wanted 0 to 1"),
        ({"window_transmission": float("nan")}, "window_transmission nan, wanted 0.01 to 1"),
        ({"band_um": (13.5, 7.5)}, "a band of 13.5 to 7.5 µm"),
        ({"scale": LinearScale(kelvin_per_count=0.0)}, "0 K for one count"),
        ({"scale": RadianceScale(gain=-1.0, offset=0.0, low_um=3.0, high_um=5.0)}, "wanted a gain above 0"),
        ({"scale": replace(SC660, r2=0.0)}, "Planck constant r2 0, wanted more than 0"),
    ],
)
def test_a_site_that_is_wrong_is_told_what_is_right(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SiteCalibration(**wrong)  # type: ignore[arg-type]  # one wrong thing at a time


# ── uncertainty ─────────────────────────────────────────────────────────────────────────────────────────────

NONE = Uncertainties(
    emissivity=0.0,
    reflected_k=0.0,
    air_k=0.0,
    distance_fraction=0.0,
    humidity=0.0,
    window_k=0.0,
    window_transmission=0.0,
    accuracy_k=0.0,
    accuracy_fraction=0.0,
)


def at(celsius: float, around: Surroundings, uncertain: Uncertainties) -> float:
    found = standard_uncertainty_k(PlanckSignal(SC660), around, Atmosphere(), uncertain)
    return float(np.interp(celsius + 273.15, GRID_KELVIN, found))


def test_what_is_known_exactly_is_certain() -> None:
    assert at(35.0, NEAR, NONE) == pytest.approx(0.0, abs=1e-9)


def test_a_limit_of_two_degrees_is_a_standard_uncertainty_of_one_and_a_bit() -> None:
    """GUM 4.3.7: 2 K over √3 is 1.1547 K; an emissivity below 1 makes more of it."""
    black = at(35.0, Surroundings(), replace(NONE, accuracy_k=2.0))
    assert black == pytest.approx(2.0 / math.sqrt(3), rel=1e-4)
    grey = at(35.0, Surroundings(emissivity=0.5), replace(NONE, accuracy_k=2.0))
    assert 1.8 * black < grey < 2.2 * black
    hot = at(300.0, Surroundings(), replace(NONE, accuracy_k=2.0, accuracy_fraction=0.02))
    assert hot == pytest.approx(6.0 / math.sqrt(3), rel=1e-3)


def test_the_emissivity_counts_as_its_derivative_says() -> None:
    """dT/dε = -(S(T) - S(reflected)) / (ε S'(T)), by implicit differentiation of the chain."""
    around = Surroundings(emissivity=0.95, reflected_celsius=20.0)
    signal = PlanckSignal(SC660)
    kelvin, reflected = 308.15, 293.15
    slope = float(signal.of_kelvin(kelvin + 0.01) - signal.of_kelvin(kelvin - 0.01)) / 0.02
    wanted = float(signal.of_kelvin(kelvin) - signal.of_kelvin(reflected)) / (0.95 * slope) * 0.01
    assert at(35.0, around, replace(NONE, emissivity=0.01)) == pytest.approx(wanted, rel=2e-3)
    assert at(20.0, around, replace(NONE, emissivity=0.01)) == pytest.approx(0.0, abs=5e-3)


def test_what_is_mirrored_counts_as_its_derivative_says() -> None:
    """dT/dTr = -(1-ε) S'(Tr) / (ε S'(T))."""
    around = Surroundings(emissivity=0.9, reflected_celsius=20.0)
    signal = PlanckSignal(SC660)
    here, there = (
        float(signal.of_kelvin(k + 0.01) - signal.of_kelvin(k - 0.01)) / 0.02 for k in (308.15, 293.15)
    )
    wanted = 0.1 * there / (0.9 * here) * 3.0
    assert at(35.0, around, replace(NONE, reflected_k=3.0)) == pytest.approx(wanted, rel=2e-3)


def test_contributions_add_in_squares() -> None:
    parts = [replace(NONE, emissivity=0.02), replace(NONE, reflected_k=3.0), replace(NONE, accuracy_k=2.0)]
    together = replace(NONE, emissivity=0.02, reflected_k=3.0, accuracy_k=2.0)
    wanted = math.sqrt(sum(at(35.0, NEAR, part) ** 2 for part in parts))
    assert at(35.0, NEAR, together) == pytest.approx(wanted, rel=1e-4)


def test_an_emissivity_of_one_is_not_certain_because_it_cannot_be_larger() -> None:
    assert at(35.0, Surroundings(), replace(NONE, emissivity=0.02)) > 0.15


@given(surroundings)
def test_more_doubt_is_never_less_uncertain(around: Surroundings) -> None:
    usual, careless = Uncertainties(), Uncertainties(emissivity=0.05, reflected_k=10.0, humidity=0.3)
    assert at(35.0, around, careless) >= at(35.0, around, usual) - 1e-9


def test_the_uncertainty_of_a_picture_is_the_largest_without_its_extremes() -> None:
    counts = np.full((64, 64), 18_000, np.uint16)
    calm = thermogram(replace(raw(), counts=counts), NO_SITE).calibration.uncertainty_celsius
    lamp = counts.copy()
    lamp[0, :3] = 50_000
    assert thermogram(replace(raw(), counts=lamp), NO_SITE).calibration.uncertainty_celsius == calm
    half = counts.copy()
    half[:32] = 50_000
    assert thermogram(replace(raw(), counts=half), NO_SITE).calibration.uncertainty_celsius > calm


def test_the_formula_agrees_with_drawing_lots() -> None:
    """GUM supplement 1 (JCGM 101): 4000 draws of everything that is not known, at 35 °C behind a window."""
    around = Surroundings(emissivity=0.95, distance_m=2.0, window_transmission=0.9, window_celsius=24.0)
    uncertain = Uncertainties(emissivity=0.01, reflected_k=4.0, accuracy_k=1.0)
    signal, rng = PlanckSignal(SC660), np.random.default_rng(7)
    weights = weigh(signal, around, Atmosphere())
    apparent = float(signal.to_kelvin(weights.surface * signal.of_kelvin(308.15) + weights.rest))
    moves = {
        "emissivity": uncertain.emissivity,
        "reflected_celsius": uncertain.reflected_k,
        "air_celsius": uncertain.air_k,
        "distance_m": uncertain.distance_fraction * around.distance_m,
        "humidity": uncertain.humidity,
        "window_celsius": uncertain.window_k,
        "window_transmission": uncertain.window_transmission,
    }
    drawn = []
    for normal in rng.normal(size=(4000, len(moves))):
        shifts = {name: step * z for (name, step), z in zip(moves.items(), normal, strict=True)}
        moved = replace(around, **{name: getattr(around, name) + shift for name, shift in shifts.items()})
        seen = signal.of_kelvin(apparent + rng.uniform(-1.0, 1.0))
        drawn.append(float(surface_kelvin(seen, weigh(signal, moved, Atmosphere()), signal)))
    assert np.std(drawn) == pytest.approx(at(35.0, around, uncertain), rel=0.04)


def test_a_picture_costs_a_millisecond() -> None:
    """0.3 ms of one core were measured for 640 × 480 (AMD EPYC); nine a second must not be felt."""
    large = RawThermogram(counts=ramp(480, 640), scale=SC660, surroundings=NEAR)
    thermogram(large, NO_SITE)  # the table is made once
    spent_ms = []
    for _ in range(7):
        begun = time.thread_time()
        thermogram(large, NO_SITE)
        spent_ms.append((time.thread_time() - begun) * 1000)
    assert min(spent_ms) < 3.0
