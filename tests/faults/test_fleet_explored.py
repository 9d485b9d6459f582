"""Hypothesis looks for a way to leave a device without a configuration that works: it must find none.

The power is cut before and after any write and in any call to the device; documents come twice, late, in any
order, forged, for several scopes; jobs are slow, hang, fail, lie and do half of what they say; the clock
jumps; the disk is full.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from edge.fleet.boot import Boot, choose_from, failed_from
from edge.fleet.words import State
from tests.builders.fleet import Life, desired, document, moment, signed
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_device import FOR_EVER, Faults, ProcessEnded
from tests.fakes.fleet_memory import CutMemory

SCOPES = ("device", "group/theatre", "group/site")
GROUPS = ("theatre", "site")
WRONG = ("plan", "stage", "apply", "half", "lie", "probe", "process", "load")
SURPRISES = tuple(f"surprise in {what}" for what in ("plan", "stage", "apply", "probe"))
METHODS = ("plan", "stage", "apply", "probe", "restore", "discard")
FOLLOWS: dict[State | None, set[State]] = {
    None: {State.VERIFIED},
    State.VERIFIED: {State.PLANNED, State.REJECTED, State.SUPERSEDED},
    State.PLANNED: {State.STAGED, State.REJECTED, State.SUPERSEDED, State.VERIFIED},
    State.STAGED: {State.WAITING, State.REJECTED, State.SUPERSEDED, State.VERIFIED},
    State.WAITING: {State.APPLYING, State.REJECTED, State.SUPERSEDED, State.VERIFIED},
    State.APPLYING: {State.PROBING, State.ROLLED_BACK},
    State.PROBING: {State.COMMITTED, State.ROLLED_BACK},
}
REFUSALS = ("bad_signature", "conflict", "schema", "superseded")  # of what was never accepted
TIMINGS = ("expires", "not_before", "deadline", "window", "validate", "quick", "ahead")
NEVER = "9999-12-31T23:59:59-14:00"
scopes = st.sampled_from(SCOPES)


def timed(what: str, later: str) -> dict[str, Any]:
    """What a document says of when."""
    given: dict[str, dict[str, Any]] = {
        "expires": {"expires": later},
        "not_before": {"not_before": later},
        "deadline": {"apply": {"deadline": later}},
        "window": {"apply": {"mode": "window", "window": "02:00-04:00"}},
        "validate": {"apply": {"mode": "validate"}},
        "quick": {"apply": {"confirm_s": 1.0, "probe": ["engine"]}},
    }
    return given.get(what, {})


class Device(RuleBasedStateMachine):
    """One device, its fleet, and everything that can go wrong between them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.newest_ns = self.clock.utc_ns() + 86_400 * 10**9
        self.memory = CutMemory()
        self.faults = Faults()
        self.sent: list[tuple[str, bytes]] = []
        self.versions: dict[str, int] = defaultdict(int)
        self.floors: dict[str, int] = defaultdict(int)
        self.committed: dict[str, int] = defaultdict(int)
        self.proven: set[str] = set()
        self.trials: set[tuple[str, int]] = set()
        self.seen_entries = 0
        self.state_of: dict[tuple[str, int], State] = {}
        self.life = self.begin()

    # ── lives ─────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> Life:
        """Start until a start is not cut off itself; the clock that measures begins anew with each."""
        while True:
            self.clock = FakeClock(utc_ns=self.clock.utc_ns())
            self.faults.ends_in = ""
            try:
                boot = choose_from(self.memory, clock=self.clock)
                self.count_trial(boot)
                while boot.wanted is not None and "load" in boot.wanted.config.values():
                    boot = failed_from(self.memory, "cannot be loaded", after=boot, clock=self.clock)
                return Life(self.memory, self.clock, boot=boot, groups=GROUPS, faults=self.faults)
            except ProcessEnded:
                continue

    def count_trial(self, boot: Boot) -> None:
        """Fail where a start begins with a trial that another had begun with."""
        trial = self.memory.read().trial
        if boot.is_trial and trial is not None:
            assert (trial.scope, trial.version) not in self.trials
            self.trials.add((trial.scope, trial.version))

    def live(self, work: Any) -> None:
        """Do something in the process; where it ends, another begins."""
        self.proven |= set(self.life.device.proven)
        try:
            work()
        except (ProcessEnded, AssertionError) as end:
            if isinstance(end, AssertionError) and "is not back" not in str(end):
                raise
            self.proven |= set(self.life.device.proven)
            self.life = self.begin()
        self.proven |= set(self.life.device.proven)

    # ── the fleet ─────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        scope=scopes,
        wrong=st.sampled_from(("", "", *WRONG, *SURPRISES)),
        base_ago=st.sampled_from((0, 0, 0, 1, 2)),
        timing=st.sampled_from(("", "", "", "", *TIMINGS)),
        is_delivered=st.sampled_from((True, True, True, False)),
    )
    def issue(self, scope: str, wrong: str, base_ago: int, timing: str, is_delivered: bool) -> None:
        version = self.versions[scope] = self.versions[scope] + 1
        config = {scope: version, f"fault_{scope}": wrong}
        issued = moment(self.clock, in_s=10**7 if timing == "ahead" else 0)
        given = {"issued": issued, **timed(timing, moment(self.clock, in_s=30))}
        payload = desired(version, scope=scope, base=max(0, version - 1 - base_ago), config=config, **given)
        self.sent.append((scope, payload))
        if is_delivered:
            self.deliver(scope, payload)

    @rule(
        scope=scopes,
        how=st.sampled_from(("again", "again", "conflict", "stranger", "never", "babble")),
        which=st.integers(0, 30),
    )
    def babble(self, scope: str, how: str, which: int) -> None:
        """Say something again, late; or what another operator, a stranger or nobody in their senses says."""
        version = max(1, self.versions[scope] + (which % 3 - 1 if how == "stranger" else 0))
        key = "stranger" if how == "stranger" else "fleet-2026"
        if how == "again" and self.sent:
            self.deliver(*self.sent[which % len(self.sent)])
        elif how == "babble":
            self.deliver(scope, (b"", b"{", b"[" * 70_000, b'{"version": 99}')[which % 4])
        elif how != "again":
            self.versions[scope] = max(self.versions[scope], 1)
            when = {"issued": NEVER, "expires": NEVER} if how == "never" else {}
            other = document(version + (how == "never"), scope=scope, config={scope: "other"}, **when)
            self.deliver(scope, signed(other, key=key))

    def deliver(self, scope: str, payload: bytes) -> None:
        self.live(lambda: self.life.offer(payload, scope))

    # ── the device and its surroundings ───────────────────────────────────────────────────────────────────

    @rule(steps=st.integers(1, 12))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.live(self.step)

    @rule(seconds=st.sampled_from((5, 150, 700, 90_000)))
    def let_time_pass(self, seconds: int) -> None:
        for _ in range(100):
            self.live(self.step)
            self.clock.advance(seconds / 100)

    def step(self) -> None:
        self.clock.advance(self.life.machine.step())

    @rule(
        how=st.sampled_from(("now", "soon", "soon", "in")),
        writes=st.integers(0, 8),
        after=st.booleans(),
        method=st.sampled_from(METHODS),
    )
    def cut_power(self, how: str, writes: int, after: bool, method: str) -> None:
        """End the process: at once, before or after a write to come, or in a call to the device."""
        if how == "now":
            self.live(self.end_it)
        elif how == "soon":
            self.memory.cut(in_writes=writes, after=after)
        else:
            self.faults.ends_in = method

    def end_it(self) -> None:
        raise ProcessEnded

    @rule(
        polls=st.sampled_from((0, 0, 0, 3, FOR_EVER)),
        is_stubborn=st.booleans(),
        unsafe=st.sampled_from(("", "", "", "an association is open", "a case is running")),
        wrong=st.sampled_from(("", "", "", "probe", "restore", "apply")),
        is_full=st.sampled_from((False, False, False, True)),
        jump_s=st.sampled_from((0, 0, 0, -(10**8), -4000, 4000)),
    )
    def disturb(
        self, polls: int, is_stubborn: bool, unsafe: str, wrong: str, is_full: bool, jump_s: int
    ) -> None:
        self.faults.polls, self.faults.is_stubborn, self.faults.unsafe = polls, is_stubborn, unsafe
        self.faults.wrong = frozenset({wrong})
        self.memory.is_full = is_full
        self.newest_ns = max(self.newest_ns, self.clock.utc_ns())
        self.clock.jump_utc(jump_s)

    # ── what must hold ────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def what_is_at_work_was_proven(self) -> None:
        ledger = self.life.machine._book.ledger
        standing = ledger.standing()
        assert standing is None or standing.wanted.digest in self.proven
        if ledger.trial is None:
            assert self.life.device.config == ({} if standing is None else standing.wanted.config)

    @invariant()
    def one_at_a_time(self) -> None:
        ledger = self.memory.read()
        assert sum(attempt.is_begun for attempt in ledger.attempts) <= 1
        is_dry = self.life.machine._book.is_dry
        waiting = [(one.scope, is_dry(one)) for one in ledger.attempts if not one.is_begun]
        assert len(waiting) == len(set(waiting))
        assert not any(is_dry(attempt) for attempt in ledger.attempts if attempt.is_begun)

    @invariant()
    def no_forgery_hides_what_is_known(self) -> None:
        for scope in self.life.machine.snapshot().scopes.values():
            assert scope.latest is None or (scope.said is not None and scope.said.code != "bad_signature")

    @invariant()
    def no_document_poisons_the_clock(self) -> None:
        present_ns = max(self.newest_ns, self.clock.utc_ns())
        assert self.memory.read().newest_issued_ns <= present_ns + 600 * 10**9

    @invariant()
    def floors_never_sink(self) -> None:
        ledger = self.memory.read()
        for scope, floor in ledger.floors.items():
            assert floor.version >= self.floors[scope]
            self.floors[scope] = floor.version
        if ledger.committed is not None:
            for scope, kept in ledger.committed.documents.items():
                assert kept.version >= self.committed[scope]
                self.committed[scope] = kept.version

    @invariant()
    def every_state_follows_from_the_one_before(self) -> None:
        for entry in self.memory.entries[self.seen_entries :]:
            self.follow(entry.scope, entry.version, entry.state, entry.code)
        self.seen_entries = len(self.memory.entries)

    def follow(self, scope: str, version: int, state: State, code: str) -> None:
        before = self.state_of.get((scope, version))
        is_refused = code in REFUSALS or (code == "expired" and (before is None or before.is_end))
        if state is State.RECEIVED or (state is State.REJECTED and is_refused):
            return
        assert state in FOLLOWS.get(before, set()), f"{scope} {version}: {before} → {state}"
        self.state_of[scope, version] = state

    def teardown(self) -> None:
        """In quiet times everything comes to an end, and a good document is taken."""
        self.memory.is_full = False
        self.memory.uncut()
        for name in ("polls", "is_stubborn", "unsafe", "ends_in", "wrong"):
            setattr(self.faults, name, getattr(Faults(), name))
        newest_ns = max(self.clock.utc_ns(), self.newest_ns)
        self.clock.jump_utc((newest_ns - self.clock.utc_ns()) / 1e9)
        self.settle()
        self.what_is_at_work_was_proven()
        self.every_state_follows_from_the_one_before()
        assert all(state.is_end for state in self.state_of.values())
        for scope in SCOPES:
            version = self.versions[scope] + 100
            self.life.offer(desired(version, scope=scope, base=version - 1, issued=moment(self.clock)), scope)
        self.settle()
        assert self.life.device.config == {scope: self.versions[scope] + 100 for scope in SCOPES}
        assert self.life.device.staged == []

    def settle(self) -> None:
        """Let time pass until nothing is under way; after the longest that anything may take, fail."""
        for _ in range(20_000):
            for _ in range(20):
                self.live(self.step)
            if not self.memory.read().attempts:
                return
            self.clock.advance(60)
        raise AssertionError(f"still under way: {self.memory.read().attempts}")


def test_no_way_is_found_to_leave_a_device_without_a_configuration_that_works() -> None:
    run_state_machine_as_test(Device, settings=settings(max_examples=100, stateful_step_count=30))


@pytest.mark.proof
def test_no_way_is_found_by_a_long_search() -> None:
    run_state_machine_as_test(Device, settings=settings(max_examples=3000, stateful_step_count=50))
