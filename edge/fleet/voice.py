"""What the device says beside its report: transitions, what became of a command, alerts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from edge.domain.ports import Alerts, Clock
from edge.fleet.command_forms import COMMAND_SCHEMA
from edge.fleet.ledger import Transition
from edge.fleet.progress import Progress
from edge.fleet.report import EVENT_SCHEMA, event_of
from edge.fleet.words import State
from edge.kit.mqtt import Message, MqttSession

SIGNATURE_S: Final = 3600.0
EVENTS_MAX: Final = 256
ANSWERS_MAX: Final = 1024

SIGNATURE: Final = "fleet-signature"
ROLLED_BACK: Final = "fleet-rolled-back"
FALLEN_BACK: Final = "fleet-fallen-back"


class Voice:
    """Speaks for one thread; the broker's answers may come in another, and nothing here waits."""

    def __init__(
        self,
        session: MqttSession,
        *,
        prefix: str,
        alerts: Alerts,
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        """Store where to speak.

        Args:
            session: What it speaks through.
            prefix: Begins every topic of the device.
            alerts: Where it is raised what a person must act on.
            wake: Is called when the broker has answered.
            clock: Of the machine.
        """
        self._session = session
        self._prefix = prefix
        self._device = prefix.rpartition("/")[2]
        self._alerts = alerts
        self._wake = wake
        self._clock = clock
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self._answers: deque[tuple[str, int | None]] = deque(maxlen=ANSWERS_MAX)
        self._raised: set[str] = set()
        self._signature_ns: int | None = None

    # ── transitions ───────────────────────────────────────────────────────────────────────────────────────

    def told(self, transition: Transition) -> None:
        """Hear of a transition; it is said by `say_events`."""
        self._events.append(event_of(transition, device=self._device))
        what = f"{transition.scope} {transition.version}"
        if transition.code == "bad_signature":
            self.tell_signature(f"{what}: {transition.message}")
        alert = f"{ROLLED_BACK}-{transition.scope.replace('/', '-')}"
        if transition.state is State.ROLLED_BACK:
            self._alerts.raise_alert(alert, f"{what} was tried and taken back: {transition.message}")
        elif transition.state is State.COMMITTED:
            self._alerts.clear_alert(alert)

    def say_events(self) -> None:
        """Say each transition; without a line they wait for one, the oldest make room."""
        for _ in range(len(self._events) if self._session.connected else 0):
            event = self._events.popleft()
            then = partial(self._event_answered, event)
            self._post("config/event", EVENT_SCHEMA, event, is_retained=False, then=then)

    def _event_answered(self, event: dict[str, Any], code: int | None) -> None:
        if code is None:
            self._events.append(event)
            self._wake()

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────

    def say_command(self, cmd: str, document: Mapping[str, Any], is_retained: bool, expiry_s: int) -> None:
        """Say what became of `<type>/<id>`."""
        then = partial(self._command_answered, cmd)
        self._post(
            f"cmd/{cmd}",
            COMMAND_SCHEMA,
            document,
            is_retained=is_retained,
            then=then,
            expiry_s=expiry_s,
        )

    def take_answer(self) -> tuple[str, int | None] | None:
        """Return `<type>/<id>` and what the broker said to its state; None where it said no more."""
        return self._answers.popleft() if self._answers else None

    def _command_answered(self, cmd: str, code: int | None) -> None:
        self._answers.append((cmd, code))
        self._wake()

    # ── what a person must act on ─────────────────────────────────────────────────────────────────────────

    def tell_troubles(self, progress: Progress) -> None:
        """Raise what is wrong, and take back what is over."""
        troubles = dict(progress.troubles)
        if progress.rung != "committed":
            what = "the one before it" if progress.rung == "previous" else "the YAML of the device alone"
            troubles[FALLEN_BACK] = f"what was committed last cannot be used; {what} is at work"
        for name, text in troubles.items():
            self._alerts.raise_alert(name, text)
        for name in self._raised - troubles.keys():
            self._alerts.clear_alert(name)
        self._raised = set(troubles)
        since_ns = self._signature_ns
        if since_ns is not None and self._clock.monotonic_ns() - since_ns > SIGNATURE_S * 1e9:
            self._signature_ns = None
            self._alerts.clear_alert(SIGNATURE)

    def tell_signature(self, text: str) -> None:
        """Raise that something came which no key of this site has signed; taken back after an hour."""
        self._signature_ns = self._clock.monotonic_ns()
        self._alerts.raise_alert(SIGNATURE, f"somebody sends what no key of this site has signed: {text}")

    def _post(
        self,
        below: str,
        schema: str,
        document: Mapping[str, Any],
        *,
        is_retained: bool,
        then: Callable[[int | None], None],
        expiry_s: int | None = None,
    ) -> None:
        message = Message(
            topic=f"{self._prefix}/{below}",
            payload=json.dumps(document, allow_nan=False, ensure_ascii=False).encode(),
            retain=is_retained,
            expiry_s=expiry_s,
            user_properties=(("schema", schema),),
        )
        self._session.post(message, then=then)
