"""A source that hands over what the test gives it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.domain.errors import EdgeError
from edge.domain.ports import Intake
from edge.domain.study import Arrival


class FakeStudySource:
    """Keeps arrivals from a thread of its own, and answers the test only after `Intake.keep` has returned."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[tuple[Arrival, queue.Queue[bool]] | None] = queue.Queue(maxsize=16)
        self._associations: list[str] = []
        self._intake_closes: Callable[[], None] = lambda: None

    @contextmanager
    def serve(self, intake: Intake) -> Iterator[None]:
        thread = threading.Thread(target=self._run, args=(intake,), name="fake source", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._inbox.put(None)
            thread.join()

    def send(self, arrival: Arrival) -> bool:
        """Hand over; return whether it was taken."""
        answer: queue.Queue[bool] = queue.Queue(maxsize=1)
        self._inbox.put((arrival, answer))
        return answer.get(timeout=10)

    def finish(self) -> None:
        """Say that nothing more comes with what was sent so far."""
        self._intake_closes()

    def _run(self, intake: Intake) -> None:
        def close() -> None:
            while self._associations:
                intake.association_closed(self._associations.pop())

        self._intake_closes = close
        for arrival, answer in iter(self._inbox.get, None):
            if arrival.association not in self._associations:
                self._associations.append(arrival.association)
            try:
                intake.keep(arrival)
                answer.put(True)
            except EdgeError:
                arrival.received_path.unlink()
                answer.put(False)
        close()
