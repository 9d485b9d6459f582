"""What is said about thermograms: numbers of regions, limits with hysteresis, pairs, spots, and doubt."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edge.domain.errors import ConfigurationError
from edge.domain.finding import Code, Observation, Verdict
from edge.findings.thermal import (
    ABOVE_LIMIT,
    ASYMMETRY,
    COUNT,
    DIFFERENCE,
    HOT_SPOT,
    HOT_SPOTS,
    HOTTEST_REGION,
    MAXIMUM,
    STANDARD_UNCERTAINTY,
    STATISTICS,
    judge,
)
from edge.findings.thermal_policy import (
    SKIN_TEMPERATURE,
    SURFACE_TEMPERATURE,
    WHOLE,
    Pair,
    Region,
    ThermalPolicy,
)
from edge.findings.thermal_regions import mask, measure
from edge.findings.thermal_spots import hot_spots
from edge.formats.thermal_files import read
from edge.preprocess.thermal import thermogram as to_degrees
from edge.preprocess.thermal_site import SiteCalibration
from tests.builders.thermal import thermogram

Celsius = NDArray[np.float32]
LEFT = Region(name="left", corners=((0.0, 0.0), (0.5, 1.0)))
RIGHT = Region(name="right", corners=((0.5, 0.0), (1.0, 1.0)))


def nothing(code: Code, segment: str) -> bool:
    return False


def everything(code: Code, segment: str) -> bool:
    return True


def only(observations: tuple[Observation, ...], code: Code, segment: str = "") -> Observation:
    [found] = [
        one for one in observations if (one.code, one.segment) == (code, segment) and one.box_px is None
    ]
    return found


def number(observation: Observation, code: Code) -> float:
    [found] = [one for one in observation.measurements if one.code == code]
    return found.value


def halves(left: float, right: float, *, shape: tuple[int, int] = (40, 60)) -> Celsius:
    celsius = np.full(shape, left, np.float32)
    celsius[:, shape[1] // 2 :] = right
    return celsius


# ── regions ─────────────────────────────────────────────────────────────────────────────────────────────────

finite = arrays.arrays(np.float32, (9, 11), elements=st.floats(-40, 200, width=32))


@given(finite)
def test_the_numbers_of_a_region_are_those_of_its_pixels(celsius: Celsius) -> None:
    found = measure(celsius, WHOLE).celsius
    assert found["maximum"] == celsius.max()
    assert found["mean"] == pytest.approx(float(celsius.astype(np.float64).mean()))
    ordered = np.sort(celsius, axis=None)
    assert (found["p5"], found["p50"], found["p95"]) == (ordered[4], ordered[49], ordered[94])


@given(finite, arrays.arrays(bool, (9, 11)))
def test_saturated_pixels_count_nowhere_but_in_their_share(
    celsius: Celsius, saturated: NDArray[np.bool_]
) -> None:
    partly = np.where(saturated, np.float32(np.nan), celsius)
    found = measure(partly, WHOLE)
    known = celsius[~saturated]
    assert found.saturated_fraction == pytest.approx(saturated.mean())
    assert list(found.celsius.values())[:1] == np.sort(known)[-1:].tolist()


def test_regions_share_no_pixel_and_miss_none() -> None:
    triangles = [
        Region(name="upper", corners=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),
        Region(name="lower", corners=((0.0, 0.0), (1.0, 1.0), (0.0, 1.0))),
    ]
    for regions in ([LEFT, RIGHT], triangles):
        covered = [mask(region, (37, 53)) for region in regions]
        assert (covered[0] ^ covered[1]).all()
        assert abs(int(covered[0].sum()) - 37 * 53 / 2) <= 37
    assert mask(WHOLE, (37, 53)).all()


@pytest.mark.parametrize(
    "corners", [((0.2, 0.2), (0.6, 0.8)), ((0.6, 0.8), (0.2, 0.2)), ((0.6, 0.2), (0.2, 0.8))]
)
def test_a_rectangle_has_any_two_opposite_corners(corners: tuple[tuple[float, float], ...]) -> None:
    inside = mask(Region(name="r", corners=corners), (10, 10))
    assert inside[2:8, 2:6].all()
    assert inside.sum() == 24


@pytest.mark.parametrize(
    "corners",
    [((0.1, 0.1),), ((0.0, 0.0), (1.2, 1.0)), ((0.3, 0.3), (0.3, 0.9)), ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))],
)
def test_a_region_that_encloses_nothing_is_refused(corners: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigurationError, match="region r: corners"):
        Region(name="r", corners=corners)


# ── statements ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_region_says_how_warm_it_is_and_how_sure() -> None:
    policy = ThermalPolicy(regions=(LEFT, RIGHT), looked_for=SKIN_TEMPERATURE)
    said = judge(thermogram(halves(33.0, 35.0), uncertainty_k=1.2), policy, is_present=nothing)
    left = only(said, SKIN_TEMPERATURE, "left")
    assert left.verdict is Verdict.PRESENT
    assert {one.unit for one in left.measurements} == {"Cel", "K"}
    assert [number(left, code) for code in STATISTICS.values()] == [33.0] * 5
    assert number(left, STANDARD_UNCERTAINTY) == 1.2
    assert number(only(said, SKIN_TEMPERATURE, "right"), MAXIMUM) == 35.0


def test_the_hottest_region_is_named_and_a_close_race_is_said() -> None:
    policy = ThermalPolicy(regions=(LEFT, RIGHT), unevenness_k=0.3)
    clear = only(judge(thermogram(halves(33.0, 35.0)), policy, is_present=nothing), HOTTEST_REGION)
    assert clear.measurements[0].of == Code("99EDGE", "right", "Region: right")
    assert clear.reason == ""
    close = only(judge(thermogram(halves(35.2, 35.0)), policy, is_present=nothing), HOTTEST_REGION)
    assert close.measurements[0].of == Code("99EDGE", "left", "Region: left")
    assert close.reason == "within 2 standard uncertainties of right"


def test_a_limit_has_a_verdict_and_needs_less_to_stay_than_to_begin() -> None:
    policy = ThermalPolicy(limit_enter_celsius=38.0, limit_stay_celsius=37.5)
    told = {
        (celsius, was): only(
            judge(thermogram(halves(celsius, celsius), uncertainty_k=0.1), policy, is_present=present),
            ABOVE_LIMIT,
            "whole picture",
        )
        for celsius in (37.0, 37.7, 38.5)
        for was, present in ((False, nothing), (True, everything))
    }
    verdicts = {key: found.verdict is Verdict.PRESENT for key, found in told.items()}
    assert verdicts == {
        (37.0, False): False,
        (37.0, True): False,
        (37.7, False): False,
        (37.7, True): True,
        (38.5, False): True,
        (38.5, True): True,
    }
    assert {found.reason for key, found in told.items() if key[0] != 37.7} == {""}


def test_what_is_too_close_to_the_limit_to_tell_is_said() -> None:
    policy = ThermalPolicy(limit_enter_celsius=38.0)
    said = judge(thermogram(halves(37.0, 37.0), uncertainty_k=1.2), policy, is_present=nothing)
    found = only(said, ABOVE_LIMIT, "whole picture")
    assert found.verdict is Verdict.ABSENT
    assert found.reason == "within 2 standard uncertainties of the limit of 38 Cel"


@pytest.mark.parametrize(
    ("right", "was", "verdict"), [(34.0, False, "PRESENT"), (34.4, False, "ABSENT"), (34.4, True, "PRESENT")]
)
def test_a_pair_is_asymmetric_in_either_direction(right: float, was: bool, verdict: str) -> None:
    policy = ThermalPolicy(
        regions=(LEFT, RIGHT),
        pairs=(Pair(left="left", right="right"),),
        asymmetry_enter_k=1.0,
        asymmetry_stay_k=0.5,
    )
    for left, other in ((35.0, right), (right, 35.0)):
        present = {False: nothing, True: everything}[was]
        said = judge(thermogram(halves(left, other)), policy, is_present=present)
        found = only(said, ASYMMETRY, "left minus right")
        assert found.verdict is Verdict[verdict]
        assert number(found, DIFFERENCE) == pytest.approx(left - other, abs=1e-4)
        assert [one.unit for one in found.measurements] == ["K", "K"]


def test_the_uncertainty_of_a_difference_is_not_that_of_the_scale() -> None:
    policy = ThermalPolicy(regions=(LEFT, RIGHT), pairs=(Pair(left="left", right="right"),), unevenness_k=0.2)
    said = judge(thermogram(halves(35.0, 34.0), uncertainty_k=1.5), policy, is_present=nothing)
    found = only(said, DIFFERENCE, "left minus right")  # without a limit there is a number and no verdict
    assert number(found, DIFFERENCE) == 1.0
    assert number(found, STANDARD_UNCERTAINTY) == pytest.approx(0.2 * math.sqrt(2))


# ── doubt ───────────────────────────────────────────────────────────────────────────────────────────────────

ALL = ThermalPolicy(
    regions=(LEFT, RIGHT),
    pairs=(Pair(left="left", right="right"),),
    limit_enter_celsius=38.0,
    asymmetry_enter_k=1.0,
    spot_enter_celsius=40.0,
)


def test_too_much_saturation_is_not_assessed_and_says_how_much() -> None:
    celsius = halves(33.0, 35.0)
    celsius[:6, :30] = np.nan
    said = judge(thermogram(celsius), ALL, is_present=nothing)
    for code in (SURFACE_TEMPERATURE, ABOVE_LIMIT):
        assert only(said, code, "left").verdict is Verdict.NOT_ASSESSED
        assert only(said, code, "left").reason == "15.0% of it is saturated, wanted at most 5.0%"
        assert only(said, code, "right").verdict is not Verdict.NOT_ASSESSED
    assert only(said, ASYMMETRY, "left minus right").reason.startswith("left: 15.0% of it is saturated")
    assert only(said, HOTTEST_REGION).verdict is Verdict.NOT_ASSESSED
    assert only(said, HOT_SPOTS).reason == "7.5% is saturated, wanted at most 5.0%"


def test_a_little_saturation_is_told_beside_the_numbers() -> None:
    celsius = halves(33.0, 35.0)
    celsius[0, :6] = np.nan
    said = judge(thermogram(celsius), ALL, is_present=nothing)
    assert only(said, SURFACE_TEMPERATURE, "left").reason == "0.5% of it is saturated"


def test_an_assumed_calibration_is_said_or_not_assessed_as_the_site_demands() -> None:
    assumed = thermogram(halves(33.0, 41.0), state="assumed")
    for observation in judge(assumed, ALL, is_present=nothing):
        assert observation.reason.endswith("the calibration is assumed: nobody checked the scale")
    strict = ThermalPolicy(**{**fields(ALL), "assumed_is_enough": False})  # type: ignore[arg-type]  # the same again
    refused = judge(assumed, strict, is_present=everything)
    assert {observation.verdict for observation in refused} == {Verdict.NOT_ASSESSED}
    assert {"the calibration is assumed, wanted one" in observation.reason for observation in refused} == {
        True
    }
    assert len(refused) == 7


def fields(policy: ThermalPolicy) -> dict[str, object]:
    return {name: getattr(policy, name) for name in ThermalPolicy.__dataclass_fields__}


def test_a_region_smaller_than_a_pixel_is_not_assessed() -> None:
    speck = Region(name="speck", corners=((0.5, 0.5), (0.5001, 0.5001)))
    said = judge(thermogram(halves(33.0, 35.0)), ThermalPolicy(regions=(speck,)), is_present=nothing)
    assert only(said, SURFACE_TEMPERATURE, "speck").reason == "no pixel lies within it"


@given(
    arrays.arrays(
        np.float32, (8, 10), elements=st.one_of(st.just(float("nan")), st.floats(-40, 120, width=32))
    ),
    st.sampled_from(["factory", "site", "assumed"]),
    st.booleans(),
)
def test_every_statement_comes_with_every_picture_and_every_number_is_one(
    celsius: Celsius, state: str, was: bool
) -> None:
    said = judge(thermogram(celsius, state=state), ALL, is_present={False: nothing, True: everything}[was])
    statements = [(one.code.value, one.segment) for one in said if one.box_px is None]
    assert sorted(statements) == sorted(
        [
            *(
                (code.value, name)
                for code in (SURFACE_TEMPERATURE, ABOVE_LIMIT)
                for name in ("left", "right")
            ),
            (HOTTEST_REGION.value, ""),
            (ASYMMETRY.value, "left minus right"),
            (HOT_SPOTS.value, ""),
        ]
    )
    assert all(math.isfinite(one.value) for observation in said for one in observation.measurements)


# ── spots ───────────────────────────────────────────────────────────────────────────────────────────────────


def with_spots() -> Celsius:
    celsius = np.full((60, 80), 33.0, np.float32)
    celsius[10:20, 15:30] = 37.0
    celsius[14, 22] = 39.5
    celsius[40:44, 60:65] = 41.0
    celsius[50:58, 2:10] = 37.2  # warm, but nowhere hot
    celsius[30, 30] = 45.0  # one pixel
    return celsius


def test_a_spot_begins_where_it_is_hot_and_reaches_to_where_it_is_warm() -> None:
    spots = hot_spots(with_spots(), enter_celsius=39.0, stay_celsius=36.5, area_min_px=2)
    assert [spot.peak_celsius for spot in spots] == [41.0, 39.5]
    assert spots[1].box_px == (15.0, 10.0, 15.0, 10.0)
    assert spots[1].area_px == 150
    assert spots[1].peak_px == (22, 14)
    assert spots[1].centre_px == (22.0, 14.5)
    assert spots[1].mean_celsius == pytest.approx(37.0 + 2.5 / 150, abs=1e-4)


def test_spots_are_statements_and_things_with_boxes() -> None:
    policy = ThermalPolicy(spot_enter_celsius=39.0, spot_stay_celsius=36.5, spots_max=2, spot_area_min_px=1)
    said = judge(thermogram(with_spots()), policy, is_present=nothing)
    whole = only(said, HOT_SPOTS)
    assert (whole.verdict, number(whole, COUNT), whole.reason) == (
        Verdict.PRESENT,
        3.0,
        "1 more are not told of",
    )
    boxes = [one for one in said if one.box_px is not None]
    assert [one.box_px for one in boxes] == [(30.0, 30.0, 1.0, 1.0), (60.0, 40.0, 5.0, 4.0)]
    assert {one.code for one in boxes} == {HOT_SPOT}
    none = judge(thermogram(halves(33.0, 34.0)), policy, is_present=nothing)
    assert only(none, HOT_SPOTS).verdict is Verdict.ABSENT


def test_spots_may_be_looked_for_in_some_regions_only() -> None:
    policy = ThermalPolicy(
        regions=(LEFT, RIGHT), spot_enter_celsius=39.0, spot_stay_celsius=36.5, spots_in=("right",)
    )
    said = judge(thermogram(with_spots()), policy, is_present=nothing)
    assert [one.box_px for one in said if one.box_px is not None] == [(60.0, 40.0, 5.0, 4.0)]


@given(
    arrays.arrays(np.float32, (7, 9), elements=st.one_of(st.just(float("nan")), st.floats(30, 42, width=32))),
    st.floats(33, 41),
    st.floats(0, 3),
)
def test_every_hot_pixel_is_in_one_spot_and_no_cold_one_in_any(
    celsius: Celsius, enter: float, band: float
) -> None:
    spots = hot_spots(celsius, enter_celsius=enter, stay_celsius=enter - band)
    assert sum(spot.area_px for spot in spots) >= int((celsius >= np.float32(enter)).sum())
    assert sum(spot.area_px for spot in spots) <= int((celsius >= np.float32(enter - band)).sum())
    for spot in spots:
        column, row = spot.peak_px
        left, top, width, height = spot.box_px
        assert celsius[row, column] == spot.peak_celsius >= np.float32(enter)
        assert left <= spot.centre_px[0] <= left + width - 1
        assert top <= spot.centre_px[1] <= top + height - 1


# ── the policy ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"regions": ()}, "wanted at least one"),
        ({"regions": (LEFT, LEFT)}, "each with a name of its own"),
        ({"pairs": (Pair(left="left", right="nose"),), "regions": (LEFT,)}, "no region is called nose"),
        ({"spots_in": ("nose",)}, "no region is called nose"),
        (
            {"limit_enter_celsius": 38.0, "limit_stay_celsius": 39.0},
            "limit: stays down to 39.0, wanted at most 38.0",
        ),
        ({"spot_stay_celsius": 36.0}, "spot: stays down to 36.0, wanted at most None"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ThermalPolicy(**wrong)  # type: ignore[arg-type]  # one wrong thing at a time


@pytest.mark.corpus
def test_a_bird_on_a_rock_is_found_in_the_corpus(corpus: Path) -> None:
    """IR_2412.jpg shows a night heron, 35 °C warm in the face, before rocks at night."""
    [raw] = read(corpus / "thermimage-flir" / "inst" / "extdata" / "IR_2412.jpg")
    policy = ThermalPolicy(
        regions=(LEFT, RIGHT), spot_enter_celsius=34.0, spot_stay_celsius=32.0, spot_area_min_px=20
    )
    said = judge(to_degrees(raw, SiteCalibration()), policy, is_present=nothing)
    assert max(number(only(said, SURFACE_TEMPERATURE, name), MAXIMUM) for name in ("left", "right")) == (
        pytest.approx(35.2504, abs=1e-3)
    )
    hottest = next(one for one in said if one.box_px is not None)
    assert number(hottest, MAXIMUM) == pytest.approx(35.2504, abs=1e-3)
