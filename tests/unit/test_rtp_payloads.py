"""Packets to access units: what was sent comes out, and what lacks a packet never does."""

from __future__ import annotations

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.simulate import rtp as sender
from edge.simulate.encoding import Codec, Encoder, VideoForm, to_planes
from edge.simulate.scenes import scene
from edge.sources.rtsp.depacketise import BADLY_PACKED, MISSING, TOO_LARGE, Depacketiser
from edge.sources.rtsp.rtp import RtpPacket

ENCODINGS: dict[Codec, str] = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}
DECODERS: dict[Codec, str] = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}
IDR, SLICE, PARAMETERS = b"\x65" + bytes(50), b"\x41" + bytes(50), b"\x67\x42\x00\x1e"


def packets(payloads: list[bytes], *, first: int = 0, timestamp: int = 0) -> list[RtpPacket]:
    last = len(payloads) - 1
    return [
        RtpPacket(96, number == last, first + number, timestamp, 7, payload, 0)
        for number, payload in enumerate(payloads)
    ]


def after_gap(packet: RtpPacket) -> RtpPacket:
    return RtpPacket(
        96, packet.marker, packet.sequence, packet.timestamp, 7, packet.payload, 0, follows_gap=True
    )


def encoded(codec: Codec) -> list[tuple[bytes, bool]]:
    form = VideoForm(codec=codec, height_px=240, width_px=320, bit_rate_kbps=4000)
    drawn = scene("theatre", height_px=240, width_px=320)
    encoder = Encoder(form)
    return [
        (unit.content, unit.is_key)
        for number in range(4)
        for unit in encoder.encode(to_planes(drawn.picture(number / 25)), frame_number=number)
    ]


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_what_an_encoder_made_comes_out_of_its_packets_and_is_decoded(codec: Codec) -> None:
    depacketiser = Depacketiser(ENCODINGS[codec], bytes_max=1 << 20)
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_type, decoder.thread_count = "NONE", 1
    decoder.options = {"err_detect": "explode"}
    sizes, keys = [], []
    for number, (content, _) in enumerate(encoded(codec)):
        cut = sender.payloads(content, codec)
        assert len(cut) > 1
        *none, [unit] = [depacketiser.put(one) for one in packets(cut, timestamp=3600 * number)]
        assert none == [[]] * (len(cut) - 1)
        assert unit.damage == ""
        keys.append(unit.is_key)
        sizes += [(frame.height, frame.width) for frame in decoder.decode(av.Packet(unit.content))]
    assert sizes == [(240, 320)] * 4
    assert keys == [is_key for _, is_key in encoded(codec)]


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
@pytest.mark.parametrize("missing", [0, 1, -1])
def test_an_access_unit_that_lacks_a_packet_is_damaged_and_the_next_one_whole(
    codec: Codec, missing: int
) -> None:
    depacketiser = Depacketiser(ENCODINGS[codec], bytes_max=1 << 20)
    units = encoded(codec)
    first = packets(sender.payloads(units[0][0], codec))
    del first[missing]
    second = packets(sender.payloads(units[1][0], codec), timestamp=3600)
    follows = {0: 0, 1: 1, -1: len(first)}[missing]
    came = [*first, *second]
    came[follows] = after_gap(came[follows])
    ended = [unit for one in came for unit in depacketiser.put(one)]
    assert [unit.timestamp for unit in ended if not unit.damage] == [3600][: {0: 1, 1: 1, -1: 0}[missing]]
    assert {unit.damage for unit in ended} - {""} == {MISSING}
    assert all(unit.content == b"" for unit in ended if unit.damage)


def test_an_access_unit_without_a_marker_ends_with_the_next_timestamp() -> None:
    depacketiser = Depacketiser("H264", bytes_max=1 << 20)
    assert depacketiser.put(RtpPacket(96, False, 1, 0, 7, IDR, 0)) == []
    [unit] = depacketiser.put(RtpPacket(96, False, 2, 3600, 7, SLICE, 0))
    assert (unit.timestamp, unit.is_key, unit.damage) == (0, True, "")


def test_parameter_sets_with_a_marker_of_their_own_go_with_the_picture_after_them() -> None:
    depacketiser = Depacketiser("H264", bytes_max=1 << 20)
    assert depacketiser.put(RtpPacket(96, True, 1, 0, 7, PARAMETERS, 0)) == []
    [unit] = depacketiser.put(RtpPacket(96, True, 2, 0, 7, IDR, 0))
    assert unit.content.startswith(b"\x00\x00\x00\x01" + PARAMETERS)
    assert unit.is_key


def test_an_access_unit_that_is_too_large_is_given_up_and_takes_no_more_memory() -> None:
    depacketiser = Depacketiser("H264", bytes_max=1000)
    ended = []
    for number in range(100):
        ended += depacketiser.put(RtpPacket(96, number == 99, number, 0, 7, SLICE, 0))
    assert [unit.damage for unit in ended] == [TOO_LARGE]
    assert depacketiser.last_trouble == "an access unit of more than 1000 bytes"


@pytest.mark.parametrize(
    ("encoding", "payload"),
    [
        ("H264", b""),
        ("H264", b"\x19\x00\x00"),  # STAP-B, of the interleaved mode
        ("H264", b"\x78\xff\xff\x41"),  # STAP-A whose unit ends outside
        ("H264", b"\x7c\x05\x00"),  # a fragment that continues nothing
        ("H265", b"\x64\x01\x00"),  # PACI
        ("H265", b"\x60\x01\x00\x01\x00"),  # an aggregation packet with a unit of 1 byte
        ("JPEG", b"\x00\x00\x00\x00\x01"),
        ("JPEG", bytes([0, 0, 0, 0, 1, 0, 40, 30])),  # Q 0 is reserved
        ("JPEG", bytes([0, 0, 0, 0, 5, 50, 40, 30, 1])),  # type 5 is nobody's
        ("JPEG", bytes([0, 0, 0, 0, 1, 255, 40, 30, 0, 0, 0, 0, 1])),  # Q 255 without tables
        ("JPEG", bytes([0, 0, 0, 9, 1, 50, 40, 30, 1])),  # begins in the middle
    ],
)
def test_what_is_not_packed_as_its_rfc_says_is_damaged(encoding: str, payload: bytes) -> None:
    [unit] = Depacketiser(encoding, bytes_max=1000).put(RtpPacket(96, True, 1, 0, 7, payload, 0))
    assert unit.damage == BADLY_PACKED


@given(
    encoding=st.sampled_from(["H264", "H265", "JPEG"]),
    payloads=st.lists(st.tuples(st.binary(max_size=40), st.booleans(), st.booleans()), max_size=30),
)
def test_whatever_comes_gives_whole_or_damaged_units_and_never_an_exception(
    encoding: str, payloads: list[tuple[bytes, bool, bool]]
) -> None:
    depacketiser = Depacketiser(encoding, bytes_max=200)
    for number, (payload, marker, is_next) in enumerate(payloads):
        timestamp = number if is_next else 0
        for unit in depacketiser.put(RtpPacket(96, marker, number, timestamp, 7, payload, 0)):
            assert bool(unit.damage) == (unit.content == b"")
