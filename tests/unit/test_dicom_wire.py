"""The wire hands out what came in, in order, however it was cut on the way and is asked for here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import AE
from pynetdicom.association import Association

from edge.sources import dicom_wire
from edge.sources.dicom_wire import Wire

SENT = bytes(range(251)) * 2000  # several times what is read ahead


@contextmanager
def wire_that_gets(sent: bytes, *, cut_bytes: int) -> Iterator[Wire]:
    """A wire whose peer sends this in pieces and hangs up."""
    ours, peer = socket.socketpair()

    def send() -> None:
        with closing(peer):
            for at in range(0, len(sent), cut_bytes):
                peer.sendall(sent[at : at + cut_bytes])

    sender = threading.Thread(target=send)
    with closing(ours):
        sender.start()
        yield Wire(Association(AE(), "acceptor"), ours)
        sender.join()


@given(
    asked=st.lists(st.tuples(st.booleans(), st.integers(0, 300_000)), min_size=1, max_size=12),
    cut_bytes=st.integers(1000, 200_000),
)
def test_what_was_sent_is_handed_out_in_order(asked: list[tuple[bool, int]], cut_bytes: int) -> None:
    received = bytearray()
    piece = memoryview(bytearray(300_000))
    with wire_that_gets(SENT, cut_bytes=cut_bytes) as wire:
        for is_whole, count in asked:
            received += wire.recv(count) if is_whole else piece[: wire.read_into(piece[:count])]
        received += wire.recv(len(SENT))
        assert wire.recv(1) == b""
        assert wire.read_into(piece) == 0
    assert received == SENT


@given(before_bytes=st.integers(0, 40), count=st.integers(0, 6), cut_bytes=st.integers(1, 9))
def test_a_head_that_is_given_back_comes_again(before_bytes: int, count: int, cut_bytes: int) -> None:
    sent = SENT[:60]
    with wire_that_gets(sent, cut_bytes=cut_bytes) as wire:
        wire.recv(before_bytes)
        head = wire.recv(count)
        wire.give_back(bytes(head))
        assert wire.recv(60) == sent[before_bytes:]


def test_what_was_read_ahead_counts_as_something_to_read() -> None:
    with wire_that_gets(SENT[:100], cut_bytes=100) as wire:
        wire.recv(50)
        assert wire.wait(0.0)
        assert wire.recv(50) == SENT[50:100]


def test_a_peer_that_stalls_leaves_nothing_of_before_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was handed out already must not come again when the next read fails."""
    monkeypatch.setattr(dicom_wire, "_AHEAD_BYTES", 16)
    ours, peer = socket.socketpair()
    with closing(ours), closing(peer):
        ours.settimeout(0.01)
        wire = Wire(Association(AE(), "acceptor"), ours)
        peer.sendall(SENT[:16])
        assert wire.recv(16) == SENT[:16]
        with pytest.raises(TimeoutError):
            wire.recv(1)
        peer.sendall(b"next")
        assert wire.recv(4) == b"next"
