"""Things that a model finds in frames become events: each from when it settles until it stays away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.domain.finding import Finding, StreamSeen
from edge.domain.frame import Frame
from edge.findings.identity import KeyedHash
from edge.findings.track import Pace
from edge.pipelines.looks import PictureLook
from edge.pipelines.recorded import Recorded
from edge.pipelines.stations import picture_station
from tests.builders.picture_tasks import write_task_bundle
from tests.contract.test_models import engine_of
from tests.fakes.clock import FakeClock
from tests.fakes.picture import FakePicture

FAST = Pace(settle_s=0.3, vanish_s=0.5, summary_s=60.0, gap_s=2.0)


def film(root: Path, task: str, squares: list[list[tuple[int, int]]], clock: FakeClock) -> list[Finding]:
    """Ten frames a second of 64 x 64 px with red squares of 16 px, each at its left and top."""
    write_task_bundle(root, task)
    with engine_of(root, "redness") as engine:
        recorded = Recorded(
            pipeline="red",
            source="ward",
            look=PictureLook(picture_station(engine, "redness"), deadline_s=30),
            pace=FAST,
            losses=dict,
            identity=KeyedHash(bytes(16)),
            clock=clock,
        )
        said: list[Finding] = []
        for number, corners in enumerate(squares):
            rgb = np.zeros((64, 64, 3), np.uint8)
            for left, top in corners:
                rgb[top : top + 16, left : left + 16, 0] = 255
            frame = Frame(
                source="ward",
                sequence=number,
                captured_at_ns=number * 100_000_000,
                timed_by="stream",
                content=FakePicture(rgb),
            )
            said += recorded.see(frame)
        return [*said, *recorded.end("over")]


def told(findings: list[Finding], *, boxed: bool) -> list[tuple[str, str]]:
    return [
        (one.seen.phase, one.observation.verdict.value)
        for one in findings
        if isinstance(one.seen, StreamSeen) and (one.observation.box_px is not None) is boxed
    ]


def test_a_thing_that_comes_and_goes_is_an_event_beside_the_statement(
    tmp_path: Path, clock: FakeClock
) -> None:
    squares: list[list[tuple[int, int]]] = [[]] * 5 + [[(16, 16)]] * 8 + [[]] * 9
    findings = film(tmp_path, "picture-detection", squares, clock)
    assert told(findings, boxed=True) == [("begin", "PRESENT"), ("end", "PRESENT")]
    statements = ["ABSENT", "ABSENT", "PRESENT", "PRESENT", "ABSENT", "ABSENT"]
    assert [verdict for _, verdict in told(findings, boxed=False)] == statements


def test_two_things_are_two_events(tmp_path: Path, clock: FakeClock) -> None:
    findings = film(tmp_path, "picture-detection", [[(0, 0), (48, 32)]] * 8, clock)
    begun = [one for one in findings if one.observation.box_px and one.seen.phase == "begin"]  # type: ignore[union-attr]  # a film is a stream
    assert {one.observation.box_px for one in begun} == {(0, 0, 16, 16), (48, 32, 16, 16)}


def test_things_of_a_mask_are_followed_while_they_move(tmp_path: Path, clock: FakeClock) -> None:
    squares = [[(2 * number, 10)] for number in range(20)]
    findings = film(tmp_path, "picture-segmentation", squares, clock)
    assert told(findings, boxed=True) == [("begin", "PRESENT"), ("end", "PRESENT")]
    last = [one.observation for one in findings if one.observation.box_px][-1]
    assert last.box_px == pytest.approx((38, 10, 16, 16))
    assert len(last.outline_px) == 4


def test_a_vector_is_never_silence(tmp_path: Path, clock: FakeClock) -> None:
    findings = film(tmp_path, "picture-embedding", [[(0, 0)]] * 8, clock)
    assert told(findings, boxed=False) == [("begin", "NOT_ASSESSED"), ("end", "NOT_ASSESSED")]
