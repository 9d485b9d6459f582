"""Documents as people read and write them: YAML, where every text that could be anything else is quoted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from edge.cli.rows import printable
from edge.config.document import parse
from edge.config.overlay import check_partial, locked
from edge.domain.errors import ConfigurationError
from edge.fleet.operator.edit import EDITED, PRIORITY, Difference
from edge.kit.trees import steps_of, written

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_SHOWN: Final = 160


class _Dumper(yaml.SafeDumper):
    """Writes what `parse` reads back as the same."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Two equal parts are written twice."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)


def to_yaml(tree: Mapping[str, Any]) -> str:
    """Return a tree as YAML."""
    return yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def from_yaml(text: str, *, name: str) -> dict[str, Any]:
    """Return the tree that YAML, or JSON, stands for; a section that is left empty is an empty one.

    Args:
        text: The whole of it.
        name: What messages call it.

    Raises:
        ConfigurationError: It is none; the message names everything that is wrong.
    """
    document = parse(text)
    if document.problems:
        raise ConfigurationError("; ".join(f"{name}: {problem}" for problem in document.problems))
    if document.value is None:
        return {}
    if not isinstance(document.value, dict):
        raise ConfigurationError(f"{name}: is no mapping; wanted config, bundles and what belongs to them")
    return {key: _whole(key, value) for key, value in document.value.items()}


def assigned(content: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Return a content with single values set or, with nothing behind the `=`, taken out.

    Args:
        content: As it is.
        assignments: `pipelines.brain-mr.deadline_s=60`; what is not of the document is of its `config`.

    Raises:
        ConfigurationError: One cannot be understood.
    """
    changed: Any = content
    for assignment in assignments:
        place, mark, text = assignment.partition("=")
        try:
            steps = steps_of(place)
        except ValueError as trouble:
            raise ConfigurationError(f"{assignment}: {trouble}") from trouble
        if not mark or any(isinstance(step, int) for step in steps):
            raise ConfigurationError(
                f"{assignment}: wanted PATH=VALUE, such as pipelines.brain-mr.deadline_s=60"
            )
        path = [str(step) for step in steps]
        path = path if path[0] in (*EDITED, PRIORITY) else ["config", *path]
        changed = _with(changed, path, _value(assignment, text)) if text else _without(changed, path)
    return {"config": {}, "bundles": {}, **changed}


def problems_of(content: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong with what a document says about the configuration, in words."""
    config = content.get("config", {})
    if not isinstance(config, Mapping):
        return ["config: wanted a mapping"]
    problems = [f"config.{problem}" for problem in check_partial(config)]
    local = "is the device's own: no document may set it, only the file on the device"
    return problems + [f"config.{written(path)}: {local}" for path in locked(config)]


def difference_lines(differences: Sequence[Difference]) -> list[tuple[str, str]]:
    """Return a style and a line for each value that is taken out, comes in or changes."""
    lines = []
    for each in differences:
        path = printable(each.path)
        if each.was_there and each.is_there:
            lines.append(("yellow", f"~ {path}: {shown(each.before)} → {shown(each.after)}"))
        elif each.is_there:
            lines.append(("green", f"+ {path}: {shown(each.after)}"))
        else:
            lines.append(("red", f"- {path}: {shown(each.before)}"))
    return lines


def shown(value: object) -> str:
    """Return a value in one line."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10_000)
    text = printable(text.removesuffix("\n").removesuffix("\n..."))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _whole(key: str, value: Any) -> Any:
    return {} if value is None and key in ("config", "bundles", "apply") else value


def _value(assignment: str, text: str) -> Any:
    document = parse(text)
    if document.problems:
        raise ConfigurationError(f"{assignment}: {document.problems[0].what}")
    return document.value


def _with(tree: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    below = tree if isinstance(tree, Mapping) else {}
    return {**below, path[0]: _with(below.get(path[0]), path[1:], value)}


def _without(tree: Any, path: Sequence[str]) -> Any:
    """Return a tree without one value, and without what is left empty by that."""
    if not isinstance(tree, Mapping) or path[0] not in tree:
        raise ConfigurationError(f"{path[0]}: is not there, and cannot be taken out")
    if len(path) == 1:
        return {key: value for key, value in tree.items() if key != path[0]}
    below = _without(tree[path[0]], path[1:])
    return {key: below if key == path[0] else value for key, value in tree.items() if key != path[0] or below}
