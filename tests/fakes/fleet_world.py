"""A broker with devices that follow the contract in the simplest way, and a desk that looks at them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.domain.errors import DeliveryError
from edge.fleet.layers import merge, parse_desired
from edge.fleet.operator.inventory import DeviceView, Presence, document_number
from edge.fleet.timing import moment_ns
from edge.kit.moments import told

Document = Mapping[str, Any]

UNSIGNED = {"alg": "ed25519", "key": "nobody", "value": ""}
UNDER_WAY = ("staged", "waiting", "applying", "probing")
START_MS = 1_700_000_000_000


@dataclass
class Box:
    """One device: takes the newest document, one state a step, and says how far it is.

    `refuses` is asked with the `config` of a version in probing; True brings the version before back.
    """

    site: str
    device: str
    room: str = ""
    presence: Presence = "online"
    refuses: Callable[[Mapping[str, Any]], bool] = lambda config: False
    is_lying: bool = False
    is_stuck: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    applied: int = 0
    floor: int = 0
    status: str = "none"
    code: str = "ok"
    version: int = 0
    alerts: dict[str, Document] = field(default_factory=dict)
    under_way: Document | None = None
    has_reported: bool = True
    reported: Document | None = None
    taken: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.site}/{self.device}"

    @property
    def is_changing(self) -> bool:
        return self.under_way is not None and self.status in ("applying", "probing")

    def step(self, desired: Document | None, now_ms: int) -> None:
        """Do what a device does next; nothing while it is away."""
        if self.presence != "online" or self.is_stuck:
            return
        self._take_up(desired)
        if self.under_way is not None:
            self._go_on(self.under_way, now_ms)
        self.report()

    def _take_up(self, desired: Document | None) -> None:
        if desired is None or desired["version"] <= self.floor:
            return
        if desired["base"] < self.floor:
            self.version, self.status, self.code = desired["version"], "rejected", "conflict"
            return
        if not self.is_changing:
            self.floor = desired["version"]
            self.under_way, self.version, self.status, self.code = desired, self.floor, "received", "ok"

    def _go_on(self, document: Document, now_ms: int) -> None:
        deadline = document["apply"].get("deadline")
        is_late = deadline is not None and now_ms >= moment_ns(deadline) // 1_000_000
        if document["apply"].get("mode") == "validate":
            is_fine = not self.refuses(document["config"])
            self._end("rejected", "ok" if is_fine else "schema")
        elif is_late and not self.is_changing:
            self._end("rejected", "timeout")
        elif self.status == "probing" and self.refuses(document["config"]):
            self._end("rolled_back", "probe")
        elif self.status == "probing":
            self.applied, self.config = self.version, document["config"]
            self.taken.append((self.version, document["config"]))
            self._end("committed", "ok")
        else:
            self.status = dict(zip(("received", *UNDER_WAY), UNDER_WAY, strict=False))[self.status]

    def _end(self, status: str, code: str) -> None:
        self.status, self.code, self.under_way = status, code, None

    def report(self) -> None:
        """Say how far it is."""
        pending = {"scope": "device", "version": self.version, "status": self.status, "why": ""}
        own = {
            "schema": "edge.desired/1",
            "device": self.device,
            "version": max(self.applied, 1),
            "base": 0,
            "issued": told(0),
            "config": {} if self.is_lying else dict(self.config),
            "bundles": {},
            "signature": UNSIGNED,
        }
        self.reported = {
            "desired_version": self.floor,
            "applied_version": self.version if self.is_lying else self.applied,
            "status": "committed" if self.is_lying else self.status,
            "code": self.code,
            "message": "",
            "scope": "device",
            "version": self.version,
            "config_digest": merge([], parse_desired(own, device=self.device)).digest,
            "pending": [] if self.under_way is None or self.is_lying else [pending],
        }

    def view(self, desired: Document | None) -> DeviceView:
        """Return what an operator knows of it."""
        return DeviceView(
            site=self.site,
            device=self.device,
            room=self.room,
            presence=self.presence,
            desired=desired,
            reported=self.reported,
            alerts=self.alerts,
        )


class World:
    """Boxes, what the broker keeps for them and for roll-outs, and a time that moves when one says so."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes = {box.name: box for box in boxes}
        self.desired: dict[str, Document] = {}
        self.layers: dict[str, Document] = {}
        self.kept: dict[str, Document] = {}
        self.now_ms = START_MS
        self.is_down = False
        self.published: list[tuple[str, int]] = []
        self.notes: list[str] = []
        self.before_repeat: Callable[[], None] = lambda: None
        self.while_waiting: Callable[[], None] = lambda: None
        for box in boxes:
            if box.has_reported:
                box.report()

    def step(self, seconds: float = 1.0) -> None:
        """Let time pass, and every device do what it does next."""
        self.now_ms += round(seconds * 1000)
        for name, box in self.boxes.items():
            box.step(None if self.is_down else self.desired.get(name), self.now_ms)

    def edit(self, name: str, config: Mapping[str, Any]) -> int:
        """Write a document as another operator does; returns its version."""
        version = self.devices()[name].version + 1
        self.desired[name] = {
            "schema": "edge.desired/1",
            "device": name.partition("/")[2],
            "version": version,
            "base": version - 1,
            "issued": told(self.now_ms * 1_000_000),
            "apply": {},
            "config": dict(config),
            "bundles": {},
        }
        return version

    # ── a desk ────────────────────────────────────────────────────────────────────────────────────────────

    def devices(self) -> Mapping[str, DeviceView]:
        return {name: box.view(self.desired.get(name)) for name, box in self.boxes.items()}

    def groups(self) -> Mapping[str, Document]:
        return self.layers

    def repeat(self, documents: Mapping[str, Document]) -> Mapping[str, str]:
        refused = {}
        for name, document in documents.items():
            self._reach()
            self.before_repeat()
            held = self.desired.get(name)
            known = max(document_number(held, "version"), self.devices()[name].version)
            is_other = held is not None and held["version"] == document["version"] and held != document
            is_ours = held is not None and held.get("rollout") == document["rollout"]
            is_between = document["base"] < known < document["version"] and not is_ours
            if known > document["version"] or is_other or is_between:
                refused[name] = f"by now there is version {known}"
                continue
            self.desired[name] = json.loads(json.dumps(document))
            self.published.append((name, document["version"]))
        return refused

    def settle(self) -> None:
        pass

    def note(self, rollout_id: str, text: str) -> None:
        self.notes.append(f"{rollout_id}: {text}")

    def publish_rollout(self, rollout_id: str, document: Document | None) -> None:
        self._reach()
        self.kept.pop(rollout_id, None)
        if document is not None:
            self.kept[rollout_id] = json.loads(json.dumps(document))

    def rollouts(self) -> Mapping[str, Document]:
        return dict(self.kept)

    def wait(self, timeout_s: float) -> bool:
        self.step(timeout_s)
        self.while_waiting()
        return True

    def now_ns(self) -> int:
        return self.now_ms * 1_000_000

    def _reach(self) -> None:
        if self.is_down:
            raise DeliveryError("no connection to the broker: it is down")
