"""One MQTT 5 session that comes back by itself and reads the broker's answer to each publish.

Every connection is a fresh `Line`, so that nothing an earlier one left behind is sent again behind our
back, after something newer (docs/decisions/a-fresh-line-for-every-connection.md). What was not answered when
the line broke is reported as not delivered; whoever sent it has it on disk.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.domain.errors import ConfigurationError, DeliveryError, RefusedError
from edge.domain.ports import Clock
from edge.kit.backoff import Backoff
from edge.kit.log import Log
from edge.kit.mqtt_line import (
    FAILURE,
    INCOMING_BYTES_MAX,
    PACKET_TOO_LARGE,
    Line,
    Message,
    Subscription,
    Terms,
    Tls,
    told_of,
)

__all__ = ["FAILURE", "Message", "MqttSession", "Tls"]

ACCEPTANCE_S = 10.0
ANSWER_S = 60.0
POSTS_MAX = 4096
SETTLED_S = 30.0
UNHEARD_MAX = 2  # so many lines in a row may end when we subscribe; then we speak, and do not listen
DEAF_S = 3600.0
SHORT_LINES_MAX = 5
STOP_S = 2.0
TICK_S = 0.5


Answered = Callable[[int | None], None]


def _nobody_asks(_code: int | None) -> None:
    """Take note of an answer that nobody waits for."""


@dataclass(eq=False, slots=True)
class _Flight:
    """A message that was sent and is not yet answered; `code` stays None when the line breaks first."""

    topic: str
    sent_ns: int
    is_awaited: bool
    then: Answered
    landed: threading.Event = field(default_factory=threading.Event)
    code: int | None = None


class MqttSession:
    """A session with one broker, open while the `with` lasts; a thread of its own keeps the line up.

    Attributes:
        name: `host:port`.
        trouble: Why there is no connection, or why the last one ended.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        client_id: str,
        clock: Clock,
        tls: Tls | None = None,
        username: str | None = None,
        password: str | None = None,
        keep_alive_s: int = 30,
        session_expiry_s: int = 7 * 86400,
        will_delay_s: int = 15,
        incoming_bytes_max: int = INCOMING_BYTES_MAX,
        backoff: Backoff | None = None,
        gives_up: bool = False,
    ) -> None:
        """Store what a connection needs.

        Args:
            host: Name or address of the broker.
            port: Its TCP port.
            client_id: Names the session at the broker; the device's id.
            clock: Of the machine.
            tls: How to encrypt, or None.
            username: Or None.
            password: Or None.
            keep_alive_s: Seconds of silence after which the line is tested.
            session_expiry_s: How long the broker keeps the session while we are away.
            will_delay_s: How long the broker waits before it publishes the will.
            incoming_bytes_max: Largest packet that the broker may send us; it drops what is larger.
            backoff: Pauses between attempts to connect; None: 1 to 60 s.
            gives_up: `wait_connected` waits no longer once a person must mend something: the name is not
                known, or one of the two does not believe the other's certificate. It goes on trying all the
                same.
        """
        self.name = f"{host}:{port}"
        self.trouble = "not opened yet"
        self._terms = Terms(
            host=host,
            port=port,
            client_id=client_id,
            tls=tls,
            username=username,
            password=password,
            keep_alive_s=keep_alive_s,
            session_expiry_s=session_expiry_s,
            will_delay_s=will_delay_s,
            incoming_bytes_max=incoming_bytes_max,
        )
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._gives_up = gives_up
        self._needs_person = False
        self._log = Log("mqtt")
        self._changed = threading.Condition()
        self._line: Line | None = None
        self._is_open = False
        self._flights: dict[int, _Flight] = {}
        self._flight_of: dict[str, _Flight] = {}
        self._posts: deque[tuple[Message, Answered]] = deque()  # up to POSTS_MAX
        self._subscriptions: list[Subscription] = []
        self._unheard = 0
        self._will: Callable[[], Message | None] = lambda: None
        self._on_subscribed: list[Callable[[Mapping[str, str]], None]] = []
        self._greetings: list[Callable[[], None]] = []
        self._on_connect: list[Callable[[], None]] = []
        self._on_contested: list[Callable[[str], None]] = []
        self._stopping = threading.Event()
        self._stopping_ns = 0
        self._thread = threading.Thread(target=self._run, name="mqtt")

    def __enter__(self) -> MqttSession:
        """Start connecting.

        Raises:
            ConfigurationError: A certificate or key cannot be used.
        """
        if self._terms.tls is not None:
            self._terms.tls.context()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Say goodbye, so that the broker forgets the will, and end the thread."""
        self._stopping_ns = self._clock.monotonic_ns()
        self._stopping.set()
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
            if self._line is not None:
                self._line.say_goodbye()
        self._thread.join()

    # ── what to do at each connection; to be said before the `with` ───────────────────────────────────────

    def last_will(self, will: Callable[[], Message | None]) -> None:
        """Ask `will` before each attempt, in the session's thread, what the broker shall say for us."""
        self._will = will

    def subscribe(
        self, topic_filter: str, handler: Callable[[Message], None], *, no_local: bool = False
    ) -> None:
        """Call `handler` in the session's thread with each message that matches.

        A message is acknowledged after the handler has returned; the handler must not wait for another. It is
        called from the moment the broker begins to tell, which may be before `greet`.

        Args:
            topic_filter: With `+` and `#`.
            handler: Is given the messages.
            no_local: What this session publishes itself is not told.
        """
        self._subscriptions.append(Subscription(topic_filter, handler, no_local))

    def on_subscribed(self, callback: Callable[[Mapping[str, str]], None]) -> None:
        """Call back in the session's thread at each connection, before `greet`.

        Args:
            callback: Is given the reason of each filter that the broker refused; nothing where it took all.
        """
        self._on_subscribed.append(callback)

    def greet(self, callback: Callable[[], None]) -> None:
        """Call back in the session's thread once connected and subscribed, before anybody may publish."""
        self._greetings.append(callback)

    def on_connect(self, callback: Callable[[], None]) -> None:
        """Call back in the session's thread as soon as one may publish."""
        self._on_connect.append(callback)

    def on_contested(self, callback: Callable[[str], None]) -> None:
        """Call back in the session's thread, with the reason, when another client seems to use our id.

        The broker may say so; mosquitto 2.0 does not, it just hangs up, so we also go by how it looks: one
        line after the other that does not last.
        """
        self._on_contested.append(callback)

    # ── sending; from any thread ──────────────────────────────────────────────────────────────────────────

    @property
    def connected(self) -> bool:
        """Whether one may publish."""
        return self._is_open

    def wait_connected(self, timeout_s: float) -> bool:
        """Return whether one may publish, after waiting for it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_open or (self._gives_up and self._needs_person), timeout_s
            )
            return self._is_open

    def publish(self, message: Message, *, timeout_s: float, key: str = "") -> int:
        """Send a message and wait for the broker's word.

        Args:
            message: With QoS 1.
            timeout_s: Longest wait.
            key: Identifies the message; one with the same key that is on its way is waited for, not sent
                again.

        Returns:
            The reason code of PUBACK. Not every one below 0x80 is a delivery: 0x10 says that nobody listens.

        Raises:
            DeliveryError: There is no connection, it broke, or no answer came in time.
            RefusedError: The message is larger than the broker takes.
        """
        assert message.qos == 1, "only QoS 1 is answered"
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        with self._changed:
            flight = self._flight_of.get(key)
            if flight is None:
                flight = self._take_off(message, deadline_ns)
                if key:
                    self._flight_of[key] = flight
        if not flight.landed.wait(self._left_s(deadline_ns)):
            raise DeliveryError(f"{message.topic}: {self.name} gave no answer within {timeout_s:g} s")
        with self._changed:
            if self._flight_of.get(key) is flight:
                del self._flight_of[key]
        if flight.code is None:
            raise DeliveryError(f"{message.topic}: the line to {self.name} broke before the answer")
        return flight.code

    def post(self, message: Message, *, then: Answered = _nobody_asks) -> None:
        """Send a message without waiting for an answer, or not at all while there is no connection.

        Args:
            message: With QoS 0, or 1.
            then: Is called with the reason code of PUBACK, or None where none came and none will: there is no
                connection, it broke, or there is no room. In the session's thread, or at once in this one; it
                must not wait. With QoS 0 it is called only where the message was not sent.
        """
        with self._changed:
            is_taken = self._line is not None and len(self._posts) < POSTS_MAX
            if is_taken:
                self._posts.append((message, then))
        if not is_taken:
            then(None)
            return
        self._send_posts()

    def _take_off(self, message: Message, deadline_ns: int) -> _Flight:
        """Send as soon as the window has room; the lock is held."""
        self._changed.wait_for(self._has_room, self._left_s(deadline_ns))
        if self._line is None or not self._is_open:
            raise DeliveryError(f"{message.topic}: no connection to {self.name}: {self.trouble}")
        if not self._has_room():
            raise DeliveryError(f"{message.topic}: {self.name} owes us {len(self._flights)} answers")
        size_bytes = message.packet_bytes()
        if size_bytes > self._line.packet_bytes_max:
            largest = f"{self.name} takes up to {self._line.packet_bytes_max}"
            raise RefusedError(f"{message.topic}: the message has {size_bytes} bytes, {largest}")
        return self._send(self._line, message, is_awaited=True, then=_nobody_asks)

    def _has_room(self) -> bool:
        return self._line is None or not self._is_open or len(self._flights) < self._line.window

    def _left_s(self, deadline_ns: int) -> float:
        return max(0.0, (deadline_ns - self._clock.monotonic_ns()) / 1e9)

    def _send(self, line: Line, message: Message, *, is_awaited: bool, then: Answered) -> _Flight:
        flight = _Flight(message.topic, self._clock.monotonic_ns(), is_awaited, then)
        number = line.send(message)
        if message.qos > 0:
            self._flights[number] = flight
        return flight

    def _send_posts(self) -> None:
        """Send what was posted, as far as the window has room; larger than the broker takes is not sent."""
        too_large: list[tuple[Message, Answered]] = []
        with self._changed:
            line = self._line
            while line is not None and self._posts and len(self._flights) < line.window:
                message, then = self._posts.popleft()
                if message.packet_bytes() > line.packet_bytes_max:
                    too_large.append((message, then))
                else:
                    self._send(line, message, is_awaited=False, then=then)
        for message, then in too_large:
            self._log.error("larger than the broker takes, not sent", topic=message.topic)
            then(PACKET_TOO_LARGE)

    # ── the session's own thread ──────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        """Connect, serve, pause, for ever; ends when the `with` does."""
        failures = short_lines = 0
        while not self._stopping.is_set():
            is_deaf = self._unheard >= UNHEARD_MAX
            subscriptions = [] if is_deaf else self._subscriptions
            line = Line(self._terms, will=self._will(), subscriptions=subscriptions)
            if is_deaf:
                why = f"the line ends when we ask for it: {self.trouble}"
                line.refused = {wanted.topic_filter: why for wanted in self._subscriptions}
            served_s = self._serve(line, for_s=DEAF_S if is_deaf else math.inf)
            self._unheard = self._unheard + 1 if line.is_accepted and not line.is_up else 0
            if self._stopping.is_set():
                break
            failures = 1 if served_s >= SETTLED_S else failures + 1
            short_lines = short_lines + 1 if 0 < served_s < SETTLED_S else 0
            pause_s = self._backoff.pause_s(failures)
            if line.is_taken_over or short_lines >= SHORT_LINES_MAX:
                pause_s = max(pause_s, self._backoff.max_s / 2)
                for callback in self._on_contested:
                    callback(self.trouble)
            self._log.warning("no broker", broker=self.name, because=self.trouble, again_s=f"{pause_s:.1f}")
            self._stopping.wait(pause_s)

    def _serve(self, line: Line, *, for_s: float) -> float:
        """Keep one connection until it ends, or for so long; returns for how long it was up, in s."""
        opened_ns = up_ns = self._clock.monotonic_ns()
        trouble, needs_person = "", False
        try:
            line.open()
            while not trouble:
                self._land(line.turn(TICK_S))
                if line.is_up and self._line is None:
                    up_ns = self._clock.monotonic_ns()
                    self._open(line)
                trouble = line.ended or self._lateness(line, opened_ns)
                if not trouble and self._clock.monotonic_ns() - opened_ns > for_s * 1e9:
                    trouble = "begun anew, to ask once more for what we want to hear"
        except (OSError, UnicodeError, ConfigurationError) as error:
            trouble = told_of(error, self._terms)
            needs_person = isinstance(
                error, ssl.SSLError | socket.gaierror | UnicodeError | ConfigurationError
            )
        finally:
            self._hang_up(line, trouble, needs_person=needs_person or line.is_refused)
        return (self._clock.monotonic_ns() - up_ns) / 1e9 if line.is_up else 0.0

    def _open(self, line: Line) -> None:
        with self._changed:
            self._line = line
        for topic_filter, reason in line.refused.items():
            self._log.error("subscription refused", topic=topic_filter, because=reason)
        for heed in self._on_subscribed:
            heed(line.refused)
        for greeting in self._greetings:
            greeting()
        with self._changed:
            self._is_open = not self._stopping.is_set()
            self._changed.notify_all()
        if not self._is_open:
            line.say_goodbye()
            return
        for callback in self._on_connect:
            callback()
        self._log.info("connected", broker=self.name)

    def _hang_up(self, line: Line, trouble: str, *, needs_person: bool) -> None:
        """Report what was not answered as not delivered."""
        line.close()
        with self._changed:
            self.trouble, self._needs_person = trouble, needs_person
            lost = list(self._flights.values())
            unsent = [then for _, then in self._posts]
            self._line, self._is_open, self._flights, self._flight_of = None, False, {}, {}
            self._posts.clear()
            self._changed.notify_all()
        for flight in lost:
            flight.landed.set()
            flight.then(None)
        for then in unsent:
            then(None)

    def _land(self, answers: Sequence[tuple[int, int]]) -> None:
        if not answers:
            return
        landed: list[_Flight] = []
        with self._changed:
            for number, code in answers:
                flight = self._flights.pop(number, None)
                if flight is None:
                    continue
                flight.code = code
                flight.landed.set()
                landed.append(flight)
                if code >= FAILURE and not flight.is_awaited:
                    self._log.error("refused", topic=flight.topic, code=f"0x{code:02x}")
            self._changed.notify_all()
        self._send_posts()
        for flight in landed:
            flight.then(flight.code)

    def _lateness(self, line: Line, opened_ns: int) -> str:
        """Return why we wait no longer for the broker, or ""."""
        now_ns = self._clock.monotonic_ns()
        with self._changed:
            oldest = next(iter(self._flights.values()), None)
        if self._stopping.is_set() and (not line.is_up or now_ns - self._stopping_ns > STOP_S * 1e9):
            return "stopped"
        if not line.is_up and now_ns - opened_ns > ACCEPTANCE_S * 1e9:
            return f"not accepted within {ACCEPTANCE_S:g} s"
        if oldest is not None and now_ns - oldest.sent_ns > ANSWER_S * 1e9:
            return f"{oldest.topic}: no answer within {ANSWER_S:g} s"
        return ""
