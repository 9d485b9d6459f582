"""A roll-out survives what happens to who runs it: killed anywhere, resumed elsewhere, without a broker."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edge.domain.errors import ConfigurationError, DocumentRefusedError, FormatError
from edge.fleet.operator.rollout_forget import forget
from edge.fleet.operator.rollout_orders import Order, answered
from edge.fleet.operator.rollout_runner import Runner, give_order, holder_of, is_alive
from edge.fleet.operator.rollout_state import Phase, Rollout, Step
from edge.fleet.operator.rollout_store import RolloutStore, known_ids, pieces_of, rollout_of
from tests.builders.fleet_rollouts import BROUGHT, begun, boxes
from tests.fakes.fleet_world import World


class PlugPulledError(BaseException):
    """The operator's machine is gone."""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[RolloutStore]:
    """The file of an operator's machine."""
    with RolloutStore(tmp_path / "anna") as opened:
        yield opened


def silent(_: Runner) -> None:
    """Show nothing."""


def wordless(rollout: Rollout) -> Rollout:
    """Return a roll-out without what it says of those on their way, which is not written down each time."""
    members = {name: dataclasses.replace(member, why="") for name, member in rollout.members.items()}
    return dataclasses.replace(rollout, members=members, revision=0)


def resumed(world: World, file: RolloutStore, *, holder: str = "berta") -> Runner:
    """Return a runner of what is written down."""
    return Runner(world, file, rollout_of("r-1", file.pieces(), world.rollouts()), holder=holder)


def test_a_roll_out_runs_to_its_end_and_the_history_says_how(kept: RolloutStore) -> None:
    world = World(*boxes(10))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    assert runner.run(silent).phase is Phase.DONE
    runner.release()
    assert [box.config for box in world.boxes.values()] == [BROUGHT] * 10
    assert world.notes[-1] == "r-1: done; ring 100% is open; 10 ok"
    assert holder_of(world.rollouts(), "r-1") == ""


def test_what_is_written_down_is_what_was_decided(kept: RolloutStore) -> None:
    world = World(*boxes(150, rooms=20))
    world.edit("anna/or-7", {"log_level": "debug"})
    for _ in range(8):
        world.step()
    runner = Runner(world, kept, begun(world, freeze=("07:00-18:00",), stop_share=0.1), holder="anna")
    runner.take()
    for _ in range(30):
        runner.turn()
        world.step()
        assert wordless(rollout_of("r-1", world.rollouts())) == wordless(runner.rollout)
        assert wordless(rollout_of("r-1", kept.pieces())) == wordless(runner.rollout)


def test_one_device_more_repeats_one_piece_and_not_all(kept: RolloutStore) -> None:
    world = World(*boxes(1000))
    before = begun(world)
    names = list(before.members)
    members = {**before.members, names[450]: begun(world).members[names[0]]}
    after = Rollout(**{**{key: getattr(before, key) for key in Rollout.__slots__}, "members": members})
    assert list(pieces_of(after, before)) == ["r-1.m4"]
    assert len(pieces_of(after)) == 11


class Fragile:
    """A desk in a room where the plug is pulled before the n-th thing that leaves it."""

    def __init__(self, world: World, leaves: int) -> None:
        self._world = world
        self._left = leaves

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def publish_rollout(self, rollout_id: str, document: Mapping[str, Any] | None) -> None:
        self._count()
        self._world.publish_rollout(rollout_id, document)

    def repeat(self, documents: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
        for name, document in documents.items():
            self._count()
            self._world.repeat({name: document})
        return {}

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise PlugPulledError


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_killed_before_anything_that_leaves_it_goes_on_here_or_elsewhere(
    tmp_path: Path, is_elsewhere: bool
) -> None:
    for leaves in (*range(8), 10, 13, 17):
        world = World(*boxes(4, rooms=3))
        with RolloutStore(tmp_path / f"{leaves}") as file:
            runner = Runner(world, file, begun(world), holder="anna")
            runner.take()
            runner = Runner(Fragile(world, leaves), file, runner.rollout, holder="anna")
            with suppress(PlugPulledError):
                runner.run(silent)
        with RolloutStore(tmp_path / (f"{leaves} elsewhere" if is_elsewhere else f"{leaves}")) as file:
            world.publish_rollout("r-1.h", None)
            over = resumed(world, file).run(silent)
        assert over.counts() == {Step.OK: 4}
        assert [box.taken for box in world.boxes.values()] == [[(1, BROUGHT)]] * 4  # one version, taken once


def test_without_a_broker_it_waits_and_goes_on_when_there_is_one(kept: RolloutStore) -> None:
    world = World(*boxes(3))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    runner.turn()
    world.is_down = True
    for _ in range(20):
        world.step()
        runner.turn()
    assert "it is down" in runner.trouble
    world.is_down = False
    assert runner.run(silent).phase is Phase.DONE


def test_a_broker_that_lost_all_it_kept_gets_it_again(kept: RolloutStore) -> None:
    world = World(*boxes(6))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    while not runner.rollout.counts()[Step.OK]:
        runner.turn()
        world.step()
    world.kept.clear()
    world.desired.clear()
    for _ in range(15):
        world.step()
        runner.turn()
    sent = {name for name, member in runner.rollout.members.items() if member.version}
    assert sent <= world.desired.keys()
    assert runner.run(silent).phase is Phase.DONE
    assert rollout_of("r-1", world.rollouts()) == runner.rollout


def test_an_order_from_elsewhere_is_heard_once(kept: RolloutStore) -> None:
    world = World(*boxes(10))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    runner.turn()
    number = give_order(world, runner.rollout, Order.PAUSE, by="berta")
    runner.turn()
    assert (runner.rollout.phase, runner.rollout.order) == (Phase.PAUSED, number)
    assert runner.rollout.why == "pause by berta"
    runner.order(Order.RESUME, by="anna")
    runner.turn()
    assert runner.rollout.phase is Phase.RUNNING
    assert give_order(world, runner.rollout, Order.ABORT, by="berta") == number + 1
    assert runner.run(silent).phase is Phase.ABORTED
    assert [box.config for box in world.boxes.values()] == [{}] * 10


def test_who_approves_a_ring_is_told_that_it_is_open(kept: RolloutStore) -> None:
    world = World(*boxes(10))
    rollout = begun(world, rings=("canary=1", "2", "100%"), needs_approval=True, soak_s=0.0)
    runner = Runner(world, kept, rollout, holder="anna")
    runner.take()
    asked = awaiting(world, runner)
    give_order(world, asked, Order.APPROVE, by="berta")
    runner.turn()
    assert answered(asked, Order.APPROVE, world.rollouts()["r-1"]) == "ring 2 is open"
    assert awaiting(world, runner).ring == 1  # it waits for the next approval before anybody has looked
    assert answered(asked, Order.APPROVE, world.rollouts()["r-1"]) == "ring 2 is open"
    assert answered(asked, Order.PAUSE, world.rollouts()["r-1"]) == "it is awaiting"


def awaiting(world: World, runner: Runner) -> Rollout:
    """Return a roll-out that waits for somebody to approve its next ring."""
    runner.turn()
    while runner.rollout.phase is not Phase.AWAITING:
        world.step()
        runner.turn()
    return runner.rollout


def test_an_order_that_makes_no_sense_any_more_is_passed_over(kept: RolloutStore) -> None:
    world = World(*boxes(3))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    number = give_order(world, runner.rollout, Order.APPROVE, by="berta")
    runner.turn()
    assert (runner.rollout.phase, runner.rollout.order) == (Phase.RUNNING, number)


def test_of_two_who_run_it_the_first_one_stops(kept: RolloutStore, tmp_path: Path) -> None:
    world = World(*boxes(10))
    first = Runner(world, kept, begun(world), holder="anna")
    first.take()
    first.turn()
    with RolloutStore(tmp_path / "elsewhere") as file:
        second = resumed(world, file)
        world.publish_rollout("r-1.h", None)
        second.take()
        with pytest.raises(DocumentRefusedError, match="is run by berta now"):
            first.turn()
        assert second.run(silent).phase is Phase.DONE


def test_who_runs_it_says_so_again_and_again(kept: RolloutStore) -> None:
    world = World(*boxes(3))
    assert not is_alive(world, "r-1")
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    assert not is_alive(world, "r-1")  # it says nothing any more
    world.while_waiting = runner.turn
    assert is_alive(world, "r-1")


def test_a_roll_out_of_which_pieces_are_missing_is_not_resumed(kept: RolloutStore) -> None:
    world = World(*boxes(3))
    Runner(world, kept, begun(world), holder="anna").take()
    held = dict(world.rollouts())
    assert known_ids(kept.pieces(), held) == ["r-1"]
    del held["r-1.m0"]
    with pytest.raises(FormatError, match=r"r-1\.m0: this piece is missing"):
        rollout_of("r-1", held)
    with pytest.raises(FormatError, match="there is no such roll-out"):
        rollout_of("r-2", held)
    with pytest.raises(FormatError, match="is no roll-out"):
        rollout_of("r-1", {**world.rollouts(), "r-1.m0": {"revision": 5, "members": {"a": {"ring": "x"}}}})


@pytest.mark.parametrize("revision", [7, "many"])
def test_the_newest_of_each_piece_counts_wherever_it_lies(kept: RolloutStore, revision: Any) -> None:
    world = World(*boxes(3))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    old = dict(world.rollouts())
    over = runner.run(silent)
    assert rollout_of("r-1", old, kept.pieces()) == over
    assert rollout_of("r-1", kept.pieces(), {**old, "r-1.h": {"revision": revision}}) == over


def test_what_is_over_is_taken_away_from_the_broker_and_kept_here(kept: RolloutStore, tmp_path: Path) -> None:
    world = World(*boxes(5))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    with pytest.raises(ConfigurationError, match="is running; only what is over"):
        forget(world, kept, "r-1", by="anna")
    assert world.rollouts()
    over = runner.run(silent)
    runner.release()
    count = len(world.rollouts())
    with RolloutStore(tmp_path / "elsewhere") as file:
        assert forget(world, file, "r-1", by="berta") == count
        assert world.rollouts() == {}
        assert world.notes[-1] == f"r-1: taken away from the broker by berta: {count} pieces"
        assert rollout_of("r-1", file.pieces()) == over
        with pytest.raises(ConfigurationError, match="the broker keeps nothing of it"):
            forget(world, file, "r-1", by="berta")
    with pytest.raises(FormatError, match="no such roll-out"):
        forget(world, kept, "r-2", by="anna")


def test_forgetting_that_was_cut_off_can_be_ended_on_any_machine(kept: RolloutStore, tmp_path: Path) -> None:
    world = World(*boxes(120))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    runner.run(silent)
    lasting, cut = world.publish_rollout, PlugPulledError("between two pieces")

    def pulled(name: str, document: Mapping[str, Any] | None) -> None:
        lasting(name, document)
        raise cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "publish_rollout", pulled)
        with pytest.raises(PlugPulledError):
            forget(world, kept, "r-1", by="anna")
    assert "r-1" in world.rollouts()
    with RolloutStore(tmp_path / "elsewhere") as file:
        forget(world, file, "r-1", by="berta")
    assert world.rollouts() == {}


@pytest.mark.parametrize("order", [None, Order.ABORT])
def test_who_knows_only_how_it_began_does_nothing_after_another_has_ended_and_forgotten_it(
    kept: RolloutStore, tmp_path: Path, order: Order | None
) -> None:
    world = World(*boxes(10))
    first = Runner(world, kept, begun(world), holder="anna")
    first.take()
    first.turn()
    first.release()
    with RolloutStore(tmp_path / "elsewhere") as file:
        second = resumed(world, file)
        second.take()
        assert second.run(silent).phase is Phase.DONE
        second.release()
        forget(world, file, "r-1", by="berta")
    late = resumed(world, kept, holder="anna")
    for each in filter(None, [order]):
        late.order(each, by="anna")
    with pytest.raises(DocumentRefusedError, match="and 8 more got its document from another machine"):
        late.take()
    assert world.rollouts() == {}
    assert [box.config for box in world.boxes.values()] == [BROUGHT] * 10


def test_nothing_is_forgotten_while_a_device_has_not_its_document(kept: RolloutStore) -> None:
    world = World(*boxes(2))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    runner.run(silent)
    del world.desired["anna/or-1"]  # the broker has lost it
    with pytest.raises(ConfigurationError, match="anna/or-1 has not its document yet"):
        forget(world, kept, "r-1", by="anna")


def test_an_abort_after_the_end_is_possible_anywhere(kept: RolloutStore, tmp_path: Path) -> None:
    world = World(*boxes(5, rooms=2))
    runner = Runner(world, kept, begun(world), holder="anna")
    runner.take()
    runner.run(silent)
    runner.release()
    with RolloutStore(tmp_path / "elsewhere") as file:
        late = resumed(world, file)
        late.order(Order.ABORT, by="berta")
        late.take()
        assert late.run(silent).phase is Phase.ABORTED
    assert [box.config for box in world.boxes.values()] == [{}] * 5
    assert [box.applied for box in world.boxes.values()] == [2] * 5
