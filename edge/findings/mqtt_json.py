"""A finding as JSON, and the JSON Schema every message fulfils (docs/schema/finding-1.json is its copy)."""

from __future__ import annotations

import datetime
import json
from typing import Any

from edge.domain.finding import Code, Finding, Measurement, ModelStamp, Verdict

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
    """Lay a finding out as `schema` describes it; volumes to 0.001, times to 0.1 ms."""
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
        "observed_at": _instant(finding.observed_at_ns),
        "verdict": observation.verdict.value,
        "code": _code(observation.code),
        "score": observation.score,
        "reason": observation.reason,
        "segment": observation.segment,
        "measurements": [_measurement(one) for one in observation.measurements],
        "model": None if finding.model is None else _model(finding.model),
        "series": {
            "modality": finding.modality,
            "instances": finding.instances,
            "closed_because": finding.closed_because,
        },
        "latency_ms": {stage: round(ms, 1) for stage, ms in finding.latency_ms.items()},
        "notes": list(finding.notes),
    }


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a finding, draft 2020-12."""
    hash_or_nothing = {"type": "string", "pattern": "^([0-9a-f]{32})?$"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "A finding",
        "description": "One statement about one series, by one model. Research use, not a medical device.",
        **_object(
            schema={"const": SCHEMA},
            disclaimer={"const": DISCLAIMER},
            finding_id=_says(
                {"type": "string", "pattern": _UUID7},
                "UUIDv7, new for each finding; also the user property dedupe_id, the same on every retry.",
            ),
            site=_text("Where the device stands.", least=1),
            device=_text("Which device says this.", least=1),
            pipeline=_text("Which pipeline says this; `intake` where no pipeline was meant for it.", least=1),
            subject=_says(
                {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                "Keyed hash of the SeriesInstanceUID; the key never leaves the device.",
            ),
            study=_says(hash_or_nothing, "Keyed hash of the StudyInstanceUID, empty where there is none."),
            revision=_says(
                {"type": "integer", "minimum": 1},
                "Of the series; a higher one, made when instances came late, replaces a lower one.",
            ),
            observed_at=_says({"type": "string", "pattern": _INSTANT}, "UTC."),
            verdict=_says(
                {"enum": [verdict.value for verdict in Verdict]},
                "PRESENT: looked and found. ABSENT: looked and found none. NOT_ASSESSED: could not look.",
            ),
            code={"$ref": "#/$defs/code", "description": "What was looked for."},
            score=_says(
                {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "null where there is none."
            ),
            reason=_text("Why not assessed, or what limits the measurements."),
            segment=_text("Name of the label this speaks of, or empty."),
            measurements={"type": "array", "items": {"$ref": "#/$defs/measurement"}},
            model=_says(
                {"anyOf": [{"$ref": "#/$defs/model"}, {"type": "null"}]}, "null where no model was reached."
            ),
            series={"$ref": "#/$defs/series"},
            latency_ms=_says(
                {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
                "Time per stage, in the order of the path.",
            ),
            notes=_says(
                {"type": "array", "items": {"type": "string", "minLength": 1}},
                "What was done to the pictures that a reader must know.",
            ),
        ),
        "if": {"properties": {"verdict": {"const": Verdict.NOT_ASSESSED.value}}},
        "then": {"properties": {"reason": {"minLength": 1}, "measurements": {"maxItems": 0}}},
        "$defs": _definitions(),
    }


_UUID7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


def _definitions() -> dict[str, Any]:
    return {
        "code": _object(
            system=_says({"enum": ["SCT", "DCM", "UCUM", "99EDGE"]}, "SNOMED CT, DICOM, UCUM, or our own."),
            value=_text("Code in that system.", least=1),
            meaning=_text("Words for a reader.", least=1),
        ),
        "measurement": _object(
            code={"$ref": "#/$defs/code", "description": "What was measured."},
            of=_says(
                {"anyOf": [{"$ref": "#/$defs/code"}, {"type": "null"}]},
                "Of what; null where that is the finding's own code.",
            ),
            value={"type": "number"},
            unit=_text("UCUM: mL, mm, Cel, 1.", least=1),
        ),
        "model": _object(
            id=_text("Name of the bundle.", least=1),
            version=_text("Of the bundle.", least=1),
            sha256=_says({"type": "string", "pattern": "^[0-9a-f]{64}$"}, "Of the weights that spoke."),
            precision=_text("fp32, fp16, bf16 or int8.", least=1),
            runtime=_text("Which runtime ran it, with its version.", least=1),
            provider=_text("On what it ran.", least=1),
        ),
        "series": _object(
            modality=_text("As the objects said."),
            instances=_says({"type": "integer", "minimum": 0}, "How many objects the series had."),
            closed_because=_says(
                {"enum": ["count", "quiet", "deadline", "asked"]}, "Why it was thought complete."
            ),
        ),
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _says(kind: dict[str, Any], description: str) -> dict[str, Any]:
    return {**kind, "description": description}


def _text(description: str, *, least: int = 0) -> dict[str, Any]:
    return _says({"type": "string", **({"minLength": least} if least else {})}, description)


def _code(code: Code) -> dict[str, str]:
    return {"system": code.system, "value": code.value, "meaning": code.meaning}


def _measurement(measurement: Measurement) -> dict[str, Any]:
    return {
        "code": _code(measurement.code),
        "of": None if measurement.of is None else _code(measurement.of),
        "value": round(measurement.value, 3),
        "unit": measurement.unit,
    }


def _model(stamp: ModelStamp) -> dict[str, str]:
    return {
        "id": stamp.model_id,
        "version": stamp.version,
        "sha256": stamp.sha256,
        "precision": stamp.precision,
        "runtime": stamp.runtime,
        "provider": stamp.provider,
    }


def _instant(utc_ns: int) -> str:
    moment = datetime.datetime.fromtimestamp(utc_ns // 1_000_000_000, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc_ns // 1_000_000 % 1000:03d}Z"
