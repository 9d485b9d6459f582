"""What is said of a series that nobody can look at as it is."""

from __future__ import annotations

from edge.domain.finding import Verdict
from edge.domain.study import ClosedBecause, Series
from edge.findings.identity import KeyedHash
from edge.pipelines.imaging import Assessor
from edge.studies.select import Rule
from tests.builders.arrivals import instance
from tests.fakes.clock import FakeClock


def test_a_rest_of_a_series_is_never_taken_for_the_whole(clock: FakeClock) -> None:
    rule = Rule(pipeline="brain", modalities=frozenset({"CT"}))
    assessor = Assessor(rules=[rule], stations={}, identity=KeyedHash(bytes(16)), clock=clock)
    series = Series(
        series_uid="series",
        study_uid="study",
        modality="CT",
        instances=(instance("4"),),
        closed_because=ClosedBecause.QUIET,
        revision=2,
        let_go=3,
    )
    result = assessor.assess(series)
    [finding] = result.findings
    assert (finding.pipeline, finding.revision) == ("brain", 2)
    assert finding.observation.verdict is Verdict.NOT_ASSESSED
    assert "3 more" in finding.observation.reason
    assert result.refusal == finding.observation.reason
    assert not result.is_damaged
