"""The JSON Schema that every finding on the wire fulfils; docs/schema/finding-1.json is its copy."""

from __future__ import annotations

from typing import Any

from edge.domain.finding import Verdict
from edge.findings.mqtt_json import DISCLAIMER, SCHEMA

_UUID7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a finding, draft 2020-12."""
    hash_or_nothing = {"type": "string", "pattern": "^([0-9a-f]{32})?$"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "A finding",
        "description": "One statement about one series, or about one event in a live source. "
        "Research use, not a medical device.",
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
                "Keyed hash of the SeriesInstanceUID, of pipeline and StudyInstanceUID where several series "
                "were looked at together, or of the live source; the key never leaves the device.",
            ),
            study=_says(hash_or_nothing, "Keyed hash of the StudyInstanceUID, empty where there is none."),
            revision=_says(
                {"type": "integer", "minimum": 1},
                "Of series, study (one more when objects came late) or event; a higher replaces a lower one.",
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
            segment=_text("Name of the label or region this speaks of, or empty."),
            box_px=_says(
                {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
                "Where in the source's picture: left, top, width, height; null where it is all of it.",
            ),
            outline_px=_says(
                {"type": "array", "items": {"$ref": "#/$defs/place"}},
                "Corners of the outer border of what this speaks of, in the source's picture; empty where a "
                "box or nothing says where it is.",
            ),
            points=_says(
                {"type": "array", "items": {"$ref": "#/$defs/point"}}, "Landmarks of what this speaks of."
            ),
            measurements={"type": "array", "items": {"$ref": "#/$defs/measurement"}},
            model=_says(
                {"anyOf": [{"$ref": "#/$defs/model"}, {"type": "null"}]}, "null where no model was reached."
            ),
            series=_says(
                {"anyOf": [{"$ref": "#/$defs/series"}, {"type": "null"}]},
                "Of what series this speaks; null where it is a live source.",
            ),
            picture=_says(
                {"anyOf": [{"$ref": "#/$defs/picture"}, {"type": "null"}]},
                "Of which picture of the series this speaks; null where it is the whole, or a live source.",
            ),
            stream=_says(
                {"anyOf": [{"$ref": "#/$defs/stream"}, {"type": "null"}]},
                "Of what event in a live source this speaks; null where it is a series.",
            ),
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
        "oneOf": [
            {"properties": {"series": {"type": "object"}, "stream": {"type": "null"}}},
            {"properties": {"series": {"type": "null"}, "stream": {"type": "object"}}},
        ],
        "$defs": _definitions(),
    }


def _definitions() -> dict[str, Any]:
    return {
        "code": _object(
            system=_says({"enum": ["SCT", "DCM", "UCUM", "99EDGE"]}, "SNOMED CT, DICOM, UCUM, or our own."),
            value=_text("Code in that system.", least=1),
            meaning=_text("Words for a reader.", least=1),
        ),
        "place": _says(
            {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}, "x and y."
        ),
        "point": _object(
            name=_text("Of the landmark.", least=1),
            x_px=_says({"type": "number"}, "Columns from the left edge of the source's picture."),
            y_px=_says({"type": "number"}, "Rows from its upper edge."),
            score=_says(
                {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "null where there is none."
            ),
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
            signature=_says(
                {"type": ["string", "null"], "minLength": 1},
                "Name of the key that signed the bundle; null where it is unsigned, which this site allows.",
            ),
        ),
        "series": _object(
            modality=_text("As the objects said."),
            instances=_says({"type": "integer", "minimum": 0}, "How many objects the series had."),
            closed_because=_says(
                {"enum": ["count", "quiet", "deadline", "asked"]}, "Why it was thought complete."
            ),
            roles=_says(
                {"type": "array", "items": {"$ref": "#/$defs/role"}},
                "Every series this rests on, where one model takes several; empty for a series by itself.",
            ),
            roles_more=_says(
                {"type": "integer", "minimum": 0},
                "How many further series play one of these roles; of each role the first eight are named.",
            ),
        ),
        "role": _object(
            role=_text("What the series was taken for: T1, FLAIR.", least=1),
            subject=_says({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "Keyed hash of the series."),
            number=_says({"type": ["integer", "null"]}, "SeriesNumber; null where it is not known."),
            revision=_says({"type": "integer", "minimum": 1}, "Of the series."),
            instances=_says({"type": "integer", "minimum": 0}, "How many objects it had."),
        ),
        "picture": _object(
            object=_text("Keyed hash of the UID of the object that holds it.", least=1),
            number=_says(
                {"type": ["integer", "null"]}, "InstanceNumber of that object; null where it names none."
            ),
            frame=_says({"type": "integer", "minimum": 1}, "Which of its frames, from 1."),
            frames=_says({"type": "integer", "minimum": 1}, "How many frames it has."),
            width_px=_says(
                {"type": ["integer", "null"], "minimum": 1}, "Columns; null where it could not be read."
            ),
            height_px=_says({"type": ["integer", "null"], "minimum": 1}, "Rows; null likewise."),
            spacing_mm=_says(
                {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                "Distance between rows, and between columns; null where it is not known of all of it.",
            ),
        ),
        "stream": _object(
            source=_text("Name of the live source.", least=1),
            event_id=_says(
                {"type": "string", "pattern": _UUID7}, "UUIDv7; the same in each finding about this event."
            ),
            phase=_says(
                {"enum": ["begin", "summary", "end"]},
                "begin, summary while nothing changes, end; what changes ends one event and begins another.",
            ),
            began_at=_says({"type": "string", "pattern": _INSTANT}, "UTC."),
            frames={"type": "integer", "minimum": 0, "description": "Frames the event rests on so far."},
            lost=_says(
                {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
                "Frames given up since the event's first finding, by reason.",
            ),
            timed_by=_says(
                {"enum": ["stream", "arrival", None]},
                "Whether a frame's time is the sender's or that of its arrival; null where there was none.",
            ),
            calibration=_says(
                {"anyOf": [{"$ref": "#/$defs/calibration"}, {"type": "null"}]},
                "What degrees rest on; null where none are measured.",
            ),
        ),
        "calibration": _object(
            state=_says(
                {"enum": ["factory", "site", "assumed"]}, "Who vouches for the constants; assumed: nobody."
            ),
            emissivity=_says({"type": "number", "minimum": 0, "maximum": 1}, "Of what is looked at."),
            reflected_celsius=_says({"type": "number"}, "Apparent temperature of what is mirrored."),
            air_celsius=_says({"type": "number"}, "Of the air between."),
            distance_m=_says({"type": "number", "minimum": 0}, "To what is looked at."),
            humidity=_says({"type": "number", "minimum": 0, "maximum": 1}, "Relative."),
            window_transmission=_says(
                {"type": "number", "minimum": 0, "maximum": 1}, "Of an infrared window in between."
            ),
            uncertainty_celsius=_says(
                {"type": "number", "minimum": 0}, "Standard uncertainty of a temperature, in K."
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
