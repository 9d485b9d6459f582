"""What a pipeline reads out of a frame or a measured file, whoever does the reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.domain.answer import PictureAnswer
from edge.domain.finding import ModelStamp, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one frame or file shows.

    Attributes:
        observations: Statements about the whole and its regions, and things with boxes; every statement comes
            every time, for silence is no answer.
        latency_ms: Per stage, in the order of the path.
        notes: What was done to the picture that a reader must know.
        stamp: Which weights gave this answer; None where none did.
        answer: What they said, in pixels of the picture; None where no model of pictures was asked.
    """

    observations: tuple[Observation, ...]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stamp: ModelStamp | None = None
    answer: PictureAnswer | None = None
