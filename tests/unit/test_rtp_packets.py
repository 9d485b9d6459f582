"""RTP and RTCP: packets in order, their gaps known, and garbage refused."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import FormatError
from edge.sources.rtsp import rtcp
from edge.sources.rtsp.rtp import InOrder, RtpPacket, is_rtcp, parse

MS = 1_000_000


def packet(sequence: int, *, at_ms: float = 0.0) -> RtpPacket:
    return RtpPacket(96, False, sequence % 65536, 0, 7, b"x", round(at_ms * MS))


def numbers(packets: list[RtpPacket]) -> list[tuple[int, bool]]:
    return [(one.sequence, one.follows_gap) for one in packets]


def test_a_packet_is_taken_apart_with_sources_extension_and_padding() -> None:
    head = struct.pack(">BBHII", 0x80 | 0x20 | 0x10 | 2, 0x80 | 96, 65535, 2**32 - 1, 7)
    sources, extension = bytes(8), b"\xbe\xde\x00\x01abcd"
    seen = parse(head + sources + extension + b"payload" + b"\x00\x00\x03", arrival_ns=5)
    assert seen == RtpPacket(96, True, 65535, 2**32 - 1, 7, b"payload", 5)


@given(st.binary(max_size=64))
def test_whatever_comes_is_a_packet_or_refused(content: bytes) -> None:
    try:
        seen = parse(content, arrival_ns=0)
    except FormatError:
        return
    assert len(seen.payload) <= len(content) - 12


@given(st.binary(max_size=200))
def test_whatever_comes_as_a_report_steers_nothing(content: bytes) -> None:
    assert isinstance(rtcp.parse(content), list)
    assert is_rtcp(content) in (True, False)


def test_over_tcp_everything_goes_through_at_once_also_over_the_wrap() -> None:
    order = InOrder(held_max=0, held_ms=0)
    seen = [numbers(order.put(packet(number)))[0] for number in range(65534, 65538)]
    assert seen == [(65534, False), (65535, False), (0, False), (1, False)]
    assert (order.expected, order.passed, order.missing) == (4, 4, 0)


def test_a_packet_that_was_overtaken_is_put_back_in_its_place() -> None:
    order = InOrder(held_max=8, held_ms=30)
    assert numbers(order.put(packet(1))) == [(1, False)]
    assert order.put(packet(3)) == []
    assert numbers(order.put(packet(2))) == [(2, False), (3, False)]


@pytest.mark.parametrize(("held_max", "at_ms"), [(1, 0.0), (8, 31.0)])
def test_a_packet_that_does_not_come_is_given_up_by_number_or_by_time(held_max: int, at_ms: float) -> None:
    order = InOrder(held_max=held_max, held_ms=30)
    order.put(packet(1))
    order.put(packet(3))
    assert numbers(order.put(packet(4, at_ms=at_ms))) == [(3, True), (4, False)]
    assert order.missing == 1
    assert order.put(packet(2)) == []  # too late
    assert order.doubled == 1


def test_a_sender_that_counts_anew_is_followed_and_its_gap_is_known() -> None:
    order = InOrder(held_max=8, held_ms=30)
    order.put(packet(10))
    assert numbers(order.put(packet(40_000))) == [(40_000, True)]
    assert numbers(order.put(packet(40_001))) == [(40_001, False)]
    assert (order.expected, order.passed) == (2, 2)


@given(
    start=st.integers(0, 65535),
    fates=st.lists(st.sampled_from(["sent", "lost", "twice", "swapped"]), min_size=1, max_size=60),
)
def test_what_goes_on_is_in_order_without_doubles_and_marks_every_gap(start: int, fates: list[str]) -> None:
    sent: list[int] = []
    for number, fate in enumerate(fates):
        copies = {"sent": 1, "lost": 0, "twice": 2, "swapped": 1}[fate]
        at = max(len(sent) - 1, 0) if fate == "swapped" else len(sent)
        sent[at:at] = [start + number] * copies
    order = InOrder(held_max=4, held_ms=1e9)
    passed = [one for number in sent for one in order.put(packet(number))]
    extended = [(one.sequence - passed[0].sequence) % 65536 for one in passed]
    assert extended == sorted(set(extended))
    skips = [later - earlier > 1 for earlier, later in pairwise(extended)]
    assert skips == [one.follows_gap for one in passed[1:]]


def test_a_receiver_report_says_what_was_missing_and_when_the_sender_was_heard() -> None:
    order = InOrder(held_max=0, held_ms=0)
    receiver = rtcp.Receiver(ssrc=1, clock_rate_hz=90_000)
    for number in (10, 11, 13, 14):
        order.put(packet(number))
        receiver.note_packet(timestamp=number * 3600, arrival_ns=number * 40 * MS)
    said = rtcp.SenderReport(ssrc=7, ntp=(3_900_000_000 << 32) + (1 << 31), timestamp=0)
    receiver.note_report(said, arrival_ns=1000 * MS)
    report = receiver.report(about_ssrc=7, order=order, now_ns=1500 * MS)
    head, kind, words, ours, about = struct.unpack_from(">BBHII", report)
    fraction, missing, highest, jitter, last, delay = struct.unpack_from(">B3sIIII", report, 12)
    assert (head, kind, words, ours, about) == (0x81, 201, 7, 1, 7)
    assert (fraction, int.from_bytes(missing, "big"), highest, jitter) == (51, 1, 14, 0)  # 1 of 5
    assert last == ((3_900_000_000 & 0xFFFF) << 16) + (1 << 15)
    assert delay == 32768
    assert len(report) % 4 == 0
    assert rtcp.parse(report) == []


def test_a_sender_report_and_a_goodbye_are_read_from_one_packet() -> None:
    report = struct.pack(">BBHIQIII", 0x80, 200, 6, 7, 5 << 32, 90_000, 1, 2)
    goodbye = struct.pack(">BBHI", 0x81, 203, 1, 7)
    said, ended = rtcp.parse(report + goodbye)
    assert said == rtcp.SenderReport(ssrc=7, ntp=5 << 32, timestamp=90_000)
    assert isinstance(said, rtcp.SenderReport)
    assert said.seconds == 5.0
    assert isinstance(ended, rtcp.Goodbye)
