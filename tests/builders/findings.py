"""Findings and envelopes, complete in every field, that a test alters where it matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.domain.finding import (
    Code,
    Envelope,
    Finding,
    Measurement,
    ModelStamp,
    Observation,
    SeriesSeen,
    StreamSeen,
    Verdict,
)
from edge.domain.frame import Calibration
from edge.findings.ids import uuid7
from edge.kit.clock import SystemClock

BRAIN = Code("SCT", "12738006", "Brain structure")
CORTEX = Code("SCT", "40146001", "Cerebral cortex structure")
VOLUME = Code("SCT", "118565006", "Volume")
STAMP = ModelStamp(
    model_id="brain-mr",
    version="1.0.0",
    sha256="ab" * 32,
    precision="int8",
    runtime="openvino 2026.4",
    provider="CPU",
    signed_by="north-clinic",
)


def finding(**changes: Any) -> Finding:
    """A brain that was found and measured."""
    whole = Finding(
        finding_id=uuid7(SystemClock()),
        pipeline="brain-mr",
        subject="0" * 32,
        study="1" * 32,
        revision=1,
        observation=Observation(
            code=BRAIN,
            verdict=Verdict.PRESENT,
            measurements=(
                Measurement(VOLUME, 1204.25, "mL"),
                Measurement(VOLUME, 512.5, "mL", of=CORTEX),
            ),
        ),
        seen=SeriesSeen(modality="MR", instances=192, closed_because="count"),
        model=STAMP,
        latency_ms={"assemble": 81.25, "infer": 602.0},
        notes=("gantry tilt of 16.5° corrected",),
        observed_at_ns=1_700_000_000_123_456_789,
    )
    return replace(whole, **changes)


def live_finding(**changes: Any) -> Finding:
    """A warm hand that a thermal camera saw for a while."""
    clock = SystemClock()
    seen = StreamSeen(
        source="thermo",
        event_id=uuid7(clock),
        phase="summary",
        began_at_ns=1_700_000_000_000_000_000,
        frames=81,
        lost={"newest wins": 3},
        timed_by="arrival",
        calibration=Calibration(
            state="site",
            emissivity=0.98,
            reflected_celsius=21.0,
            air_celsius=22.0,
            distance_m=0.8,
            humidity=0.45,
            window_transmission=1.0,
            uncertainty_celsius=0.61,
        ),
    )
    return finding(pipeline="hands", study="", seen=seen, model=None, **changes)


def envelope(
    number: int = 0, *, subject: str = "s", channel: str = "finding/test", body: bytes | None = None
) -> Envelope:
    """An envelope whose body says which one it is."""
    return Envelope(
        dedupe_id=uuid7(SystemClock()),
        channel=channel,
        subject=subject,
        media_type="application/json",
        schema="edge.finding/1",
        body=b'{"subject":"%s","number":%d}' % (subject.encode(), number) if body is None else body,
        properties={"seq": str(number)},
    )
