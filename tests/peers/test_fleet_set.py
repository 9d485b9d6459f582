"""What operators write, and what becomes of it, with a device and its agent at a real broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge.domain.errors import DocumentRefusedError
from edge.fleet.operator.edit import digest_of_signed
from edge.fleet.operator.rollout_report import State
from edge.fleet.operator.writing import Standing, Writing
from tests.builders.fleet import desired
from tests.fakes.fleet_device import FakeFleetDevice, Faults
from tests.peers.broker import Mosquitto, broker
from tests.peers.fleet_box import box
from tests.peers.fleet_operator import NAME, Seat, paper, seat
from tests.waiting import until

__all__ = ["broker"]
OURS: Mapping[str, Any] = {"config": {"log_level": "DEBUG"}, "bundles": {}}
THEIRS: Mapping[str, Any] = {"config": {"log_level": "ERROR"}, "bundles": {}}


@pytest.fixture
def rooms() -> Iterator[ExitStack]:
    """Closes what a test has opened."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def jane(broker: Mosquitto, tmp_path: Path, rooms: ExitStack) -> Seat:
    return rooms.enter_context(seat(broker.port, tmp_path / "jane"))


@pytest.fixture
def joe(broker: Mosquitto, tmp_path: Path, rooms: ExitStack) -> Seat:
    return rooms.enter_context(seat(broker.port, tmp_path / "joe", who="joe"))


def just_before(seat: Seat, happens: Callable[[], object]) -> None:
    """Let something happen when a document is signed and on its way, too late to be noticed before."""
    send = seat.desk._send_and_hear
    left = [happens]

    def late(message: Any) -> bool:
        while left and message.topic.endswith("config/desired"):
            left.pop()()
        return send(message)

    seat.desk._send_and_hear = late  # type: ignore[method-assign]  # the network, between two operators


def end_of(writing: Writing, *wanted: State, name: str = NAME) -> Any:
    """Return what became of a document, as soon as it is one of these."""
    until(lambda: writing.look() and writing.fates()[name].state in wanted, within_s=15, what=f"{wanted}")
    return writing.fates()[name]


def test_a_document_is_taken_and_the_history_has_it(broker: Mosquitto, tmp_path: Path, jane: Seat) -> None:
    with box(broker.port, tmp_path) as device:
        first = jane.writing()
        assert (first.start, first.base, first.publish(OURS)) == (None, 0, Standing.HELD)
        assert end_of(first, State.COMMITTED).code == "ok"
        second = jane.writing()
        assert (second.start, second.base, second.publish(THEIRS)) == (first.document, 1, Standing.HELD)
        end_of(second, State.COMMITTED)
        assert device.device.config == {"log_level": "ERROR"}
    assert jane.told() == [("published", 1), ("published", 2)]
    assert jane.history.documents(NAME, 1) == [first.document]


def test_what_the_device_refuses_or_undoes_is_told_with_its_reason(
    broker: Mosquitto, tmp_path: Path, jane: Seat
) -> None:
    with box(broker.port, tmp_path, device=(fake := FakeFleetDevice())):
        fake.faults = Faults(wrong=frozenset({"plan"}))
        refused = jane.writing()
        refused.publish(OURS)
        assert end_of(refused, State.REJECTED).code in ("schema", "unsupported")
        fake.faults = Faults(wrong=frozenset({"probe"}))
        undone = jane.writing()
        undone.publish({**OURS, "apply": {"confirm_s": 1}})
        assert end_of(undone, State.ROLLED_BACK).code == "probe"


def test_a_dry_run_changes_nothing_and_says_that_it_could(
    broker: Mosquitto, tmp_path: Path, jane: Seat
) -> None:
    with box(broker.port, tmp_path) as device:
        dry = jane.writing()
        dry.publish({**OURS, "apply": {"mode": "validate"}})
        assert end_of(dry, State.REJECTED).code == "ok"
        assert device.device.config == {}


def test_a_device_that_is_away_takes_it_up_when_it_comes_back(
    broker: Mosquitto, tmp_path: Path, jane: Seat
) -> None:
    with paper(broker.port) as devices:
        devices.presence(NAME, "offline")
        until(lambda: NAME in jane.desk.devices(), within_s=5)
    writing = jane.writing()
    assert writing.publish(OURS) is Standing.HELD
    assert writing.fates()[NAME].state is State.NOTHING
    with box(broker.port, tmp_path):
        end_of(writing, State.COMMITTED)


def test_whoever_comes_second_is_not_published(
    broker: Mosquitto, tmp_path: Path, jane: Seat, joe: Seat
) -> None:
    with box(broker.port, tmp_path) as device:
        late = joe.writing()
        first = jane.writing()
        first.publish(OURS)
        with pytest.raises(
            DocumentRefusedError, match="somebody wrote version 1 by the key fleet-2026"
        ) as caught:
            late.publish(THEIRS)
        assert caught.value.code == "conflict"
        assert late.rival is not None
        assert late.rival.document == first.document
        end_of(first, State.COMMITTED)
        assert device.device.config == {"log_level": "DEBUG"}
    assert joe.history.documents(NAME, 1) == [first.document]


def test_of_two_at_the_same_moment_the_first_at_the_broker_stands(
    broker: Mosquitto, tmp_path: Path, jane: Seat, joe: Seat
) -> None:
    first, second = jane.writing(), joe.writing()
    just_before(joe, lambda: first.publish(OURS))
    assert second.publish(THEIRS) is Standing.SECOND
    until(lambda: first.look() is Standing.HELD and first.rival is not None, within_s=5)
    assert jane.desk.devices()[NAME].desired == first.document
    assert joe.told() == [("published", 1), ("seen", 1), ("put-back", 1)]
    assert joe.history.documents(NAME, 1) == [second.document, first.document]
    assert jane.history.documents(NAME, 1) == [first.document, second.document]
    with box(broker.port, tmp_path) as device:
        end_of(first, State.COMMITTED)
        assert device.device.config == {"log_level": "DEBUG"}
        assert second.look() is Standing.SECOND
        assert second.fates()[NAME].code == "conflict"


def test_of_two_at_the_same_moment_one_is_at_work_and_everybody_is_told_the_same(
    broker: Mosquitto, tmp_path: Path, jane: Seat, joe: Seat
) -> None:
    """Which one that is depends on when the device looks."""
    with box(broker.port, tmp_path) as device, paper(broker.port, present=[NAME]):
        until(lambda: NAME in joe.desk.devices() and joe.desk.devices()[NAME].reported, within_s=5)
        first, second = jane.writing(), joe.writing()
        just_before(joe, lambda: first.publish(OURS))
        second.publish(THEIRS)
        until(lambda: device.device.config, within_s=10)
        at_work = str(device.device.config["log_level"])
        winner, loser = {"DEBUG": (first, second), "ERROR": (second, first)}[at_work]
        assert end_of(winner, State.COMMITTED).code == "ok"
        assert end_of(loser, State.REJECTED).code == "conflict"
        until(lambda: (winner.look(), loser.look()) == (Standing.HELD, Standing.SECOND), within_s=5)
        assert jane.desk.devices()[NAME].desired == winner.document


@pytest.mark.parametrize("takes_first", [True, False])
def test_of_two_at_the_same_moment_the_one_that_the_device_takes_stands(
    broker: Mosquitto, jane: Seat, joe: Seat, takes_first: bool
) -> None:
    with paper(broker.port, present=[NAME]) as device:
        until(lambda: NAME in joe.desk.devices() and NAME in jane.desk.devices(), within_s=5)
        first, second = jane.writing(), joe.writing()
        just_before(joe, lambda: first.publish(OURS))
        winner, loser = [(second, first), (first, second)][takes_first]

        def say_it(_: float) -> bool:
            taken = digest_of_signed(winner.document or {})
            device.say(f"{NAME}/config/reported", {"desired_version": 1, "desired_digest": taken})
            return True

        joe.desk.wait = say_it  # type: ignore[assignment]  # while he waits for the device's word
        second.publish(THEIRS)
        until(lambda: (winner.look(), loser.look()) == (Standing.HELD, Standing.SECOND), within_s=5)
        assert jane.desk.devices()[NAME].desired == winner.document
        assert loser.fates()[NAME].code == "conflict"


def test_what_is_written_over_ours_without_having_seen_it_does_not_stay(
    broker: Mosquitto, jane: Seat
) -> None:
    writing = jane.writing()
    writing.publish(OURS)
    with paper(broker.port) as other:
        other.say_bytes(f"{NAME}/config/desired", desired(1, config={"log_level": "ERROR"}))
    until(lambda: writing.look() is Standing.OVERWRITTEN, within_s=5)
    until(lambda: writing.look() is Standing.HELD, within_s=5)
    assert jane.desk.devices()[NAME].desired == writing.document
    assert jane.told() == [("published", 1), ("seen", 1), ("put-back", 1)]


def test_what_is_made_from_ours_takes_its_place(broker: Mosquitto, jane: Seat, joe: Seat) -> None:
    writing = jane.writing()
    writing.publish(OURS)
    until(lambda: joe.desk.version_of(NAME) == 1, within_s=5)
    joe.writing().publish(THEIRS)
    until(lambda: writing.look() is Standing.FOLLOWED, within_s=5)
    with paper(broker.port) as other:
        other.say(f"{NAME}/config/desired", None)
    until(lambda: writing.look() is Standing.CLEARED, within_s=5)


def test_what_nobody_known_has_signed_is_kept_and_never_put_back(
    broker: Mosquitto, tmp_path: Path, jane: Seat
) -> None:
    stranger = desired(1, config={"log_level": "ERROR"}).replace(b"fleet-2026", b"stranger")
    with paper(broker.port) as other, box(broker.port, tmp_path):
        writing = jane.writing()
        just_before(jane, lambda: other.say_bytes(f"{NAME}/config/desired", stranger))
        assert writing.publish(OURS) is Standing.HELD
        assert writing.rival is not None
        assert writing.rival.told == "version 1 by the key stranger (unknown here)"
        end_of(writing, State.COMMITTED)
    assert [what for what, _ in jane.told()] == ["published", "seen"]


def test_a_layer_of_a_group_is_followed_at_all_its_devices(
    broker: Mosquitto, tmp_path: Path, jane: Seat
) -> None:
    with box(broker.port, tmp_path, groups=["theatres"]), paper(broker.port) as devices:
        devices.say(f"{NAME}/info", {"groups": ["theatres"]})
        until(lambda: NAME in jane.desk.devices(), within_s=5)
        writing = jane.writing("site/group/theatres")
        writing.publish({**OURS, "priority": 5})
        assert end_of(writing, State.COMMITTED).code == "ok"


def test_what_a_stranger_left_at_the_broker_is_not_what_an_edit_is_made_from(
    broker: Mosquitto, tmp_path: Path, jane: Seat
) -> None:
    stranger = desired(2, config={"log_level": "ERROR"}).replace(b"fleet-2026", b"evil")
    with box(broker.port, tmp_path) as device, paper(broker.port) as other:
        first = jane.writing()
        first.publish(OURS)
        end_of(first, State.COMMITTED)
        other.say_bytes(f"{NAME}/config/desired", stranger)
        until(lambda: jane.desk.version_of(NAME) == 2, within_s=5)
        until(lambda: (jane.desk.devices()[NAME].reported or {}).get("applied_version") == 1, within_s=10)
        next_one = jane.writing()
        assert (next_one.base, next_one.basis.document) == (2, first.document)
        assert "by the key 'evil', which you do not know" in next_one.basis.remark
        next_one.publish({"config": {"log_level": "DEBUG", "drain_s": 9}, "bundles": {}})
        end_of(next_one, State.COMMITTED)
        assert device.device.config == {"log_level": "DEBUG", "drain_s": 9}
