"""How commands are written: the one form that a requester signs, and what each type wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import BundleWanted, Moment, Name, Part, Signature
from edge.fleet.words import PROBES, Code, ProbeName

COMMAND_SCHEMA: Final = "edge.cmd/1"
LIFE_S: Final = 24 * 3600
BY_DEVICE: Final = "device"
BY_DEVICE_WRITTEN: Final = b'"by": "device"'  # as `json.dumps` writes it, near the beginning
BEGINNING_BYTES: Final = 256

CommandCode = Code | Literal["clock", "busy", "failed", "interrupted"]


class FetchArgs(Part):
    """Fetch and verify a package, so that a later document finds it on the device."""

    name: Name = Field(description="Of the bundle.")
    bundle: BundleWanted = Field(description="By reference, as in a document.")


class RestartPipelineArgs(Part):
    """Close a pipeline and open it again."""

    pipeline: Name = Field(description="Its name.")


class SnapshotArgs(Part):
    """Show what a camera sees, where its gate lets that out."""

    source: Name = Field(description="The camera.")


class SelftestArgs(Part):
    """Try whether the device works."""

    probe: tuple[ProbeName, ...] = Field(
        default=PROBES, min_length=1, description="What to try.", strict=False
    )


class RetrySetAsideArgs(Part):
    """Try again what was set aside."""

    queue: Literal["intake", "outbox"] = Field(description="Of the journal.")


class CollectLogsArgs(Part):
    """Tell the newest lines of the log."""

    lines: int = Field(default=500, ge=1, le=2000, description="How many, at most.")
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Those that weigh less are left out."
    )


ARGS: Final[Mapping[str, type[Part]]] = {
    "fetch": FetchArgs,
    "restart-pipeline": RestartPipelineArgs,
    "snapshot": SnapshotArgs,
    "selftest": SelftestArgs,
    "retry-set-aside": RetrySetAsideArgs,
    "collect-logs": CollectLogsArgs,
}


class Command(Part):
    """What a requester writes to `cmd/<type>/<id>`."""

    schema_: Literal["edge.cmd/1"] = Field(alias="schema", description="Names this form.")
    state: Literal["init"] = Field(description="The device writes the others.")
    site: Name | None = Field(
        default=None, description="For which site it was signed; another refuses it. Left out: for any."
    )
    device: Name = Field(description="For whom it is; another device refuses it.")
    cmd: str = Field(
        pattern=r"^[a-z][a-z-]{0,31}/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="`<type>/<id>`, the end of its topic: it cannot be repeated under another one.",
    )
    issued: Moment = Field(description="When it was signed.")
    expires: Moment = Field(description="It is not begun after; at most 24 h after `issued`.")
    args: dict[str, Any] = Field(default_factory=dict, description="As its type wants them.")
    signature: Signature = Field(description="Over all the rest.")


def args_of(kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command with what was left out.

    Raises:
        DocumentRefusedError: There is no such type, or they are not what it wants.
    """
    if kind not in ARGS:
        raise DocumentRefusedError("unsupported", f"cmd: no type {kind!r}; wanted one of {', '.join(ARGS)}")
    try:
        return ARGS[kind].model_validate(dict(args)).model_dump(mode="json")
    except ValidationError as error:
        raise refusal(error, under="args.") from error


def is_said_by_device(payload: bytes) -> bool:
    """Return whether a state of a command is one that a device wrote; costs next to nothing."""
    return BY_DEVICE_WRITTEN in payload[:BEGINNING_BYTES]


def refusal(error: ValidationError, *, under: str = "") -> DocumentRefusedError:
    """Return what pydantic says first, as a refusal with its path."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = under + ".".join(str(step) for step in first["loc"])
    return DocumentRefusedError("schema", f"{path}: {first['msg']}", path=path)
