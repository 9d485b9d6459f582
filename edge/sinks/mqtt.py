"""The door to the broker: an envelope is delivered when PUBACK says 0x00, and not before."""

from __future__ import annotations

from edge.domain.errors import DeliveryError, RefusedError
from edge.domain.finding import Envelope
from edge.domain.ports import Alerts
from edge.kit.mqtt import Message, MqttSession

DELIVERED = 0x00
NOBODY_LISTENS = 0x10
NOT_NOW = {
    NOBODY_LISTENS: "nobody listens: the broker has no matching subscriber and threw it away",
    0x80: "the broker has an unspecified error",
    0x83: "the broker will not, for a reason of its own",
    0x87: "the broker says that we are not authorised to publish there",
    0x91: "the broker says that the packet identifier is in use",
    0x97: "the broker says that a quota is exceeded",
}
NEVER = {
    0x90: "the broker does not accept the name of the topic",
    0x95: "the broker says that the message is too large",
    0x99: "the broker says that the payload is not what its format indicator claims",
}


class MqttSink:
    """Publishes envelopes with QoS 1; safe to repeat, since receivers know an envelope by its dedupe_id."""

    def __init__(self, session: MqttSession, *, prefix: str, alerts: Alerts) -> None:
        """Store what delivering needs.

        Args:
            session: Opened and closed by its owner.
            prefix: Begins every topic: `edge/v1/<site>/<device>`.
            alerts: Where trouble is raised that a person must act on.
        """
        self._session = session
        self._prefix = prefix
        self._alerts = alerts

    def deliver(self, envelope: Envelope, *, timeout_s: float) -> None:
        """Return when a subscriber's broker has taken responsibility for the envelope.

        Raises:
            DeliveryError: It has not, or nobody listens; keep it and try again.
            RefusedError: It says that it never will.
        """
        message = Message(
            topic=f"{self._prefix}/{envelope.channel}",
            payload=envelope.body,
            content_type=envelope.media_type,
            user_properties=(
                ("schema", envelope.schema),
                ("dedupe_id", envelope.dedupe_id),
                *envelope.properties.items(),
            ),
        )
        alert = f"delivery-{envelope.channel.replace('/', '-')}"
        try:
            code = self._session.publish(message, timeout_s=timeout_s, key=envelope.dedupe_id)
        except RefusedError as trouble:
            self._alerts.raise_alert(alert, str(trouble))
            raise
        if code == DELIVERED:
            self._alerts.clear_alert(alert)
            return
        reason = f"{message.topic}: {NEVER.get(code) or NOT_NOW.get(code, 'not a delivery')} (0x{code:02x})"
        self._alerts.raise_alert(alert, reason)
        raise RefusedError(reason) if code in NEVER else DeliveryError(reason)
