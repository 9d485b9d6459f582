"""A door that closes and another that opens in its place: whoever calls meanwhile waits, and is served."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.kit.inherited import Listeners
from tests.builders.door import OpenDoor, open_door
from tests.builders.raw_scu import RawScu, data_set
from tests.waiting import until


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    with Listeners() as kept:
        yield kept


def test_who_calls_between_two_doors_is_served_by_the_second(tmp_path: Path, listeners: Listeners) -> None:
    with open_door(tmp_path, listen=listeners.listen) as first:
        port = first.port
    with RawScu(port) as scu:  # connected
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(scu.associate()))
        asking.start()
        with open_door(tmp_path, port=port, listen=listeners.listen) as second:
            asking.join(10)
            assert answers == [2]
            assert scu.store("2.25.1", data_set("2.25.1")) == 0x0000
            assert scu.release() == 6
        assert [one.sop_uid for one in second.kept] == ["2.25.1"]


def test_more_callers_than_may_be_in_come_in_one_after_the_other_where_they_had_to_wait(
    tmp_path: Path, listeners: Listeners
) -> None:
    with open_door(tmp_path, listen=listeners.listen) as first:
        port = first.port
    were_let_in: list[bool] = []
    callers = [
        threading.Thread(target=lambda: were_let_in.append(RawScu(port).is_accepted())) for _ in range(24)
    ]
    for caller in callers:
        caller.start()
    with (
        socket.create_connection(("127.0.0.1", port)),  # is behind them, or among them, and says nothing
        open_door(tmp_path, port=port, listen=listeners.listen, associations_max=2),
    ):
        for caller in callers:
            caller.join(20)
    assert were_let_in == [True] * 24


def test_a_door_that_lets_nobody_in_serves_who_is_in_and_keeps_the_others_waiting(
    tmp_path: Path, listeners: Listeners
) -> None:
    with ExitStack() as rooms:
        door: OpenDoor = rooms.enter_context(open_door(tmp_path / "1", listen=listeners.listen))
        scu = rooms.enter_context(RawScu(door.port))
        assert scu.associate() == 2
        door.door.let_nobody_in()
        with RawScu(door.port) as waiting:
            waiting.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                waiting.associate()
            assert scu.store("2.25.1", data_set("2.25.1")) == 0x0000
            assert door.door.callers == 1
            assert scu.release() == 6
            until(lambda: door.door.callers == 0, within_s=5, what="the last one has left")
            rooms.close()
            with open_door(tmp_path / "2", port=door.port, listen=listeners.listen):
                waiting.socket.settimeout(10)
                assert waiting.receive_pdu()[0] == 2
    assert [one.sop_uid for one in door.kept] == ["2.25.1"]


def test_a_door_of_nobody_else_refuses_once_it_is_closed(tmp_path: Path) -> None:
    with open_door(tmp_path) as door:
        port = door.port
    with pytest.raises(ConnectionRefusedError):
        RawScu(port).__enter__()
