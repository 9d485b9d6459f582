"""What is done behind models that answer: measuring, exchanging, keeping those warm that are seldom asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self, TypeVar

from edge.domain.errors import BundleRejectedError, EdgeError, InferenceError
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.handle import Handle
from edge.inference.trials import RUN_S
from edge.kit.log import Log

WAITING_MAX = 16
REST = 1.0  # after a run of so many seconds the next waits as long: at most half of a core is taken
REST_MAX_S = 1.0
LOOK_S = 0.002  # until nobody asks anything
PATIENCE, PATIENCE_MIN_S = 2.0, 0.02  # or so many times as long as a run takes have passed: some never rest
GLANCE = 0.25  # a model that should be warm is looked after so many times in the time it may rest

Done = TypeVar("Done")


class Behind:
    """One thread that works off what it is given, and one that keeps models warm; both live with the `with`.

    Args:
        handles: Of all models; those who hold one go first.
        keep_warm_s: A model that nobody asked for so long is run once, 0 for never.
        clock: Says how long nobody asked.
    """

    def __init__(self, handles: Mapping[str, Handle[Any]], *, keep_warm_s: float, clock: Clock) -> None:
        self._handles = handles
        self._keep_warm_s = keep_warm_s
        self._clock = clock
        self._log = Log("engine")
        self._stopping = threading.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="engine-behind")
        self._waiting: set[Future[Any]] = set()
        self._warmer = threading.Thread(target=self._keep_warm, name="engine-warmth")

    def __enter__(self) -> Self:
        if self._keep_warm_s:
            self._warmer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._worker.shutdown(wait=True, cancel_futures=True)
        if self._keep_warm_s:
            self._warmer.join()

    def do(self, work: Callable[[], Done]) -> Future[Done]:
        """Do it when what was asked for before is done.

        Raises:
            BundleRejectedError: Too much is waiting already.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise BundleRejectedError(
                f"{len(self._waiting)} models are waiting to be measured; try again later"
            )
        future = self._worker.submit(work)
        self._waiting.add(future)
        future.add_done_callback(self._forget)
        return future

    def settle(self, *, timeout_s: float) -> bool:
        """Wait until all is done; return whether it was in time."""
        return not wait(set(self._waiting), timeout=timeout_s).not_done

    def breathe(self, took_s: float) -> None:
        """Let others go first: rest as long as the last run took, then look for a moment when nobody asks.

        Raises:
            CancelledError: We are stopping.
        """
        self._stopping.wait(min(REST * took_s, REST_MAX_S))
        patience_s = min(max(PATIENCE * took_s, PATIENCE_MIN_S), REST_MAX_S)
        for _ in range(round(patience_s / LOOK_S)):
            if self._stopping.is_set() or self._is_idle():
                break
            self._stopping.wait(LOOK_S)
        if self._stopping.is_set():
            raise CancelledError

    def warm(self) -> list[str]:
        """Run each model once that nobody asked for too long, unless somebody asks anything now.

        Returns:
            The names of those that were run.
        """
        ran = []
        for name, handle in dict(self._handles).items():
            if not self._is_idle() or self._stopping.is_set():
                break
            try:
                with handle.held() as active:
                    now_ns = self._clock.monotonic_ns()
                    for session in active.sessions:
                        rested_s = (now_ns - session.used_ns) / 1e9
                        if session.is_open and rested_s >= self._keep_warm_s:
                            active.exam.answers(session, Deadline(self._clock, RUN_S))
                            ran.append(name)
            except InferenceError as error:  # who asks it next is told so too
                self._log.warning("could not be kept warm", bundle=name, because=error)
        return ran

    def _keep_warm(self) -> None:
        while not self._stopping.wait(GLANCE * self._keep_warm_s):
            self.warm()

    def _is_idle(self) -> bool:
        return all(handle.is_idle for handle in list(self._handles.values()))

    def _forget(self, future: Future[Any]) -> None:
        self._waiting.discard(future)
        trouble = None if future.cancelled() else future.exception()
        if isinstance(trouble, EdgeError):
            self._log.warning("the model at work stays", because=trouble)
        elif trouble is not None and not isinstance(trouble, CancelledError):
            self._log.error("the model at work stays", because=repr(trouble))
