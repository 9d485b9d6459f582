"""What becomes of one version, from its arrival to its end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from edge.fleet.course import BACK_S
from edge.fleet.memory import RamMemory
from edge.fleet.ports import Plan, Wanted
from edge.fleet.recovery import FINDS_MAX
from edge.fleet.words import Restart, State
from tests.builders.fleet import Life, desired, document, faulty, moment, signed
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_device import FOR_EVER, Faults, ProcessEnded
from tests.fakes.fleet_memory import CutMemory

COURSE = ["received", "verified", "planned", "staged", "waiting", "applying", "probing", "committed"]
DAY_S = 86_400


@pytest.fixture
def life(clock: FakeClock) -> Life:
    return Life(RamMemory(), clock, groups=["theatre", "site"])


def committed(life: Life, version: int = 1) -> Life:
    """A device on which a version is at work; nothing of its past is told any more."""
    life.offer(desired(version))
    life.run()
    assert life.last() == ("committed", version, "ok")
    life.told.clear()
    return life


# ── the course ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_version_goes_through_every_state_and_is_at_work(life: Life) -> None:
    life.offer(desired(1))
    life.run()
    assert life.states() == COURSE
    assert life.device.config == {"device": 1}
    own = life.machine.snapshot().own
    assert (own.accepted_version, own.applied_version, own.previous_version) == (1, 1, 0)
    assert own.said == life.told[-1]


def test_every_state_but_an_end_has_a_deadline(life: Life) -> None:
    life.offer(desired(1))
    life.run()
    limits_s = {
        entry.state.value: (entry.deadline_utc_ns - entry.at_utc_ns) / 1e9
        for entry in life.told
        if entry.deadline_utc_ns is not None
    }
    assert list(limits_s) == COURSE[:-1]
    assert limits_s["probing"] == 120
    assert all(limit_s > 0 for limit_s in limits_s.values())


def test_each_step_makes_at_most_one_transition(life: Life) -> None:
    life.offer(desired(1))
    told = [len(life.told)]
    for _ in range(20):
        life.clock.advance(life.machine.step())
        told.append(len(life.told))
    assert max(after - before for before, after in pairwise(told)) == 1
    assert life.states() == COURSE


def test_what_a_roll_out_it_belongs_to_is_told_with_every_state(life: Life) -> None:
    life.offer(desired(1, rollout={"id": "r-1", "ring": 2}))
    life.run()
    rings = {(entry.rollout.id, entry.rollout.ring) for entry in life.told[1:] if entry.rollout}
    assert rings == {("r-1", 2)}


def test_what_changes_nothing_waits_for_nobody(life: Life) -> None:
    committed(life)
    life.device.faults.unsafe = "a case is running"
    life.offer(desired(2, config={"device": 1}))
    life.run()
    assert life.last() == ("committed", 2, "ok")


def test_a_dry_run_says_what_would_change_and_changes_nothing(life: Life) -> None:
    committed(life)
    life.offer(desired(2, apply={"mode": "validate"}))
    life.run()
    assert life.last() == ("rejected", 2, "ok")
    assert "device (hot)" in life.told[-1].message
    assert life.device.config == {"device": 1}
    assert life.device.calls[-1] == "plan"


@pytest.mark.parametrize("state", ["verified", "planned", "staged", "waiting"])
def test_a_dry_run_ends_no_change_that_is_on_its_way(life: Life, state: str) -> None:
    life.device.faults.polls, life.device.faults.unsafe = 3, "an association is open"
    life.offer(desired(1))
    life.run_to(state)
    for version in (2, 3):
        life.offer(desired(version, apply={"mode": "validate"}))
        life.run(for_s=5)
        assert [entry.code for entry in life.told if entry.version == version and entry.state.is_end] == [
            "ok"
        ]
    assert life.memory.read().begun is not None
    life.device.faults.unsafe = ""
    life.run()
    assert life.last() == ("committed", 1, "ok")
    assert life.device.calls.count("stage") == 1
    life.offer(desired(4))
    life.run()
    assert life.last() == ("committed", 4, "ok")


# ── what is believed ──────────────────────────────────────────────────────────────────────────────────────


def test_a_version_that_comes_again_is_not_taken_again(life: Life) -> None:
    committed(life)
    for _ in range(3):
        life.offer(desired(1))
        life.run()
    assert life.told == []
    assert life.machine.snapshot().own.applied_version == 1


def test_the_same_content_in_other_bytes_or_signed_anew_is_not_taken_again(life: Life) -> None:
    committed(life)
    life.offer(desired(1) + b" ")
    life.run()
    assert life.told == []
    life.offer(signed(document(1), key="stranger"))
    life.run()
    assert life.last() == ("rejected", 1, "bad_signature")


def test_an_old_document_never_comes_back(life: Life) -> None:
    committed(life, 7)
    life.offer(desired(6))
    life.run()
    assert life.last() == ("rejected", 6, "superseded")
    own = life.machine.snapshot().own
    assert own.said is not None
    assert (own.said.version, own.said.state) == (7, State.COMMITTED)
    assert own.refused == life.told[-1]


def test_two_writers_of_one_version_end_in_a_conflict(life: Life) -> None:
    committed(life, 2)
    life.offer(desired(2, config={"device": "other"}))
    life.run()
    assert life.last() == ("rejected", 2, "conflict")
    said = life.machine.snapshot().own.said
    assert said is not None
    assert said.code == "conflict"


def test_what_was_made_from_an_older_version_is_a_conflict(life: Life) -> None:
    committed(life, 5)
    life.offer(desired(6, base=4))
    life.run()
    assert life.last() == ("rejected", 6, "conflict")
    assert life.told[-1].path == "base"


def test_versions_that_were_missed_are_no_conflict(life: Life) -> None:
    committed(life, 5)
    life.offer(desired(9, base=8))
    life.run()
    assert life.last() == ("committed", 9, "ok")


def test_a_document_made_from_itself_is_none(life: Life) -> None:
    life.offer(desired(3, base=3))
    life.run()
    assert life.last() == ("rejected", 3, "schema")


@pytest.mark.parametrize(
    ("payload", "code", "version"),
    [
        (signed(document(1), key="stranger"), "bad_signature", 1),
        (desired(1).replace(b'"device": 1}', b'"device": 2}'), "bad_signature", 1),
        (signed(document(1, device="or-4")), "schema", 1),
        (signed(document(1, unknown=1)), "schema", 1),
        (signed(document(1, schema="edge.desired/2")), "unsupported", 1),
        (b"[" * 60_000, "schema", 0),
        (b" " * 65_537, "schema", 0),
        (b"\xff\xfe", "schema", 0),
    ],
)
def test_what_is_no_document_for_this_device_is_refused_and_leaves_no_floor(
    life: Life, payload: bytes, code: str, version: int
) -> None:
    life.offer(payload)
    life.run()
    assert life.last() == ("rejected", version, code)
    assert life.machine.snapshot().own.accepted_version == 0
    life.offer(payload)
    life.run()
    assert life.states() == ["received", "rejected"]
    committed(life)


def test_what_nobody_vouches_for_does_not_hide_where_the_device_is(life: Life) -> None:
    committed(life)
    life.offer(signed(document(9), key="stranger"))
    life.run()
    assert life.last() == ("rejected", 9, "bad_signature")
    own = life.machine.snapshot().own
    assert own.refused == life.told[-1]
    assert own.said is not None
    assert (own.said.version, own.said.state) == (1, State.COMMITTED)


def test_what_was_refused_is_over_when_the_broker_holds_again_what_was_accepted(life: Life) -> None:
    committed(life)
    life.offer(desired(1, config={"device": "other"}))
    life.run()
    assert life.machine.snapshot().own.said == life.told[-1]
    life.offer(desired(1, config={"device": "other"}))
    life.run()
    assert life.machine.snapshot().own.refused == life.told[-1]
    life.offer(desired(1))
    life.run()
    own = life.machine.snapshot().own
    assert (own.refused, own.said) == (None, own.latest)


def test_whoever_knows_no_key_is_not_told_what_else_is_wrong(life: Life) -> None:
    life.offer(signed(document(1, device="or-4"), key="stranger"))
    life.run()
    assert life.last() == ("rejected", 1, "bad_signature")


def test_a_document_that_the_broker_has_no_longer_changes_nothing(life: Life) -> None:
    committed(life)
    life.offer(b"")
    life.run()
    assert life.machine.snapshot().own.is_cleared
    assert life.told == []
    life.offer(desired(1))
    assert not life.machine.snapshot().own.is_cleared


def test_more_documents_than_are_held_at_once_are_looked_at_as_they_come(life: Life) -> None:
    for version in range(1, 60):
        life.offer(desired(version))
    life.run()
    assert life.last() == ("committed", 59, "ok")


def test_a_site_that_is_frozen_takes_nothing_and_takes_it_later(clock: FakeClock) -> None:
    memory = RamMemory()
    frozen = Life(memory, clock, frozen=True)
    frozen.offer(desired(1))
    frozen.run()
    assert frozen.last() == ("rejected", 1, "local_lock")
    assert frozen.told[-1].path == "fleet.frozen"
    assert frozen.machine.snapshot().is_frozen
    thawed = Life(memory, clock)
    thawed.offer(desired(1))
    thawed.run()
    assert thawed.last() == ("committed", 1, "ok")


def test_what_a_frozen_site_holds_is_given_up_in_its_time(clock: FakeClock) -> None:
    memory = RamMemory()
    times = {"not_before": moment(clock, in_s=3600), "expires": moment(clock, in_s=7200)}
    life = Life(memory, clock)
    life.offer(desired(1, **times))
    life.run()
    frozen = Life(memory, clock, frozen=True)
    frozen.run(for_s=7190)
    assert frozen.told == []
    frozen.run(for_s=70)
    assert frozen.last() == ("rejected", 1, "expired")


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_expired_document_is_refused_and_leaves_no_floor(life: Life) -> None:
    life.offer(desired(1, expires=moment(life.clock, in_s=-1)))
    life.run()
    assert life.last() == ("rejected", 1, "expired")
    committed(life)


def test_a_clock_that_went_back_revives_nothing_that_expired(life: Life) -> None:
    old = desired(2, expires=moment(life.clock, in_s=60))
    life.clock.advance(3600)
    life.offer(desired(1, scope="group/site", issued=moment(life.clock)), "group/site")
    life.run()
    life.clock.jump_utc(-100 * DAY_S)
    life.offer(old)
    life.run()
    assert life.last() == ("rejected", 2, "expired")


def test_a_clock_that_is_behind_is_told_and_hinders_nothing(life: Life) -> None:
    life.clock.jump_utc(-300 * DAY_S)
    committed(life)
    assert "one of the two clocks is wrong" in life.machine.snapshot().troubles["clock"]
    life.clock.jump_utc(300 * DAY_S)
    committed(life, 2)
    assert life.machine.snapshot().troubles == {}


def test_a_document_is_not_planned_before_its_time(life: Life) -> None:
    life.offer(desired(1, not_before=moment(life.clock, in_s=3600)))
    life.run(for_s=3590)
    assert life.states() == ["received", "verified"]
    life.run(for_s=20)
    assert life.last() == ("committed", 1, "ok")


def test_a_document_that_waits_for_its_time_holds_up_no_other_scope(life: Life) -> None:
    life.offer(desired(1, not_before=moment(life.clock, in_s=3600)))
    life.offer(desired(4, scope="group/site"), "group/site")
    life.run()
    assert life.last() == ("committed", 4, "ok")
    assert [attempt.scope for attempt in life.machine.snapshot().queued] == ["device"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"expires": 1800}, "expired"),
        ({"apply": {"deadline": 1800}}, "timeout"),
    ],
)
def test_what_is_not_applied_in_time_is_given_up(life: Life, given: dict[str, Any], code: str) -> None:
    life.device.faults.unsafe = "an association is open"
    life.offer(desired(1, **dated(given, life.clock)))
    life.run(for_s=1790)
    assert life.states()[-1] == "waiting"
    life.run(for_s=20)
    assert life.last() == ("rejected", 1, code)
    assert life.device.calls[-1] == "discard"


def dated(given: dict[str, Any], clock: FakeClock) -> dict[str, Any]:
    """Put moments in the place of seconds from now."""
    return {
        name: dated(value, clock) if isinstance(value, dict) else moment(clock, in_s=value)
        for name, value in given.items()
    }


def test_nothing_is_waited_for_longer_than_a_week(life: Life) -> None:
    life.device.faults.unsafe = "an association is open"
    life.offer(desired(1))
    life.clock.advance(6 * DAY_S)
    life.run()
    life.clock.advance(8 * DAY_S)
    life.run()
    assert life.last() == ("rejected", 1, "timeout")


def test_a_clock_that_stands_still_makes_nothing_wait_for_ever(life: Life) -> None:
    life.device.faults.unsafe = "an association is open"
    life.offer(desired(1))
    life.run()
    life.clock.advance(8 * DAY_S)
    life.clock.jump_utc(-8 * DAY_S)
    life.run()
    assert life.last() == ("rejected", 1, "timeout")


@pytest.mark.parametrize("given", [{"not_before": 3600}, {"apply": {"deadline": 3600}}])
def test_a_document_of_the_future_brings_no_other_one_forward_or_to_its_end(
    life: Life, given: dict[str, Any]
) -> None:
    life.device.faults.unsafe = "an association is open"
    life.offer(desired(1, **dated(given, life.clock)))
    life.run()
    before = life.states()[-1]
    life.offer(desired(1, scope="group/site", issued=moment(life.clock, in_s=7200)), "group/site")
    life.run(for_s=3500)
    assert [entry.state.value for entry in life.told if entry.scope == "device"][-1] == before
    life.device.faults.unsafe = ""
    life.run(for_s=120)
    assert [entry.state.value for entry in life.told if entry.scope == "device"][-1] == "committed"


def test_a_document_of_the_far_future_makes_nothing_expire(life: Life) -> None:
    life.offer(desired(1, scope="group/site", issued="2199-01-01T00:00:00Z"), "group/site")
    life.run()
    assert "one of the two clocks is wrong" in life.machine.snapshot().troubles["clock"]
    life.offer(desired(1, expires=moment(life.clock, in_s=60)))
    life.run()
    assert life.last() == ("committed", 1, "ok")


@pytest.mark.parametrize("name", ["issued", "expires", "not_before", "apply.deadline"])
@pytest.mark.parametrize(
    "when", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"]
)
def test_a_moment_of_no_time_that_can_be_meant_is_refused_and_holds_up_nothing(
    life: Life, name: str, when: str
) -> None:
    given = {"apply": {"deadline": when}} if name == "apply.deadline" else {name: when}
    life.offer(desired(1, **given))
    life.run()
    assert (life.last(), life.told[-1].path) == (("rejected", 1, "schema"), name)
    committed(life, 2)


def test_what_nobody_foresaw_of_a_document_is_its_refusal(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.fleet.arrivals.check", broken)
    life.offer(desired(1))
    life.run()
    assert life.last() == ("rejected", 1, "schema")
    assert "what nobody foresaw" in life.told[-1].message
    monkeypatch.undo()
    committed(life, 2)


def test_by_a_clock_of_1970_no_window_is_open_and_a_person_is_told() -> None:
    memory = RamMemory()
    committed(Life(memory, FakeClock()))
    clock = FakeClock(utc_ns=round(2.5 * 3600 * 1e9))
    life = Life(memory, clock, faults=Faults(unsafe="3 associations are open"))
    assert "clock is" in life.machine.snapshot().troubles["clock"]
    for version, apply in ((2, {}), (3, {"mode": "window"})):
        life.offer(desired(version, apply={"window": "02:00-04:00", **apply}))
        life.run(for_s=600)
        assert life.states()[-1] == "waiting"
    clock.jump_utc(FakeClock().utc_ns() / 1e9)
    life.run(for_s=60)
    assert life.machine.snapshot().troubles == {}


def test_what_had_expired_by_a_wrong_clock_is_taken_by_the_right_one(life: Life) -> None:
    good = desired(1, expires=moment(life.clock, in_s=DAY_S))
    life.clock.jump_utc(3650 * DAY_S)
    for _ in range(3):
        life.offer(good)
        life.run()
    assert life.states() == ["received", "rejected"]
    assert life.last() == ("rejected", 1, "expired")
    life.clock.jump_utc(-3650 * DAY_S)
    life.offer(good)
    life.run()
    assert life.last() == ("committed", 1, "ok")


def test_a_device_that_is_switched_off_every_day_waits_for_nothing_longer_than_a_week(
    clock: FakeClock,
) -> None:
    memory = RamMemory()
    for day in range(9):
        life = Life(memory, clock, faults=Faults(unsafe="an association is open"))
        life.offer(desired(1))
        life.run(for_s=600)
        assert bool(memory.read().attempts) == (day <= 6)
        clock.advance(DAY_S - 600)
    assert [entry.code for entry in memory.journal(1)] == ["timeout"]


# ── the safe point ────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_changed_until_nothing_is_under_way(life: Life) -> None:
    life.device.faults.unsafe = "2 associations are open"
    life.offer(desired(1))
    life.run(for_s=3600)
    assert life.states()[-1] == "waiting"
    assert life.machine.snapshot().waits_for == "2 associations are open"
    life.device.faults.unsafe = ""
    life.run()
    assert life.last() == ("committed", 1, "ok")


@pytest.mark.parametrize("unsafe", ["", "an association is open"])
def test_in_its_window_a_version_waits_for_the_safe_point_where_it_says_so(life: Life, unsafe: str) -> None:
    life.device.faults.unsafe = unsafe
    life.offer(desired(1, apply={"mode": "window", "window": "02:00-04:00"}))
    life.run(for_s=3.7 * 3600)  # the fake clock begins at 22:13:20
    assert life.machine.snapshot().waits_for == "the window 02:00-04:00"
    life.run(for_s=0.2 * 3600)
    expected = {"": ("committed", ""), "an association is open": ("waiting", "an association is open")}
    assert (life.states()[-1], life.machine.snapshot().waits_for) == expected[unsafe]


def test_a_window_goes_before_associations_but_never_before_a_case(life: Life) -> None:
    life.device.faults.unsafe = "a case is open"
    life.offer(desired(1, apply={"window": "22:00-23:00"}))
    life.run(for_s=60)
    assert life.machine.snapshot().waits_for == "a case is open"
    life.device.faults.unsafe = "an association is open"
    life.run()
    assert life.last() == ("committed", 1, "ok")


@pytest.mark.parametrize("state", ["verified", "waiting"])
def test_whoever_leaves_a_group_and_joins_it_again_takes_its_document(clock: FakeClock, state: str) -> None:
    memory = RamMemory()
    layer = desired(7, scope="group/site", not_before=moment(clock, in_s=3600))
    life = Life(memory, clock, groups=["site"], faults=Faults(unsafe="an association is open"))
    life.offer(layer, "group/site")
    life.run(for_s={"verified": 60, "waiting": 3700}[state])
    assert life.states()[-1] == state
    away = Life(memory, clock)
    away.run(for_s=3700)
    assert memory.journal(1)[-1].code == "superseded"
    back = Life(memory, clock, groups=["site"])
    back.offer(layer, "group/site")
    back.run()
    assert back.last() == ("committed", 7, "ok")


# ── one at a time ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ["verified", "planned", "staged", "waiting"])
def test_a_newer_version_supersedes_one_that_is_not_applied_yet(life: Life, state: str) -> None:
    life.device.faults.polls = 3
    life.offer(desired(1))
    life.run_to(state)
    life.offer(desired(2))
    life.run()
    assert [(entry.version, entry.state.value) for entry in life.told if entry.state.is_end] == [
        (1, "superseded"),
        (2, "committed"),
    ]
    assert life.device.calls.count("apply") == 1


@pytest.mark.parametrize("state", ["applying", "probing"])
def test_newer_versions_wait_while_one_is_tried_and_only_the_newest_is_taken(life: Life, state: str) -> None:
    life.device.faults.polls = 3
    life.offer(desired(1))
    life.run_to(state)
    for version, base in ((3, 1), (2, 1), (5, 3), (4, 3)):
        life.offer(desired(version, base=base))
    life.run()
    ends = [(entry.version, entry.state.value, entry.code) for entry in life.told if entry.state.is_end]
    assert sorted(ends) == [
        (1, "committed", "ok"),
        (2, "rejected", "superseded"),
        (3, "superseded", "superseded"),
        (4, "rejected", "superseded"),
        (5, "committed", "ok"),
    ]


def test_versions_of_several_scopes_are_tried_one_after_the_other_and_merged(life: Life) -> None:
    life.offer(desired(1, scope="group/site", config={"a": "site", "b": "site"}), "group/site")
    theatre = desired(8, scope="group/theatre", priority=20, config={"b": "theatre", "c": "theatre"})
    life.offer(theatre, "group/theatre")
    life.offer(desired(3, config={"c": "own"}))
    life.run()
    assert life.device.config == {"a": "site", "b": "theatre", "c": "own"}
    at_work = life.machine.snapshot().at_work
    assert at_work is not None
    assert at_work.versions == {"group/site": 1, "group/theatre": 8, "device": 3}
    assert at_work.origins == {"a": "group/site", "b": "group/theatre", "c": "device"}
    begun = [entry.version for entry in life.told if entry.state is State.PLANNED]
    over = [entry.version for entry in life.told if entry.state is State.COMMITTED]
    assert begun == over == [1, 8, 3]


def test_a_job_that_does_not_end_when_it_is_cancelled_is_waited_for_and_then_left_behind(life: Life) -> None:
    life.device.faults.polls, life.device.faults.is_stubborn = FOR_EVER, True
    life.offer(desired(1))
    life.run_to("planned")
    life.machine.step()
    life.offer(desired(2))
    life.device.faults.polls = 0
    life.machine.step()
    life.machine.step()
    assert life.states()[-1] == "verified"
    life.run(for_s=61)
    assert life.last() == ("committed", 2, "ok")
    assert life.device.calls.count("discard") == 1


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "state", "code"),
    [
        ("plan", "rejected", "unsupported"),
        ("surprise in plan", "rejected", "unsupported"),
        ("stage", "rejected", "download"),
        ("surprise in stage", "rejected", "admission"),
        ("apply", "rolled_back", "probe"),
        ("half", "rolled_back", "admission"),
        ("surprise in apply", "rolled_back", "unsupported"),
        ("probe", "rolled_back", "probe"),
        ("surprise in probe", "rolled_back", "probe"),
        ("lie", "rolled_back", "probe"),
    ],
)
def test_a_version_that_does_not_do_leaves_what_was_at_work(
    life: Life, wrong: str, state: str, code: str
) -> None:
    committed(life)
    life.offer(faulty(2, wrong))
    life.run()
    assert life.last() == (state, 2, code)
    assert life.device.config == {"device": 1}
    own = life.machine.snapshot().own
    assert (own.accepted_version, own.applied_version) == (2, 1)
    life.offer(desired(3))
    life.run()
    assert life.last() == ("committed", 3, "ok")


def test_probes_are_tried_again_until_they_pass(life: Life) -> None:
    life.device.faults.wrong = frozenset({"probe"})
    life.offer(desired(1))
    life.run(for_s=60)
    assert life.states()[-1] == "probing"
    life.device.faults.wrong = frozenset()
    life.run()
    assert life.last() == ("committed", 1, "ok")
    assert life.device.calls.count("probe") > 10


def test_what_is_proven_must_be_within_the_time_that_the_document_gives(life: Life) -> None:
    life.device.faults.wrong = frozenset({"probe"})
    life.offer(desired(1, apply={"confirm_s": 30}))
    life.run(for_s=29)
    assert life.states()[-1] == "probing"
    life.run(for_s=2)
    assert life.last() == ("rolled_back", 1, "probe")
    assert (life.told[-1].message, life.told[-1].path) == ("probe fails", "pipelines.a")


@pytest.mark.parametrize(("state", "within_s"), [("planned", 6 * 3600), ("applying", 300), ("probing", 120)])
def test_what_hangs_ends_by_itself(life: Life, state: str, within_s: float) -> None:
    life.offer(desired(1))
    life.run_to(state)
    life.device.faults.polls = FOR_EVER
    life.machine.step()
    life.device.faults.polls = 0
    life.run(for_s=within_s + 2)
    assert life.told[-1].code == "timeout"
    assert life.told[-1].state.value == {"planned": "rejected"}.get(state, "rolled_back")
    assert life.device.config == {}


@pytest.fixture
def waiting(life: Life) -> Life:
    """A device that could be changed, if only a series came to its end."""
    life.offer(desired(1, apply={"deadline": moment(life.clock, in_s=7200)}))
    life.run_to("applying")
    life.device.faults = Faults(polls=FOR_EVER, in_hand="a series")
    life.run(for_s=4000)
    return life


def test_a_series_that_takes_longer_than_applying_may_is_waited_for_and_said(waiting: Life) -> None:
    progress = waiting.machine.snapshot()
    assert progress.under_way is not None
    assert (progress.under_way.state, progress.waits_for) == (State.APPLYING, "a series")
    assert progress.doing == {"doing": "apply", "done": 0, "of": 1}


def test_when_it_waits_no_more_applying_has_all_of_its_time(waiting: Life) -> None:
    waiting.device.faults.in_hand = ""
    waiting.run(for_s=290)
    assert (waiting.last()[0], waiting.machine.snapshot().waits_for) == ("applying", "")
    waiting.device.faults.polls = 0
    waiting.run(for_s=20)
    assert (waiting.last(), "not applied" in waiting.told[-1].message) == (
        ("rolled_back", 1, "timeout"),
        True,
    )


def test_a_series_is_waited_for_no_longer_than_a_safe_point(waiting: Life) -> None:
    waiting.device.faults.polls = 0
    waiting.run(for_s=4000)
    assert waiting.last() == ("rolled_back", 1, "timeout")
    assert waiting.told[-1].message == "waited too long: a series"
    assert waiting.device.config == {}


def test_a_device_that_cannot_say_whether_it_is_safe_is_left_in_peace(life: Life) -> None:
    life.device.unsafe = broken  # type: ignore[method-assign]  # what nobody foresaw
    life.offer(desired(1))
    life.run(for_s=10)
    assert life.states()[-1] == "waiting"
    assert "nobody knows whether it is safe" in life.machine.snapshot().waits_for


def broken(*_: object, **__: object) -> str:
    raise LookupError("what nobody foresaw")


def test_what_cannot_be_brought_back_ends_the_process_and_the_next_begins_with_it(clock: FakeClock) -> None:
    memory = RamMemory()
    life = committed(Life(memory, clock))
    life.device.faults.wrong = frozenset({"restore", "probe"})
    life.offer(desired(2))
    with pytest.raises(AssertionError, match="is not back"):
        life.run(for_s=300)
    after = Life(memory, clock)
    assert after.device.config == {"device": 1}
    assert "went back: probe fails" in after.boot.why
    after.run()
    assert after.last() == ("rolled_back", 2, "probe")


def test_what_takes_too_long_to_be_brought_back_ends_the_process(life: Life) -> None:
    committed(life)
    life.offer(faulty(2, "apply"))
    life.run_to("applying")
    life.machine.step()
    life.device.faults.polls = FOR_EVER
    with pytest.raises(AssertionError, match="not back within"):
        life.run(for_s=BACK_S + 10)


def test_a_full_disk_stops_nothing_but_what_must_be_written_down(clock: FakeClock) -> None:
    memory = CutMemory()
    life = committed(Life(memory, clock))
    memory.is_full = True
    life.offer(desired(2))
    life.run(for_s=60)
    assert life.told == []
    assert "disk full" in life.machine.snapshot().troubles["fleet-memory"]
    memory.is_full = False
    life.run(for_s=10)
    assert life.last() == ("committed", 2, "ok")
    assert life.machine.snapshot().troubles == {}


def test_a_full_disk_loses_no_scope_its_newest_document(clock: FakeClock) -> None:
    memory, groups = CutMemory(), [f"g{number}" for number in range(32)]
    life = Life(memory, clock, groups=groups)
    memory.is_full = True
    life.offer(desired(1))
    for scope in (f"group/{group}" for group in groups):
        for version in (1, 2):
            life.offer(desired(version, scope=scope), scope)
    life.run(for_s=20)
    memory.is_full = False
    life.run(for_s=200)
    assert [floor.version for floor in memory.read().floors.values()] == [1, *[2] * 32]


def test_a_full_disk_keeps_no_device_from_going_back(clock: FakeClock) -> None:
    memory = CutMemory()
    life = committed(Life(memory, clock))
    life.device.faults.wrong = frozenset({"probe"})
    life.offer(desired(2))
    life.run_to("probing")
    memory.is_full = True
    life.offer(desired(3))
    life.run(for_s=200)
    assert life.device.config == {"device": 1}
    memory.is_full = False
    life.device.faults.wrong = frozenset()
    life.run(for_s=10)
    ends = [(entry.version, entry.state.value) for entry in life.told if entry.state.is_end]
    assert ends == [(2, "rolled_back"), (3, "committed")]


def test_a_full_disk_ends_no_process_in_which_everything_is_back(clock: FakeClock) -> None:
    memory = CutMemory()
    life = committed(Life(memory, clock))
    life.offer(faulty(2, "probe"))
    life.run_to("probing")
    memory.is_full = True
    life.run(for_s=3600)
    assert life.device.config == {"device": 1}
    memory.is_full = False
    life.run(for_s=10)
    assert life.last() == ("rolled_back", 2, "probe")


@pytest.mark.parametrize("needs", ["hot", "process"])
def test_a_full_disk_leaves_nothing_at_work_that_cannot_be_proven(clock: FakeClock, needs: Restart) -> None:
    memory = CutMemory()
    life = committed(Life(memory, clock))
    life.device.faults.restart = needs
    life.offer(desired(2))
    life.run_to("applying")
    memory.is_full = needs == "hot"
    life = begun_anew(life)
    memory.is_full = True
    life.run(for_s=299)
    assert life.device.config == {"device": 2}
    life.run(for_s=20)
    assert life.device.config == {"device": 1}
    memory.is_full = False
    life.run(for_s=10)
    assert life.last() == ("rolled_back", 2, "timeout")


def begun_anew(life: Life) -> Life:
    """The device as it is then where what it is about to apply needs a new process."""
    try:
        life.machine.step()
    except ProcessEnded:
        life = Life(life.memory, life.clock)
    return life


@pytest.mark.parametrize("method", ["plan", "stage"])
def test_what_ends_every_process_that_prepares_it_is_given_up(clock: FakeClock, method: str) -> None:
    memory = RamMemory()
    life = committed(Life(memory, clock))
    life.offer(desired(2))
    ended = 0
    for _ in range(8):
        life = Life(memory, clock, faults=Faults(ends_in=method))
        ended += is_ended(life)
    assert ended == FINDS_MAX
    assert life.device.config == {"device": 1}
    assert memory.journal(1)[-1].message == "the process ended 5 times while this version was prepared"


def is_ended(life: Life) -> bool:
    """Whether its process does not outlive what there is to do."""
    try:
        life.run()
    except ProcessEnded:
        return True
    return False


def test_a_device_that_is_switched_off_every_day_gives_nothing_up_for_that(clock: FakeClock) -> None:
    memory = RamMemory()
    for _ in range(2 * FINDS_MAX):
        life = Life(memory, clock, faults=Faults(unsafe="an association is open"))
        life.offer(desired(1))
        life.run()
        assert life.states()[-1] == "waiting"


def test_a_plan_that_breaks_an_invariant_is_a_refusal(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life.device, "plan", unforeseen)
    life.offer(desired(1))
    life.run()
    assert life.last() == ("rejected", 1, "unsupported")


def unforeseen(_: Wanted) -> Plan:
    raise AssertionError("an invariant")


# ── the past ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_at_work_before_is_known(life: Life) -> None:
    committed(life)
    committed(life, 2)
    progress = life.machine.snapshot()
    assert (progress.own.applied_version, progress.own.previous_version) == (2, 1)
    assert progress.before is not None
    assert progress.before.config == {"device": 1}


def test_the_journal_holds_what_was_told(life: Life) -> None:
    life.offer(desired(1))
    life.run()
    assert life.machine.history(100) == life.told
    assert life.machine.history(2) == life.told[-2:]


def test_how_far_it_is_can_be_seen_while_it_is_done(life: Life) -> None:
    life.device.faults = Faults(polls=FOR_EVER)
    life.offer(desired(1))
    life.run_to("planned")
    life.machine.step()
    progress = life.machine.snapshot()
    assert progress.doing == {"doing": "stage", "done": 0, "of": 1}
    assert progress.under_way is not None
    assert progress.under_way.state is State.PLANNED
