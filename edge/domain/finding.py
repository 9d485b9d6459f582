"""What we say: findings, and the envelopes they leave in."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.domain.frame import Calibration, TimedBy


class Verdict(enum.Enum):
    """The difference between "no" and "did not look"."""

    PRESENT = "PRESENT"
    ABSENT = "ABSENT"
    NOT_ASSESSED = "NOT_ASSESSED"


@dataclass(frozen=True, slots=True)
class Code:
    """A concept of a public coding system.

    Attributes:
        system: `SCT` (SNOMED CT), `DCM` (DICOM), `UCUM`, or `99EDGE` for a code of our own.
        value: Its code there.
        meaning: Words for a reader.
    """

    system: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with its unit.

    Attributes:
        code: What was measured, `SCT 118565006 Volume`.
        value: Finite.
        unit: UCUM: `mL`, `mm`, `Cel`, `1`.
        of: Of what, where that is not the finding's own code: one tissue out of several.
    """

    code: Code
    value: float
    unit: str
    of: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One named point in a picture.

    Attributes:
        name: Of the landmark or joint.
        x_px: Columns from the left edge of the source's picture.
        y_px: Rows from its upper edge.
        score: 0 to 1, or None where the model has none.
    """

    name: str
    x_px: float
    y_px: float
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a policy reads out of a model's answer, before it has a subject.

    Attributes:
        code: What was looked for.
        verdict: NOT_ASSESSED always comes with a reason.
        score: 0 to 1, or None where the model has none.
        measurements: Numbers the data supports, none other.
        reason: Why not assessed, or what limits the measurements; "" where there is nothing to say.
        segment: Name of the label or region it speaks of, or "".
        box_px: Where in the source's picture: left, top, width, height; None where it speaks of the whole.
        outline_px: Corners of the outer border of what it speaks of, x and y, in the source's picture; ()
            where a box or nothing says where it is. Holes are not told.
        points: Landmarks of what it speaks of, in the source's picture.
    """

    code: Code
    verdict: Verdict
    score: float | None = None
    measurements: tuple[Measurement, ...] = ()
    reason: str = ""
    segment: str = ""
    box_px: tuple[float, float, float, float] | None = None
    outline_px: tuple[tuple[float, float], ...] = ()
    points: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        assert self.verdict is not Verdict.NOT_ASSESSED or self.reason, "NOT_ASSESSED needs a reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStamp:
    """Which weights spoke, and on what.

    Attributes:
        model_id: Name of the bundle.
        version: Of the bundle.
        sha256: Digest of the bundle.
        precision: Of the weights.
        runtime: Name and version.
        provider: On what it ran.
        signed_by: Name of the key, among those the site believes, that signed the bundle; "" where it is
            unsigned and the site allows that.
    """

    model_id: str
    version: str
    sha256: str
    precision: str
    runtime: str
    provider: str
    signed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSeen:
    """One of several series that were looked at together, or should have been.

    Attributes:
        role: What it was taken for: `T1`, `FLAIR`.
        subject: Keyed hash of the series.
        number: SeriesNumber, or None where it is not known.
        revision: Of the series.
        instances: How many it had.
    """

    role: str
    subject: str
    number: int | None
    revision: int
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSeen:
    """A finding speaks of a series, or of several that one model looks at together.

    Attributes:
        modality: As the objects said; those of several are joined with `+`.
        instances: How many the series had, all together.
        closed_because: `count`, `quiet`, `deadline`, `asked`; of several the weakest evidence.
        roles: Every series it rests on, where a model takes several; () for a series by itself.
        roles_more: So many further series play one of those roles and are not named.
    """

    modality: str
    instances: int
    closed_because: str
    roles: tuple[RoleSeen, ...] = ()
    roles_more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSeen:
    """A finding speaks of one picture of a series.

    Attributes:
        object: Keyed hash of the UID of the object that holds it.
        number: Of that object in its series, as it says itself, or None.
        frame: Which of its frames, from 1.
        frames: How many it has.
        shape_px: (height, width), or None where it could not be read.
        spacing_mm: Distance between rows, and between columns, where it is known of the whole picture.
    """

    object: str
    number: int | None
    frame: int = 1
    frames: int = 1
    shape_px: tuple[int, int] | None = None
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSeen:
    """A finding speaks of one event in a live source: something that lasts over many frames.

    Attributes:
        source: Name of the source.
        event_id: UUIDv7; the same in every finding about this event.
        phase: `begin`; `summary` while nothing changes; `end`. What changes ends one event, begins another.
        began_at_ns: UTC.
        frames: How many frames the event rests on so far.
        lost: Frames of the source given up since the event's first finding, by reason.
        timed_by: Where the time of the newest frame comes from; None where there was no frame.
        calibration: Of a thermal source, else None.
    """

    source: str
    event_id: str
    phase: Literal["begin", "summary", "end"]
    began_at_ns: int
    frames: int
    lost: Mapping[str, int] = field(default_factory=dict)
    timed_by: TimedBy | None = None
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One statement about one subject; no patient identity.

    Attributes:
        finding_id: UUIDv7, new for each finding.
        pipeline: Which pipeline speaks; `intake` where no pipeline was reached.
        subject: Keyed hash of the series, of the study together with the pipeline that looks at several
            series of it, or of the live source.
        study: Keyed hash of the study, or "".
        revision: Of the series, the study or the event; a higher one replaces a lower one.
        observation: What was found.
        seen: What it speaks of.
        picture: Which picture of a series it speaks of; None where it is the whole series, or a live source.
        model: None where no model was reached, or none is needed.
        latency_ms: Per stage, in the order of the path.
        notes: What was done to the pictures that a reader must know.
        observed_at_ns: UTC.
    """

    finding_id: str
    pipeline: str
    subject: str
    study: str
    revision: int
    observation: Observation
    seen: SeriesSeen | StreamSeen
    picture: PictureSeen | None = None
    model: ModelStamp | None
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    observed_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An encoded finding on its way out; the same id on every retry.

    Attributes:
        dedupe_id: UUIDv7, minted in the transaction that writes the outbox.
        channel: Topic below the device's own prefix: `finding/brain-mr`.
        subject: Order is kept among envelopes of one subject.
        media_type: `application/json`.
        schema: `edge.finding/1`.
        body: What is sent.
        properties: Further user properties.
    """

    dedupe_id: str
    channel: str
    subject: str
    media_type: str
    schema: str
    body: bytes
    properties: Mapping[str, str] = field(default_factory=dict)
