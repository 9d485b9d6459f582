"""An operator's place at the broker: what sees every device, and writes what it shall be, signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edge.fleet.operator.inventory import DeviceView

Document = Mapping[str, Any]


class Desk(Protocol):
    """What the operator's tools need; used by one thread.

    A device is named `<site>/<device>`, a group `<site>/group/<group>`.
    """

    def devices(self) -> Mapping[str, DeviceView]:
        """Return what is known about every device at this moment, by name."""

    def groups(self) -> Mapping[str, Document]:
        """Return the layers that the broker holds for groups, by name."""

    def publish(self, name: str, document: Document) -> Document:
        """Sign a document for a device or a group, and leave it at the broker.

        Args:
            name: Of the device or the group.
            document: In full, without `issued` and `signature`; `base` is the version it was made from.

        Returns:
            What was published.

        Raises:
            DocumentRefusedError: conflict: the broker or the device has come further than `base`; schema: it
                is no document that could be signed, or too large.
            SecretError: The key cannot be used.
            DeliveryError: The broker did not take it, and says why.
        """

    def publish_rollout(self, rollout_id: str, document: Document | None) -> None:
        """Sign the state of a roll-out and leave it at the broker; None takes it away.

        Raises:
            DeliveryError: The broker did not take it, and says why.
        """

    def rollouts(self) -> Mapping[str, Document]:
        """Return the state of every roll-out that the broker holds, by id, as it was published."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until anything has changed since the last call; returns whether it has."""

    def now_ns(self) -> int:
        """Return UTC, in ns."""
