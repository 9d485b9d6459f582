"""A network that takes as long as the test says, on the test's clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inference.deadline import Deadline
from edge.inference.golden import Agreement
from edge.inference.session import Answers, Session
from tests.fakes.clock import FakeClock


class FakeSession:
    """Answers what it was given plus a constant.

    Args:
        clock: Moves on with each run.
        run_ms: How long a run takes, told the time on the clock in ms.
        offset: Is added to every answer.
    """

    runtime = "fake 1"
    provider = "FAKE"

    def __init__(
        self, clock: FakeClock, *, run_ms: Callable[[float], float] = lambda _now_ms: 1.0, offset: float = 0.0
    ) -> None:
        self.runs = 0
        self.is_closed = False
        self._clock = clock
        self._run_ms = run_ms
        self._offset = offset

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        assert not self.is_closed, "a session that was closed is asked"
        deadline.check("fake")
        self.runs += 1
        self._clock.advance(self._run_ms(self._clock.monotonic_ns() / 1e6) / 1e3)
        return {"answer": given + self._offset}

    def close(self) -> None:
        self.is_closed = True


class FakeExam:
    """Asks one number; right is what `FakeSession` answers without an offset, within a tolerance."""

    def __init__(self, question: float = 1.0, *, right: float | None = None, tolerance: float = 0.1) -> None:
        self._question = np.array([question])
        self._right = question if right is None else right
        self._tolerance = tolerance

    def answers(self, session: Session, deadline: Deadline) -> list[NDArray[Any]]:
        return [session.run(self._question, deadline)["answer"]]

    def agreement(self, answers: list[NDArray[Any]]) -> Agreement:
        error = abs(float(answers[0][0]) - self._right)
        shortfall = f"golden check: off by {error:.2f}" if error > self._tolerance else ""
        return Agreement({"score_error": error}, shortfall)

    def against(self, answers: list[NDArray[Any]]) -> FakeExam:
        return FakeExam(float(self._question[0]), right=float(answers[0][0]), tolerance=self._tolerance)
