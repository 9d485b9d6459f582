"""The words of the fleet's contract: the states of a version, and why one came to nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, get_args

Code = Literal[
    "ok",
    "conflict",
    "bad_signature",
    "schema",
    "unsupported",
    "download",
    "digest",
    "admission",
    "probe",
    "timeout",
    "expired",
    "superseded",
    "local_lock",
]
CODES: Final[tuple[str, ...]] = get_args(Code)

Restart = Literal["hot", "pipeline", "process"]
RESTARTS: Final[tuple[Restart, ...]] = get_args(Restart)  # the gentlest first
ProbeName = Literal["ingest", "engine", "golden", "mqtt"]
PROBES: Final[tuple[ProbeName, ...]] = get_args(ProbeName)

DEVICE_SCOPE: Final = "device"  # the device's own document; a group's is `group/<name>`
CASE: Final = "a case"  # what is unsafe begins so while a case runs: not even a window goes before that


class State(StrEnum):
    """Where one version is; each is written down before it is entered."""

    RECEIVED = "received"
    VERIFIED = "verified"
    PLANNED = "planned"
    STAGED = "staged"
    WAITING = "waiting"
    APPLYING = "applying"
    PROBING = "probing"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"

    @property
    def is_end(self) -> bool:
        """Whether nothing follows it."""
        return self in (State.COMMITTED, State.ROLLED_BACK, State.REJECTED, State.SUPERSEDED)

    @property
    def is_trial(self) -> bool:
        """Whether what is at work may be the new version: found at a start, the attempt is counted."""
        return self in (State.APPLYING, State.PROBING)


def group_scope(group: str) -> str:
    """Return the scope of a group's document."""
    return f"group/{group}"
