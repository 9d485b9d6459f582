"""The course of the one version that is worked on: planned, staged, waiting, applying, probing, and back.

Every step may be the last one of this process: what follows is written down before it is done, and a step
that could not write is simply taken again.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.domain.errors import DocumentRefusedError, JournalError
from edge.domain.ports import Clock
from edge.fleet.book import Book
from edge.fleet.careful import CarefulDevice
from edge.fleet.documents import Apply, Desired, Document, GroupLayer
from edge.fleet.layers import merge
from edge.fleet.ledger import Attempt, Kept, Refusal
from edge.fleet.ports import WAITS_FOR, Device, Job, Plan, Wanted
from edge.fleet.timing import LIMITS_S, S_NS, limit_s, moment_ns, window_in_s
from edge.fleet.words import CASE, State
from edge.kit.moments import told

JOB_POLL_MIN_S, JOB_POLL_MAX_S = 0.05, 1.0  # a tenth of the time it has taken so far, between these
SAFE_POINT_POLL_S: Final = 1.0
WINDOW_POLL_S: Final = 30.0
PROBE_PAUSE_S: Final = 2.0
LET_GO_S: Final = 60.0  # a job that was cancelled is waited for so long
BACK_S: Final = 120.0  # so long it may take to bring back what was at work; then the process begins anew
_CHANGES_TOLD: Final = 8


@dataclass(slots=True)
class _Live:
    """What this process knows of the attempt beside what is written down."""

    plan: Plan
    is_booted: bool
    since_ns: int
    entered_ns: int = 0
    job: Job | None = None
    again_ns: int = 0
    failure: Refusal | None = None
    waits_for: str = ""
    back: Refusal | None = None
    restoring: Job | None = None


class Course:
    """Takes the attempt that is begun one step further, whenever it is asked to."""

    def __init__(self, book: Book, device: Device, *, clock: Clock, zone: datetime.tzinfo | None) -> None:
        self._book = book
        self._device = CarefulDevice(device)
        self._clock = clock
        self._zone = zone
        self._live: _Live | None = None
        self._prepared: tuple[str, int] | None = None
        self._leaving: list[tuple[Plan, Job, int]] = []
        self._steps: Mapping[State, Callable[[Attempt, _Live], float]] = {
            State.PLANNED: self._stage,
            State.STAGED: self._queue_up,
            State.WAITING: self._wait,
            State.APPLYING: self._apply,
            State.PROBING: self._probe,
        }

    # ── before and after ──────────────────────────────────────────────────────────────────────────────────

    def begin(self, attempt: Attempt) -> float:
        """Plan a verified version; it is then the one that is begun, or has come to its end.

        A dry run disturbs nothing, and may be tried out while another version is under way.
        """
        is_dry = self._book.is_dry(attempt)
        if not is_dry:
            self._live = None
        attempt = self._counted(attempt)
        try:
            plan = self._device.plan(self.wish(attempt))
        except DocumentRefusedError as refusal:
            self._book.end(attempt, State.REJECTED, _refusal(refusal))
            return 0.0
        if is_dry:
            self._book.end(attempt, State.REJECTED, Refusal("ok", f"only validated, as asked: {_told(plan)}"))
            return 0.0
        self._book.move(attempt, State.PLANNED, wanted=plan.wanted, message=_told(plan))
        self._live = _Live(plan, is_booted=False, since_ns=self._clock.monotonic_ns())
        return 0.0

    def _counted(self, attempt: Attempt) -> Attempt:
        """Write down, once in each process, that it is prepared: what ends every one is given up at last."""
        which = (attempt.scope, attempt.version)
        if which == self._prepared:
            return attempt
        counted = dataclasses.replace(attempt, finds=attempt.finds + 1)
        self._book.write(self._book.ledger.swapped(attempt, counted))
        self._prepared = which
        return counted

    def step(self, attempt: Attempt) -> float:
        """Go on with the attempt that is begun; at most one transition.

        Returns:
            Seconds until it wants to be asked again.

        Raises:
            JournalError: It could not be written down; asked again, it does the same.
        """
        live = self._live or self._adopt(attempt)
        if attempt.back or live.back:
            return self._go_back(attempt, live)
        why = None if attempt.state.is_trial else self.lateness(attempt)
        if why is not None:
            self._book.end(attempt, State.REJECTED, why)
            self.drop()
            return 0.0
        return self._steps[attempt.state](attempt, live)

    def drop(self) -> None:
        """Let go of what was prepared: the attempt comes to nothing."""
        if self._live is None:
            return
        if self._live.job is not None:
            self._live.job.cancel()
            until_ns = self._clock.monotonic_ns() + round(LET_GO_S * S_NS)
            self._leaving.append((self._live.plan, self._live.job, until_ns))
        else:
            self._device.discard(self._live.plan)
        self._live = None

    def forget_superseded(self) -> None:
        """Let go of what was prepared, where a newer version took its place."""
        if self._book.ledger.begun is None:
            self.drop()

    def is_clear(self) -> bool:
        """Whether nothing of an earlier attempt is still being done."""
        now_ns = self._clock.monotonic_ns()
        over = [leaving for leaving in self._leaving if leaving[1].done() or leaving[2] <= now_ns]
        self._leaving = [leaving for leaving in self._leaving if leaving not in over]
        for plan, _, _ in over:
            self._device.discard(plan)
        return not self._leaving

    def doing(self) -> Mapping[str, Any]:
        """Return what is being done, for people; safe to ask from any thread."""
        live = self._live
        job = None if live is None else live.restoring or live.job
        said = {} if job is None else job.progress()
        return {name: value for name, value in said.items() if name != WAITS_FOR}

    def waits_for(self) -> str:
        """Return what the version waits for, "" where it does not; safe to ask from any thread."""
        live = self._live
        return "" if live is None else live.waits_for

    def wish(self, attempt: Attempt) -> Wanted:
        """Return all documents together, with the one of the attempt in the place of an earlier one.

        Raises:
            DocumentRefusedError: One of them cannot be read any more.
        """
        committed = self._book.ledger.committed
        kept = dict(committed.documents) if committed else {}
        kept[attempt.scope] = Kept(attempt.version, attempt.payload)
        documents = [self._book.document(scope, one.payload) for scope, one in kept.items() if one.payload]
        return merged(documents)

    def lateness(self, attempt: Attempt) -> Refusal | None:
        """Return why a version that is not yet applied is given up, or None."""
        document, now_ns = self._book.document_of(attempt), self._clock.utc_ns()
        if document is not None and document.expires and moment_ns(document.expires) <= self._book.bound_ns():
            return Refusal(
                "expired", f"expires: was {document.expires}, before it could be applied", "expires"
            )
        deadline = document.apply.deadline if document else None
        if deadline is not None and moment_ns(deadline) <= now_ns:
            return Refusal(
                "timeout", f"apply.deadline: was {deadline}, before it could be applied", "apply.deadline"
            )
        if attempt.deadline_utc_ns <= now_ns and attempt.state in (State.VERIFIED, State.WAITING):
            until = told(attempt.deadline_utc_ns)
            return Refusal("timeout", f"{attempt.state}: was waited for until {until}, and no longer")
        return None

    # ── the states ────────────────────────────────────────────────────────────────────────────────────────

    def _stage(self, attempt: Attempt, live: _Live) -> float:
        if live.job is None:
            live.job = self._device.stage(live.plan)
        if not live.job.done():
            if self._is_over(attempt, live):
                why = Refusal("timeout", f"not fetched and admitted within {_limit(attempt)}")
                self._book.end(attempt, State.REJECTED, why)
                self.drop()
                return 0.0
            return self._poll_s(live)
        try:
            live.job.result()
        except DocumentRefusedError as refusal:
            self._book.end(attempt, State.REJECTED, _refusal(refusal))
            self.drop()
            return 0.0
        return self._enter(attempt, live, State.STAGED)

    def _queue_up(self, attempt: Attempt, live: _Live) -> float:
        return self._enter(attempt, live, State.WAITING)

    def _wait(self, attempt: Attempt, live: _Live) -> float:
        apply = self._book.apply_of(attempt)
        live.waits_for, again_s = self._hindrance(apply, live.plan)
        if live.waits_for and self._is_over(attempt, live):  # also where the clock stands still
            self._book.end(attempt, State.REJECTED, Refusal("timeout", f"waited too long: {live.waits_for}"))
            self.drop()
        if live.waits_for:
            return again_s
        return self._enter(attempt, live, State.APPLYING)

    def _hindrance(self, apply: Apply, plan: Plan) -> tuple[str, float]:
        """Return why nothing may be changed now, "" where it may, and when to look again."""
        if not plan.changes:
            return "", 0.0
        opens_in_s = self._window_in_s(apply)
        if apply.mode == "window" and opens_in_s:
            return f"the window {apply.window}", min(opens_in_s, WINDOW_POLL_S)
        unsafe = self._device.unsafe()
        if apply.mode == "safe_point" and opens_in_s == 0 and not unsafe.startswith(CASE):
            return "", 0.0
        return unsafe, SAFE_POINT_POLL_S

    def _window_in_s(self, apply: Apply) -> float | None:
        """Return in how many seconds the window opens, None without one; by a wrong clock none is open."""
        if apply.window is None:
            return None
        if self._book.clock_trouble():
            return WINDOW_POLL_S
        return window_in_s(apply.window, self._clock.utc_ns(), self._zone)

    def _apply(self, attempt: Attempt, live: _Live) -> float:
        if live.is_booted:  # the process began with it
            return self._enter_probing(attempt, live)
        if live.job is None:
            live.job = self._device.apply(live.plan)
        if not live.job.done():
            return self._await_applied(attempt, live, live.job)
        try:
            live.job.result()
        except DocumentRefusedError as refusal:
            return self._decide_back(attempt, live, _refusal(refusal))
        return self._enter_probing(attempt, live)

    def _await_applied(self, attempt: Attempt, live: _Live, job: Job) -> float:
        """Look how far applying is; its time runs from when it waits for nothing any more."""
        live.waits_for = str(job.progress().get(WAITS_FOR, ""))
        if live.waits_for:
            live.since_ns = self._clock.monotonic_ns()
            if self._has_waited(attempt, live):
                why = Refusal("timeout", f"waited too long: {live.waits_for}")
                return self._decide_back(attempt, live, why)
            return SAFE_POINT_POLL_S
        if self._is_over(attempt, live):
            why = Refusal("timeout", f"not applied within {_limit(attempt)}")
            return self._decide_back(attempt, live, why)
        return self._poll_s(live)

    def _has_waited(self, attempt: Attempt, live: _Live) -> bool:
        """Whether it may wait no longer, counted from when it first waited; also where the clock stands."""
        lasted_s = (self._clock.monotonic_ns() - live.entered_ns) / S_NS
        until_ns = attempt.waits_until_utc_ns
        return lasted_s >= LIMITS_S[State.WAITING] or 0 < until_ns <= self._clock.utc_ns()

    def _enter_probing(self, attempt: Attempt, live: _Live) -> float:
        """Have what is applied be tried; what cannot be written down stays at work unproven for its time."""
        try:
            return self._enter(attempt, live, State.PROBING)
        except JournalError as trouble:
            if not self._is_over(attempt, live):
                raise
            why = Refusal(
                "timeout", f"not written down within {_limit(attempt)} that it is applied: {trouble}"
            )
            return self._decide_back(attempt, live, why)

    def _probe(self, attempt: Attempt, live: _Live) -> float:
        apply = self._book.apply_of(attempt)
        now_ns = self._clock.monotonic_ns()
        is_over = now_ns - live.since_ns >= limit_s(State.PROBING, apply) * S_NS
        if live.job is not None and live.job.done():
            try:
                live.job.result()
            except DocumentRefusedError as refusal:
                live.failure = Refusal("probe", str(refusal), refusal.path)
                live.job, live.again_ns = None, now_ns + round(PROBE_PAUSE_S * S_NS)
            else:
                self._book.commit(attempt)
                self._live = None
                return 0.0
        if is_over:
            slow = Refusal("timeout", f"no answer to the probes within {apply.confirm_s:g} s")
            return self._decide_back(attempt, live, live.failure or slow)
        if live.job is None and now_ns >= live.again_ns:
            live.job = self._device.probe(live.plan, apply.probe)
        return self._poll_s(live)

    # ── the way back ──────────────────────────────────────────────────────────────────────────────────────

    def _decide_back(self, attempt: Attempt, live: _Live, why: Refusal) -> float:
        """Write down that it goes back, so that no start tries it again; going back waits for no disk."""
        live.back, live.since_ns, live.waits_for = why, self._clock.monotonic_ns(), ""
        if live.job is not None:
            live.job.cancel()
        decided = dataclasses.replace(attempt, back=why)
        self._book.write(self._book.ledger.swapped(attempt, decided))
        return 0.0

    def _go_back(self, attempt: Attempt, live: _Live) -> float:
        """Bring back what was at work; where this process cannot do that, the next one begins with it.

        Raises:
            AssertionError: It cannot be: the process ends, and starts with what was proven.
        """
        why = live.back or attempt.back
        assert why is not None, "asked only on the way back"
        what = f"what was at work before {attempt.scope} version {attempt.version} is not back"
        if live.restoring is None and (live.job is None or live.job.done()):
            live.restoring = self._restore(live)
        if live.restoring is None or not live.restoring.done():
            took_s = (self._clock.monotonic_ns() - live.since_ns) / S_NS
            assert took_s < BACK_S, f"{what} within {BACK_S:g} s, after: {why.message}"
            return self._poll_s(live)
        trouble = _trouble_of(live.restoring)
        assert not trouble, f"{what}: {trouble}"
        self._book.end(attempt, State.ROLLED_BACK, why)
        self._live = None
        return 0.0

    def _restore(self, live: _Live) -> Job:
        if not live.is_booted:
            return self._device.restore(live.plan)
        standing = self._book.ledger.standing()  # this process began with the trial, and knows nothing else
        try:
            return self._device.apply(self._device.plan(standing.wanted if standing else merged([])))
        except DocumentRefusedError as refusal:
            raise AssertionError(f"what was proven is not back: it cannot be planned: {refusal}") from refusal

    # ── small things ──────────────────────────────────────────────────────────────────────────────────────

    def _adopt(self, attempt: Attempt) -> _Live:
        """Go on with a trial that this process began with."""
        assert attempt.state.is_trial, f"{attempt.state} is begun anew at a start"
        assert attempt.wanted is not None, "planned before it was tried"
        back = None
        try:
            plan = self._device.plan(attempt.wanted)
        except DocumentRefusedError as refusal:
            plan, back = Plan(wanted=attempt.wanted, changes=()), _refusal(refusal)
        now_ns = self._clock.monotonic_ns()
        self._live = _Live(plan, is_booted=True, since_ns=now_ns, back=back)
        return self._live

    def _enter(self, attempt: Attempt, live: _Live, state: State) -> float:
        self._book.move(attempt, state)
        live.job, live.since_ns, live.waits_for = None, self._clock.monotonic_ns(), ""
        live.entered_ns = live.since_ns
        return 0.0

    def _poll_s(self, live: _Live) -> float:
        took_s = (self._clock.monotonic_ns() - live.since_ns) / S_NS
        return min(max(took_s / 10, JOB_POLL_MIN_S), JOB_POLL_MAX_S)

    def _is_over(self, attempt: Attempt, live: _Live) -> bool:
        lasted_ns = self._clock.monotonic_ns() - live.since_ns
        return lasted_ns >= limit_s(attempt.state, self._book.apply_of(attempt)) * S_NS


def merged(documents: list[Document]) -> Wanted:
    """Return what documents ask together."""
    layers = [document for document in documents if isinstance(document, GroupLayer)]
    own = next((document for document in documents if isinstance(document, Desired)), None)
    return merge(layers, own)


def _refusal(refusal: DocumentRefusedError) -> Refusal:
    return Refusal(refusal.code, str(refusal), refusal.path)


def _trouble_of(job: Job) -> str:
    try:
        job.result()
    except DocumentRefusedError as refusal:
        return str(refusal)
    return ""


def _limit(attempt: Attempt) -> str:
    return f"{(attempt.deadline_utc_ns - attempt.entered_utc_ns) / S_NS:g} s"


def _told(plan: Plan) -> str:
    """Say what a plan changes, for people."""
    paths = [f"{change.path} ({change.restart})" for change in plan.changes]
    more = f" and {len(paths) - _CHANGES_TOLD} more" if len(paths) > _CHANGES_TOLD else ""
    return f"changes {', '.join(paths[:_CHANGES_TOLD])}{more}" if paths else "changes nothing"
