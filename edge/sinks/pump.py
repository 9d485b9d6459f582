"""Carries envelopes from the outbox to a sink, for ever: on disk first, gone on acknowledgement only.

Order is kept per subject: the journal offers an envelope only when nothing older of its subject is undone.
What fails waits with jitter, and only its own subject waits with it. While the far side is known to be away
nothing is tried at all, so an outage costs neither attempts nor disk writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Self, TypeVar

from edge.domain.errors import StorageFullError
from edge.domain.health import StageHealth
from edge.domain.ports import Alerts, Clock, Sink
from edge.kit.backoff import Backoff
from edge.kit.journal import Journal, Lease
from edge.kit.log import Log
from edge.kit.recent import Recent
from edge.kit.room import when_there_is_room
from edge.kit.stage import Stage
from edge.sinks.outbox import QUEUE, from_row

IDLE_S = 0.5
ALERT = "outbox-set-aside"

_Answer = TypeVar("_Answer")


class Pump:
    """Several workers on one outbox, at work while the `with` lasts.

    Attributes:
        latency_ms: From the arrival of the last instance to the acknowledgement of its finding.
        live_latency_ms: From the capture of a frame to the acknowledgement of its finding.
    """

    def __init__(
        self,
        journal: Journal,
        sink: Sink,
        *,
        clock: Clock,
        alerts: Alerts,
        workers: int = 8,
        timeout_s: float = 30.0,
        backoff: Backoff | None = None,
        is_open: Callable[[], bool] = lambda: True,
    ) -> None:
        """Store what the work needs.

        Args:
            journal: Holds the queue `outbox`; open for longer than this.
            sink: Where envelopes go.
            clock: Of the machine.
            alerts: Where trouble is raised that a person must act on.
            workers: Deliveries under way at once.
            timeout_s: Longest wait for one acknowledgement.
            backoff: Pauses after an envelope was not taken; None: 1 to 60 s.
            is_open: Whether the far side is there at all; call `wake` when it comes back.
        """
        self.latency_ms = Recent()
        self.live_latency_ms = Recent()
        self._journal = journal
        self._sink = sink
        self._clock = clock
        self._alerts = alerts
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
        self._is_open = is_open
        self._stage = Stage(QUEUE, clock)
        self._log = Log(QUEUE)
        self._changed = threading.Condition()
        self._is_stopping = False
        self._threads = [threading.Thread(target=self._run, name=f"{QUEUE}-{n}") for n in range(workers)]

    def __enter__(self) -> Self:
        """Take up what a crash left in hand, and start."""
        for lease in self._journal.interrupted(QUEUE):
            self._journal.retry(lease, after_s=0.0, reason="the process ended while it was in hand")
        self._tell_of_set_aside()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End after the deliveries in hand; what waits stays in the outbox."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def wake(self) -> None:
        """Look again whether the far side is there."""
        with self._changed:
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Return whether the outbox is empty, after waiting for it as long as the far side is there."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_empty() or not self._is_open(), timeout_s)
            return self._is_empty()

    def health(self) -> StageHealth:
        """Return the books: what waits in the outbox counts as held, that of an earlier run as taken."""
        books = self._stage.health()
        held = self._held()
        oldest_ns = self._journal.oldest_ns(QUEUE)
        return replace(
            books,
            taken=books.out + books.set_aside + held,
            held=held,
            oldest_ms=max(0.0, (self._clock.utc_ns() - oldest_ns) / 1e6) if oldest_ns is not None else 0.0,
        )

    def _is_empty(self) -> bool:
        return self._held() == 0 and self._stage.health().held == 0

    def _held(self) -> int:
        return sum(self._journal.count(QUEUE, state) for state in ("ready", "leased", "interrupted"))

    def _run(self) -> None:
        """Deliver one envelope after the other; the body of each worker's thread."""
        try:
            while self._goes_on():
                lease = self._with_room(partial(self._journal.lease_oldest, QUEUE))
                if lease is None:
                    self._journal.wait(QUEUE, IDLE_S)
                else:
                    self._carry(lease)
                    self.wake()
        except StorageFullError as full:  # only at a stop: until then it waits; the next start takes it up
            self._log.error("stopped while there was no room", because=full)

    def _goes_on(self) -> bool:
        """Wait while the far side is away; return False when it is time to stop."""
        with self._changed:
            while not (self._is_stopping or self._is_open()):
                self._changed.wait(IDLE_S)
            return not self._is_stopping

    def _carry(self, lease: Lease) -> None:
        item = lease.items[0]

        def deliver() -> None:
            parcel = from_row(item.body)
            self._sink.deliver(parcel.envelope, timeout_s=self._timeout_s)
            self._with_room(partial(self._journal.done, lease))
            lane = self.live_latency_ms if parcel.lane == "live" else self.latency_ms
            lane.add((self._clock.utc_ns() - parcel.received_at_ns) / 1e6)

        def later(reason: str) -> None:
            if lease.attempt & (lease.attempt - 1) == 0:  # the 1st, 2nd, 4th, 8th … time
                self._log.warning("to be tried again", item=item.key, attempt=lease.attempt, because=reason)
            after_s = self._backoff.pause_s(lease.attempt) if self._is_open() else 0.0
            self._with_room(partial(self._journal.retry, lease, after_s=after_s, reason=reason))

        def set_aside(reason: str) -> None:
            self._with_room(partial(self._journal.set_aside, lease, reason=reason))
            self._tell_of_set_aside()

        self._stage.work(item.key, deliver, set_aside=set_aside, later=later)

    def _with_room(self, act: Callable[[], _Answer]) -> _Answer:
        return when_there_is_room(act, stage=self._stage, wait=self._is_stopping_within)

    def _is_stopping_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._is_stopping, seconds)

    def _tell_of_set_aside(self) -> None:
        count = self._journal.count(QUEUE, "set_aside")
        if count:
            self._alerts.raise_alert(
                ALERT, f"findings that the receiver will never take: {count}, kept on disk"
            )
        else:
            self._alerts.clear_alert(ALERT)
