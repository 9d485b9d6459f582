"""A finding made ready to leave: encoded once, with everything the wire says about it."""

from __future__ import annotations

from edge.domain.finding import Envelope, Finding
from edge.findings.mqtt_json import MEDIA_TYPE, SCHEMA, encode


def wrap(finding: Finding, *, site: str, device: str, sequence: int) -> Envelope:
    """Put a finding into its envelope.

    Args:
        finding: What is said.
        site: Where the device stands.
        device: Who says it.
        sequence: The device's own count of findings; a gap tells a receiver that it has missed one.

    Returns:
        The envelope; its `dedupe_id` is the finding's id, so that body and properties name one thing once.

    Raises:
        ValueError: One of its numbers is not finite.
    """
    properties = {"seq": str(sequence)}
    if finding.model is not None:
        properties["model_digest"] = f"sha256:{finding.model.sha256}"
    return Envelope(
        dedupe_id=finding.finding_id,
        channel=f"finding/{finding.pipeline}",
        subject=finding.subject,
        media_type=MEDIA_TYPE,
        schema=SCHEMA,
        body=encode(finding, site=site, device=device),
        properties=properties,
    )
