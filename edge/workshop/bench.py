"""How a network in another precision compares with its fp32 reference: in its answers and in its speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.golden import Exam
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.openvino_runtime import OpenVinoSession
from edge.inference.session import Answers, Session, Wiring
from edge.workshop.probe import Probe

Runtime = Literal["onnxruntime", "openvino"]
RUNTIMES: Final[tuple[Runtime, ...]] = ("onnxruntime", "openvino")
VERSIONS: Final[Mapping[Runtime, str]] = {
    "onnxruntime": OnnxRuntimeSession.runtime,
    "openvino": OpenVinoSession.runtime,
}
RUN_S: Final = 600.0
ROUNDS_MIN, ROUNDS_MAX, ROUNDS_S = 3, 40, 1.5
LIKENESSES: Final = (
    "union_dice",
    "label_dice",
    "things_f1",
    "f1",
    "box_iou",
    "cosine",
    "same_validity",
)
STILL: Final = 1e-12  # a channel that does not move says nothing
SAME_DB: Final = 120.0  # two answers that do not differ at all


@dataclass(frozen=True, slots=True)
class Verdict:
    """How near a network's answers are to those of fp32.

    Attributes:
        numbers: In the words of the task: `score_error`, `union_dice` …; the worst of all exams.
        shortfall: What is missed, or "".
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    shortfall: str = ""


class Recording:
    """A session that remembers what it was given: what the preprocessing of the engine makes of samples."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runtime, self.provider = session.runtime, session.provider
        self.given: list[NDArray[Any]] = []

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Remember the input, and run."""
        self.given.append(given.copy())
        return self._session.run(given, deadline)

    def close(self) -> None:
        """Free the network."""
        self._session.close()


def opened(network: bytes, runtime: Runtime, *, wiring: Wiring, name: str) -> Session:
    """Open a network on the CPU with one thread.

    Raises:
        BundleRejectedError: The runtime does not take it.
    """
    if runtime == "openvino":
        return OpenVinoSession(network, name=name, wiring=wiring, hint="f32", threads=1)
    return OnnxRuntimeSession(network, name=name, wiring=wiring, provider="cpu", threads=1)


class Bench:
    """Compares networks with one reference.

    Args:
        reference: The network in fp32.
        wiring: By which names it is addressed.
        exams: Golden input and held-out samples, each with the answers of the reference.
        clock: Measures.
        probe: Says whether OpenVINO lives through a network.
    """

    def __init__(
        self, reference: bytes, *, wiring: Wiring, exams: Sequence[Exam], clock: Clock, probe: Probe
    ) -> None:
        self._reference = reference
        self._wiring = wiring
        self._exams = exams
        self._clock = clock
        self._probe = probe

    def judge(self, network: bytes, runtime: Runtime) -> Verdict:
        """Say how near a network's answers are to the right ones; what cannot run is a shortfall."""
        numbers: dict[str, list[float]] = {}
        missed = []
        try:
            session = self._opened(network, runtime)
        except BundleRejectedError as error:
            return Verdict(shortfall=str(error))
        try:
            for exam in self._exams:
                agreement = exam.agreement(exam.answers(session, self._deadline()))
                missed += [agreement.shortfall] * bool(agreement.shortfall)
                for name, number in agreement.numbers.items():
                    numbers.setdefault(name, []).append(float(number))
        except InferenceError as error:
            return Verdict(shortfall=str(error))
        finally:
            session.close()
        return Verdict({name: _worse(name, each) for name, each in numbers.items()}, "; ".join(missed))

    def likeness_db(self, network: bytes, runtime: Runtime, feeds: Sequence[NDArray[Any]]) -> float:
        """Say how much of a network's raw answer is that of the reference: signal over noise, in dB.

        Whole numbers, label maps, count by the share that differs. The lowest of all samples and outputs.

        Raises:
            BundleRejectedError: The runtime does not take the network.
            InferenceError: The runtime failed.
        """
        session = self._opened(network, runtime)
        try:
            return min(
                _likeness_db(right[name], answer)
                for feed, right in zip(feeds, self._right(feeds), strict=True)
                for name, answer in session.run(feed, self._deadline()).items()
            )
        finally:
            session.close()

    def race(self, network: bytes, runtime: Runtime, feed: NDArray[Any]) -> tuple[float, float]:
        """Measure a network beside the reference, turn by turn: what else the machine does hits both.

        Returns:
            Median latency of the network, ms, one thread; and that of the reference beside it: as many times
            that as it took longer, turn by turn, in the median.

        Raises:
            BundleRejectedError: The runtime does not take the network.
            InferenceError: The runtime failed.
        """
        pair = [self._opened(one, runtime) for one in (network, self._reference)]
        try:
            for session in pair:
                session.run(feed, self._deadline())
            taken_ms: list[tuple[float, float]] = []
            while len(taken_ms) < ROUNDS_MIN or (
                len(taken_ms) < ROUNDS_MAX and sum(map(sum, taken_ms)) < ROUNDS_S * 1000
            ):
                taken_ms.append((self._time_ms(pair[0], feed), self._time_ms(pair[1], feed)))
        finally:
            for session in pair:
                session.close()
        mine = median(one for one, _ in taken_ms)
        return mine, mine * median(reference / one for one, reference in taken_ms)

    def _right(self, feeds: Sequence[NDArray[Any]]) -> list[Answers]:
        session = opened(self._reference, "onnxruntime", wiring=self._wiring, name="reference")
        try:
            return [session.run(feed, self._deadline()) for feed in feeds]
        finally:
            session.close()

    def _opened(self, network: bytes, runtime: Runtime) -> Session:
        if runtime == "openvino":
            self._probe.check(network)
        return opened(network, runtime, wiring=self._wiring, name="candidate")

    def _time_ms(self, session: Session, feed: NDArray[Any]) -> float:
        began_ns = self._clock.monotonic_ns()
        session.run(feed, self._deadline())
        return (self._clock.monotonic_ns() - began_ns) / 1e6

    def _deadline(self) -> Deadline:
        return Deadline(self._clock, RUN_S)


def _worse(name: str, numbers: Sequence[float]) -> float:
    """Likenesses are worse the lower they are, errors the higher."""
    return min(numbers) if name in LIKENESSES else max(numbers)


def _likeness_db(right: NDArray[Any], seen: NDArray[Any]) -> float:
    """Compare channel by channel: scores of 0 to 1 count as much as boxes of 0 to 640 beside them."""
    if right.shape != seen.shape:
        return 0.0
    if right.dtype.kind != "f":
        off = float(np.mean(right != seen))
    else:
        rows, others = (_by_channel(one).astype(np.float64) for one in (right, seen))
        signal = np.square(rows - rows.mean(axis=1, keepdims=True)).sum(axis=1)
        noise = np.square(rows - others).sum(axis=1)
        alive = signal > np.square(rows).sum(axis=1).max() * STILL
        off = (
            float(np.minimum(noise[alive] / signal[alive], 1.0).mean())
            if alive.any()
            else float(noise.sum() > 0)
        )
    return SAME_DB if off <= 0 else min(SAME_DB, -10 * float(np.log10(off)))


def _by_channel(answer: NDArray[Any]) -> NDArray[Any]:
    """Return (channels, values): the shortest axis behind the batch is that of the channels."""
    if answer.ndim < 3:
        return answer.reshape(1, -1)
    axis = 1 + int(np.argmin(answer.shape[1:]))
    return np.moveaxis(answer, axis, 0).reshape(answer.shape[axis], -1)
