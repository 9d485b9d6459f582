"""The page of the operators' tool, compared with the tool."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from edge.cli.fleet import app
from edge.fleet.operator.settings import Broker, FleetSettings
from tests.tidy.sources import ROOT

PAGE = (ROOT / "docs" / "fleet-tool.md").read_text()
FLEET = "".join((ROOT / "docs" / name).read_text() for name in ("fleet.md", "fleet-tool.md", "rollouts.md"))
GROUP: Any = typer.main.get_command(app)
MINE = ("ls", "show", "get", "diff", "set", "cmd", "ask", "watch", "history")


@pytest.mark.parametrize("name", MINE)
def test_every_option_is_explained(name: str) -> None:
    given = [option for one in GROUP.commands[name].params for option in one.opts if option.startswith("--")]
    assert f"edge fleet {name}" in PAGE
    assert [option for option in given if f"{option}" not in PAGE and option != "--help"] == []


def test_every_command_is_explained_somewhere() -> None:
    assert [name for name in GROUP.commands if f"edge fleet {name}" not in FLEET] == []
    typed = set(re.findall(r"edge fleet ([a-z]+)", FLEET))
    assert typed <= set(GROUP.commands)


def test_every_setting_is_explained() -> None:
    names = {*FleetSettings.model_fields, *Broker.model_fields}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", PAGE)] == []
