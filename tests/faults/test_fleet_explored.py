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

from edge.fleet.boot import choose_from, failed_from
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
TIMINGS = ("expires", "not_before", "deadline", "window", "validate", "quick")
scopes = st.sampled_from(SCOPES)


def timed(what: str, later: str) -> dict[str, Any]:
    """What a document says of when."""
    given: dict[str, dict[str, Any]] = {
        "expires": {"expires": later},
        "not_before": {"not_before": later},
        "deadline": {"apply": {"deadline": later}},
        "window": {"apply": {"mode": "window", "window": "02:00-04:00"}},
        "validate": {"apply": {"mode": "validate"}},
        "quick": {"apply": {"confirm_s": 1.0, "probe": []}},
    }
    return given.get(what, {})


class Device(RuleBasedStateMachine):
    """One device, its fleet, and everything that can go wrong between them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.begun_ns = self.clock.utc_ns()
        self.memory = CutMemory()
        self.faults = Faults()
        self.sent: list[tuple[str, bytes]] = []
        self.versions: dict[str, int] = defaultdict(int)
        self.floors: dict[str, int] = defaultdict(int)
        self.committed: dict[str, int] = defaultdict(int)
        self.proven: set[str] = set()
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
                while boot.wanted is not None and "load" in boot.wanted.config.values():
                    boot = failed_from(self.memory, "cannot be loaded", after=boot, clock=self.clock)
                return Life(self.memory, self.clock, boot=boot, groups=GROUPS, faults=self.faults)
            except ProcessEnded:
                continue

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
        wrong=st.sampled_from(("", "", "", *WRONG, *SURPRISES)),
        base_ago=st.integers(0, 2),
        timing=st.sampled_from(("", "", "", *TIMINGS)),
        is_delivered=st.booleans(),
    )
    def issue(self, scope: str, wrong: str, base_ago: int, timing: str, is_delivered: bool) -> None:
        version = self.versions[scope] = self.versions[scope] + 1
        config = {scope: version, f"fault_{scope}": wrong}
        given = {"issued": moment(self.clock), **timed(timing, moment(self.clock, in_s=30))}
        payload = desired(version, scope=scope, base=max(0, version - 1 - base_ago), config=config, **given)
        self.sent.append((scope, payload))
        if is_delivered:
            self.deliver_it(-1)

    @rule(which=st.integers(0, 30))
    def deliver(self, which: int) -> None:
        if self.sent:
            self.deliver_it(-1 - which % len(self.sent))

    def deliver_it(self, place: int) -> None:
        scope, payload = self.sent[place]
        self.live(lambda: self.life.offer(payload, scope))

    @rule(scope=scopes, key=st.sampled_from(("fleet-2026", "stranger")), by=st.integers(-1, 1))
    def forge(self, scope: str, key: str, by: int) -> None:
        """Another operator with the same version, a stranger with any."""
        version = max(1, self.versions[scope] + (by if key == "stranger" else 0))
        self.versions[scope] = max(self.versions[scope], 1)
        payload = signed(document(version, scope=scope, config={scope: "other"}), key=key)
        self.live(lambda: self.life.offer(payload, scope))

    @rule(scope=scopes, payload=st.sampled_from((b"", b"{", b"[" * 70_000, b'{"version": 99}')))
    def babble(self, scope: str, payload: bytes) -> None:
        self.live(lambda: self.life.offer(payload, scope))

    # ── the device and its surroundings ───────────────────────────────────────────────────────────────────

    @rule(steps=st.integers(1, 12))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.live(self.step)

    @rule(seconds=st.sampled_from((1, 60, 700, 90_000)))
    def go_on_for(self, seconds: int) -> None:
        until_ns = self.clock.utc_ns() + seconds * 10**9
        for _ in range(300):
            if self.clock.utc_ns() < until_ns:
                self.live(self.step)

    def step(self) -> None:
        self.clock.advance(self.life.machine.step())

    @rule()
    def cut_power(self) -> None:
        self.live(self.end_it)

    def end_it(self) -> None:
        raise ProcessEnded

    @rule(in_writes=st.integers(0, 6), after=st.booleans())
    def cut_power_soon(self, in_writes: int, after: bool) -> None:
        self.memory.cut(in_writes=in_writes, after=after)

    @rule(method=st.sampled_from(METHODS))
    def cut_power_in(self, method: str) -> None:
        self.faults.ends_in = method

    @rule(seconds=st.sampled_from((-(10**8), -4000, 1, 4000)))
    def jump(self, seconds: int) -> None:
        self.clock.jump_utc(seconds)

    @rule(polls=st.sampled_from((0, 0, 3, FOR_EVER)), is_stubborn=st.booleans())
    def slow(self, polls: int, is_stubborn: bool) -> None:
        self.faults.polls, self.faults.is_stubborn = polls, is_stubborn

    @rule(unsafe=st.sampled_from(("", "", "an association is open", "a case is running")))
    def use(self, unsafe: str) -> None:
        self.faults.unsafe = unsafe

    @rule(wrong=st.sampled_from((frozenset(), frozenset({"probe"}), frozenset({"restore"}))))
    def break_it(self, wrong: frozenset[str]) -> None:
        self.faults.wrong = wrong

    @rule(is_full=st.booleans())
    def fill_disk(self, is_full: bool) -> None:
        self.memory.is_full = is_full

    # ── what must hold ────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def what_is_at_work_was_proven(self) -> None:
        ledger = self.memory.read()
        standing = ledger.standing()
        assert standing is None or standing.wanted.digest in self.proven
        if ledger.trial is None:
            assert self.life.device.config == ({} if standing is None else standing.wanted.config)

    @invariant()
    def one_at_a_time(self) -> None:
        ledger = self.memory.read()
        assert sum(attempt.is_begun for attempt in ledger.attempts) <= 1
        waiting = [attempt.scope for attempt in ledger.attempts if not attempt.is_begun]
        assert len(waiting) == len(set(waiting))

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
        newest_ns = max(self.clock.utc_ns(), self.begun_ns + 86_400 * 10**9)
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
    run_state_machine_as_test(Device, settings=settings(max_examples=60, stateful_step_count=30))


@pytest.mark.proof
def test_no_way_is_found_by_a_long_search() -> None:
    run_state_machine_as_test(Device, settings=settings(max_examples=3000, stateful_step_count=60))
