"""What the fleet sends, signed with a key of the test, and a device that takes it, life after life."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.bundles.signature import TrustRoot
from edge.fleet.boot import Boot, choose_from
from edge.fleet.documents import DESIRED_SCHEMA, GROUP_SCHEMA
from edge.fleet.machine import Machine, Transition
from edge.fleet.memory import Memory
from edge.fleet.signing import KeyRing, canonical
from edge.fleet.words import DEVICE_SCOPE, State
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_device import FakeFleetDevice, Faults

DEVICE = "or-3"
KEY = "fleet-2026"
ISSUED = "2023-11-14T22:00:00Z"  # some minutes before the fake clock begins

_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_PUBLIC = _PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_ring() -> KeyRing:
    """What a device believes that knows the key of the test."""
    return KeyRing([TrustRoot(KEY, _PUBLIC)])


def document(version: int, *, scope: str = DEVICE_SCOPE, **given: Any) -> dict[str, Any]:
    """A document as the fleet writes it, not yet signed; by scope, its configuration says which one it is."""
    whose = (
        {"schema": DESIRED_SCHEMA, "device": DEVICE}
        if scope == DEVICE_SCOPE
        else {"schema": GROUP_SCHEMA, "group": scope.removeprefix("group/"), "priority": 10}
    )
    return {
        **whose,
        "version": version,
        "base": version - 1,
        "issued": ISSUED,
        "config": {scope: version},
        **given,
    }


def signed(tree: Mapping[str, Any], *, key: str = KEY) -> bytes:
    """A document with the signature of the test's key."""
    value = base64.b64encode(_PRIVATE.sign(canonical(tree))).decode()
    return json.dumps({**tree, "signature": {"alg": "ed25519", "key": key, "value": value}}).encode()


def desired(version: int, *, scope: str = DEVICE_SCOPE, **given: Any) -> bytes:
    """A signed document; the same arguments give the same bytes."""
    return signed(document(version, scope=scope, **given))


def faulty(version: int, what: str, *, scope: str = DEVICE_SCOPE, **given: Any) -> bytes:
    """A signed document that makes something go wrong with the fake device."""
    return desired(version, scope=scope, config={scope: version, f"fault_{scope}": what}, **given)


def moment(clock: FakeClock, *, in_s: float = 0.0) -> str:
    """A time as documents say it, by the clock of the test."""
    at = datetime.datetime.fromtimestamp(clock.utc_ns() / 1e9 + in_s, tz=datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Life:
    """A device from a start to the next power cut."""

    def __init__(
        self,
        memory: Memory,
        clock: FakeClock,
        *,
        boot: Boot | None = None,
        groups: Sequence[str] = (),
        frozen: bool = False,
        faults: Faults | None = None,
    ) -> None:
        self.memory = memory
        self.clock = clock
        self.boot = boot or choose_from(memory, clock=clock)
        self.device = FakeFleetDevice(self.boot.wanted, faults=faults)
        self.told: list[Transition] = []
        self.machine = Machine(
            memory,
            self.device,
            key_ring(),
            device_id=DEVICE,
            groups=groups,
            clock=clock,
            frozen=frozen,
            told=self.told.append,
            zone=datetime.UTC,
        )
        self.machine.recover(self.boot)

    def offer(self, payload: bytes, scope: str = DEVICE_SCOPE) -> None:
        self.machine.offer(scope, payload)

    def run(self, *, for_s: float = 0.0, steps_max: int = 50_000) -> None:
        """Step for some seconds of the clock; left out: until nothing is done any more."""
        until_ns = self.clock.monotonic_ns() + round(for_s * 1e9)
        for _ in range(steps_max):
            again_s = self.machine.step()
            left_s = (until_ns - self.clock.monotonic_ns()) / 1e9
            if again_s > 0 and left_s <= 0 and (for_s > 0 or self.is_at_rest()):
                return
            self.clock.advance(min(again_s, left_s) if left_s > 0 else again_s)
        raise AssertionError("still at it")

    def is_at_rest(self) -> bool:
        begun = self.memory.read().begun
        return begun is None or begun.state is State.WAITING

    def run_to(self, state: str, *, steps_max: int = 20_000) -> None:
        """Step until a version enters a state."""
        for _ in range(steps_max):
            if self.told and self.told[-1].state.value == state:
                return
            self.clock.advance(self.machine.step())
        raise AssertionError(f"never {state}: {self.states()}")

    def states(self) -> list[str]:
        """What was told: states, oldest first."""
        return [entry.state.value for entry in self.told]

    def last(self) -> tuple[str, int, str]:
        """What was told last: state, version, code."""
        return self.told[-1].state.value, self.told[-1].version, self.told[-1].code
