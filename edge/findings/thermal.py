"""What may be said about a thermogram: how warm, where warmest, how unlike, above which limit, and how sure.

Every statement comes with every picture. A region that cannot be judged is NOT_ASSESSED with the reason; a
limit that is not reached is ABSENT: a number was measured, other than the silence of a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from edge.domain.finding import Code, Measurement, Observation, Verdict
from edge.domain.frame import Thermogram
from edge.findings.estimates import MEAN, PERCENTILES
from edge.findings.thermal_policy import Pair, Statistic, ThermalPolicy
from edge.findings.thermal_regions import RegionNumbers, mask, measure
from edge.findings.thermal_spots import HotSpot, hot_spots

MAXIMUM = Code("SCT", "56851009", "Maximum")
AREA = Code("SCT", "42798000", "Area")
STANDARD_UNCERTAINTY = Code("99EDGE", "standard-uncertainty", "Standard uncertainty")
DIFFERENCE = Code("99EDGE", "temperature-difference", "Temperature difference")
COUNT = Code("99EDGE", "count", "Count")
CENTRE_X = Code("99EDGE", "centre-x", "Horizontal position of the centre")
CENTRE_Y = Code("99EDGE", "centre-y", "Vertical position of the centre")

ABOVE_LIMIT = Code("99EDGE", "temperature-above-limit", "Temperature above limit")
HOTTEST_REGION = Code("99EDGE", "hottest-region", "Hottest region")
ASYMMETRY = Code("99EDGE", "temperature-asymmetry", "Asymmetry of temperature")
HOT_SPOTS = Code("99EDGE", "hot-spots", "Hot spots in the picture")
HOT_SPOT = Code("99EDGE", "hot-spot", "Hot spot")

STATISTICS: Mapping[Statistic, Code] = {
    "maximum": MAXIMUM,
    "mean": MEAN,
    "p5": PERCENTILES[5],
    "p50": PERCENTILES[50],
    "p95": PERCENTILES[95],
}
COVERAGE = 2.0  # so many standard uncertainties cover about 95 % (GUM 6.2 and annex G)

IsPresent = Callable[[Code, str], bool]
Numbers = Mapping[str, RegionNumbers]


def judge(thermogram: Thermogram, policy: ThermalPolicy, *, is_present: IsPresent) -> tuple[Observation, ...]:
    """Read a thermogram.

    Args:
        thermogram: Of one moment.
        policy: What is asked.
        is_present: Whether something stands as PRESENT so far: it takes less to stay than to become so.

    Returns:
        For each region its temperatures, and whether they are above the limit, if there is one; with two or
        more regions the hottest; for each pair its difference; whether there are hot spots, if they are
        looked for, and each of them with its box.
    """
    doubt = _doubt(thermogram, policy)
    numbers = {region.name: measure(thermogram.celsius, region) for region in policy.regions}
    reasons = {name: doubt or _saturation(found, policy) for name, found in numbers.items()}
    sayings = _Sayings(thermogram, policy, numbers, reasons)
    observations = [sayings.temperature(region.name) for region in policy.regions]
    if policy.limit_enter_celsius is not None:
        observations += [sayings.limit(region.name, is_present) for region in policy.regions]
    if len(policy.regions) > 1:
        observations.append(sayings.hottest())
    observations += [sayings.asymmetry(pair, is_present) for pair in policy.pairs]
    if policy.spot_enter_celsius is not None:
        observations += sayings.spots(doubt)
    return tuple(observations)


def _doubt(thermogram: Thermogram, policy: ThermalPolicy) -> str:
    """Return why nothing in the picture may be judged, or ""."""
    if thermogram.calibration.state == "assumed" and not policy.assumed_is_enough:
        return "the calibration is assumed, wanted one of the camera's maker or checked by the site"
    return ""


def _saturation(found: RegionNumbers, policy: ThermalPolicy) -> str:
    """Return why a region may not be judged, or ""."""
    if not found.pixels:
        return "no pixel lies within it"
    if not found.celsius or found.saturated_fraction > policy.saturated_fraction_max:
        return (
            f"{found.saturated_fraction:.1%} of it is saturated, "
            f"wanted at most {policy.saturated_fraction_max:.1%}"
        )
    return ""


class _Sayings:
    """The statements about one thermogram."""

    def __init__(
        self, thermogram: Thermogram, policy: ThermalPolicy, numbers: Numbers, reasons: Mapping[str, str]
    ) -> None:
        self._thermogram = thermogram
        self._policy = policy
        self._numbers = numbers
        self._reasons = reasons
        self._uncertainty_k = thermogram.calibration.uncertainty_celsius
        self._remark = (
            "the calibration is assumed: nobody checked the scale"
            if thermogram.calibration.state == "assumed"
            else ""
        )

    def temperature(self, name: str) -> Observation:
        """How warm a region is."""
        code, found = self._policy.looked_for, self._numbers[name]
        if self._reasons[name]:
            return _not_assessed(code, self._reasons[name], name)
        measurements = [Measurement(code, found.celsius[key], "Cel") for key, code in STATISTICS.items()]
        partly = f"{found.saturated_fraction:.1%} of it is saturated" if found.saturated_fraction else ""
        return self._present(code, name, measurements, remarks=[partly])

    def limit(self, name: str, is_present: IsPresent) -> Observation:
        """Whether a region is above the limit."""
        if self._reasons[name]:
            return _not_assessed(ABOVE_LIMIT, self._reasons[name], name)
        assert self._policy.limit_enter_celsius is not None, "asked for with a limit only"
        value = self._judged(name)
        limit = _limit(
            self._policy.limit_enter_celsius,
            self._policy.limit_stay_celsius,
            is_present=is_present(ABOVE_LIMIT, name),
        )
        return self._present(
            ABOVE_LIMIT,
            name,
            [Measurement(STATISTICS[self._policy.judged_by], value, "Cel")],
            remarks=[_closeness(value - limit, self._uncertainty_k, f"the limit of {limit:g} Cel")],
            is_absent=value < limit,
        )

    def hottest(self) -> Observation:
        """Which region is the warmest."""
        left_out = [name for name, reason in self._reasons.items() if reason]
        order = sorted((name for name in self._numbers if name not in left_out), key=self._judged)
        if len(order) < 2:
            why = "; ".join(f"{name}: {self._reasons[name]}" for name in left_out)
            return _not_assessed(HOTTEST_REGION, f"fewer than two regions can be judged; {why}", "")
        second, first = order[-2], order[-1]
        ahead_k = self._judged(first) - self._judged(second)
        remarks = [_closeness(ahead_k, self._difference_k(), second)]
        remarks += [f"without {', '.join(left_out)}"] if left_out else []
        warmest = Measurement(
            STATISTICS[self._policy.judged_by],
            self._judged(first),
            "Cel",
            of=Code("99EDGE", first, f"Region: {first}"),
        )
        return self._present(HOTTEST_REGION, "", [warmest], remarks=remarks)

    def asymmetry(self, pair: Pair, is_present: IsPresent) -> Observation:
        """How unlike two regions are; with a limit, whether they are too unlike."""
        enter_k, sure_k = self._policy.asymmetry_enter_k, self._difference_k()
        code = DIFFERENCE if enter_k is None else ASYMMETRY
        reasons = [
            f"{name}: {self._reasons[name]}" for name in (pair.left, pair.right) if self._reasons[name]
        ]
        if reasons:
            return _not_assessed(code, "; ".join(reasons), pair.name)
        difference_k = self._judged(pair.left) - self._judged(pair.right)
        numbers = [Measurement(DIFFERENCE, difference_k, "K")]
        if enter_k is None:
            return self._present(code, pair.name, numbers, uncertainty_k=sure_k)
        limit_k = _limit(enter_k, self._policy.asymmetry_stay_k, is_present=is_present(ASYMMETRY, pair.name))
        remark = _closeness(abs(difference_k) - limit_k, sure_k, f"the limit of {limit_k:g} K")
        is_absent = abs(difference_k) < limit_k
        return self._present(
            code, pair.name, numbers, remarks=[remark], is_absent=is_absent, uncertainty_k=sure_k
        )

    def spots(self, doubt: str) -> Iterator[Observation]:
        """Whether there are hot spots, and each of them."""
        policy, celsius = self._policy, self._thermogram.celsius
        assert policy.spot_enter_celsius is not None, "asked for with a limit only"
        within = np.ones(celsius.shape, bool)
        if policy.spots_in:
            shape_px = self._thermogram.shape_px
            within = np.any([mask(policy.region(name), shape_px) for name in policy.spots_in], axis=0)
        unknown = float(np.isnan(celsius[within]).mean()) if within.any() else 1.0
        if not doubt and unknown > policy.saturated_fraction_max:
            doubt = f"{unknown:.1%} is saturated, wanted at most {policy.saturated_fraction_max:.1%}"
        if doubt:
            yield _not_assessed(HOT_SPOTS, doubt, "")
            return
        enter = policy.spot_enter_celsius
        stay = enter if policy.spot_stay_celsius is None else policy.spot_stay_celsius
        found = hot_spots(
            celsius,
            enter_celsius=enter,
            stay_celsius=stay,
            area_min_px=policy.spot_area_min_px,
            within=within,
        )
        more = len(found) - policy.spots_max
        remarks = [f"{more} more are not told of" if more > 0 else ""]
        count = Measurement(COUNT, float(len(found)), "1")
        yield Observation(
            code=HOT_SPOTS,
            verdict=Verdict.PRESENT if found else Verdict.ABSENT,
            measurements=(count,),
            reason=self._joined(remarks),
        )
        yield from (self._spot(spot) for spot in found[: policy.spots_max])

    def _spot(self, spot: HotSpot) -> Observation:
        measurements = [
            Measurement(MAXIMUM, spot.peak_celsius, "Cel"),
            Measurement(MEAN, spot.mean_celsius, "Cel"),
            Measurement(AREA, float(spot.area_px), "{pixel}"),
            Measurement(CENTRE_X, spot.centre_px[0], "{pixel}"),
            Measurement(CENTRE_Y, spot.centre_px[1], "{pixel}"),
        ]
        return self._present(HOT_SPOT, "", measurements, box_px=spot.box_px)

    def _judged(self, name: str) -> float:
        return self._numbers[name].celsius[self._policy.judged_by]

    def _difference_k(self) -> float:
        """Return the standard uncertainty of a difference within one picture.

        What both places share (the scale, the air, what is mirrored) falls out; what they do not share counts
        twice, in squares (GUM 5.2.2 with full correlation of the former, 5.1.2 for the latter).
        """
        return math.sqrt(2) * min(self._policy.unevenness_k, self._uncertainty_k)

    def _present(
        self,
        code: Code,
        segment: str,
        measurements: list[Measurement],
        *,
        remarks: list[str] | None = None,
        is_absent: bool = False,
        uncertainty_k: float | None = None,
        box_px: tuple[float, float, float, float] | None = None,
    ) -> Observation:
        """Say what was measured, with how sure it is."""
        sure = Measurement(
            STANDARD_UNCERTAINTY, self._uncertainty_k if uncertainty_k is None else uncertainty_k, "K"
        )
        return Observation(
            code=code,
            verdict=Verdict.ABSENT if is_absent else Verdict.PRESENT,
            measurements=(*measurements, sure),
            reason=self._joined(remarks or []),
            segment=segment,
            box_px=box_px,
        )

    def _joined(self, remarks: list[str]) -> str:
        return "; ".join(remark for remark in (*remarks, self._remark) if remark)


def _limit(enter: float, stay: float | None, *, is_present: bool) -> float:
    """Return what must be reached now: less to stay than to become so."""
    return stay if is_present and stay is not None else enter


def _closeness(distance: float, uncertainty: float, what: str) -> str:
    """Say that something cannot be told apart, or "" where it can."""
    if abs(distance) >= COVERAGE * uncertainty:
        return ""
    return f"within {COVERAGE:g} standard uncertainties of {what}"


def _not_assessed(code: Code, reason: str, segment: str) -> Observation:
    return Observation(code=code, verdict=Verdict.NOT_ASSESSED, reason=reason, segment=segment)
