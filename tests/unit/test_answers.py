"""What may be said about scores and estimates."""

from __future__ import annotations

import numpy as np
import pytest

from edge.bundles.parts import CodeEntry
from edge.bundles.picture_classification import PictureOutput, PicturePolicy
from edge.bundles.pictures import PictureClass
from edge.bundles.spectra_regression import Quantity, SpectraOutput, SpectraPolicy
from edge.domain.answer import Estimates, Scores
from edge.domain.finding import Verdict
from edge.findings import estimates, pictures

INSIDE = CodeEntry(system="99EDGE", value="inside", meaning="Endoscope inside the body")
OXYGEN = CodeEntry(system="99EDGE", value="so2", meaning="Oxygen saturation of tissue")
PICTURES = PicturePolicy(
    looked_for=INSIDE, present_class="inside", enter_score_min=0.9, stay_score_min=0.6, fail_closed=True
)
PICTURE_OUTPUT = PictureOutput(
    name="scores",
    decoder="probabilities",
    classes=(
        PictureClass(name="outside", code=INSIDE),
        PictureClass(name="inside", code=INSIDE),
    ),
)
SPECTRA = SpectraPolicy(looked_for=OXYGEN, valid_share_min=0.5)
OUTPUT = SpectraOutput(
    name="estimates",
    quantities=(Quantity(name="so2", code=OXYGEN, unit="%", value_min=0.0, value_max=100.0),),
)


@pytest.mark.parametrize(
    ("score", "is_present", "verdict"),
    [
        (0.95, False, Verdict.PRESENT),
        (0.9001, False, Verdict.PRESENT),
        (0.7, False, Verdict.ABSENT),
        (0.7, True, Verdict.PRESENT),
        (0.5, True, Verdict.ABSENT),
    ],
)
def test_it_takes_more_to_become_present_than_to_stay(
    score: float, is_present: bool, verdict: Verdict
) -> None:
    scores = Scores(names=("outside", "inside"), values=np.array([1 - score, score], np.float64).astype("f4"))
    (said,) = pictures.classes(
        scores, PICTURES, PICTURE_OUTPUT, is_present=lambda _code, _segment: is_present
    )
    assert said.verdict is verdict
    assert said.score == pytest.approx(score)


def of(values: list[float]) -> Estimates:
    return Estimates(names=("so2",), units=("%",), values=np.array(values, np.float32)[:, None])


def test_the_spread_of_what_is_known_is_said() -> None:
    said = estimates.judge(of([60.0, 70.0, 80.0, float("nan")]), SPECTRA, OUTPUT)
    assert said.verdict is Verdict.PRESENT
    assert {one.code.value: one.value for one in said.measurements} == pytest.approx(
        {"373098007": 70.0, "p5": 61.0, "p50": 70.0, "p95": 79.0}
    )
    assert {one.unit for one in said.measurements} == {"%"}
    assert said.reason == "so2 is not known for 25.0% of the spectra"


@pytest.mark.parametrize("values", [[60.0, *[float("nan")] * 3], [float("nan")], []])
def test_too_little_that_is_known_is_not_assessed(values: list[float]) -> None:
    said = estimates.judge(of(values), SPECTRA, OUTPUT)
    assert said.verdict is Verdict.NOT_ASSESSED
    assert "wanted at least 50%" in said.reason
    assert said.measurements == ()
