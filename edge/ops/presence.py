"""What the device says about itself: that it is there, what it is, how it fares, what a person must act on.

Nothing here waits for the broker, and nothing of the path waits for this. docs/topics.md lists each topic
with an example.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from edge import __version__
from edge.domain.errors import DeliveryError
from edge.domain.finding import ModelStamp
from edge.domain.health import StageHealth
from edge.domain.ports import Clock
from edge.kit.log import Log
from edge.kit.moments import told
from edge.kit.mqtt import FAILURE, Message, MqttSession
from edge.ops.retained import Retained

STATUS_SCHEMA = "edge.status/1"
INFO_SCHEMA = "edge.info/1"
HEALTH_SCHEMA = "edge.health/1"
SOURCE_SCHEMA = "edge.source/1"
MODEL_SCHEMA = "edge.model/1"
ALERT_SCHEMA = "edge.alert/1"
CONTESTED = "contested-client-id"
CONTESTED_S = 600.0
GOODBYE_S = 2.0
MEMORY = "retained-topics.json"

SourceState = Literal["online", "degraded", "offline", "disabled"]
Severity = Literal["warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How the device fares at one moment.

    Attributes:
        stages: The books of every stage.
        free_bytes: Room on the disk of the state folder.
        latency_ms: From the last instance received to its finding acknowledged: `p50`, `p99` of late.
        waiting: Of each pipeline that waits for roles of studies, how many and which, as JSON can hold it.
    """

    stages: Sequence[StageHealth]
    free_bytes: int
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    waiting: Sequence[Mapping[str, Any]] = ()


class Presence:
    """Speaks for the device while the `with` lasts; the session is opened before it and closed after it."""

    def __init__(
        self,
        session: MqttSession,
        *,
        prefix: str,
        session_number: Callable[[], int],
        state_folder: Path,
        vitals: Callable[[], Vitals],
        info: Mapping[str, Any],
        clock: Clock,
        period_s: float = 30.0,
    ) -> None:
        """Store what there is to say, and take part in every connection of a session that is not open yet.

        Args:
            session: What it speaks through.
            prefix: Begins every topic: `edge/v1/<site>/<device>`.
            session_number: Returns a higher number at each call, across restarts.
            state_folder: Where it remembers which retained topics it must clear one day.
            vitals: Asked once a period, in a thread of its own.
            info: Identity, software, hardware and schema versions, as JSON can hold them.
            clock: Of the machine.
            period_s: Between two messages about health.
        """
        self._session = session
        self._prefix = prefix
        self._session_number = session_number
        self._vitals = vitals
        self._info = info
        self._clock = clock
        self._period_s = period_s
        self._log = Log("presence")
        self._number = 0
        self._started_ns = clock.monotonic_ns()
        self._contested_ns: int | None = None
        self._lock = threading.Lock()
        self._alerts: dict[str, tuple[Severity, str]] = {}
        self._retained = Retained(session, state_folder / MEMORY)
        self._is_stopping = False
        self._awaken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence")
        session.last_will(self._will)
        session.greet(self._say_everything)
        session.on_contested(self._tell_of_another)

    def tell_health_every(self, period_s: float) -> None:
        """Tell about health once in so many seconds from now on, and now."""
        self._period_s = period_s
        self._awaken.set()

    def prove_line(self, *, timeout_s: float) -> None:
        """Say once more what the device is, and wait for the broker's word: the line of now carries.

        Raises:
            DeliveryError: It does not, or the broker does not let us.
        """
        message = self._message("info", INFO_SCHEMA, self._info, retain=True)
        code = self._session.publish(message, timeout_s=timeout_s)
        if code >= FAILURE:
            raise DeliveryError(f"{message.topic}: the broker does not take it (0x{code:02x})")

    def introduce(self, info: Mapping[str, Any]) -> None:
        """Say anew what the device is, now and at every connection."""
        self._info = info
        self._session.post(self._message("info", INFO_SCHEMA, info, retain=True))

    @property
    def session(self) -> int:
        """Number of the present session, 0 before the first."""
        return self._number

    def __enter__(self) -> Self:
        """Start telling about health."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Say that we stop on purpose."""
        self._is_stopping = True
        self._awaken.set()
        self._thread.join()
        if not self._session.connected:
            return
        try:
            self._session.publish(self._status("stopped"), timeout_s=GOODBYE_S)
        except DeliveryError as trouble:
            self._log.warning("nobody heard that we stop, the will speaks for us", because=trouble)

    # ── what there is to say; from any thread, never waiting ──────────────────────────────────────────────

    def source(self, name: str, state: SourceState, *, why: str = "") -> None:
        """Say how a source is; every state but online comes with its reason."""
        assert state == "online" or why, f"source {name}: {state} needs a reason"
        document = {"source": name, "state": state, "why": why}
        self._retained.keep(self._message(f"source/{name}/state", SOURCE_SCHEMA, document, retain=True))

    def model(
        self,
        bundle: str,
        *,
        active: ModelStamp | None,
        why: str = "",
        latency_ms: Mapping[str, float],
        previous: ModelStamp | None = None,
        desired: Mapping[str, Any] | None = None,
        staged: Mapping[str, Any] | None = None,
        forms: Sequence[Mapping[str, Any]] = (),
        measuring: Mapping[str, Any] | None = None,
        refused: str = "",
        drift: Mapping[str, Any] | None = None,
    ) -> None:
        """Say which weights of a bundle are at work, or why none are.

        Args:
            bundle: Its name.
            active: What speaks, or None where the bundle was refused.
            why: It was refused.
            latency_ms: `p50` and `p99` of its network on the golden input, or nothing.
            previous: What spoke before the last exchange.
            desired: The package that the fleet wants here, `version` and `digest`; None where it wants none.
            staged: The package that lies ready and is not at work yet, or None.
            forms: How each form of the network did on this device, the one at work first.
            measuring: How far measuring is, or None where nothing is measured.
            refused: Why the version that should have taken its place last does not.
            drift: How the pictures are, held against those it was made for; None where nobody knows.
        """
        assert active is not None or why, f"model {bundle}: a refusal needs a reason"
        document = {
            "model": bundle,
            "state": "refused" if active is None else "active",
            "why": why,
            "active": None if active is None else asdict(active),
            "latency_ms": _rounded(latency_ms),
            "previous": None if previous is None else asdict(previous),
            "desired": desired,
            "staged": staged,
            "forms": list(forms),
            "measuring": measuring,
            "refused": refused,
            "drift": drift,
        }
        self._retained.keep(self._message(f"model/{bundle}/state", MODEL_SCHEMA, document, retain=True))

    def forget_model(self, bundle: str) -> None:
        """Say no more of a bundle: no pipeline looks with it."""
        self._retained.clear(self._topic(f"model/{bundle}/state"))

    def raise_alert(self, name: str, text: str, *, severity: Severity = "error") -> None:
        """Keep an alert before people's eyes until it is cleared; the same words again cost nothing."""
        with self._lock:
            before = self._alerts.get(name)
            if before == (severity, text):
                return
            self._alerts[name] = (severity, text)
            if before is not None and before[0] != severity:
                self._retained.clear(self._topic(f"alert/{before[0]}/{name}"))
            document = {"alert": name, "severity": severity, "text": text}
            message = self._message(f"alert/{severity}/{name}", ALERT_SCHEMA, document, retain=True)
            self._retained.keep(message)
        self._log.error("alert", name=name, because=text)

    def clear_alert(self, name: str) -> None:
        """Take an alert back, if it was raised."""
        with self._lock:
            raised = self._alerts.pop(name, None)
            if raised is None:
                return
            self._retained.clear(self._topic(f"alert/{raised[0]}/{name}"))
        self._log.info("alert cleared", name=name)

    # ── called by the session, in its thread ──────────────────────────────────────────────────────────────

    def _will(self) -> Message:
        """Begin a new session number: its will cannot be mistaken for that of another connection."""
        self._number = self._session_number()
        document = {"state": "offline", "session": self._number}
        return self._message("status", STATUS_SCHEMA, document, retain=True, is_dated=False)

    def _say_everything(self) -> None:
        self._session.post(self._status("online"))
        self._session.post(self._message("info", INFO_SCHEMA, self._info, retain=True))
        self._retained.say_again()
        self._awaken.set()

    def _tell_of_another(self, reason: str) -> None:
        self._contested_ns = self._clock.monotonic_ns()
        text = (
            f"the broker keeps ending our connection: does another client use the id of this device? {reason}"
        )
        self.raise_alert(CONTESTED, text)

    # ── the thread of its own ─────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        """Tell about health after each connection and once a period."""
        while not self._is_stopping:
            self._retained.write_down()
            self._tell_health()
            contested_ns = self._contested_ns
            if contested_ns is not None and self._since_s(contested_ns) > CONTESTED_S:
                self._contested_ns = None
                self.clear_alert(CONTESTED)
            self._awaken.wait(self._period_s)
            self._awaken.clear()
        self._retained.write_down()

    def _tell_health(self) -> None:
        vitals = self._vitals()
        document = {
            "session": self._number,
            "uptime_s": round(self._since_s(self._started_ns)),
            "free_bytes": vitals.free_bytes,
            "latency_ms": _rounded(vitals.latency_ms),
            "stages": [_stage(stage, self._clock.monotonic_ns()) for stage in vitals.stages],
            "waiting": list(vitals.waiting),
        }
        self._session.post(self._message("health", HEALTH_SCHEMA, document, expiry_s=self._expiry_s()))

    def _expiry_s(self) -> int:
        return max(1, round(3 * self._period_s))

    def _since_s(self, monotonic_ns: int) -> float:
        return (self._clock.monotonic_ns() - monotonic_ns) / 1e9

    # ── how it is said ────────────────────────────────────────────────────────────────────────────────────

    def _status(self, state: str) -> Message:
        document = {"state": state, "session": self._number, "software": __version__}
        return self._message("status", STATUS_SCHEMA, document, retain=True)

    def _topic(self, below: str) -> str:
        return f"{self._prefix}/{below}"

    def _message(
        self,
        below: str,
        schema: str,
        document: Mapping[str, Any],
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        is_dated: bool = True,
    ) -> Message:
        """Write a message: retained with QoS 1, or not retained with QoS 0 and an expiry."""
        dated = {"at": told(self._clock.utc_ns())} if is_dated else {}
        body = json.dumps({"schema": schema, **document, **dated}, allow_nan=False, ensure_ascii=False)
        return Message(
            topic=self._topic(below),
            payload=body.encode(),
            qos=1 if retain else 0,
            retain=retain,
            expiry_s=expiry_s,
            user_properties=(("schema", schema),),
        )


def _stage(stage: StageHealth, now_ns: int) -> dict[str, Any]:
    books = asdict(stage)
    books["oldest_ms"] = round(stage.oldest_ms, 1)
    books["idle_s"] = round((now_ns - books.pop("last_move_ns")) / 1e9, 1)
    return books


def _rounded(latency_ms: Mapping[str, float]) -> dict[str, float]:
    return {name: round(ms, 1) for name, ms in latency_ms.items()}
