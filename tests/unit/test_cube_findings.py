"""What is said of a cube: there, not there, or not assessed and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.domain.errors import ConfigurationError
from edge.domain.finding import Observation, Verdict
from edge.domain.spectral import Cube
from edge.findings.cube import judge
from edge.findings.cube_policy import AnomalyRules, CubePolicy, Index, Material, MaterialRules
from edge.findings.cube_reading import read
from edge.findings.thermal_policy import Region
from tests.builders.cubes import cube, scene


def observed(seen: Cube, policy: CubePolicy) -> list[Observation]:
    return list(judge(read(seen, policy), policy))


def of(said: list[Observation], code: str) -> list[Observation]:
    return [one for one in said if one.code.value == code]


def numbers(one: Observation) -> dict[str, float]:
    return {measurement.code.value: measurement.value for measurement in one.measurements}


def plain(*, height: int = 60, width: int = 80) -> np.ndarray:
    rng = np.random.default_rng(7)
    return (0.4 + rng.normal(0, 0.02, (height, width, 24)) @ (0.3 * rng.normal(size=(24, 24)))).astype(
        np.float32
    )


def with_a_stain() -> Cube:
    values = plain()
    values[20:26, 30:38] += np.linspace(-0.4, 0.4, 24, dtype=np.float32)
    return cube(values)


def test_a_stain_is_found_where_it_is() -> None:
    said = observed(with_a_stain(), CubePolicy())
    (summary,) = of(said, "spectral-anomalies")
    assert summary.verdict is Verdict.PRESENT
    assert numbers(summary)["share-of-pixels"] == pytest.approx(100 * 48 / 4800, rel=0.05)
    (place,) = of(said, "spectral-anomaly")
    assert place.box_px == pytest.approx((30, 20, 8, 6), abs=1)
    assert numbers(place)["count"] == pytest.approx(48, abs=3)


def test_where_nothing_is_unlike_the_rest_that_is_said() -> None:
    (summary,) = of(observed(cube(plain()), CubePolicy()), "spectral-anomalies")
    assert summary.verdict is Verdict.ABSENT
    assert numbers(summary) == {"share-of-pixels": 0, "count": 0}
    assert "6 or more pixels together" in summary.reason


def test_only_the_largest_places_are_told_and_that_is_said() -> None:
    values = plain()
    for number in range(5):
        values[10 * number : 10 * number + 3, 10 : 13 + number] += np.linspace(
            -0.4, 0.4, 24, dtype=np.float32
        )
    policy = CubePolicy(anomaly=AnomalyRules(places_max=2))
    said = observed(cube(values), policy)
    assert [numbers(one)["count"] for one in of(said, "spectral-anomaly")] == [21, 18]
    assert "the 2 largest of 5 places" in of(said, "spectral-anomalies")[0].reason


def test_components_find_it_too() -> None:
    policy = CubePolicy(anomaly=AnomalyRules(components=8))
    assert of(observed(with_a_stain(), policy), "spectral-anomalies")[0].verdict is Verdict.PRESENT


def materials_of(spectra: np.ndarray, axis: np.ndarray, **options: Any) -> MaterialRules:
    names = ("a", "b", "c")
    made = [
        Material(name=name, wavelengths_nm=tuple(axis.tolist()), values=tuple(values.tolist()))
        for name, values in zip(names, spectra, strict=False)
    ]
    return MaterialRules(materials=tuple(made), **options)


def test_materials_and_indices_are_measured_in_each_region() -> None:
    seen, truth, spectra = scene()
    policy = CubePolicy(
        anomaly=None,
        materials=materials_of(spectra, seen.wavelengths_nm),
        indices=(Index(name="nd", kind="normalised-difference", first_nm=850, second_nm=650),),
        regions=(
            Region(name="all", corners=((0, 0), (1, 1))),
            Region(name="left", corners=((0, 0), (0.5, 1))),
        ),
    )
    said = observed(seen, policy)
    shares = {one.segment: numbers(one)["share-of-pixels"] for one in of(said, "spectral-material")}
    assert shares["a, all"] == pytest.approx(100 * (truth == 0).mean(), abs=0.2)
    assert shares["b, left"] == pytest.approx(100 * (truth[:, :40] == 1).mean(), abs=0.2)
    first = of(said, "spectral-index")[0]
    assert first.segment == "nd, all"
    assert set(numbers(first)) == {"373098007", "p5", "p50", "p95"}


def test_a_material_that_is_not_there_is_absent() -> None:
    seen, _, spectra = scene()
    other = np.where(np.arange(24) % 2, 0.9, 0.1)[None]
    rules = materials_of(np.vstack([spectra[:1], other]), seen.wavelengths_nm)
    said = of(observed(seen, CubePolicy(anomaly=None, materials=rules)), "spectral-material")
    assert [one.verdict for one in said] == [Verdict.PRESENT, Verdict.ABSENT]


def test_a_cube_in_counts_is_not_assessed_and_says_what_is_missing() -> None:
    seen, _, spectra = scene()
    raw = Cube(values=seen.values, wavelengths_nm=seen.wavelengths_nm, unit="counts")
    policy = CubePolicy(
        materials=materials_of(spectra, seen.wavelengths_nm),
        indices=(Index(name="nd", kind="ratio", first_nm=850, second_nm=650),),
    )
    said = observed(raw, policy)
    assert said[0].verdict is Verdict.ABSENT
    assert {one.verdict for one in said[1:]} == {Verdict.NOT_ASSESSED}
    assert all("a white and a dark reference are missing" in one.reason for one in said[1:])
    assert (
        of(observed(raw, replace(policy, needs="counts")), "spectral-anomalies")[0].verdict is Verdict.ABSENT
    )


def test_the_calibration_goes_with_every_cube() -> None:
    seen = Cube(
        values=scene()[0].values,
        wavelengths_nm=scene()[0].wavelengths_nm,
        unit="reflectance",
        calibration="white and dark reference",
        notes=("2 bad bands left out",),
    )
    first = observed(seen, CubePolicy(anomaly=None))[0]
    assert first.verdict is Verdict.PRESENT
    assert first.reason == (
        "reflectance by white and dark reference; 24 bands from 500 to 1000 nm; "
        "9 of them near infrared (700 to 900 nm); 2 bad bands left out"
    )
    assert numbers(first) == {"bands": 24, "near-infrared-bands": 9}


def test_what_cannot_be_measured_says_why() -> None:
    seen, _, spectra = scene()
    policy = CubePolicy(
        materials=materials_of(spectra, seen.wavelengths_nm + 300),
        indices=(Index(name="far", kind="ratio", first_nm=1500, second_nm=650),),
    )
    said = observed(cube(seen.values[:6, :8], seen.wavelengths_nm), policy)
    reasons = {one.code.value: one.reason for one in said if one.verdict is Verdict.NOT_ASSESSED}
    assert "48 whole pixels for 24 bands" in reasons["spectral-anomalies"]
    assert "covers 40% of a (800 to 1300 nm), wanted 80%" in reasons["spectral-material"]
    assert "no band within 10 nm of 1500 nm" in reasons["spectral-index"]


def test_a_region_without_whole_pixels_is_not_assessed() -> None:
    seen, _, spectra = scene()
    values = seen.values.copy()
    values[:, :50] = np.nan
    policy = CubePolicy(
        materials=materials_of(spectra, seen.wavelengths_nm),
        regions=(
            Region(name="left", corners=((0, 0), (0.5, 1))),
            Region(name="right", corners=((0.7, 0), (1, 1))),
        ),
    )
    said = observed(cube(values, seen.wavelengths_nm), policy)
    assert "38% of the pixels are whole" in of(said, "spectral-anomalies")[0].reason
    verdicts = {one.segment.partition(", ")[2]: one.verdict for one in of(said, "spectral-material")}
    assert verdicts == {"left": Verdict.NOT_ASSESSED, "right": Verdict.PRESENT}


@pytest.mark.parametrize(
    "make",
    [
        lambda: AnomalyRules(quantile=0.2),
        lambda: AnomalyRules(area_min_px=0),
        lambda: Material(name="x", wavelengths_nm=(1, 2), values=(1, 2)),
        lambda: Material(name="x", wavelengths_nm=(1, 3, 2), values=(1, 2, 3)),
        lambda: Material(name="x", wavelengths_nm=(1, 2, 3), values=(0, 0, 0)),
        lambda: MaterialRules(materials=()),
        lambda: CubePolicy(regions=()),
        lambda: CubePolicy(indices=(Index(name="i", kind="ratio", first_nm=1, second_nm=2),) * 2),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()
