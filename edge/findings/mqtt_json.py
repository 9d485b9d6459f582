"""A finding as JSON, as `edge.findings.json_schema` describes it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from edge.domain.finding import (
    Code,
    Finding,
    Measurement,
    ModelStamp,
    PictureSeen,
    Point,
    SeriesSeen,
    StreamSeen,
)
from edge.domain.frame import Calibration
from edge.kit.moments import told

SCHEMA = "edge.finding/1"
MEDIA_TYPE = "application/json"
DISCLAIMER = "research use, not a medical device"


def encode(finding: Finding, *, site: str, device: str) -> bytes:
    """Write a finding as JSON in UTF-8.

    Raises:
        ValueError: One of its numbers is not finite.
    """
    document = to_dict(finding, site=site, device=device)
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace")  # a reason may name a file whose name is no UTF-8


def to_dict(finding: Finding, *, site: str, device: str) -> dict[str, Any]:
    """Lay a finding out as the schema describes it; volumes to 0.001, times to 0.1 ms."""
    observation = finding.observation
    return {
        "schema": SCHEMA,
        "disclaimer": DISCLAIMER,
        "finding_id": finding.finding_id,
        "site": site,
        "device": device,
        "pipeline": finding.pipeline,
        "subject": finding.subject,
        "study": finding.study,
        "revision": finding.revision,
        "observed_at": told(finding.observed_at_ns),
        "verdict": observation.verdict.value,
        "code": _code(observation.code),
        "score": observation.score,
        "reason": observation.reason,
        "segment": observation.segment,
        "box_px": None if observation.box_px is None else [round(edge, 1) for edge in observation.box_px],
        "outline_px": [[round(x, 1), round(y, 1)] for x, y in observation.outline_px],
        "points": [_point(one) for one in observation.points],
        "measurements": [_measurement(one) for one in observation.measurements],
        "model": None if finding.model is None else _model(finding.model),
        "series": _series(finding.seen) if isinstance(finding.seen, SeriesSeen) else None,
        "picture": None if finding.picture is None else _picture(finding.picture),
        "stream": _stream(finding.seen) if isinstance(finding.seen, StreamSeen) else None,
        "latency_ms": {stage: round(ms, 1) for stage, ms in finding.latency_ms.items()},
        "notes": list(finding.notes),
    }


def _code(code: Code) -> dict[str, str]:
    return {"system": code.system, "value": code.value, "meaning": code.meaning}


def _point(point: Point) -> dict[str, Any]:
    score = None if point.score is None else round(point.score, 4)
    return {"name": point.name, "x_px": round(point.x_px, 1), "y_px": round(point.y_px, 1), "score": score}


def _measurement(measurement: Measurement) -> dict[str, Any]:
    return {
        "code": _code(measurement.code),
        "of": None if measurement.of is None else _code(measurement.of),
        "value": round(measurement.value, 3),
        "unit": measurement.unit,
    }


def _series(seen: SeriesSeen) -> dict[str, Any]:
    return {
        "modality": seen.modality,
        "instances": seen.instances,
        "closed_because": seen.closed_because,
        "roles": [asdict(role) for role in seen.roles],
        "roles_more": seen.roles_more,
    }


def _picture(seen: PictureSeen) -> dict[str, Any]:
    height_px, width_px = seen.shape_px or (None, None)
    return {
        "object": seen.object,
        "number": seen.number,
        "frame": seen.frame,
        "frames": seen.frames,
        "width_px": width_px,
        "height_px": height_px,
        "spacing_mm": None if seen.spacing_mm is None else [round(side, 6) for side in seen.spacing_mm],
    }


def _stream(seen: StreamSeen) -> dict[str, Any]:
    return {
        "source": seen.source,
        "event_id": seen.event_id,
        "phase": seen.phase,
        "began_at": told(seen.began_at_ns),
        "frames": seen.frames,
        "lost": dict(seen.lost),
        "timed_by": seen.timed_by,
        "calibration": None if seen.calibration is None else _calibration(seen.calibration),
    }


def _calibration(calibration: Calibration) -> dict[str, Any]:
    numbers = {name: value for name, value in asdict(calibration).items() if name != "state"}
    return {"state": calibration.state, **{name: round(value, 3) for name, value in numbers.items()}}


def _model(stamp: ModelStamp) -> dict[str, str | None]:
    return {
        "id": stamp.model_id,
        "version": stamp.version,
        "sha256": stamp.sha256,
        "precision": stamp.precision,
        "runtime": stamp.runtime,
        "provider": stamp.provider,
        "signature": stamp.signed_by or None,
    }
