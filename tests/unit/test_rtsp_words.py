"""What is said on an RTSP connection: messages, descriptions, addresses, and who we are."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import ConfigurationError, FormatError, UnsupportedError
from edge.sources.rtsp import sdp
from edge.sources.rtsp.address import Address
from edge.sources.rtsp.auth import Account, Challenge
from edge.sources.rtsp.wire import STRAY_BYTES_MAX, Answer, Interleaved, Request, Wire

BOB = Account(username="Mufasa", password="Circle of Life")
DESCRIPTION = """v=0
o=- 1 1 IN IP4 10.0.0.1
s=camera
a=control:*
m=audio 0 RTP/AVP 0
a=control:trackID=1
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=42001f;sprop-parameter-sets=Z0IAHg==,aM48gA==
a=framerate:25
a=control:trackID=2
"""


# ── the wire ──────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(1, 200), max_size=60))
def test_a_stream_is_taken_apart_the_same_however_it_is_cut(cuts: list[int]) -> None:
    answer = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nbody"
    asked = b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n"
    packet = b"$\x00\x00\x05hello"
    stream = answer + packet + b"\r\n" + asked + packet
    wire = Wire(channels=frozenset({0, 1}))
    seen: list[object] = []
    at = 0
    for cut in [*cuts, len(stream)]:
        seen += wire.feed(stream[at : at + cut])
        at += cut
    assert seen == [
        Answer(status=200, reason="OK", headers={"cseq": "2", "content-length": "4"}, body=b"body"),
        Interleaved(0, b"hello"),
        Request(method="OPTIONS", headers={"cseq": "9"}),
        Interleaved(0, b"hello"),
    ]


def test_garbage_between_packets_is_skipped_and_counted() -> None:
    wire = Wire(channels=frozenset({0, 1}))
    seen = list(wire.feed(b"\xff\xfe$\x77garbage" + b"$\x01\x00\x02ok"))
    assert seen == [Interleaved(1, b"ok")]
    assert wire.stray_bytes == 11


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * (STRAY_BYTES_MAX + 1),
        b"RTSP/1.0 " + b"x" * 20_000,
        b"RTSP/1.0 200 OK\r\nContent-Length: 9999999\r\n\r\n",
    ],
)
def test_nothing_but_garbage_is_refused_before_it_takes_memory(garbage: bytes) -> None:
    with pytest.raises(FormatError):
        list(Wire().feed(garbage))


@given(st.binary(max_size=300))
def test_whatever_comes_is_taken_apart_or_refused(content: bytes) -> None:
    wire = Wire(channels=frozenset({0, 1}))
    try:
        list(wire.feed(content))
    except FormatError:
        return
    assert wire.stray_bytes <= len(content)


# ── descriptions ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_video_among_several_tracks_is_found_with_all_it_says() -> None:
    seen = sdp.read(DESCRIPTION, base_url="rtsp://10.0.0.1/live/")
    assert seen.url == "rtsp://10.0.0.1/live/"
    assert seen.track == sdp.Track(
        encoding="H264",
        payload_type=96,
        clock_rate_hz=90_000,
        url="rtsp://10.0.0.1/live/trackID=2",
        frames_per_s=25.0,
        parameter_sets=(bytes.fromhex("6742001e"), bytes.fromhex("68ce3c80")),
    )


def test_jpeg_needs_no_mapping() -> None:
    seen = sdp.read("v=0\nm=video 0 RTP/AVP 26\n", base_url="rtsp://h/x")
    assert (seen.track.encoding, seen.track.url) == ("JPEG", "rtsp://h/x")


@pytest.mark.parametrize(
    ("control", "url"),
    [
        ("trackID=1", "rtsp://h:554/a/b/trackID=1"),
        ("/c/d", "rtsp://h:554/c/d"),
        ("rtsp://other/x", "rtsp://other/x"),
    ],
)
def test_a_track_is_asked_for_where_it_says(control: str, url: str) -> None:
    text = f"v=0\nm=video 0 RTP/AVP 26\na=control:{control}\n"
    assert sdp.read(text, base_url="rtsp://h:554/a/b/").track.url == url


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("H264/90000", "VP9/90000", "video VP9 (no codec of ours)"),
        ("packetization-mode=1", "packetization-mode=2", "interleaved NAL units"),
        ("video 0 RTP/AVP 96", "video 0 RTP/SAVP 96", "RTP/SAVP is encrypted (SRTP)"),
        ("H264/90000", "H264/0", "clock rate '0'"),
        ("m=video", "m=text", "text H264 (no video)"),
    ],
)
def test_what_we_cannot_decode_is_refused_and_named(old: str, new: str, said: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(said)):
        sdp.read(DESCRIPTION.replace(old, new), base_url="rtsp://h/x")


@given(st.text(max_size=200))
def test_whatever_is_described_is_read_or_refused(text: str) -> None:
    with pytest.raises(FormatError):
        sdp.read("v=0\n" + text, base_url="rtsp://h/x")


# ── addresses ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_is_taken_apart_and_its_query_is_not_shown() -> None:
    address = Address.of("rtsp://[::1]:8554/live?password=secret")
    assert (address.host, address.port, address.public) == ("::1", 8554, "rtsp://[::1]:8554/live")
    assert Address.of("rtsp://camera/x").port == 554


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://user:secret@camera/x",
        "rtsps://camera/x",
        "http://camera/x",
        "rtsp:///x",
        "rtsp://camera:x/secret",
        "rtsp://c/ secret",
    ],
)
def test_an_address_that_is_none_of_ours_is_refused_without_repeating_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Address.of(url)
    assert "secret" not in str(refused.value)


# ── who we are ────────────────────────────────────────────────────────────────────────────────────────────


def parts_of(answer: str) -> dict[str, str]:
    return {
        name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', answer)
    }


def test_basic_is_written_as_rfc_7617_says() -> None:
    challenge = Challenge('Basic realm="WallyWorld"', basic_is_allowed=True)
    account = Account(username="Aladdin", password="open sesame")
    assert (
        challenge.answer(account, method="DESCRIBE", uri="rtsp://h/x") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    )


def test_digest_without_qop_is_that_of_rfc_2069() -> None:
    challenge = Challenge('Digest realm="r", nonce="n", opaque="o"', basic_is_allowed=False)
    said = parts_of(challenge.answer(BOB, method="DESCRIBE", uri="rtsp://h/x"))
    secret, request = md5("Mufasa:r:Circle of Life"), md5("DESCRIBE:rtsp://h/x")
    assert said["response"] == md5(f"{secret}:n:{request}")
    assert (said["opaque"], "algorithm" in said) == ("o", False)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_digest_with_qop_is_that_of_rfc_7616_and_counts_its_uses(algorithm: str) -> None:
    offered = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="7ypf"'
    )
    challenge = Challenge(offered, basic_is_allowed=False)
    challenge.answer(BOB, method="GET", uri="/")
    said = parts_of(challenge.answer(BOB, method="GET", uri="/dir/index.html"))
    hashed = {"MD5": md5, "SHA-256": sha256}[algorithm]
    secret = hashed("Mufasa:http-auth@example.org:Circle of Life")
    request = hashed("GET:/dir/index.html")
    assert said["nc"] == "00000002"
    assert said["response"] == hashed(f"{secret}:7ypf:00000002:{said['cnonce']}:auth:{request}")


def test_the_strongest_of_what_is_offered_is_taken() -> None:
    offered = 'Basic realm="r"\nDigest realm="r", nonce="1"\nDigest realm="r", nonce="2", algorithm=SHA-256'
    assert Challenge(offered, basic_is_allowed=True).kind == "Digest SHA-256"


@pytest.mark.parametrize("offered", ["", "Negotiate", 'Digest realm="r", nonce="n", algorithm=SHA-512-256'])
def test_what_we_cannot_answer_is_refused(offered: str) -> None:
    with pytest.raises(UnsupportedError, match="we have Digest with MD5 or SHA-256"):
        Challenge(offered, basic_is_allowed=True)


def test_a_password_is_not_given_to_a_server_we_were_redirected_to() -> None:
    with pytest.raises(UnsupportedError, match="redirected"):
        Challenge('Basic realm="r"', basic_is_allowed=False)


def test_an_account_does_not_show_its_password() -> None:
    assert "Circle" not in repr(BOB)


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
