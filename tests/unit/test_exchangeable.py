"""Who looks at a series is never exchanged under it, and the next series waits no longer than it must."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from edge.domain.errors import DeadlineExceededError
from edge.domain.study import Series
from edge.pipelines.exchangeable import Exchangeable
from edge.pipelines.result import Result
from tests.waiting import until

SERIES = cast(Series, None)


class Slow:
    """Looks for as long as the test wants."""

    def __init__(self, name: str) -> None:
        self.named = name
        self.may_end = threading.Event()
        self.looking = threading.Event()
        self.looked = 0

    def assess(self, series: Series) -> Result:
        self.looking.set()
        assert self.may_end.wait(10)
        self.looked += 1
        return Result(findings=())

    def name(self, series: Series) -> str:
        return self.named

    def give_up(self, series: Series, reason: str) -> Result:
        return Result(findings=(), refusal=reason)


def test_an_exchange_waits_for_the_series_in_hand_and_the_next_waits_for_the_exchange() -> None:
    first, second = Slow("first"), Slow("second")
    second.may_end.set()
    exchangeable = Exchangeable(first)
    inside, may_leave = threading.Event(), threading.Event()

    def exchange() -> None:
        with exchangeable.between_series(within_s=10) as is_free:
            assert is_free
            exchangeable.put(second)
            inside.set()
            assert may_leave.wait(10)

    threads = [
        threading.Thread(target=exchangeable.assess, args=(SERIES,)),
        threading.Thread(target=exchange),
        threading.Thread(target=exchangeable.assess, args=(SERIES,)),
    ]
    threads[0].start()
    assert first.looking.wait(10)
    threads[1].start()
    until(lambda: exchangeable._is_changing, within_s=10)
    threads[2].start()
    assert not inside.wait(0.05)
    first.may_end.set()
    assert inside.wait(10)
    assert (first.looked, second.looked) == (1, 0)
    may_leave.set()
    for thread in threads:
        thread.join(10)
    assert (first.looked, second.looked) == (1, 1)
    assert exchangeable.name(SERIES) == "second"


def test_a_series_that_takes_too_long_is_said_and_nothing_waits_for_ever() -> None:
    slow = Slow("slow")
    exchangeable = Exchangeable(slow)
    looking = threading.Thread(target=exchangeable.assess, args=(SERIES,))
    looking.start()
    assert slow.looking.wait(10)
    with exchangeable.between_series(within_s=0.05) as is_free:
        assert not is_free
    slow.may_end.set()
    looking.join(10)
    exchangeable.assess(SERIES)
    assert slow.looked == 2


def test_who_waits_for_a_series_may_give_up() -> None:
    first = Slow("first")
    exchangeable = Exchangeable(first)
    looking = threading.Thread(target=exchangeable.assess, args=(SERIES,))
    looking.start()
    assert first.looking.wait(10)
    asked: list[None] = []

    def give_up() -> None:
        asked.append(None)
        raise DeadlineExceededError("not wanted any more")

    with (
        pytest.raises(DeadlineExceededError),
        exchangeable.between_series(within_s=600, go_on=give_up),
    ):
        pass
    assert len(asked) == 1
    first.may_end.set()
    looking.join(10)
    exchangeable.assess(SERIES)  # waits for nobody
    assert first.looked == 2
