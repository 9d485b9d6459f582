"""From pydantic's errors to words: the thing, what was seen, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.config.document import Document, Path, Problem
from edge.config.fields import PATTERNS_IN_WORDS, Secret

Node = Mapping[str, object]

_SHOWN_MAX = 60


def in_words(errors: ValidationError, *, root: type[BaseModel], document: Document) -> list[Problem]:
    """Return one problem for each error, in the order of the file.

    Args:
        errors: What pydantic says.
        root: The tree that was asked for.
        document: What was read, for the lines.
    """
    schema, kinds = _described(root)
    problems = []
    for error in errors.errors(include_url=False):
        if _is_echo(error):
            continue
        path = _without_tags(error["loc"], document, kinds)
        what = _what(error, path, schema)
        problems.append(Problem(path, what, document.line_of(path)))
    return sorted(problems, key=lambda problem: problem.line)


@cache
def _described(root: type[BaseModel]) -> tuple[Node, frozenset[str]]:
    """Return the JSON Schema of a tree, and every word in it that tells one section from another."""
    schema = root.model_json_schema()
    return schema, frozenset(_all_kinds(schema))


def guess(seen: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` where something known is close, else ""."""
    close = difflib.get_close_matches(seen.lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _is_echo(error: ErrorDetails) -> bool:
    """A list whose items were refused also counts as too short; the items have said it."""
    wanted = error.get("ctx", {}).get("min_length", 0)
    return error["type"] == "too_short" and isinstance(error["input"], list) and len(error["input"]) >= wanted


def _without_tags(location: tuple[int | str, ...], document: Document, kinds: frozenset[str]) -> Path:
    """Drop what pydantic adds to a path: the kind of a source or pipeline after its number."""
    path: Path = ()
    for number, step in enumerate(location):
        is_listed = number > 0 and isinstance(location[number - 1], int)
        is_section = is_listed or (*path, "kind") in document.lines
        if is_section and isinstance(step, str) and (*path, step) not in document.lines and step in kinds:
            continue
        path = (*path, step)
    return path


def _what(error: ErrorDetails, path: Path, schema: Node) -> str:
    kind, seen = error["type"], error["input"]
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys(_node(schema, path[:-1], error["loc"]))
        return f"unknown key{guess(str(path[-1]), known)}; allowed: {', '.join(known)}"
    node = _node(schema, path, error["loc"])
    if kind == "missing":
        return f"missing; wanted: {_allowed(node)}"
    if kind == "union_tag_not_found":
        return f"missing key 'kind'; allowed: {', '.join(_kinds(node))}"
    if kind == "union_tag_invalid":
        tag = str(context["tag"])
        return f"kind is {shown(tag)}; allowed: {', '.join(_kinds(node))}{guess(tag, _kinds(node))}"
    if kind == "value_error":
        return str(context["error"])
    if node.get("title") == Secret.__name__:
        return "no secret belongs into this file (it is not shown); allowed: {secret: NAME} or {file: PATH}"
    known_words = cast(list[str], node.get("enum", []))
    return f"is {shown(seen)}; allowed: {_allowed(node)}{guess(str(seen), known_words)}"


def shown(seen: object) -> str:
    """Return what was seen, as short as it can be told."""
    if isinstance(seen, dict):
        return "a mapping"
    if isinstance(seen, list):
        return f"a list of {len(seen)}"
    if seen is None:
        return "empty"
    if isinstance(seen, bool):
        return str(seen).lower()
    text = repr(seen)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def _node(schema: Node, path: Path, location: tuple[int | str, ...]) -> Node:
    """Walk the JSON Schema of the tree to what it says about a path."""
    node: Node = schema
    for step in path:
        node = _resolved(schema, node, location)
        if isinstance(step, int):
            node = cast(Node, node.get("items", {}))
        else:
            node = cast(dict[str, Node], node.get("properties", {})).get(step, {})
    return _resolved(schema, node, location)


def _resolved(schema: Node, node: Node, location: tuple[int | str, ...]) -> Node:
    """Follow references, and of several possibilities take the one that is meant."""
    if "anyOf" in node:
        options = [option for option in cast(list[Node], node["anyOf"]) if option.get("type") != "null"]
        node = {**node, **options[0], "anyOf": None}
    if "oneOf" in node and "discriminator" in node:
        mapping = cast(dict[str, dict[str, str]], node["discriminator"])["mapping"]
        chosen = next((mapping[str(step)] for step in location if step in mapping), None)
        node = {"$ref": chosen} if chosen else node
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        node = cast(dict[str, Node], schema["$defs"])[name]
    return node


def _keys(node: Node) -> list[str]:
    return list(cast(dict[str, object], node.get("properties", {})))


def _all_kinds(node: object) -> Iterable[str]:
    """Yield every word that tells one section of a union from another."""
    if isinstance(node, Mapping):
        yield from _kinds(node)
        for below in node.values():
            yield from _all_kinds(below)
    elif isinstance(node, list):
        for below in node:
            yield from _all_kinds(below)


def _kinds(node: Node) -> list[str]:
    tells = node.get("discriminator")
    return list(cast(dict[str, object], tells.get("mapping", {}))) if isinstance(tells, Mapping) else []


def _allowed(node: Node) -> str:
    """Say in words what a node of the JSON Schema allows."""
    if "enum" in node:
        return ", ".join(str(word) for word in cast(list[object], node["enum"]))
    if "pattern" in node:
        return PATTERNS_IN_WORDS[str(node["pattern"])]
    kind = node.get("type")
    low, high = node.get("minimum"), node.get("maximum")
    if kind in ("integer", "number"):
        return f"{'a whole number' if kind == 'integer' else 'a number'} from {low} to {high}"
    if kind == "array":
        return f"a list of {node.get('minItems', 0)} to {node.get('maxItems')}"
    if kind == "object":
        return f"a mapping with {', '.join(_keys(node))}"
    if node.get("format") == "path":
        return "a path"
    if "maxLength" in node:
        return f"text of {node.get('minLength', 0)} to {node['maxLength']} characters"
    return str(kind or "what the example file shows")
