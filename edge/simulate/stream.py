"""What one camera sends: footage at its own pace, to everybody who asked for it, with faults on request."""

# ruff: noqa: S311  # chance names streams and makes faults here; it guards nothing

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.simulate import rtp
from edge.simulate.encoding import AccessUnit, Planes, VideoForm

SENT_KEPT = 8_192  # frame numbers whose time of sending is remembered
_REPORT_EVERY_S = 2.0
_IDLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Shot:
    """An access unit with the payloads of its packets.

    Attributes:
        unit: The access unit.
        payloads: Of its packets.
        captured_s: When the picture was taken, on the monotonic clock; None: when it was due.
    """

    unit: AccessUnit
    payloads: Sequence[bytes]
    captured_s: float | None = None


class Footage(Protocol):
    """Where the pictures of a stream come from."""

    @property
    def form(self) -> VideoForm:
        """How they are encoded."""

    def present(self) -> Planes:
        """Return what was shown last, as I420 planes."""

    def first(self) -> bytes:
        """Return an access unit that a description of the stream can be read from."""

    def make_ready(self) -> None:
        """Do what can be done before the next picture is due."""

    def take(self, *, as_key: bool) -> Shot:
        """Return the next picture; with `as_key`, one that a receiver can begin with."""


@dataclass(slots=True)
class Faults:
    """What goes wrong, changed at any time while the stream runs.

    Attributes:
        drop_share: Of RTP packets that are never sent, 0 to 1.
        reorder_share: Of RTP packets that are sent after their successor, 0 to 1.
        garbage_share: Of RTP packets whose payload is noise under a good header, 0 to 1.
        noise_share: Of RTP packets that are noise from the first byte on, 0 to 1.
        is_silent: Everything is promised, nothing is sent.
        fps: Frames a second instead of those that were promised, or None.
        rtp_jump_s: Added to the timestamps of RTP.
        utc_jump_s: Added to the wall clock in sender reports.
        sends_reports: Whether RTCP sender reports are sent at all.
    """

    drop_share: float = 0.0
    reorder_share: float = 0.0
    garbage_share: float = 0.0
    noise_share: float = 0.0
    is_silent: bool = False
    fps: float | None = None
    rtp_jump_s: float = 0.0
    utc_jump_s: float = 0.0
    sends_reports: bool = True


class Line(Protocol):
    """A way to one receiver."""

    def send_media(self, packets: Sequence[bytes]) -> bool:
        """Send RTP packets; False where the receiver is too slow, and nothing of them was sent."""

    def send_control(self, packet: bytes) -> None:
        """Send an RTCP packet."""


class Subscriber:
    """One receiver of one stream."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.ssrc = random.getrandbits(32)
        self.sequence = random.getrandbits(16)
        self.wants_key = True
        self.frames_dropped = 0
        self._packets = self._octets = 0
        self._report_due_s = 0.0

    def send(self, shot: Shot, *, timestamp: int, payload_type: int, faults: Faults) -> None:
        """Send one picture, unless the receiver has to wait for one that it can begin with."""
        if self.wants_key and not shot.unit.is_key:
            return
        last = len(shot.payloads) - 1
        packets = []
        for number, payload in enumerate(shot.payloads):
            head = rtp.header(
                payload_type=payload_type,
                is_last=number == last,
                sequence=self.sequence + number,
                timestamp=timestamp,
                ssrc=self.ssrc,
            )
            packets.append(head + payload)
        self.wants_key = not self._line.send_media(_spoiled(packets, faults))
        self.frames_dropped += self.wants_key
        self.sequence += len(packets)
        self._packets += len(packets)
        self._octets += sum(map(len, shot.payloads))

    def report(self, *, now_s: float, utc_ns: int, timestamp: int) -> None:
        """Send a sender report when one is due."""
        if now_s < self._report_due_s or self.wants_key:
            return
        self._report_due_s = now_s + _REPORT_EVERY_S
        self._line.send_control(
            rtp.sender_report(
                ssrc=self.ssrc,
                utc_ns=utc_ns,
                timestamp=timestamp,
                packets=self._packets,
                octets=self._octets,
                name="edge-simulate",
            )
        )


class Stream:
    """Sends footage to its subscribers from a thread of its own; it rests while there are none."""

    def __init__(self, footage: Footage) -> None:
        self.faults = Faults()
        self._footage = footage
        self._subscribers: list[Subscriber] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._first_timestamp = random.getrandbits(32)
        self._sent: dict[int, tuple[int, int]] = {}  # by frame number modulo SENT_KEPT
        self.frames_sent = 0
        self.ticks_missed = 0

    @property
    def form(self) -> VideoForm:
        """How the present footage is encoded."""
        return self._footage.form

    @property
    def footage(self) -> Footage:
        """What is shown at present."""
        return self._footage

    @property
    def subscribers(self) -> int:
        """How many receivers there are."""
        return len(self._subscribers)

    @property
    def frames_dropped(self) -> int:
        """How many pictures the present receivers were too slow for."""
        return sum(subscriber.frames_dropped for subscriber in tuple(self._subscribers))

    def show(self, footage: Footage) -> None:
        """Go over to other footage with the next picture: another scene, another size.

        The codec stays; what was said in the description of the stream is not said again.
        """
        assert footage.form.codec == self.form.codec, "a stream keeps its codec"
        self._footage = footage

    def description(self) -> bytes:
        """Return an access unit with parameter sets."""
        return self._footage.first()

    def sent_at_ns(self, frame_number: int) -> int | None:
        """Return when the frame was sent last, on the monotonic clock; None where that is not known."""
        number, at_ns = self._sent.get(frame_number % SENT_KEPT, (-1, 0))
        return at_ns if number == frame_number else None

    def start(self, name: str) -> None:
        """Start the thread."""
        assert self._thread is None, f"{name} runs already"
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and forget the subscribers."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._subscribers.clear()

    def add(self, subscriber: Subscriber) -> None:
        """Send to one more, from the next key frame on."""
        with self._lock:
            if subscriber not in self._subscribers:
                self._subscribers.append(subscriber)
        self._wake.set()

    def remove(self, subscriber: Subscriber) -> None:
        """Send no more to this one."""
        with self._lock:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_IDLE_S)
            self._wake.clear()
            if self._subscribers:
                self._send_on()

    def _send_on(self) -> None:
        """Send picture after picture, each when it is due, while somebody listens."""
        due_s = time.monotonic()
        before = self._footage
        while self._subscribers and not self._stopping.is_set():
            footage = self._footage
            if footage is not before:
                for subscriber in tuple(self._subscribers):
                    subscriber.wants_key = True
                before = footage
            footage.make_ready()
            if self._stopping.wait(max(due_s - time.monotonic(), 0)):
                return
            if not self.faults.is_silent:
                self._send(footage, due_s)
            period_s = 1 / (self.faults.fps or footage.form.fps)
            missed = int(max(time.monotonic() - due_s - period_s, 0) / period_s)
            self.ticks_missed += missed
            due_s += period_s * (1 + missed)

    def _send(self, footage: Footage, due_s: float) -> None:
        subscribers = tuple(self._subscribers)
        shot = footage.take(as_key=all(subscriber.wants_key for subscriber in subscribers))
        number = shot.unit.frame_number
        captured_s = due_s if shot.captured_s is None else shot.captured_s
        now_s = time.monotonic()
        utc_ns = time.time_ns() + round((captured_s - now_s + self.faults.utc_jump_s) * 1e9)
        shown = self._timestamp(captured_s + shot.unit.shown_after_s)
        self._sent[number % SENT_KEPT] = number, time.monotonic_ns()
        payload_type = rtp.PAYLOAD_TYPE[footage.form.codec]
        for subscriber in subscribers:
            subscriber.send(shot, timestamp=shown, payload_type=payload_type, faults=self.faults)
            if self.faults.sends_reports:
                subscriber.report(now_s=now_s, utc_ns=utc_ns, timestamp=self._timestamp(captured_s))
        self.frames_sent += 1

    def _timestamp(self, at_s: float) -> int:
        return self._first_timestamp + round((at_s + self.faults.rtp_jump_s) * rtp.CLOCK_HZ)


def _spoiled(packets: list[bytes], faults: Faults) -> list[bytes]:
    """Return the packets as the faults leave them."""
    if faults.garbage_share:
        packets = [
            packet[:12] + random.randbytes(len(packet) - 12) if _hits(faults.garbage_share) else packet
            for packet in packets
        ]
    if faults.noise_share:
        packets = [
            random.randbytes(len(packet)) if _hits(faults.noise_share) else packet for packet in packets
        ]
    if faults.drop_share:
        packets = [packet for packet in packets if not _hits(faults.drop_share)]
    if faults.reorder_share:
        for number in range(len(packets) - 1):
            if _hits(faults.reorder_share):
                packets[number], packets[number + 1] = packets[number + 1], packets[number]
    return packets


def _hits(share: float) -> bool:
    return random.random() < share
