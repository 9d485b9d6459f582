"""What the fleet writes: documents for one device, layers for groups, as strict trees.

Nothing here reads bytes (`guard.py` does, before parsing costs anything) or believes a signature
(`signing.py`).
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.fleet.addresses import trouble_with
from edge.fleet.words import ProbeName

DESIRED_SCHEMA: Final = "edge.desired/1"
GROUP_SCHEMA: Final = "edge.group/1"
DOCUMENT_BYTES_MAX: Final = 65_536
YEAR_MIN, YEAR_MAX = 1970, 2200  # of what a document says of time

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


def _moment(text: str) -> str:
    wanted = "wanted a time with its zone, such as 2026-11-22T14:00:00Z"
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(wanted) from error
    if moment.tzinfo is None:
        raise ValueError(wanted)
    return text


def _near(text: str) -> str:
    year = datetime.datetime.fromisoformat(text).year
    if not YEAR_MIN <= year <= YEAR_MAX:
        raise ValueError(f"is of the year {year}; wanted one of {YEAR_MIN} to {YEAR_MAX}")
    return text


def _address(text: str) -> str:
    trouble = trouble_with(text)
    if trouble:
        raise ValueError(trouble)
    return text


def _window(text: str) -> str:
    if not _WINDOW.fullmatch(text) or text[:5] == text[6:]:
        raise ValueError("wanted a window of the device's local time, such as 02:00-04:00")
    return text


Name = Annotated[str, Field(pattern=_NAME)]
KeyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Moment = Annotated[str, Field(max_length=40), AfterValidator(_moment)]
NearMoment = Annotated[Moment, AfterValidator(_near)]  # what is beyond cannot be reckoned with
Window = Annotated[str, AfterValidator(_window)]
Version = Annotated[int, Field(ge=1, lt=2**53)]
DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of a document: strict, unchangeable, unknown keys refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Apply(Part):
    """When and how a version is brought to work."""

    mode: Literal["safe_point", "window", "validate"] = Field(
        default="safe_point",
        description="`safe_point`: while nothing is under way, or in the window if there is one; `window`: "
        "only in it, and at a safe point; `validate`: not at all, only said whether it could be.",
    )
    window: Window | None = Field(default=None, description="Of the device's local time; may pass midnight.")
    deadline: NearMoment | None = Field(
        default=None, description="Until then it must have begun to be applied; then it is given up."
    )
    confirm_s: float = Field(
        default=120.0, ge=1, le=3600, description="Seconds within which every probe must pass."
    )
    probe: tuple[ProbeName, ...] = Field(
        default=("ingest", "engine", "mqtt", "golden"),
        description="What must work afterwards; engine at least.",
        strict=False,
    )

    @field_validator("probe")
    @classmethod
    def _proof_of_what_finds(cls, names: tuple[ProbeName, ...]) -> tuple[ProbeName, ...]:
        if "engine" not in names:
            raise ValueError(f"is {list(names)}; wanted at least engine: nothing is kept unproven")
        return names

    @model_validator(mode="after")
    def _window_where_one_is_meant(self) -> Self:
        if self.mode == "window" and self.window is None:
            raise ValueError("mode is window and there is none; wanted window, such as 02:00-04:00")
        return self


class RolloutRef(Part):
    """Which roll-out a document belongs to."""

    id: Name = Field(description="Of the roll-out.")
    ring: int = Field(ge=0, le=99, description="Counted from 0, the canary.")


class BundleWanted(Part):
    """A bundle by reference."""

    version: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="As its manifest says.")
    digest: DigestText = Field(description="SHA-256 of the package that `url` leads to.")
    url: Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_address)] = Field(
        description="https, http or file: where the package lies; without user and password."
    )
    size_bytes: int = Field(ge=1, le=16 << 30, description="Size of the package.")


class Signature(Part):
    """Ed25519 over the RFC 8785 form of the document without this part."""

    alg: Literal["ed25519"] = Field(description="The only one there is.")
    key: KeyName = Field(description="Name of the key, as `fleet.keys` of the device calls it.")
    value: str = Field(max_length=128, description="64 bytes in base64.")


class _Document(Part):
    """What both kinds of document have."""

    site: Name | None = Field(
        default=None, description="For which site it was signed; another refuses it. Left out: for any."
    )
    version: Version = Field(description="Strictly increasing; one that is not above the floor is refused.")
    base: int = Field(ge=0, lt=2**53, description="Version this one was made from; an optimistic lock.")
    issued: NearMoment = Field(description="When it was signed.")
    not_before: NearMoment | None = Field(default=None, description="It is not planned before.")
    expires: NearMoment | None = Field(default=None, description="It is not taken up after.")
    apply: Apply = Field(default=Apply(), description="When and how.")
    config: dict[str, Any] = Field(
        description="What differs from the device's own YAML; sources and pipelines by name."
    )
    bundles: dict[Name, BundleWanted] = Field(
        default_factory=dict, max_length=64, description="Bundles by name."
    )
    signature: Signature = Field(description="Over all the rest.")


class Desired(_Document):
    """What the fleet wants of one device, always in full."""

    schema_: Literal["edge.desired/1"] = Field(alias="schema", description="Names this form.")
    device: Name = Field(description="For whom it is; another device refuses it.")
    rollout: RolloutRef | None = Field(default=None, description="Where it comes from.")


class GroupLayer(_Document):
    """What the fleet wants of all devices of a group; the device's own document goes before it."""

    schema_: Literal["edge.group/1"] = Field(alias="schema", description="Names this form.")
    group: Name = Field(description="For whom it is.")
    priority: int = Field(
        ge=0, le=1000, description="Of two groups that say different things the higher one counts."
    )


Document = Desired | GroupLayer
