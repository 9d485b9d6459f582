"""What an operator may say about cameras, and about what is looked for in their pictures."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.config.fields import (
    DAY_PATTERN,
    DEVICE_PATTERN,
    URL_PATTERN,
    Digest,
    Name,
    Place,
    Secret,
    Section,
    check_pauses,
)

# How every camera is opened, and opened again; not a section of their own, so that each keeps its order.
OpenS = Annotated[
    float, Field(ge=0.1, le=300, description="Seconds a camera may take until its first picture.")
]
SilenceS = Annotated[
    float,
    Field(
        ge=0.1,
        le=300,
        description="Seconds without a picture after which a camera counts as lost and is opened again.",
    ),
]
RetryMinS = Annotated[
    float, Field(ge=0.01, le=3600, description="Shortest pause before it is opened again, in seconds.")
]
RetryMaxS = Annotated[
    float, Field(ge=0.01, le=3600, description="Longest pause before it is opened again, in seconds.")
]


class PictureQuality(Section):
    """When a camera's picture counts as faulty; a source with such a picture is degraded, and says why."""

    frozen_s: float = Field(
        default=10.0,
        ge=0,
        le=3600,
        description="Nothing moves for so many seconds, not even noise; 0: never.",
    )
    black_level: float = Field(
        default=24.0, ge=0, le=255, description="98 of 100 pixels are darker than this, 0 to 255."
    )
    blinded_share: float = Field(
        default=0.6, ge=0.01, le=1, description="At least this share of the pixels is saturated."
    )
    blurred_ratio: float = Field(
        default=0.3, ge=0, le=1, description="Less than this share of its usual sharpness is left."
    )
    hold_s: float = Field(
        default=2.0, ge=0, le=600, description="So many seconds must a fault last, and be gone to be over."
    )


class CameraSource(Section):
    """A camera: over the network, at this machine, or a recording that takes its place."""

    kind: Literal["camera"] = Field(description="`camera`: colour video.")
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    enabled: bool = Field(default=True, description="Whether it is opened; else it is reported as disabled.")
    url: Annotated[str, Field(pattern=URL_PATTERN)] | None = Field(
        default=None,
        description="rtsp://…, http://… or https://…, without user and password; one of url, device, path.",
    )
    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] | None = Field(
        default=None, description="A V4L2 device of this machine, such as /dev/video0."
    )
    path: Place | None = Field(
        default=None, description="A video file, or a folder in which pictures appear."
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="How an RTSP camera sends its pictures; udp is for quiet networks only."
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=256, description="At the camera; left out: none."
    )
    password: Secret | None = Field(default=None, description="Where the password lies; left out: none.")
    loop: bool = Field(default=False, description="Whether a video file begins anew at its end.")
    open_s: OpenS = 10.0
    silence_s: SilenceS = 3.0
    snapshots: Literal["never", "gated"] = Field(
        default="never",
        description="Whether a person at the box may see its pictures; gated: while a gate is open.",
    )
    snapshot_blur: Literal["nothing", "everything"] = Field(
        default="nothing",
        description="What is made unrecognisable in them; everything: faces and all else, in coarse blocks.",
    )
    quality: PictureQuality = Field(
        default=PictureQuality(), description="When its picture counts as faulty."
    )
    retry_min_s: RetryMinS = 0.5
    retry_max_s: RetryMaxS = 30.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sum(way is not None for way in (self.url, self.device, self.path)) != 1:
            raise ValueError("wanted exactly one of url, device and path")
        check_pauses(self.retry_min_s, self.retry_max_s)
        if self.password is not None and self.username is None:
            raise ValueError("there is a password, but no username; wanted both")
        return self


class Pace(Section):
    """How quickly something that is seen is said, and how often."""

    age_max_ms: float = Field(
        default=500.0, ge=1, le=60_000, description="A frame older than this is given up, in ms."
    )
    gap_max_ms: float = Field(
        default=2000.0,
        ge=10,
        le=600_000,
        description="Without an assessed frame for so long, in ms, the finding is NOT_ASSESSED.",
    )
    settle_ms: float = Field(
        default=300.0,
        ge=0,
        le=60_000,
        description="What is seen must last so long, in ms, before it is said.",
    )
    vanish_ms: float = Field(
        default=1000.0,
        ge=0,
        le=60_000,
        description="A thing that was not seen again for so long, in ms, is over.",
    )
    summary_s: float = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="Seconds between two findings about something that does not change.",
    )

    @model_validator(mode="after")
    def _a_frame_in_time_ends_a_gap(self) -> Self:
        if self.gap_max_ms < self.age_max_ms:
            raise ValueError(
                f"gap_max_ms is {self.gap_max_ms:g}, age_max_ms {self.age_max_ms:g}; wanted it not below"
            )
        return self


class LocalValidation(Section):
    """What the site declares after it has looked at its own report (`edge bundle validate`)."""

    bundle_sha256: Digest = Field(description="Digest of the bundle that was validated, 64 hex digits.")
    validated_by: str = Field(min_length=1, max_length=128, description="Who answers for it.")
    validated_on: str = Field(pattern=DAY_PATTERN, description="Day, such as 2026-11-22.")
    report_sha256: Digest = Field(description="Digest of the report's file, 64 hex digits.")


class PixelGate(Section):
    """A pipeline that guards pixels: its cameras' pictures leave only while what it looks for is there."""

    enter_ms: float = Field(
        default=2000.0, ge=1, le=600_000, description="Scores must stay high for so long, in ms, to open it."
    )
    enter_frames_min: int = Field(default=10, ge=2, le=100_000, description="And in at least so many frames.")
    local_validation: LocalValidation | None = Field(
        default=None, description="Left out: nothing ever leaves. Only a person at the box can write it."
    )


class VideoPipeline(Section):
    """What is looked for in the pictures of cameras, by a bundle for pictures of any task."""

    kind: Literal["video"] = Field(description="`video`: pictures of cameras.")
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    bundle: Name = Field(description="The bundle whose model looks at the pictures.")
    sources: tuple[Name, ...] = Field(min_length=1, max_length=64, description="Names of camera sources.")
    pace: Pace = Field(default=Pace(), description="How quickly something is said, and how often.")
    deadline_ms: float = Field(
        default=250.0, ge=1, le=60_000, description="Milliseconds the model may take for one picture."
    )
    gate: PixelGate | None = Field(
        default=None, description="Left out: this pipeline lets no picture of its cameras leave."
    )
