"""Senders that break off, lie, stall or flood: the door lives on and keeps what arrived whole."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builders.door import OpenDoor, door_process, open_door
from tests.builders.raw_scu import CT_STORAGE, EXPLICIT, RawScu, association_request, data_set
from tests.waiting import until


@pytest.fixture
def door(tmp_path: Path) -> Iterator[OpenDoor]:
    with open_door(tmp_path) as door:
        yield door


def assert_it_lives(door: OpenDoor) -> None:
    """Another sender is served, nothing half is left, and the books balance."""
    until(lambda: list(door.folder.glob("spool/*/*")) == [], within_s=5)
    with RawScu(door.port) as scu:
        assert scu.associate() == 2
        assert scu.store("2.25.99", data_set("2.25.99")) == 0x0000
        assert scu.release() == 6
    assert door.door.stage.health().balances


def hang_up(scu: RawScu) -> None:
    scu.socket.close()


@pytest.mark.parametrize("break_off", [RawScu.abort, hang_up])
def test_an_association_that_breaks_off_within_an_object_keeps_what_came_before(
    door: OpenDoor, break_off: Callable[[RawScu], None]
) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        assert scu.store("2.25.1", data_set("2.25.1")) == 0x0000
        scu.command("2.25.2")
        scu.send_pdv(data_set("2.25.2"), control=0)
        break_off(scu)
    until(lambda: len(door.closed) == 1, within_s=5)
    assert [instance.sop_uid for instance in door.instances()] == ["2.25.1"]
    assert_it_lives(door)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: edge\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        bytes(1),
        b"\x01\x00\xff\xff\xff\xff" + bytes(64),
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
        b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",
        os.urandom(5000),
    ],
    ids=["http", "tls", "one byte", "4 GB request", "data before association", "abort at once", "noise"],
)
def test_garbage_at_the_port_harms_nobody(door: OpenDoor, garbage: bytes) -> None:
    with RawScu(door.port) as scu, suppress(ConnectionError):
        scu.socket.sendall(garbage)
    assert_it_lives(door)


@pytest.mark.parametrize(
    "pdv",
    [
        b"\xff\xff\xff\xff\x01\x00",  # longer than its PDU
        b"\x00\x00\x00\x01\x01",  # shorter than its own header
        b"\x00\x00\x00\x06\x01\x03\x00\x00\x00\x00",  # a command that is none
        b"\x00\x00\x00\x0a\x01\x03\x00\x00\x00\x01\xff\xff\xff\xff",  # an element past the end
    ],
)
def test_a_pdv_that_lies_about_its_length_aborts_its_association_only(door: OpenDoor, pdv: bytes) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        scu.send_pdu(4, pdv)
        scu.socket.shutdown(1)
        until(lambda: len(door.closed) == 1, within_s=5)
    assert_it_lives(door)


def test_a_context_that_was_not_accepted_aborts_the_association(door: OpenDoor) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        scu.command("2.25.1", context_id=77)
        assert scu.receive_pdu()[0] == 7
    assert_it_lives(door)


def test_a_command_within_a_data_set_aborts_the_association(door: OpenDoor) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        scu.command("2.25.1")
        scu.send_pdv(b"half", control=0)
        scu.command("2.25.2")
        assert scu.receive_pdu()[0] == 7
    assert_it_lives(door)


def test_a_sender_that_stalls_holds_up_nobody_else(door: OpenDoor) -> None:
    with RawScu(door.port) as stalling:
        stalling.associate()
        stalling.command("2.25.1")
        stalling.socket.sendall(b"\x04\x00\x00\x00\x10\x00")  # the head of a PDU, and then silence
        with RawScu(door.port) as scu:
            assert scu.associate() == 2
            assert scu.store("2.25.2", data_set("2.25.2")) == 0x0000
    assert_it_lives(door)


def test_a_release_within_an_object_ends_the_association_and_keeps_nothing_half(door: OpenDoor) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        scu.command("2.25.1")
        scu.send_pdv(b"half", control=0)
        scu.send_pdu(5, bytes(4))
        scu.receive_pdu()
    until(lambda: len(door.closed) == 1, within_s=5)
    assert door.instances() == []
    assert_it_lives(door)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_conversations_harm_nobody(door: OpenDoor, seed: int) -> None:
    chance = random.Random(seed)
    conversation = association_request(
        [(CT_STORAGE, EXPLICIT)], calling="SCU", called="EDGE", pdu_bytes=16384
    )
    head = len(conversation)
    with RawScu(door.port) as scu:
        scu.socket.sendall(conversation)
        assert scu.receive_pdu()[0] == 2
    for _ in range(30):
        mutated = bytearray(conversation)
        for _ in range(chance.randrange(1, 6)):
            mutated[chance.randrange(head)] = chance.randrange(256)
        with RawScu(door.port) as scu, suppress(ConnectionError):
            scu.socket.sendall(mutated[: chance.randrange(1, head + 1)])
            scu.socket.sendall(mutated)
    assert_it_lives(door)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"may not mount a small file system here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("size_bytes", [1_000_000, 200_000], ids=["written on the way", "written at the end"])
def test_a_full_disk_is_answered_with_a700_and_loses_nothing(small_disk: Path, size_bytes: int) -> None:
    with open_door(small_disk) as door, RawScu(door.port, pdu_bytes=0) as scu:
        scu.associate()
        statuses = [
            scu.store(f"2.25.{number}", data_set(f"2.25.{number}", pixels=os.urandom(size_bytes)))
            for number in range(12_000_000 // size_bytes)
        ]
        confirmed = [f"2.25.{number}" for number, status in enumerate(statuses) if status == 0]
        assert set(statuses) == {0x0000, 0xA700}
        assert [instance.sop_uid for instance in door.instances()] == confirmed
        assert all(instance.path.stat().st_size == instance.size_bytes for instance in door.instances())
        assert list(small_disk.glob("spool/*/*")) == []
        door.instances()[0].path.unlink()
        assert scu.store("2.25.99", data_set("2.25.99")) == 0x0000


def peak_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize(
    "size_bytes", [64 << 20, pytest.param(1 << 30, marks=pytest.mark.proof)], ids=["64 MB", "1 GB"]
)
def test_memory_stays_flat_whatever_the_size_of_the_object(tmp_path: Path, size_bytes: int) -> None:
    piece = os.urandom(1 << 20)
    with door_process(tmp_path) as (child, port), RawScu(port) as scu:
        scu.associate()
        assert scu.store("2.25.1", data_set("2.25.1")) == 0x0000
        before_kb = peak_kb(child.pid)
        started = time.monotonic()
        assert scu.store("2.25.2", (piece for _ in range(size_bytes >> 20))) == 0x0000
        rate = size_bytes / 1e6 / (time.monotonic() - started)
        grown_kb = peak_kb(child.pid) - before_kb
    print(f"{size_bytes >> 20} MB at {rate:.0f} MB/s, resident memory grew by {grown_kb} kB")
    assert grown_kb < 16 << 10
    [kept] = [path for path in tmp_path.glob("intake/*/*") if path.stat().st_size > 1 << 20]
    assert kept.stat().st_size >= size_bytes
