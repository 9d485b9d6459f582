"""When is a series complete: a state machine fed with events and a clock, without a thread of its own.

The best evidence first: as many instances as the headers announced; its associations closed and then nothing
for the quiet time; the deadline. An announced count is evidence, not proof (some headers count an acquisition
of several), so it closes a series only once no association that delivered to it is open, or after a moment
without a further instance; and when more arrive than announced, it is believed no longer.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.domain.ports import Clock
from edge.domain.study import ClosedBecause, Instance, Series
from edge.kit.journal import Journal, Lease
from edge.studies.intake import EVERY_STATE, QUEUE, instance_of, series_key

FINISHED = ("done", "set_aside")
_BREATH_S = 1.0  # without a further instance, a reached count is believed while associations are open


@dataclass(slots=True)
class _Growing:
    """A series on its way in."""

    first_ns: int
    last_ns: int
    study_uid: str
    sop_uids: set[str] = field(default_factory=set)
    announced: int | None = None
    open_associations: set[str] = field(default_factory=set)


class Assembler:
    """Knows every series that is not closed yet; safe to use from many threads."""

    def __init__(self, clock: Clock, *, quiet_s: float, deadline_s: float) -> None:
        """Store the rules.

        Args:
            clock: Time; the monotonic one only.
            quiet_s: Quiet after the last instance and the last closed association that completes a series.
            deadline_s: Time after the first instance at which a series is closed anyway.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._growing: dict[str, _Growing] = {}
        self.follow(quiet_s=quiet_s, deadline_s=deadline_s)

    def follow(self, *, quiet_s: float, deadline_s: float) -> None:
        """Follow other rules from now on, also for what grows already."""
        with self._lock:
            self._quiet_ns = round(quiet_s * 1e9)
            self._breath_ns = min(self._quiet_ns, round(_BREATH_S * 1e9))
            self._deadline_ns = round(deadline_s * 1e9)

    @property
    def growing(self) -> int:
        """How many series are not closed yet."""
        with self._lock:
            return len(self._growing)

    def studies_growing(self) -> Mapping[str, str]:
        """Return the study of each series that is not closed yet."""
        with self._lock:
            return {key: series.study_uid for key, series in self._growing.items()}

    def restore(self, instances: Iterable[Instance]) -> None:
        """Take up what a restart found undone in the journal; its associations are all closed."""
        for instance in instances:
            self._add(instance, is_open=False)

    def kept(self, instance: Instance) -> None:
        """Count an instance that was kept."""
        self._add(instance, is_open=True)

    def association_closed(self, association: str) -> None:
        """Note that nothing more comes with this association."""
        with self._lock:
            for series in self._growing.values():
                if association in series.open_associations:
                    series.open_associations.discard(association)
                    series.last_ns = self._clock.monotonic_ns()

    def due(self) -> list[tuple[str, ClosedBecause]]:
        """Return what is complete now, and forget it; what arrives later begins a new revision."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            due = []
            for key, series in self._growing.items():
                at_ns, because = self._closing(series)
                if at_ns <= now_ns:
                    due.append((key, because))
            for key, _ in due:
                del self._growing[key]
            return due

    def next_due_s(self) -> float:
        """Return how long until a series is due if nothing more arrives; infinite where none grows."""
        with self._lock:
            closings = [self._closing(series)[0] for series in self._growing.values()]
        now_ns = self._clock.monotonic_ns()
        return max(0.0, (min(closings) - now_ns) / 1e9) if closings else math.inf

    def _add(self, instance: Instance, *, is_open: bool) -> None:
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            begun = _Growing(now_ns, now_ns, instance.study_uid)
            series = self._growing.setdefault(series_key(instance), begun)
            series.last_ns = now_ns
            series.sop_uids.add(instance.sop_uid)
            series.announced = max(
                filter(None, (series.announced, instance.announced_instances)), default=None
            )
            if is_open:
                series.open_associations.add(instance.association)

    def _closing(self, series: _Growing) -> tuple[int, ClosedBecause]:
        """Return when (monotonic) a series closes if nothing more happens, and why."""
        deadline = (series.first_ns + self._deadline_ns, ClosedBecause.DEADLINE)
        if series.announced == len(series.sop_uids):
            breath_ns = self._breath_ns if series.open_associations else 0
            return min((series.last_ns + breath_ns, ClosedBecause.COUNT), deadline, key=_when)
        if series.open_associations:
            return deadline
        return min((series.last_ns + self._quiet_ns, ClosedBecause.QUIET), deadline, key=_when)


def series_of(journal: Journal, lease: Lease, because: ClosedBecause) -> Series:
    """Return the series of a lease of its whole group, with all instances it ever had.

    Args:
        journal: Holds the earlier ones.
        lease: Of the queue `intake`.
        because: Why it was closed.
    """
    items = journal.items(QUEUE, group=lease.group, states=EVERY_STATE)
    taken = {item.id for item in lease.items}
    instances = [instance_of(item) for item in items if item.id in taken or item.state in FINISHED]
    revision = max(lease.closing, 1)
    return _series(lease.group, instances, because, revision=revision, let_go=lease.let_go)


def closed_series(journal: Journal, series_uid: str, because: ClosedBecause, *, revision: int) -> Series:
    """Return a series that was closed before, with all of its instances that are still here.

    Args:
        journal: Holds them.
        series_uid: What it is assembled under.
        because: Why it was closed.
        revision: That it was closed as.
    """
    items = journal.items(QUEUE, group=series_uid, states=FINISHED)
    return _series(series_uid, [instance_of(item) for item in items], because, revision=revision)


def _series(
    series_uid: str,
    instances: Sequence[Instance],
    because: ClosedBecause,
    *,
    revision: int,
    let_go: int = 0,
) -> Series:
    return Series(
        series_uid=series_uid,
        study_uid=next((instance.study_uid for instance in instances if instance.study_uid), ""),
        modality="+".join(sorted({instance.modality for instance in instances if instance.modality})),
        instances=tuple(instances),
        closed_because=because,
        revision=revision,
        let_go=let_go,
    )


def _when(closing: tuple[int, ClosedBecause]) -> int:
    return closing[0]
