"""Listening sockets that outlive who listens: in the same process, and in the one that takes its place."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from edge.kit.inherited import Listeners, inherited
from tests.ports import free_port


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    with Listeners() as kept:
        yield kept


@contextmanager
def heir(kind: str) -> Iterator[tuple[list[int], list[socket.socket], Mapping[str, Any]]]:
    """Where a process listens, callers that came while another took its place, and what that one found."""
    child = subprocess.Popen([sys.executable, "-m", "tests.builders.heir", kind], stdout=subprocess.PIPE)
    assert child.stdout is not None
    callers: list[socket.socket] = []
    try:
        ports: list[int] = json.loads(child.stdout.readline())["ports"]
        callers += [socket.create_connection(("127.0.0.1", port), timeout=10) for port in ports]
        yield ports, callers, json.loads(child.stdout.readline())
        assert child.wait(10) == 0
    finally:
        for caller in callers:
            caller.close()
        child.kill()
        child.wait()
        child.stdout.close()


def is_refused(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as caller:
        return caller.connect_ex((host, port)) != 0


def answered(caller: socket.socket) -> bytes:
    caller.sendall(b"hello")
    return caller.recv(16)


def test_who_calls_while_another_program_takes_our_place_is_answered_by_it() -> None:
    with heir("listen") as (ports, callers, found):
        assert found["ports"] == ports
        assert [answered(caller) for caller in callers] == [b"hello", b"hello"]


def test_no_child_comes_by_the_sockets_nor_hears_of_them() -> None:
    with heir("listen") as (_, callers, found):
        assert found["told"] == []
        assert found["inheritable"] == [False, False]
        assert found["open"] == [0, 1, 2, 3, 4]
        assert found["child"] == 4  # its own three, and the folder that it lists
        assert [answered(caller) for caller in callers] == [b"hello", b"hello"]


def test_what_is_no_listening_tcp_socket_or_is_not_there_is_closed_and_not_used() -> None:
    with heir("foreign") as (ports, callers, found):
        assert found["ports"] == ports
        assert found["open"] == [0, 1, 2, 5]
        assert answered(callers[0]) == b"hello"


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
    ],
)
def test_what_was_told_to_another_process_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert inherited() == []
    assert not any(name.startswith("LISTEN_") for name in os.environ)


def test_what_a_library_has_opened_by_then_is_left_alone_whatever_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        monkeypatch.setattr("edge.kit.inherited._FIRST", ours.fileno())
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        assert inherited() == []
        assert not is_refused(ours.getsockname()[1])


def test_a_door_that_opens_again_has_the_callers_who_waited(listeners: Listeners) -> None:
    first = listeners.listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    first.close()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        with listeners.listen("127.0.0.1", port) as second:
            connection, address = second.accept()
        assert address == caller.getsockname()
        connection.close()


def test_an_address_that_nobody_listens_on_any_more_refuses(listeners: Listeners) -> None:
    with listeners.listen("127.0.0.1", 0) as kept, listeners.listen("127.0.0.1", 0) as left:
        ports = [one.getsockname()[1] for one in (kept, left)]
        left.close()
        listeners.close_unused()
        assert [is_refused(port) for port in ports] == [False, True]
        assert not is_refused(ports[0])


def test_once_nothing_is_kept_a_door_that_closes_refuses(listeners: Listeners) -> None:
    with listeners.listen("127.0.0.1", 0) as only:
        port = only.getsockname()[1]
        listeners.close()
        assert not is_refused(port)
    assert is_refused(port)


def test_a_wider_address_takes_the_place_of_a_narrower_one_at_its_port_and_back(listeners: Listeners) -> None:
    port = free_port()
    for host in ("127.0.0.1", "0.0.0.0", "127.0.0.1"):
        with listeners.listen(host, port):
            assert is_refused(port, "127.0.0.2") == (host == "127.0.0.1")


def test_an_address_is_given_to_one_door_at_a_time(listeners: Listeners) -> None:
    with listeners.listen("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listeners.listen("127.0.0.1", first.getsockname()[1])


def test_an_address_of_version_six_is_found_again(listeners: Listeners) -> None:
    with listeners.listen("::1", 0) as first:
        port = first.getsockname()[1]
    with socket.create_connection(("::1", port), timeout=5), listeners.listen("::1", port) as second:
        second.accept()[0].close()
