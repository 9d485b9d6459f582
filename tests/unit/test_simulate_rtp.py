"""What the simulated camera puts into packets can be put together again, by the words of the RFCs."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import UnsupportedError
from edge.simulate import rtp
from edge.simulate.encoding import AccessUnit, Encoder, VideoForm
from edge.simulate.footage import plain
from edge.simulate.stream import Faults, Shot, Subscriber

START = b"\0\0\0\1"
h264_headers = st.sampled_from([0x67, 0x68, 0x65, 0x41, 0x06])
h265_headers = st.sampled_from([0x40, 0x42, 0x44, 0x26, 0x02]).map(lambda first: bytes([first, 1]))
# No zero bytes: neither a start code nor padding comes about by chance.
bodies = st.integers(1, 5000).flatmap(
    lambda size: st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).integers(1, 256, size, dtype=np.uint8).tobytes()
    )
)


def h264_units(payloads: list[bytes]) -> list[bytes]:
    """Undo RFC 6184."""
    units: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 31
        at = 1
        while kind == 24 and at < len(payload):
            size = struct.unpack_from(">H", payload, at)[0]
            units.append(payload[at + 2 : at + 2 + size])
            at += 2 + size
        if kind == 28 and payload[1] & 0x80:
            units.append(bytes([payload[0] & 0xE0 | payload[1] & 31]))
        if kind == 28:
            units[-1] += payload[2:]
        if kind not in (24, 28):
            units.append(payload)
    return units


def h265_units(payloads: list[bytes]) -> list[bytes]:
    """Undo RFC 7798 without aggregation."""
    units: list[bytes] = []
    for payload in payloads:
        is_fragment = payload[0] >> 1 & 63 == 49
        if is_fragment and payload[2] & 0x80:
            units.append(bytes([payload[0] & 0x81 | (payload[2] & 63) << 1, payload[1]]))
        if is_fragment:
            units[-1] += payload[3:]
        else:
            units.append(payload)
    return units


@given(st.lists(st.tuples(h264_headers, bodies), min_size=1, max_size=8))
def test_h264_comes_together_again(parts: list[tuple[int, bytes]]) -> None:
    units = [bytes([header]) + body for header, body in parts]
    packed = rtp.payloads(b"".join(START + unit for unit in units), "h264")
    assert h264_units(packed) == units
    assert max(map(len, packed)) <= rtp.PAYLOAD_BYTES_MAX


@given(st.lists(st.tuples(h265_headers, bodies), min_size=1, max_size=8))
def test_h265_comes_together_again(parts: list[tuple[bytes, bytes]]) -> None:
    units = [header + body for header, body in parts]
    packed = rtp.payloads(b"".join(START + unit for unit in units), "h265")
    assert h265_units(packed) == units
    assert max(map(len, packed)) <= rtp.PAYLOAD_BYTES_MAX


def test_the_scan_of_a_jpeg_travels_whole_with_its_tables() -> None:
    form = VideoForm(codec="mjpeg", height_px=240, width_px=320)
    content = next(Encoder(form).encode(plain(90, form), frame_number=0)).content
    packed = rtp.payloads(content, "mjpeg")
    offsets = [int.from_bytes(payload[1:4], "big") for payload in packed]
    first, rest = packed[0][8 + 4 + 128 :], [payload[8:] for payload in packed[1:]]
    assert content.endswith(first + b"".join(rest) + b"\xff\xd9")
    assert packed[0][4:8] == bytes([1, 255, 320 // 8, 240 // 8])
    assert offsets == [0, *itertools.accumulate(map(len, [first, *rest][:-1]))]


def test_a_jpeg_that_rtp_has_no_words_for_is_refused() -> None:
    _, content = cv2.imencode(".jpg", np.zeros((148, 256, 3), np.uint8))
    with pytest.raises(UnsupportedError, match="256x148"):
        rtp.payloads(content.tobytes(), "mjpeg")


def test_a_sender_report_lays_the_timestamp_onto_the_wall_clock() -> None:
    packet = rtp.sender_report(
        ssrc=7, utc_ns=1_500_000_000_250_000_000, timestamp=2**32 + 5, packets=3, octets=999, name="edge"
    )
    kind, words, ssrc, seconds, fraction, *counts = struct.unpack_from(">xBHIIIIII", packet)
    assert (kind, words, ssrc, counts) == (200, 6, 7, [5, 3, 999])
    assert seconds - 2_208_988_800 == 1_500_000_000
    assert fraction == 2**30
    assert len(packet) % 4 == 0
    assert struct.unpack_from(">H", packet, 30)[0] == (len(packet) - 28) // 4 - 1


class Heard:
    """A line that remembers, and can be too slow."""

    def __init__(self) -> None:
        self.media: list[bytes] = []
        self.control: list[bytes] = []
        self.is_slow = False

    def send_media(self, packets: Sequence[bytes]) -> bool:
        self.media += [] if self.is_slow else packets
        return not self.is_slow

    def send_control(self, packet: bytes) -> None:
        self.control.append(packet)


def shot(number: int, *, is_key: bool) -> Shot:
    return Shot(AccessUnit(content=b"", is_key=is_key, frame_number=number), [b"a" * 20, b"b" * 20])


def sequences(heard: Heard) -> list[int]:
    return [struct.unpack_from(">H", packet, 2)[0] for packet in heard.media]


def send(subscriber: Subscriber, number: int, *, is_key: bool = False, faults: Faults | None = None) -> None:
    subscriber.send(shot(number, is_key=is_key), timestamp=number, payload_type=96, faults=faults or Faults())


def test_a_receiver_begins_with_a_key_frame_and_hears_every_number_after_it() -> None:
    heard = Heard()
    subscriber = Subscriber(heard)
    for number in range(6):
        send(subscriber, number, is_key=number == 2)
    seen = sequences(heard)
    assert [(after - before) & 0xFFFF for before, after in itertools.pairwise(seen)] == [1] * 7
    assert [packet[1] >> 7 for packet in heard.media] == [0, 1] * 4


def test_a_slow_receiver_misses_pictures_until_the_next_key_frame_and_can_see_that_it_did() -> None:
    heard = Heard()
    subscriber = Subscriber(heard)
    send(subscriber, 0, is_key=True)
    heard.is_slow = True
    send(subscriber, 1)
    heard.is_slow = False
    send(subscriber, 2)
    send(subscriber, 3, is_key=True)
    assert subscriber.frames_dropped == 1
    assert [(after - before) & 0xFFFF for before, after in itertools.pairwise(sequences(heard))] == [1, 3, 1]


@pytest.mark.parametrize(
    ("faults", "kept"),
    [(Faults(drop_share=1.0), 0), (Faults(garbage_share=1.0), 2), (Faults(noise_share=1.0), 2)],
)
def test_packets_are_lost_or_spoiled_on_request(faults: Faults, kept: int) -> None:
    heard = Heard()
    send(Subscriber(heard), 0, is_key=True, faults=faults)
    assert len(heard.media) == kept
    assert not any(packet.endswith((b"a" * 20, b"b" * 20)) for packet in heard.media)


def test_packets_come_in_another_order_on_request() -> None:
    heard = Heard()
    send(Subscriber(heard), 0, is_key=True, faults=Faults(reorder_share=1.0))
    assert [packet[-1:] for packet in heard.media] == [b"b", b"a"]
