"""Which cameras saw the inside of a patient, and when, also after a restart."""

from __future__ import annotations

from pathlib import Path

from edge.domain.finding import Code, Observation, Verdict
from edge.domain.frame import Frame
from edge.pipelines.inside import Inside, InsideWatch
from edge.pipelines.looked import Looked
from tests.fakes.clock import FakeClock
from tests.fakes.picture import FakePicture

CODE = Code("99EDGE", "inside", "Inside")


def frame(source: str) -> Frame:
    return Frame(
        source=source, sequence=1, captured_at_ns=0, timed_by="arrival", content=FakePicture.grey(40)
    )


def looked(verdict: Verdict, *, box: bool = False) -> Looked:
    box_px = (0.0, 0.0, 1.0, 1.0) if box else None
    reason = "unclear" if verdict is Verdict.NOT_ASSESSED else ""
    return Looked(observations=(Observation(code=CODE, verdict=verdict, box_px=box_px, reason=reason),))


def test_a_camera_is_inside_while_its_picture_is_and_was_so_for_a_while_after(
    tmp_path: Path, clock: FakeClock
) -> None:
    inside = Inside(tmp_path, clock=clock)
    watch = InsideWatch(inside)
    watch.assessed(frame("or"), looked(Verdict.ABSENT))
    watch.assessed(frame("or"), looked(Verdict.PRESENT, box=True))  # a thing in the picture
    watch.missed("nothing came")
    assert inside.ago_s() == {}
    watch.assessed(frame("or"), looked(Verdict.PRESENT))
    clock.advance(90)
    watch.assessed(frame("or"), looked(Verdict.NOT_ASSESSED))
    assert inside.ago_s() == {"or": 90.0}


def test_it_outlives_a_restart_and_what_cannot_be_read_is_forgotten(tmp_path: Path, clock: FakeClock) -> None:
    inside = Inside(tmp_path, clock=clock)
    inside.seen("or")
    inside.write_down()
    clock.advance(30)
    again = Inside(tmp_path, clock=clock)
    again.recall()
    assert again.ago_s() == {"or": 30.0}
    (tmp_path / "inside.json").write_text("[1")
    nothing = Inside(tmp_path, clock=clock)
    nothing.recall()
    assert nothing.ago_s() == {}
