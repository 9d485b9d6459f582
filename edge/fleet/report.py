"""The reported document: what the device made of what was wanted of it, in full, every time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field

from edge.fleet.documents import BundleWanted, Moment, Part, RolloutRef
from edge.fleet.ledger import Attempt, Transition
from edge.fleet.progress import Progress, ScopeProgress
from edge.fleet.signing import digest_of
from edge.fleet.words import DEVICE_SCOPE, Code, State
from edge.kit.moments import told

REPORTED_SCHEMA: Final = "edge.reported/1"
EVENT_SCHEMA: Final = "edge.event/1"
PATHS_MAX: Final = 64
ORIGINS_MAX: Final = 1000
TEXT_CHARACTERS_MAX: Final = 2000
NOTHING_WANTED: Final = digest_of({"bundles": {}, "config": {}})

Status = Literal[
    "none",
    "received",
    "verified",
    "planned",
    "staged",
    "waiting",
    "applying",
    "probing",
    "committed",
    "rolled_back",
    "rejected",
    "superseded",
]
Text = Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleAtWork:
    """A bundle as it works now.

    Attributes:
        version: Of its manifest.
        digest: `sha256:…` of the package it was installed from; "" for one the fleet has not sent.
        sha256: Of its weights, as findings say it; "" where it was refused.
        precision: Of the network at work.
        provider: What it runs on.
        latency_ms: `p50` and `p99` of the network alone on its golden input.
        golden: How its golden answers differ, by measure.
        why: It was refused.
    """

    version: str
    digest: str = ""
    sha256: str = ""
    precision: str = ""
    provider: str = ""
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    golden: Mapping[str, float] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """What the device sees of itself when it is asked to report.

    Attributes:
        bundles: By name.
        drift_paths: What is at work otherwise than the fleet wants it, as paths.
    """

    bundles: Mapping[str, BundleAtWork] = field(default_factory=dict)
    drift_paths: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleWish:
    """What the fleet wants of a bundle.

    Attributes:
        desired: `version` and `digest` of the package it wants here, None where it wants none.
        staged: Of the one that lies ready and is not at work yet, or None.
    """

    desired: Mapping[str, Any] | None = None
    staged: Mapping[str, Any] | None = None


class ReportedBundle(Part):
    """A bundle as it works now."""

    version: str = Field(description="As its manifest says.")
    digest: str = Field(description="`sha256:…` of the package; empty for one that the fleet has not sent.")
    sha256: str = Field(description="Of its weights, as findings say it; empty where it was refused.")
    precision: str = Field(description="Of the network at work.")
    provider: str = Field(description="What it runs on.")
    latency_ms: dict[str, float] = Field(description="`p50` and `p99` of the network on its golden input.")
    golden: dict[str, float] = Field(description="How its golden answers differ, by measure.")
    why: str = Field(description="It was refused, or is gone and fetched again; empty where it works.")


class ReportedScope(Part):
    """What became of the documents of one scope."""

    desired_version: int = Field(ge=0, description="Highest version that was accepted; nothing below it is.")
    desired_digest: str = Field(
        description="`sha256:…` of the RFC 8785 form of that document without its signature; empty for none."
    )
    applied_version: int = Field(ge=0, description="Version at work, 0 for none.")
    previous_version: int = Field(ge=0, description="The one before, 0 for none.")
    version: int = Field(ge=0, description="Of which `status` speaks; 0 for one that could not be read.")
    status: Status = Field(description="Where that version is, or how it ended.")
    code: Code = Field(description="`ok`, or why it came to nothing.")
    message: Text = Field(description="For people.")
    path: Text = Field(description="What the message is about.")
    since: Moment | None = Field(description="When it got there.")
    rollout: RolloutRef | None = Field(description="Where it comes from.")
    cleared: bool = Field(description="The broker holds no document of this scope any more.")


class Pending(Part):
    """A version that was accepted and is not at its end."""

    scope: str = Field(description="`device`, or `group/<name>`.")
    version: int = Field(ge=0, description="Of the document.")
    status: Status = Field(description="Where it is.")
    why: Text = Field(description="What it waits for.")
    progress: dict[str, Any] = Field(description="How far what is being done for it is, for people.")


class Reported(ReportedScope):
    """What the device made of what was wanted of it; first of its own document, then of all."""

    schema_: Literal["edge.reported/1"] = Field(alias="schema", description="Names this form.")
    device: str = Field(description="Who says so.")
    config_digest: str = Field(
        description="`sha256:…` of the RFC 8785 form of {bundles, config} of all documents at work together."
    )
    drift: bool = Field(description="What is at work differs from what the documents ask for.")
    drift_paths: list[str] = Field(max_length=PATHS_MAX, description="Where; the first of them.")
    rung: Literal["committed", "previous", "yaml"] = Field(
        description="Whether what was proven last is at work, or something earlier, as that cannot be used."
    )
    groups: dict[str, ReportedScope] = Field(description="What became of the layers of its groups.")
    origins: dict[str, str] = Field(
        max_length=ORIGINS_MAX, description="For each value of the fleet, by path: the scope it comes from."
    )
    bundles: dict[str, ReportedBundle] = Field(description="By name.")
    pending: list[Pending] = Field(description="What is not at its end, the one under way first.")
    case: Text = Field(description="Why a case counts as running; empty where none does.")
    frozen: bool = Field(description="The site takes nothing from the fleet.")
    at: Moment = Field(description="When it was said.")


def reported(progress: Progress, seen: AtWork, *, device: str, case: str, utc_ns: int) -> dict[str, Any]:
    """Return the reported document.

    Args:
        progress: How far all documents are.
        seen: What the device sees of itself.
        device: Its id.
        case: Why a case counts as running, or "".
        utc_ns: Now.
    """
    at_work = progress.at_work
    origins = {} if at_work is None else at_work.origins
    said = Reported(
        **_scope(progress.own),
        schema=REPORTED_SCHEMA,
        device=device,
        config_digest=NOTHING_WANTED if at_work is None else at_work.digest,
        drift=bool(seen.drift_paths) or progress.rung != "committed",
        drift_paths=list(seen.drift_paths[:PATHS_MAX]),
        rung=progress.rung,
        groups={
            scope.removeprefix("group/"): ReportedScope(**_scope(one))
            for scope, one in progress.scopes.items()
            if scope != DEVICE_SCOPE
        },
        origins=dict(list(origins.items())[:ORIGINS_MAX]),
        bundles={name: _bundle(one) for name, one in seen.bundles.items()},
        pending=_pending(progress),
        case=shown(case),
        frozen=progress.is_frozen,
        at=told(utc_ns),
    )
    written = said.model_dump(by_alias=True)
    return {"schema": written.pop("schema"), "device": written.pop("device"), **written}


def _scope(one: ScopeProgress) -> dict[str, Any]:
    said = one.said
    return {
        "desired_version": one.accepted_version,
        "desired_digest": one.accepted_digest,
        "applied_version": one.applied_version,
        "previous_version": one.previous_version,
        "version": 0 if said is None else said.version,
        "status": "none" if said is None else str(said.state),
        "code": "ok" if said is None else said.code,
        "message": "" if said is None else shown(said.message),
        "path": "" if said is None else shown(said.path),
        "since": None if said is None else told(said.at_utc_ns),
        "rollout": None if said is None else said.rollout,
        "cleared": one.is_cleared,
    }


def _bundle(one: BundleAtWork) -> ReportedBundle:
    numbers = {"latency_ms": _finite(one.latency_ms), "golden": _finite(one.golden)}
    return ReportedBundle(**{**asdict(one), **numbers})


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return those that JSON can hold."""
    return {name: float(number) for name, number in numbers.items() if math.isfinite(number)}


def _pending(progress: Progress) -> list[Pending]:
    begun = progress.under_way
    waiting: list[tuple[Attempt, str, dict[str, Any]]] = [
        (one, "another version is under way" if begun else "", {}) for one in progress.queued
    ]
    under_way = [] if begun is None else [(begun, progress.waits_for, dict(progress.doing))]
    return [
        Pending(scope=one.scope, version=one.version, status=_status(one), why=shown(why), progress=doing)
        for one, why, doing in [*under_way, *waiting]
    ]


def _status(attempt: Attempt) -> Status:
    return cast(Status, str(attempt.state))


def wishes_of(progress: Progress) -> dict[str, BundleWish]:
    """Return what the fleet wants of each bundle that it speaks of."""
    at_work = {} if progress.at_work is None else progress.at_work.bundles
    begun = progress.under_way
    coming = at_work if begun is None or begun.wanted is None else begun.wanted.bundles
    is_staged = begun is not None and begun.state in (State.STAGED, State.WAITING, State.APPLYING)
    wishes = {}
    for name in {**at_work, **coming}:
        wanted = coming.get(name)
        staged = wanted if is_staged and wanted != at_work.get(name) else None
        wishes[name] = BundleWish(desired=_package(wanted), staged=_package(staged))
    return wishes


def _package(wanted: BundleWanted | None) -> dict[str, str] | None:
    return None if wanted is None else {"version": wanted.version, "digest": wanted.digest}


def event_of(transition: Transition, *, device: str) -> dict[str, Any]:
    """Return what is said of one transition."""
    rollout, deadline_ns = transition.rollout, transition.deadline_utc_ns
    return {
        "schema": EVENT_SCHEMA,
        "device": device,
        "scope": transition.scope,
        "version": transition.version,
        "status": str(transition.state),
        "code": transition.code,
        "message": shown(transition.message),
        "path": shown(transition.path),
        "deadline": None if deadline_ns is None else told(deadline_ns),
        "rollout": None if rollout is None else rollout.model_dump(),
        "at": told(transition.at_utc_ns),
    }


def shown(text: str) -> str:
    """Return a text that is short enough to be told."""
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"
