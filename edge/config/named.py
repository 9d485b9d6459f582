"""Sources and pipelines by name: lists in the file of a device, mappings in what the fleet wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from edge.config.document import Path, Value
from edge.config.schema import Config

NAMED: Final = ("sources", "pipelines")


def by_name(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of a YAML file with `sources` and `pipelines` as mappings by name, as in a wish."""
    return {key: _mapping(value) if key in NAMED else value for key, value in tree.items()}


def tree_of(config: Config) -> dict[str, Any]:
    """Return all that is at work as plain values, defaults and all, in the form of a wish."""
    return by_name(config.model_dump(mode="json"))


def named(path: Path, tree: Value) -> Path:
    """Return a path into a YAML file as one by name: `pipelines[0].pace` as `pipelines.brain-mr.pace`."""
    if len(path) < 2 or path[0] not in NAMED or not isinstance(tree, dict) or not isinstance(path[1], int):
        return path
    entries = tree.get(str(path[0]))
    entry = entries[path[1]] if isinstance(entries, list) and path[1] < len(entries) else None
    name = entry.get("name") if isinstance(entry, dict) else None
    return (path[0], name, *path[2:]) if isinstance(name, str) else path


def with_kinds(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Write into each pipeline of a YAML tree that names no kind the one that is meant: imaging."""
    pipelines = tree.get("pipelines")
    if not isinstance(pipelines, list):
        return dict(tree)
    kinds = [{"kind": "imaging", **one} if isinstance(one, dict) else one for one in pipelines]
    return {**tree, "pipelines": kinds}


def paths_in(value: Value, path: Path = ()) -> list[Path]:
    """Return the path of a value and of everything in it, places in lists among them."""
    below: Sequence[tuple[str | int, Value]] = ()
    if isinstance(value, dict):
        below = list(value.items())
    elif isinstance(value, list):
        below = list(enumerate(value))
    return [path, *(found for step, inner in below for found in paths_in(inner, (*path, step)))]


def _mapping(entries: Any) -> Any:
    if not isinstance(entries, list):
        return entries
    return {
        entry["name"]: {key: value for key, value in entry.items() if key != "name"}
        for entry in entries
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
    }
