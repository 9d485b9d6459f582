"""What a start begins with, and what becomes of what an earlier process left."""

from __future__ import annotations

import pytest

from edge.fleet.boot import STARTS_MAX, Boot, choose_from, failed_from
from edge.fleet.memory import RamMemory
from edge.fleet.recovery import FINDS_MAX
from edge.fleet.words import State
from tests.builders.fleet import Life, desired, faulty
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_device import FOR_EVER, Faults, ProcessEnded
from tests.fakes.fleet_memory import CutMemory

BEFORE_THE_TRIAL = ["verified", "planned", "staged", "waiting"]


@pytest.fixture
def memory() -> CutMemory:
    return CutMemory()


def with_versions(memory: CutMemory, clock: FakeClock, count: int) -> Life:
    """A device that has committed so many versions, one after the other."""
    life = Life(memory, clock)
    for version in range(1, count + 1):
        life.offer(desired(version))
        life.run()
        assert life.last() == ("committed", version, "ok")
    return life


def left_in(memory: CutMemory, clock: FakeClock, state: str, version: int = 2) -> None:
    """Let a version get as far as a state, and the process end there."""
    life = Life(memory, clock, faults=Faults(polls=3))
    life.offer(desired(version))
    life.run_to(state)


def config_of(boot: Boot) -> object:
    return None if boot.wanted is None else boot.wanted.config


def test_a_device_that_has_heard_of_no_fleet_begins_with_its_own_file(
    memory: CutMemory, clock: FakeClock
) -> None:
    assert choose_from(memory, clock=clock) == Boot(wanted=None, is_trial=False, why="")


def test_a_start_begins_with_what_was_proven_last(memory: CutMemory, clock: FakeClock) -> None:
    with_versions(memory, clock, 2)
    boot = choose_from(memory, clock=clock)
    assert (config_of(boot), boot.is_trial, boot.why) == ({"device": 2}, False, "")


@pytest.mark.parametrize("state", BEFORE_THE_TRIAL)
def test_what_was_only_prepared_is_prepared_anew(memory: CutMemory, clock: FakeClock, state: str) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, state)
    life = Life(memory, clock)
    assert life.device.config == {"device": 1}
    life.run()
    assert life.last() == ("committed", 2, "ok")


@pytest.mark.parametrize("state", ["applying", "probing"])
def test_a_trial_is_gone_on_with_once(memory: CutMemory, clock: FakeClock, state: str) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, state)
    life = Life(memory, clock)
    assert life.boot.is_trial
    assert life.device.config == {"device": 2}
    life.run()
    assert life.last() == ("committed", 2, "ok")


@pytest.mark.parametrize("state", ["applying", "probing"])
def test_a_trial_that_two_starts_find_goes_back(memory: CutMemory, clock: FakeClock, state: str) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, state)
    assert choose_from(memory, clock=clock).is_trial
    life = Life(memory, clock)
    assert (life.boot.is_trial, life.device.config) == (False, {"device": 1})
    assert "version 2 went back" in life.boot.why
    assert life.last() == ("rolled_back", 2, "timeout")
    assert memory.read().attempts == ()
    assert Life(memory, clock).boot.why == ""


def test_a_trial_that_needs_a_new_process_begins_with_one(memory: CutMemory, clock: FakeClock) -> None:
    life = with_versions(memory, clock, 1)
    life.offer(faulty(2, "process"))
    with pytest.raises(ProcessEnded):
        life.run()
    after = Life(memory, clock)
    assert after.boot.is_trial
    after.run()
    assert after.last() == ("committed", 2, "ok")


def test_a_trial_that_fails_in_its_own_process_goes_back_in_another(
    memory: CutMemory, clock: FakeClock
) -> None:
    life = with_versions(memory, clock, 1)
    life.device.faults.restart = "process"
    life.offer(desired(2))
    with pytest.raises(ProcessEnded):
        life.run()
    trial = Life(memory, clock, faults=Faults(wrong=frozenset({"probe"}), restart="process"))
    with pytest.raises(ProcessEnded):
        trial.run()
    after = Life(memory, clock)
    assert after.device.config == {"device": 1}
    assert after.last() == ("rolled_back", 2, "probe")


def test_a_trial_that_fails_after_a_crash_is_taken_back_without_another(
    memory: CutMemory, clock: FakeClock
) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, "probing")
    life = Life(memory, clock, faults=Faults(wrong=frozenset({"probe"})))
    life.run()
    assert life.last() == ("rolled_back", 2, "probe")
    assert life.device.config == {"device": 1}


def test_a_trial_that_cannot_be_loaded_goes_back_at_once(memory: CutMemory, clock: FakeClock) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, "applying")
    trial = choose_from(memory, clock=clock)
    assert trial.is_trial
    boot = failed_from(memory, "pipelines.a: no such bundle", after=trial, clock=clock)
    assert (config_of(boot), boot.is_trial) == ({"device": 1}, False)
    life = Life(memory, clock, boot=boot)
    assert life.last() == ("rolled_back", 2, "probe")
    assert life.told[-1].message == "pipelines.a: no such bundle"


def test_what_goes_back_is_not_tried_again_whenever_the_process_ends(
    memory: CutMemory, clock: FakeClock
) -> None:
    life = with_versions(memory, clock, 1)
    life.offer(faulty(2, "apply"))
    life.run_to("applying")
    life.device.faults.ends_in = "restore"
    with pytest.raises(ProcessEnded):
        life.run()
    after = Life(memory, clock)
    assert (after.boot.is_trial, after.device.config) == (False, {"device": 1})
    assert after.last() == ("rolled_back", 2, "probe")


def test_each_rung_of_the_ladder_is_tried_with_its_reason(memory: CutMemory, clock: FakeClock) -> None:
    with_versions(memory, clock, 2)
    chosen = choose_from(memory, clock=clock)
    previous = failed_from(memory, "a: gone", after=chosen, clock=clock)
    assert (config_of(previous), previous.why) == (
        {"device": 1},
        "a: gone; begun with what was proven before it",
    )
    alone = failed_from(memory, "b: gone, too", after=previous, clock=clock)
    assert (config_of(alone), alone.why) == (None, "b: gone, too; begun with the YAML alone")
    life = Life(memory, clock, boot=alone)
    progress = life.machine.snapshot()
    assert (progress.rung, progress.own.applied_version, progress.own.accepted_version) == ("yaml", 0, 2)
    assert config_of(choose_from(memory, clock=clock)) == {"device": 2}


def test_each_rung_is_tried_once_also_where_nothing_can_be_written_down(
    memory: CutMemory, clock: FakeClock
) -> None:
    with_versions(memory, clock, 2)
    memory.is_full = True
    begun = [choose_from(memory, clock=clock)]
    for _ in range(2):
        begun.append(failed_from(memory, "gone", after=begun[-1], clock=clock))
    assert [config_of(boot) for boot in begun] == [{"device": 2}, {"device": 1}, None]
    life = Life(memory, clock, boot=begun[1])
    assert life.machine.snapshot().rung == "previous"
    memory.is_full = False
    life.run()
    assert memory.read().at_work == "previous"


def test_a_version_that_works_is_taken_where_what_was_proven_cannot_be_used(
    memory: CutMemory, clock: FakeClock
) -> None:
    with_versions(memory, clock, 2)
    chosen = choose_from(memory, clock=clock)
    life = Life(memory, clock, boot=failed_from(memory, "a: gone", after=chosen, clock=clock))
    life.offer(desired(3))
    life.run()
    progress = life.machine.snapshot()
    assert progress.rung == "committed"
    assert progress.before is not None
    assert (life.device.config, progress.before.config) == ({"device": 3}, {"device": 1})


def test_starts_that_do_not_come_up_go_down_the_ladder(memory: CutMemory, clock: FakeClock) -> None:
    with_versions(memory, clock, 2)
    begun = [choose_from(memory, clock=clock) for _ in range(3 * STARTS_MAX)]
    assert [config_of(boot) for boot in begun] == [
        *[{"device": 2}] * STARTS_MAX,
        *[{"device": 1}] * STARTS_MAX,
        *[None] * STARTS_MAX,
    ]
    assert begun[STARTS_MAX].why.startswith("the last 3 starts did not come up")
    assert Life(memory, clock, boot=begun[-1]).memory.read().starts == 0
    assert config_of(choose_from(memory, clock=clock)) == {"device": 2}


def test_a_trial_that_cannot_be_counted_is_not_begun(memory: CutMemory, clock: FakeClock) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, "applying")
    memory.is_full = True
    life = Life(memory, clock)
    assert (life.boot.is_trial, life.device.config) == (False, {"device": 1})
    assert "could not be counted" in life.boot.why
    memory.is_full = False
    life.run()
    assert life.last() == ("rolled_back", 2, "timeout")


def test_a_version_whose_preparation_ends_the_process_again_and_again_is_given_up(
    memory: CutMemory, clock: FakeClock
) -> None:
    Life(memory, clock).offer(desired(1))
    for _ in range(FINDS_MAX):
        life = Life(memory, clock, faults=Faults(ends_in="stage"))
        with pytest.raises(ProcessEnded):
            life.run()
    last = Life(memory, clock)
    assert last.last() == ("rejected", 1, "timeout")
    assert f"ended {FINDS_MAX} times" in last.told[-1].message


def test_starts_that_find_a_version_waiting_are_not_counted(memory: CutMemory, clock: FakeClock) -> None:
    for _ in range(3 * FINDS_MAX):
        life = Life(memory, clock, faults=Faults(unsafe="an association is open"))
        life.offer(desired(1))
        life.run()
    assert Life(memory, clock).machine.snapshot().queued[0].finds == 0


def test_what_was_received_is_looked_at_after_a_crash(memory: CutMemory, clock: FakeClock) -> None:
    Life(memory, clock).offer(desired(1))
    life = Life(memory, clock)
    life.run()
    assert life.last() == ("committed", 1, "ok")


def test_a_queue_of_other_scopes_survives_a_crash(memory: CutMemory, clock: FakeClock) -> None:
    life = Life(memory, clock, groups=["site"], faults=Faults(polls=FOR_EVER))
    life.offer(desired(1))
    life.run_to("planned")
    life.offer(desired(5, scope="group/site"), "group/site")
    life.machine.step()
    after = Life(memory, clock, groups=["site"])
    after.run()
    assert after.device.config == {"device": 1, "group/site": 5}


def test_a_site_that_freezes_while_a_version_is_tried_gets_back_what_was_proven(
    memory: CutMemory, clock: FakeClock
) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, "probing")
    life = Life(memory, clock, frozen=True)
    life.run()
    assert life.last() == ("rolled_back", 2, "local_lock")
    assert life.device.config == {"device": 1}


def test_what_a_frozen_site_had_prepared_is_held_and_taken_later(memory: CutMemory, clock: FakeClock) -> None:
    left_in(memory, clock, "waiting")
    frozen = Life(memory, clock, frozen=True)
    frozen.run(for_s=3600)
    assert frozen.states() == ["verified"]
    thawed = Life(memory, clock)
    thawed.run()
    assert thawed.last() == ("committed", 2, "ok")


def test_a_device_that_leaves_a_group_loses_what_the_group_said_and_can_join_again(
    memory: CutMemory, clock: FakeClock
) -> None:
    theatre = desired(4, scope="group/theatre")
    life = Life(memory, clock, groups=["theatre"])
    life.offer(theatre, "group/theatre")
    life.offer(desired(1))
    life.run()
    alone = Life(memory, clock)
    assert alone.device.config == {"group/theatre": 4, "device": 1}
    alone.run()
    assert alone.device.config == {"device": 1}
    assert (alone.told[-1].scope, alone.told[-1].state) == ("group/theatre", State.COMMITTED)
    again = Life(memory, clock, groups=["theatre"])
    assert again.told == []
    again.offer(theatre, "group/theatre")
    again.run()
    assert again.device.config == {"group/theatre": 4, "device": 1}


def test_a_version_of_a_group_that_the_device_left_is_not_tried(memory: CutMemory, clock: FakeClock) -> None:
    life = Life(memory, clock, groups=["theatre"], faults=Faults(unsafe="an association is open"))
    life.offer(desired(4, scope="group/theatre"), "group/theatre")
    life.run()
    alone = Life(memory, clock)
    assert alone.last() == ("superseded", 4, "superseded")


def test_a_document_that_this_software_does_not_read_any_more_is_given_up(
    memory: CutMemory, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_versions(memory, clock, 1)
    left_in(memory, clock, "waiting")
    monkeypatch.setattr("edge.fleet.layers.DESIRED_SCHEMA", "edge.desired/2")
    life = Life(memory, clock)
    assert life.last() == ("rejected", 2, "unsupported")
    assert life.device.config == {"device": 1}


def test_memories_that_live_as_long_as_their_object_start_the_same_way(clock: FakeClock) -> None:
    memory = RamMemory()
    Life(memory, clock).offer(desired(1))
    life = Life(memory, clock)
    life.run()
    assert config_of(choose_from(memory, clock=clock)) == {"device": 1}
