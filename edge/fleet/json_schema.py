"""The JSON Schemas of what the fleet and its devices write; docs/schema/ holds their copies."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, Field, TypeAdapter

from edge.fleet.command_forms import COMMAND_SCHEMA, Command, CommandCode
from edge.fleet.documents import DESIRED_SCHEMA, GROUP_SCHEMA, Desired, GroupLayer, Moment, Name, Part
from edge.fleet.report import REPORTED_SCHEMA, Reported, Text


class CommandTold(Part):
    """What the device writes to the same topic: how far a command is, and how it ended."""

    schema_: Literal["edge.cmd/1"] = Field(alias="schema", description="Names this form.")
    state: Literal["executing", "successful", "failed"] = Field(description="The requester writes `init`.")
    by: Literal["device"] = Field(description="Nobody signs it; only the device may write there.")
    device: Name = Field(description="Who says so.")
    cmd: str = Field(description="`<type>/<id>`, the end of its topic.")
    code: CommandCode = Field(description="`ok`, or why it came to nothing.")
    message: Text = Field(description="For people.")
    result: dict[str, Any] | None = Field(description="Of a command that was successful, as its type has it.")
    at: Moment = Field(description="When it was said.")


_FORMS: Final[dict[str, tuple[str, str, type[BaseModel] | Any]]] = {
    "desired": (DESIRED_SCHEMA, "What the fleet wants of one device", Desired),
    "group": (GROUP_SCHEMA, "What the fleet wants of the devices of a group", GroupLayer),
    "cmd": (COMMAND_SCHEMA, "A command, or what became of it", Command | CommandTold),
    "reported": (REPORTED_SCHEMA, "What a device made of what was wanted of it", Reported),
}
FORMS: Final = tuple(_FORMS)


def schema(form: str) -> dict[str, Any]:
    """Return the JSON Schema of one form, draft 2020-12.

    Args:
        form: `desired`, `group`, `cmd` or `reported`.
    """
    name, title, model = _FORMS[form]
    described: TypeAdapter[Any] = TypeAdapter(model)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{name.replace('/', ':')}",
        **_closed(described.json_schema()),
        "title": title,
    }


def _closed(node: Any) -> Any:
    """Return a schema in which no name is taken but those that a pattern allows."""
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    return {**closed, "additionalProperties": False} if "patternProperties" in node else closed
