"""The runner of a live source: what it says, what it hands over, what it counts, and what it survives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.queues import Latest
from edge.preprocess.picture_quality import QualityLimits
from edge.sources.live import OVER, LiveSource
from edge.sources.live_books import LiveBooks
from edge.sources.live_looks import Looks
from tests.fakes.frame_source import FakeFrameSource, FakePicture, noise
from tests.waiting import until

BLACK = FakePicture(np.zeros((36, 64), np.uint8))
QUICK = QualityLimits(frozen_s=0.3, hold_s=0.0, known_after_s=0.2)


class Stand:
    """A live source on a fake, with everything that it says."""

    def __init__(
        self,
        *,
        limits: QualityLimits | None = None,
        disabled: str = "",
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        clock = SystemClock()
        self.fake = FakeFrameSource(clock=clock)
        self.books = LiveBooks("camera", clock=clock)
        self.first: Latest[Frame] = Latest(2, clock=clock)
        self.second: Latest[Frame] = Latest(2, clock=clock)
        self.said: list[tuple[str, str]] = []
        self.live = LiveSource(
            "camera",
            source=self.fake,
            interrupt=interrupt,
            books=self.books,
            hand_overs=[self.first, self.second],
            say=lambda state, why: self.said.append((state, why)),
            looks=Looks(limits=limits),
            open_s=0.2,
            silence_s=0.5,
            grace_s=0.1,
            backoff=Backoff(min_s=0.01, max_s=0.02),
            steady_s=5.0,
            stop_s=0.2,
            disabled=disabled,
            clock=clock,
        )

    def states(self) -> list[str]:
        return [state for state, _ in self.said]

    def says(self, state: str, why: str = "") -> Callable[[], bool]:
        return lambda: any(said == state and why in reason for said, reason in self.said[-1:])


@pytest.fixture
def rooms() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def begun(rooms: ExitStack, stand: Stand) -> Stand:
    rooms.enter_context(stand.live)
    rooms.callback(stand.fake.go_on)
    return stand


def test_each_frame_goes_to_every_pipeline_and_the_source_is_online(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand())
    stand.fake.show()
    for hand_over in (stand.first, stand.second):
        frame = hand_over.take(timeout_s=5.0)
        assert frame is not None
        assert (frame.source, frame.sequence) == ("camera", 1)
    until(stand.says("online"), within_s=5)
    assert stand.said == [("offline", "it is being opened"), ("online", "")]
    until(lambda: stand.live.health().out == 1, within_s=5)
    assert stand.live.health().balances


def test_a_source_that_is_lost_is_offline_with_its_reason_and_opened_again(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand())
    stand.fake.show()
    stand.fake.lose(SourceLostError("camera: the server closed the connection"))
    stand.fake.show()
    until(lambda: stand.states() == ["offline", "online", "offline", "online"], within_s=5)
    assert stand.said[2] == ("offline", "camera: the server closed the connection")
    assert stand.fake.openings == 2


def test_a_source_that_cannot_be_opened_is_tried_again_until_it_can(rooms: ExitStack) -> None:
    stand = Stand()
    stand.fake.refusals = [SourceLostError(f"camera: refused {number}") for number in range(5)]
    begun(rooms, stand)
    stand.fake.show()
    until(stand.says("online"), within_s=5)
    assert stand.fake.openings == 6
    assert ("offline", "camera: refused 4") in stand.said


def test_a_surprise_in_a_source_is_contained_and_said(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand())
    stand.fake.lose(ZeroDivisionError("in a codec"))
    stand.fake.show()
    until(stand.says("online"), within_s=5)
    assert ("offline", "unexpected ZeroDivisionError: in a codec") in stand.said


def test_silence_is_said(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand())
    stand.fake.show()
    until(stand.says("offline", "no picture for 0.5 s"), within_s=5)
    assert stand.live.trouble() == "camera: no picture for 0.5 s"


def test_a_source_that_hangs_in_native_code_is_said_to_be_offline_from_outside(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand())
    stand.fake.show()
    until(stand.says("online"), within_s=5)
    stand.fake.hang()
    stand.fake.show()
    until(stand.says("offline", "it hangs: its next picture takes longer than the 0.6 s"), within_s=5)
    stand.fake.go_on()
    until(stand.says("online"), within_s=5)


def test_a_stop_does_not_wait_for_a_source_that_hangs(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand())
    stand.fake.hang()
    stand.fake.show()
    until(lambda: stand.fake.openings == 1, within_s=5)
    stopping = threading.Thread(target=rooms.close)
    stand.live.__exit__()
    stopping.start()
    stopping.join(5)
    assert stand.first.is_over


def test_a_recording_that_is_over_is_said_and_nobody_waits_any_longer(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand())
    stand.fake.show()
    stand.fake.end()
    until(stand.says("offline", OVER), within_s=5)
    assert stand.first.take(timeout_s=1.0) is not None
    until(lambda: stand.first.is_over, within_s=5)


def test_a_source_that_is_disabled_is_not_opened(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand(disabled="in the configuration"))
    assert stand.said == [("disabled", "in the configuration")]
    assert stand.fake.openings == 0


def test_a_black_picture_is_said_and_not_handed_over(rooms: ExitStack) -> None:
    stand = Stand(limits=QUICK)
    stand.fake.show(BLACK)
    begun(rooms, stand)
    until(stand.says("degraded", "the picture is black"), within_s=5)
    until(lambda: stand.live.health().dropped == {"black picture": 1}, within_s=5)
    assert stand.first.take(timeout_s=0.0) is None
    assert stand.live.health().balances


def test_a_frozen_picture_is_said_and_taken_back_when_it_moves(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand(limits=QUICK))

    def frozen() -> bool:
        stand.fake.show(noise(1))
        return stand.says("degraded", "the picture is frozen")()

    def moving() -> bool:
        stand.fake.show(noise(stand.live.health().taken))
        return stand.says("online")()

    until(frozen, within_s=5)
    until(moving, within_s=5)
    assert stand.live.health().dropped["frozen picture"] > 0


def test_frames_that_cannot_be_judged_are_set_aside_and_too_many_lose_the_source(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand(limits=QUICK))
    broken = noise(1)
    broken.trouble = ValueError("a picture without planes")

    def lost() -> bool:
        stand.fake.show(broken)
        return any("20 frames in a row: unexpected ValueError" in why for _, why in stand.said)

    until(lost, within_s=20)
    health = stand.live.health()
    assert health.set_aside >= 20
    assert health.balances


def test_a_frame_rate_far_from_what_is_claimed_is_said() -> None:
    looks = Looks(limits=None)
    looks.begin(now_ns=0)
    frame = Frame(source="c", sequence=1, captured_at_ns=0, timed_by="arrival", content=noise(1))
    for number in range(40):
        looks.look(frame, now_ns=number * 200_000_000, claimed_fps=25.0)
    assert looks.conditions()["rate"] == "far from the frame rate it claims: about 5 a second, not 25"
    for number in range(200):
        looks.look(frame, now_ns=8_000_000_000 + number * 40_000_000, claimed_fps=25.0)
    assert looks.conditions()["rate"] == ""


def test_what_happens_to_one_source_does_not_touch_another(rooms: ExitStack) -> None:
    broken, whole = begun(rooms, Stand()), begun(rooms, Stand())
    broken.fake.hang()
    broken.fake.show()
    for _ in range(20):
        whole.fake.show()
        assert whole.first.take(timeout_s=5.0) is not None
    assert whole.live.state() == ("online", "")


def test_the_books_balance_after_everything_at_once(rooms: ExitStack) -> None:
    stand = begun(rooms, Stand(limits=QUICK))
    for number in range(50):
        stand.fake.show(noise(number))
    stand.fake.lose(SourceLostError("camera: gone"))
    stand.fake.show(BLACK)
    stand.books.lost("packets missing", frames=3)
    stand.fake.end()
    until(stand.says("offline", OVER), within_s=10)
    health = stand.live.health()
    assert health.balances
    assert health.taken == 54
    assert health.out == stand.first.counts().taken == stand.second.counts().taken


@pytest.mark.alone
def test_many_sources_that_hang_are_waited_for_together() -> None:
    stands = [Stand() for _ in range(6)]
    with ExitStack() as rooms:
        for stand in stands:
            rooms.enter_context(stand.live)
            stand.fake.hang()
            stand.fake.show()
        for stand in stands:
            rooms.callback(stand.live.ask_to_stop)
        began = time.monotonic()
    assert time.monotonic() - began < 0.7  # each one may take 0.2 s, one after the other 1.2 s
    for stand in stands:
        stand.fake.go_on()


def test_a_source_whose_interruption_fails_stops_all_the_same() -> None:
    def broken() -> None:
        raise OSError("a socket that is gone")

    stand = Stand(interrupt=broken)
    with stand.live:
        stand.fake.show()
        until(stand.says("online"), within_s=5.0)
    assert stand.first.take(timeout_s=0.0) is not None
    assert stand.first.is_over
