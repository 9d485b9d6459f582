"""Documents and examples say what the code says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from edge.bundles.json_schema import schema as bundle_schema
from edge.cli.app import app
from edge.config.load import check_text
from edge.config.schema import Config
from edge.domain import ports
from edge.findings.json_schema import schema
from edge.fleet.json_schema import FORMS
from edge.fleet.json_schema import schema as fleet_schema
from tests.tidy.sources import ROOT, modules, tracked

EXAMPLE = re.sub(  # with the pipeline whose bundle nobody has yet
    r"(?m)^  #(?=[- ] )", "  ", (ROOT / "config" / "edge.example.yaml").read_text()
)
GLOSSARY = ROOT / "docs" / "glossary.md"
OPERATIONS = ROOT / "docs" / "operations.md"
TOPICS = ROOT / "docs" / "topics.md"


def options(
    node: dict[str, Any], tree: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the path of every option of the configuration; list items are `*`, kinds of a source apart."""
    for choice in node.get("anyOf", []) + node.get("oneOf", []):
        yield from options(choice, tree, path)
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        yield from options(tree["$defs"][name], tree, path)
    if "items" in node:
        yield from options(node["items"], tree, (*path, "*"))
    for key, below in node.get("properties", {}).items():
        yield (*path, key)
        yield from options(below, tree, (*path, key))


def given(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of everything a document gives."""
    if isinstance(node, list):
        for item in node:
            yield from given(item, (*path, "*"))
    if isinstance(node, dict):
        for key, below in node.items():
            yield (*path, key)
            yield from given(below, (*path, key))


def test_the_example_gives_every_option_there_is() -> None:
    tree = Config.model_json_schema()
    known = {path for path in options(tree, tree) if path[-1] not in ("secret", "file")}
    assert known - set(given(yaml.safe_load(EXAMPLE))) == set()


def test_the_example_explains_every_option() -> None:
    lines = EXAMPLE.splitlines()
    explained = {found[1] for line in lines if (found := re.match(r"^\s*(?:- )?(\w+):.*#", line))}
    sections = {found[1] for line in lines if (found := re.match(r"^\s*(?:- )?(\w+):\s*$", line))}
    given_once = {path[-1] for path in given(yaml.safe_load(EXAMPLE))} - {"secret", "file", "key"}
    assert given_once - explained - sections == {"ae_title", "network"} - explained


@pytest.mark.parametrize("name", ["edge.example.yaml", "site.demo.yaml"])
def test_every_configuration_in_the_checkout_can_be_used(name: str) -> None:
    text = (ROOT / "config" / name).read_text()
    report = check_text(text, folder=Path("/nowhere"))  # where no bundle is missed
    assert report.errors == ()


def test_the_example_can_be_used_with_what_is_commented_out() -> None:
    assert check_text(EXAMPLE, folder=Path("/nowhere")).errors == ()


def test_the_example_names_the_defaults_of_the_code() -> None:
    tree = Config.model_json_schema()
    defaults = [
        (key, option["default"])
        for section in (*tree["$defs"].values(), tree)
        for key, option in section["properties"].items()
        if type(option.get("default")) in (int, float)
    ]
    lines = EXAMPLE.splitlines()
    wrong = [(key, number) for key, number in defaults if not any(tells(line, key, number) for line in lines)]
    assert wrong == []


def tells(line: str, key: str, number: float) -> bool:
    """Whether a line of the example is about this option and names this number."""
    about = re.match(rf"^\s*(- )?{key}:", line)
    return bool(about) and str(number).removesuffix(".0") in re.split(r"[^\d.]+|\.0\b", line)


def command_options() -> Iterator[tuple[str, list[str]]]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        yield name, [option for one in command.params for option in one.opts if option.startswith("--")]


@pytest.mark.parametrize(("command", "flags"), list(command_options()))
def test_operations_explains_every_command_and_option(command: str, flags: list[str]) -> None:
    said = OPERATIONS.read_text()
    assert f"edge {command}" in said
    assert [flag for flag in flags if flag not in said and flag != "--help"] == []


def test_operations_explains_every_alert_there_is() -> None:
    told = re.findall(
        r"^\| `([a-z<>-]+)` \|", TOPICS.read_text().partition("| alert | raised")[2], re.MULTILINE
    )
    assert told
    assert [name for name in told if f"| `{name}` |" not in OPERATIONS.read_text()] == []


def test_every_command_in_the_documents_exists() -> None:
    known = {name for name, _ in command_options()}
    typed = re.compile(r"^\s+(?:\$ )?(?:\.venv/bin/|/opt/edge/\.venv/bin/)?edge ([a-z]+)\b", re.MULTILINE)
    for path in tracked("*.md"):
        assert set(typed.findall(path.read_text())) <= known, path


def test_the_published_schemas_are_those_in_the_code() -> None:
    """`edge schema bundle > docs/schema/bundle-1.json` writes what is missing; likewise for the others."""
    published = {"finding": schema(), "bundle": bundle_schema()} | {
        form: fleet_schema(form) for form in FORMS
    }
    for form, written in published.items():
        assert json.loads((ROOT / "docs" / "schema" / f"{form}-1.json").read_text()) == written, form


def test_every_link_between_documents_leads_somewhere() -> None:
    links = [
        (path, target)
        for path in tracked("*.md")
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text())
    ]
    lost = [
        f"{path.relative_to(ROOT)}: {target}" for path, target in links if not (path.parent / target).exists()
    ]
    assert lost == []


def test_every_port_has_a_contract_suite() -> None:
    names = [
        name
        for name, found in vars(ports).items()
        if isinstance(found, type) and found.__module__ == ports.__name__ and name != "Clock"
    ]
    suites = "\n".join(path.read_text() for path in tracked("tests/contract/**.py"))
    assert [name for name in names if name not in suites] == []


def test_the_glossary_has_the_words_of_the_domain() -> None:
    said = GLOSSARY.read_text().lower()
    nouns = {
        re.sub(r"(?<=[a-z])(?=[A-Z])", " ", node.name).lower()
        for path, tree in modules("edge/domain")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not path.endswith("errors.py")
    }
    assert sorted(noun for noun in nouns if f"**{noun.removesuffix('s')}" not in said) == []


def test_the_glossary_is_in_order() -> None:
    words = re.findall(r"^\*\*([^*]+)\*\*", GLOSSARY.read_text(), re.MULTILINE)
    assert words == sorted(words, key=str.lower)
