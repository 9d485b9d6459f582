"""A roll-out goes forward ring by ring, stops by itself, is paused, resumed and taken back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from edge.domain.errors import ConfigurationError
from edge.fleet.operator.edit import digest_of_signed
from edge.fleet.operator.rollout import decide, unpublished
from edge.fleet.operator.rollout_content import document, standing
from edge.fleet.operator.rollout_orders import Order, followed
from edge.fleet.operator.rollout_plan import Ring, parse_file, parse_ring, plan
from edge.fleet.operator.rollout_state import Back, Phase, Step
from tests.builders.fleet_rollouts import (
    BROUGHT,
    begun,
    boxes,
    decided,
    file,
    published,
    rounds,
    run,
    run_while,
    steps,
    terms,
    told,
)
from tests.fakes.fleet_world import Box, World


def test_every_device_gets_what_the_file_brings_ring_after_ring() -> None:
    world = World(*boxes(20))
    over = run(world, begun(world))
    assert over.phase is Phase.DONE
    assert [over.counts(ring)[Step.OK] for ring in range(3)] == [1, 4, 15]
    assert [box.config for box in world.boxes.values()] == [BROUGHT] * 20


def test_nobody_of_the_next_ring_is_written_to_before_the_soak_of_this_one_is_over() -> None:
    world = World(*boxes(4))
    started_ms = world.now_ms
    canary, *others = begun(world).members
    states = rounds(world, begun(world, soak_s=30.0))
    second = next(state for state in states if state.members[others[0]].version)
    assert second.members[canary].step is Step.OK
    assert world.now_ms - started_ms >= 30_000


def test_a_share_is_enough_to_go_forward_and_the_rest_is_not_forgotten() -> None:
    world = World(*boxes(50))
    rollout = begun(world, rings=("40%", "100%"), success_share=0.9)
    slow = next(name for name, member in rollout.members.items() if member.ring == 0)
    world.boxes[slow].is_stuck = True
    rollout = run_while(world, rollout, lambda state: state.ring == 0)
    assert rollout.members[slow].step is Step.SENT
    world.boxes[slow].is_stuck = False
    assert run(world, rollout).counts() == {Step.OK: 50}


def test_a_canary_that_fails_its_probe_holds_all_the_others() -> None:
    world = World(*boxes(10))
    for box in world.boxes.values():
        box.refuses = bool
    held = run(world, begun(world))
    assert (held.phase, held.counts()) == (Phase.HELD, {Step.FAILED: 1, Step.DUE: 9})
    assert "98% cannot be reached" in held.why
    assert [box.config for box in world.boxes.values()] == [{}] * 10


def test_so_many_failures_hold_it_and_what_is_under_way_goes_on() -> None:
    world = World(*boxes(100))
    bad = list(begun(world).members)[30:32]
    for name in bad:
        world.boxes[name].refuses = bool
    held = run(world, begun(world, success_share=0.5, rings=("10%", "50%", "100%"), at_once_max=5))
    assert held.phase is Phase.HELD
    assert held.why == "2 devices failed"
    assert held.counts()[Step.DUE] > 50
    later = held
    for _ in range(20):
        world.step()
        later = decided(world, later)
        published(world, later)
    assert later.counts()[Step.DUE] == held.counts()[Step.DUE]
    assert later.counts()[Step.SENT] == 0


def test_a_share_of_failures_may_hold_it_too() -> None:
    world = World(*boxes(100))
    for name in list(begun(world).members)[3:8]:
        world.boxes[name].refuses = bool
    held = run(world, begun(world, rings=("50%", "100%"), success_share=0.5, stop_share=0.1, at_once_max=1))
    assert (held.phase, held.failures()) == (Phase.HELD, 5)


def test_resuming_counts_the_failures_so_far_as_seen() -> None:
    world = World(*boxes(10))
    for name in list(begun(world).members)[:1]:
        world.boxes[name].refuses = bool
    held = run(world, begun(world))
    over = run(world, told(world, held, "resume"))
    assert (over.phase, over.counts()) == (Phase.DONE, {Step.FAILED: 1, Step.OK: 9})


def test_with_approval_every_ring_waits_for_somebody() -> None:
    world = World(*boxes(10))
    first = run(world, begun(world, needs_approval=True))
    assert (first.phase, first.ring, first.counts()[Step.OK]) == (Phase.AWAITING, 0, 1)
    second = run(world, told(world, first, "approve"))
    assert (second.phase, second.ring, second.counts()[Step.OK]) == (Phase.AWAITING, 1, 3)
    assert run(world, told(world, second, "approve")).phase is Phase.DONE


def test_a_paused_roll_out_begins_nothing() -> None:
    world = World(*boxes(10))
    rollout = run_while(world, begun(world), lambda state: state.ring == 0)
    paused = told(world, rollout, "pause")
    sent = len(world.published)
    for _ in range(30):
        world.step()
        paused = decided(world, paused)
        published(world, paused)
    assert len(world.published) == sent
    assert run(world, told(world, paused, "resume")).phase is Phase.DONE


def test_two_of_the_same_room_never_change_at_once() -> None:
    world = World(*boxes(12, rooms=3))
    for _ in rounds(world, begun(world, rings=("100%",), soak_s=0.0)):
        changing = [box.room for box in world.boxes.values() if box.is_changing]
        assert len(changing) == len(set(changing))
    assert [box.config for box in world.boxes.values()] == [BROUGHT] * 12


def test_rooms_of_two_sites_with_the_same_name_are_two_rooms() -> None:
    world = World(*(Box(site, "or-1", room="theatre") for site in ("anna", "bertha")))
    rollout = decided(world, begun(world, rings=("100%",)))
    assert rollout.counts()[Step.SENT] == 2


def test_a_room_where_somebody_else_changes_a_device_is_waited_for() -> None:
    world = World(*boxes(2, rooms=1))
    world.edit("anna/or-0", {"log_level": "debug"})
    rollout = begun(world, given=file(select={"devices": ["or-1"]}), rings=("100%",))
    rollout = decided(world, rollout)
    assert rollout.members["anna/or-1"].why == "anna/or-0 of the same room is busy"
    assert run(world, rollout).phase is Phase.DONE


def test_who_is_away_has_not_failed_before_its_deadline_and_is_written_to_when_it_is_back() -> None:
    world = World(*boxes(3))
    world.boxes["anna/or-2"].presence = "offline"
    rollout = begun(world, rings=("100%",))
    for _ in range(300):
        rollout = decided(world, rollout)
        published(world, rollout)
        world.step()
    assert steps(rollout) == {"anna/or-0": "ok", "anna/or-1": "ok", "anna/or-2": "due"}
    assert "anna/or-2" not in world.desired
    world.boxes["anna/or-2"].presence = "online"
    assert run(world, rollout).counts() == {Step.OK: 3}


def test_who_stays_away_is_missed_at_its_deadline_and_has_not_failed() -> None:
    world = World(*boxes(2))
    world.boxes["anna/or-1"].presence = "offline"
    started_ms = world.now_ms
    held = run(world, begun(world, rings=("100%",)))
    assert world.now_ms - started_ms >= 600_000
    assert (held.phase, held.failures()) == (Phase.HELD, 0)
    assert held.members["anna/or-1"].step is Step.MISSED
    world.boxes["anna/or-1"].presence = "online"
    assert run(world, told(world, held, "resume")).counts() == {Step.OK: 2}


def test_who_goes_away_in_the_middle_is_waited_for() -> None:
    world = World(*boxes(1))
    rollout = run_while(world, begun(world), lambda state: world.boxes["anna/or-0"].status != "waiting")
    world.boxes["anna/or-0"].presence = "offline"
    for _ in range(400):
        world.step()
        rollout = decided(world, rollout)
    assert rollout.members["anna/or-0"].step is Step.SENT
    world.boxes["anna/or-0"].presence = "online"
    assert run(world, rollout).phase is Phase.DONE


def test_who_took_it_and_never_speaks_again_has_failed_at_its_deadline() -> None:
    world = World(*boxes(1))
    rollout = run_while(world, begun(world), lambda state: world.boxes["anna/or-0"].status != "applying")
    world.boxes["anna/or-0"].presence = "offline"
    held = run(world, rollout)
    assert held.members["anna/or-0"].step is Step.FAILED
    assert held.members["anna/or-0"].code == "timeout"


def test_a_device_that_lies_about_its_version_is_found_out_by_its_digest() -> None:
    world = World(*boxes(1))
    world.boxes["anna/or-0"].is_lying = True
    held = run(world, begun(world))
    assert held.members["anna/or-0"].code == "digest"


def test_a_new_alert_during_the_soak_is_a_failure_and_an_old_one_is_not() -> None:
    world = World(*boxes(2))
    for box in world.boxes.values():
        box.alerts["disk-full"] = {"severity": "error"}
    rollout = run_while(world, begun(world), lambda state: not state.counts()[Step.SOAKING])
    canary = world.boxes[next(iter(rollout.members))]
    canary.alerts["camera-lost"] = {"severity": "error"}
    held = run(world, rollout)
    assert held.members[canary.name].why == "committed, and raised alerts: camera-lost"


def test_a_device_that_goes_back_by_itself_after_committing_has_failed() -> None:
    world = World(*boxes(2))
    rollout = run_while(world, begun(world, soak_s=60.0), lambda state: not state.counts()[Step.SOAKING])
    canary = world.boxes[next(iter(rollout.members))]
    canary.applied = 0
    canary.report()
    held = run(world, rollout)
    assert held.members[canary.name].step is Step.FAILED


def test_an_edit_of_somebody_else_is_left_alone_and_no_failure() -> None:
    world = World(*boxes(20))
    rollout = run_while(world, begun(world), lambda state: state.ring == 0)
    other = next(name for name, member in rollout.members.items() if member.step is Step.SENT)
    version = world.edit(other, {"log_level": "debug"})
    over = run(world, rollout)
    assert over.phase is Phase.DONE
    assert over.members[other].why == f"somebody has made version {version} from version {version - 1}"
    assert world.boxes[other].config == {"log_level": "debug"}
    aborted = run(world, told(world, over, "abort"))
    assert aborted.members[other].back is Back.LEFT
    assert world.boxes[other].config == {"log_level": "debug"}


def test_an_abort_gives_back_what_each_had_as_a_new_version() -> None:
    world = World(*boxes(10, rooms=2))
    for number, name in enumerate(world.boxes):
        world.edit(name, {"log_level": "info", "drain_s": number})
    for _ in range(10):
        world.step()
    rollout = run_while(world, begun(world), lambda state: state.ring < 2 or not state.counts()[Step.SENT])
    touched = {name: member.version for name, member in rollout.members.items() if member.version}
    phases = []
    for state in rounds(world, told(world, rollout, "abort")):
        phases.append(state.phase)
        changing = [box.room for box in world.boxes.values() if box.is_changing]
        assert len(changing) == len(set(changing))
    assert phases[-1] is Phase.ABORTED
    assert [box.config["drain_s"] for box in world.boxes.values()] == list(range(10))
    assert all("pipelines" not in box.config for box in world.boxes.values())
    assert {name: world.boxes[name].applied for name in touched} == {
        name: version + 1 for name, version in touched.items()
    }


def test_an_abort_reaches_who_rolled_back_and_who_is_away() -> None:
    world = World(*boxes(3))
    world.boxes["anna/or-1"].refuses = bool
    rollout = begun(world, rings=("100%",), success_share=0.1, stop_errors=3)
    rollout = run_while(world, rollout, lambda state: world.boxes["anna/or-2"].status != "waiting")
    world.boxes["anna/or-2"].presence = "offline"
    rollout = run_while(world, rollout, lambda state: state.counts()[Step.OK] + state.failures() < 2)
    aborted = run(world, told(world, rollout, "abort"))
    assert aborted.phase is Phase.ABORTED
    assert aborted.why == "1 are away; the broker keeps their previous content for them"
    assert [world.desired[name]["config"] for name in world.boxes] == [{}] * 3
    world.boxes["anna/or-2"].presence = "online"
    for _ in range(10):
        world.step()
    assert [box.config for box in world.boxes.values()] == [{}] * 3


def test_a_trial_asks_everybody_and_leaves_nothing_behind() -> None:
    world = World(*boxes(20, rooms=2))
    for name in list(world.boxes)[:5]:
        world.boxes[name].refuses = bool
    world.boxes["anna/or-9"].presence = "offline"
    over = run(world, begun(world, is_trial=True, rings=("100%",)))
    assert (over.phase, over.counts()) == (Phase.DONE, {Step.OK: 14, Step.FAILED: 5, Step.MISSED: 1})
    assert [box.config for box in world.boxes.values()] == [{}] * 20
    assert {held["apply"].get("mode") for held in world.desired.values()} == {"safe_point"}
    assert sorted(box.applied for box in world.boxes.values()) == [0] + [2] * 19


def test_in_a_freeze_nothing_begins_and_nothing_that_was_sent_may_begin() -> None:
    world = World(*boxes(3))  # it is 2023-11-14 22:13:20 UTC
    rollout = begun(world, rings=("100%",), freeze=("22:20-23:00",), at_once_max=1, deadline_s=7200.0)
    rollout = decided(world, rollout)
    published(world, rollout)
    (sent,) = (name for name, member in rollout.members.items() if member.step is Step.SENT)
    assert world.desired[sent]["apply"]["deadline"] == "2023-11-14T22:20:00.000Z"
    world.boxes[sent].is_stuck = True
    for _ in range(60):
        world.step(30)
        rollout = decided(world, rollout)
        published(world, rollout)
    assert world.published == [(sent, 1)]
    world.boxes[sent].is_stuck = False
    over = run(world, rollout)
    assert over.counts() == {Step.OK: 3}
    assert over.members[sent].tries == 2


def test_what_the_broker_lost_is_published_again_and_is_the_same_document() -> None:
    world = World(*boxes(1))
    rollout = decided(world, begun(world))
    published(world, rollout)
    first = world.desired.pop("anna/or-0")
    tried = {("anna/or-0", 1): world.now_ms}
    assert unpublished(rollout, world.devices(), tried, now_ms=world.now_ms + 9_999) == []
    assert unpublished(rollout, world.devices(), tried, now_ms=world.now_ms + 10_000) == ["anna/or-0"]
    assert document(rollout, "anna/or-0") == first


def test_deciding_again_before_anything_was_published_writes_no_other_document() -> None:
    world = World(*boxes(10, rooms=3))
    for rollout in rounds(world, begun(world)):
        again = decided(world, rollout)
        sent = [name for name, member in rollout.members.items() if member.version]
        assert [document(again, name) for name in sent] == [document(rollout, name) for name in sent]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"has_reported": False}, "has never reported"),
        ({"applied": 7, "floor": 7}, "the broker holds no document"),
    ],
)
def test_who_cannot_be_written_to_without_loss_takes_no_part(change: Mapping[str, Any], why: str) -> None:
    world = World(Box("anna", "or-1"), Box("anna", "or-2", **change))
    made = plan(
        "r-1",
        by="",
        file=file(),
        rings=[Ring("all", None, 1)],
        terms=terms(),
        views=world.devices(),
        now_ms=0,
    )
    assert list(made.rollout.members) == ["anna/or-1"]
    assert why in made.left_out["anna/or-2"]


def test_who_rolled_back_before_takes_no_part_until_it_has_another_document() -> None:
    world = World(*boxes(2))
    world.boxes["anna/or-1"].refuses = bool
    world.edit("anna/or-1", {"drain_s": 1})
    for _ in range(10):
        world.step()
    rollout = begun(world)
    assert list(rollout.members) == ["anna/or-0"]


@pytest.mark.parametrize(("held", "takes_part"), [("first", True), ("second", False)])
def test_who_refused_the_second_of_two_takes_part_once_the_broker_holds_the_first(
    held: str, takes_part: bool
) -> None:
    world = World(*boxes(1))
    documents: dict[str, dict[str, Any]] = {
        "first": {"version": 1, "base": 0, "config": {"drain_s": 1}, "bundles": {}},
        "second": {"version": 1, "base": 0, "config": {"drain_s": 2}, "bundles": {}},
    }
    said = {
        "applied_version": 1,
        "desired_version": 1,
        "desired_digest": digest_of_signed(documents["first"]),
        "version": 1,
        "status": "rejected",
        "code": "conflict",
    }
    view = dataclasses.replace(world.devices()["anna/or-0"], desired=documents[held], reported=said)
    assert (standing(view).content is not None) is takes_part


def test_who_has_it_already_takes_no_part() -> None:
    world = World(*boxes(2))
    world.edit("anna/or-1", BROUGHT)
    for _ in range(10):
        world.step()
    assert list(begun(world).members) == ["anna/or-0"]


def test_a_document_that_its_device_would_refuse_is_not_sent() -> None:
    world = World(*boxes(2))
    world.edit("anna/or-0", {"notes": ["x" * 60_000]})
    for _ in range(10):
        world.step()
    more = file(config={"other": ["y" * 10_000]})
    held = run(world, begun(world, given=more, rings=("100%",)))
    assert held.members["anna/or-0"].step is Step.LEFT
    assert "65536 are allowed" in held.members["anna/or-0"].why
    assert held.members["anna/or-1"].step is Step.OK


def test_bundles_are_replaced_by_name_and_taken_away() -> None:
    world = World(*boxes(1))
    bundle = {"version": "1", "digest": "sha256:" + "0" * 64, "url": "file:///a", "size_bytes": 1}
    first = begun(world, given=file(bundles={"a": bundle, "b": bundle}))
    run(world, first)
    assert set(world.desired["anna/or-0"]["bundles"]) == {"a", "b"}
    second = dataclasses.replace(begun(world, given=file(bundles={"a": None}, config={})), id="r-2")
    rollout = decided(world, second)
    published(world, rollout)
    assert set(world.desired["anna/or-0"]["bundles"]) == {"b"}


def test_overrides_are_taken_away_before_others_are_laid_over() -> None:
    world = World(*boxes(3))
    world.edit("anna/or-0", {"log_level": "DEBUG", "pipelines": {"a": {"deadline_s": 9}}})
    world.edit("anna/or-1", {"pipelines": {"a": {"deadline_s": 9, "slices_min": 4}, "b": {}}})
    world.edit("anna/or-2", {"drain_s": 5})
    for _ in range(8):
        world.step()
    given = parse_file(
        {"select": {"devices": ["*"]}, "without": ["log_level", "pipelines.a.deadline_s"]}, origin="file"
    )
    made = begun(world, given=given, rings=("100%",))
    assert sorted(made.members) == ["anna/or-0", "anna/or-1"], "the third one has it already"
    *_, over = rounds(world, made)
    assert over.phase is Phase.DONE
    assert [box.config for box in world.boxes.values()] == [
        {},
        {"pipelines": {"a": {"slices_min": 4}, "b": {}}},
        {"drain_s": 5},
    ]
    back = followed(over, Order.ABORT, by="anna", now_ms=world.now_ms)
    *_, gone_back = rounds(world, back)
    assert gone_back.phase is Phase.ABORTED
    assert world.boxes["anna/or-0"].config == {"log_level": "DEBUG", "pipelines": {"a": {"deadline_s": 9}}}


def test_the_canary_is_somebody_who_is_there() -> None:
    world = World(*boxes(20))
    for name in list(world.boxes)[:19]:
        world.boxes[name].presence = "offline"
    assert next(iter(begun(world).members)) == "anna/or-19"


def test_the_canary_is_whom_the_file_names_first_also_where_it_is_away() -> None:
    world = World(*boxes(20))
    world.boxes["anna/or-7"].presence = "offline"
    rollout = begun(world, given=file(select={"devices": ["*"], "first": ["or-7"]}))
    assert next(iter(rollout.members)) == "anna/or-7"


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ({"sites": ["a*"]}, {"anna/or-1", "anna/lab-1"}),
        ({"devices": ["or-*"]}, {"anna/or-1", "bertha/or-1"}),
        ({"devices": ["anna/or-*"]}, {"anna/or-1"}),
        ({"sites": ["*"], "except": ["bertha/*"]}, {"anna/or-1", "anna/lab-1"}),
    ],
)
def test_who_is_meant_is_said_by_site_by_device_and_by_exception(
    select: Mapping[str, Any], names: set[str]
) -> None:
    world = World(Box("anna", "or-1"), Box("anna", "lab-1"), Box("bertha", "or-1"))
    assert set(begun(world, given=file(select=select)).members) == names


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({"config": {"a": 1}}, "select: Field required"),
        ({"select": {}, "config": {"a": 1}}, "names nobody"),
        ({"select": {"devices": ["*"]}}, "brings nothing"),
        ({"select": {"devices": ["*"]}, "config": {"a": 1}, "confg": {}}, "confg"),
        ({"select": {"devices": ["*"]}, "config": {"a": 1}, "apply": {"mode": "window"}}, "wanted window"),
        ({"select": {"devices": ["*"]}, "bundles": {"a": {"version": "1"}}}, "bundles.a.digest"),
        ({"select": {"devices": ["*"]}, "without": ["log level"]}, "wanted a path such as"),
        ([], "dictionary"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tree: object, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_file(tree, origin="file")


def test_nobody_to_roll_out_to_is_an_error() -> None:
    world = World(*boxes(2))
    with pytest.raises(ConfigurationError, match="of 2 devices 0 are meant"):
        begun(world, given=file(select={"sites": ["nowhere"]}))


@pytest.mark.parametrize(
    ("text", "reach"), [("canary=1", 1), ("5%", 10), ("0.1%", 1), ("300", 200), ("all of them=100%", 200)]
)
def test_a_ring_reaches_so_far(text: str, reach: int) -> None:
    assert parse_ring(text).reach(200) == reach


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "1.5", "canary", "=1", "-1", "1%%"])
def test_what_is_no_ring_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="wanted canary=1"):
        parse_ring(text)


@pytest.mark.parametrize("order", ["approve", "resume", "pause"])
def test_what_is_over_cannot_go_on(order: str) -> None:
    world = World(*boxes(1))
    over = run(world, begun(world))
    with pytest.raises(ConfigurationError, match="is done"):
        told(world, over, order)


def test_two_operators_at_once_end_in_a_conflict_and_lose_no_edit() -> None:
    world = World(*boxes(1))
    rollout = decided(world, begun(world))
    version = world.edit("anna/or-0", {"log_level": "debug"})  # between deciding and publishing
    refused = world.repeat({"anna/or-0": document(rollout, "anna/or-0")})
    assert refused == {"anna/or-0": "by now there is version 1"}
    after = run(world, rollout)
    assert after.members["anna/or-0"].why == f"somebody else wrote version {version}"
    for _ in range(10):
        world.step()
    assert world.boxes["anna/or-0"].config == {"log_level": "debug"}


def test_two_thousand_devices_in_rooms_of_four_get_a_version_for_one_of_each_room() -> None:
    world = World(*boxes(2000, rooms=500))
    rollout = decided(world, begun(world, rings=("100%",)))
    assert rollout.counts()[Step.SENT] == 500
    assert decide(rollout, world.devices(), {}, now_ms=world.now_ms) is rollout


def test_who_took_it_and_is_away_goes_back_last_in_its_room_and_is_not_forgotten() -> None:
    world = World(*boxes(3, rooms=1))
    over = run(world, begun(world, rings=("100%",), soak_s=0.0))
    world.boxes["anna/or-0"].presence = "offline"
    aborted = run(world, told(world, over, "abort"))
    assert aborted.why == "1 are away; the broker keeps their previous content for them"
    assert [box.config for box in world.boxes.values()] == [BROUGHT, {}, {}]
    world.boxes["anna/or-0"].presence = "online"
    for _ in range(10):
        world.step()
    assert world.boxes["anna/or-0"].config == {}
