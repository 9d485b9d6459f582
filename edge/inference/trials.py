"""How one form of a network did: opened, asked its golden input, timed beside the others in rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import InferenceError
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.forms import Form
from edge.inference.golden import Exam
from edge.inference.memory import resident_mb
from edge.inference.session import Answers, Session

RUN_S = 300.0  # all of a golden input may take so long
WARM_PASSES_MAX, WARM_S = 3, 0.02  # a first look, warm, before the rounds; a quick network gets more of it
ROUNDS_MIN, ROUNDS_MAX, ROUNDS_S = 5, 20, 0.15  # and not more rounds once each had so many seconds

Breathe = Callable[[float], None]


def nobody_waits(took_s: float) -> None:
    """Wait for nobody."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one form did on this device.

    Attributes:
        form: Which.
        cold_ms: To open it and run it once.
        p50_ms: Median of warm runs, of the network alone.
        p99_ms: 99th percentile of those.
        runs: How many those were.
        times_chosen: How many times as long as the chosen form it takes, in the same moments; 0 where that
            was not measured.
        memory_mb: What the process grew by when it was opened and run.
        agreement: With the golden answers, in the numbers of its task: `union_dice`, `score_error` …
        agreement_here: The same with what fp32 on the CPU answers on this device; of the golden input and
            the calibration samples the worse.
        refused: Why it must not be used, or "".
        beaten: Why it is not used though it may be, or "".
    """

    form: Form
    cold_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    runs: int = 0
    times_chosen: float = 0.0
    memory_mb: float = 0.0
    agreement: Mapping[str, float] = field(default_factory=dict)
    agreement_here: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""
    beaten: str = ""


class Stopwatch:
    """A session that notes how long each run took, in ms.

    Args:
        session: Is timed; a turn that it waits for is not.
        clock: Measures.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self.runtime = session.runtime
        self.provider = session.provider
        self.taken_ms: list[float] = []
        self._session = session
        self._clock = clock

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """
        began_ns = self._clock.monotonic_ns()
        answers = self._session.run(given, deadline)
        self.taken_ms.append((self._clock.monotonic_ns() - began_ns) / 1e6)
        return answers

    def close(self) -> None:
        """Free the network."""
        self._session.close()


class Breathing:
    """A session that lets others go first: before each run it waits as it is told.

    Args:
        session: Runs.
        watch: Knows how long the last run took.
        breathe: Waits; it is given that time, in s.
    """

    def __init__(self, session: Session, watch: Stopwatch, breathe: Breathe) -> None:
        self.runtime = session.runtime
        self.provider = session.provider
        self.close = session.close
        self._session = session
        self._watch = watch
        self._breathe = breathe

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once, when it is our time.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """
        self._breathe(self._watch.taken_ms[-1] / 1000 if self._watch.taken_ms else 0.0)
        return self._session.run(given, deadline)


class Contender:
    """A form that is open and on trial.

    Args:
        form: Which.
        opening: Opens its network where it will run.
        turns: Makes a session wait for its turn, where that is the way of its device.
        clock: Measures.
        breathe: Waits before each run.

    Raises:
        BundleRejectedError: The runtime does not take it.
    """

    def __init__(
        self,
        form: Form,
        *,
        opening: Callable[[], Session],
        turns: Callable[[Session], Session],
        clock: Clock,
        breathe: Breathe,
    ) -> None:
        self.form = form
        self._clock = clock
        self._resident_mb = resident_mb()
        began_ns = clock.monotonic_ns()
        self.session = opening()
        self._open_ms = (clock.monotonic_ns() - began_ns) / 1e6
        self._watch = Stopwatch(self.session, clock)
        self._asked = Breathing(turns(self._watch), self._watch, breathe)
        self._warm_ms: list[list[float]] = []
        self.has_failed = False

    def answer(self, exam: Exam) -> tuple[list[NDArray[Any]], Trial]:
        """Ask the golden input for the first time.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        answers = exam.answers(self._asked, Deadline(self._clock, RUN_S))
        if not self._watch.taken_ms:
            raise InferenceError("the golden input asks the network nothing, which proves nothing")
        cold_ms = self._open_ms + self._watch.taken_ms[0]
        grown_mb = max(0.0, resident_mb() - self._resident_mb)
        alike = exam.agreement(answers)
        return answers, Trial(
            self.form,
            cold_ms=cold_ms,
            memory_mb=grown_mb,
            agreement=alike.numbers,
            refused=alike.shortfall,
        )

    def further(self, exam: Exam) -> list[NDArray[Any]]:
        """Ask something else; it does not count for the time.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        return exam.answers(self._asked, Deadline(self._clock, RUN_S))

    def warm_up(self, exam: Exam) -> None:
        """Look how fast it is, roughly.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        passes_ms: list[float] = []
        while not passes_ms or (len(passes_ms) < WARM_PASSES_MAX and sum(passes_ms) < WARM_S * 1000):
            passes_ms.append(self.time(exam))

    def time(self, exam: Exam) -> float:
        """Run the golden input once; return how long the network took for all of it, in ms.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        self._watch.taken_ms.clear()
        self.has_failed = True  # until it has not
        exam.answers(self._asked, Deadline(self._clock, RUN_S))
        self.has_failed = False
        self._warm_ms.append(list(self._watch.taken_ms))
        return sum(self._watch.taken_ms)

    @property
    def best_ms(self) -> float:
        """The quickest time so far for all of the golden input."""
        return min(map(sum, self._warm_ms))

    def timed(self, trial: Trial) -> Trial:
        """Return a trial with the times of all warm runs."""
        runs_ms = [ms for one in self._warm_ms for ms in one]
        return replace(
            trial,
            p50_ms=float(median(runs_ms)),
            p99_ms=float(np.percentile(runs_ms, 99)),
            runs=len(runs_ms),
        )


def race(contenders: Sequence[Contender], exam: Exam) -> list[list[float]]:
    """Run all in rounds, each once in a round and the order turning, so that a busy moment touches all.

    Returns:
        For each round how long each contender took, in ms and in their order.

    Raises:
        InferenceError: A runtime failed, or an answer is not what was promised.
    """
    rounds_ms: list[list[float]] = []
    limit_ms = ROUNDS_S * 1000 * len(contenders)
    while len(rounds_ms) < ROUNDS_MIN or (
        len(rounds_ms) < ROUNDS_MAX and sum(map(sum, rounds_ms)) < limit_ms
    ):
        first = len(rounds_ms) % len(contenders)
        order = [*range(first, len(contenders)), *range(first)]
        took_ms = {n: contenders[n].time(exam) for n in order}
        rounds_ms.append([took_ms[n] for n in range(len(contenders))])
    return rounds_ms
