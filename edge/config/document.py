"""YAML text to plain values, with the line of each, and every doubled key named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml

from edge.kit.trees import written

Path = tuple[str | int, ...]
Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

DOCUMENT_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where.

    Attributes:
        path: `("sources", 0, "port")`; () where it concerns the whole file.
        what: What was seen and what is allowed; never a secret.
        line: Of the file, from 1; 0 where no line is to blame.
        is_warning: The daemon would start all the same.
    """

    path: Path
    what: str
    line: int = 0
    is_warning: bool = False

    @property
    def place(self) -> str:
        """The path as an operator writes it: `sources[0].port`; with an overlay, `sources.door.port`."""
        return written(self.path)

    def __str__(self) -> str:
        parts = [f"line {self.line}" if self.line else "", self.place, self.what]
        return ("warning: " if self.is_warning else "") + ": ".join(part for part in parts if part)


@dataclass(slots=True)
class Document:
    """What a YAML file says.

    Attributes:
        value: Mappings, lists and scalars; None for an empty file.
        lines: Line of each path.
        problems: Broken syntax, doubled keys, keys that are no text.
    """

    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def parse(text: str) -> Document:
    """Read YAML as version 1.2 means it: `no` is a word, `1:30` is a word, only true and false are truth.

    Args:
        text: The whole file.

    Returns:
        What it says; broken syntax is among its problems, with its line.
    """
    document = Document()
    if len(text) > DOCUMENT_BYTES_MAX:
        document.problems.append(
            Problem((), f"{len(text)} characters; allowed: at most {DOCUMENT_BYTES_MAX}")
        )
        return document
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            document.value = _value(node, (), document, frozenset())
    except yaml.MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        where = f" in column {mark.column + 1}" if mark else ""
        what = f"not YAML: {broken.problem or broken.context}{where}"
        document.problems.append(Problem((), what, line=mark.line + 1 if mark else 0))
    except yaml.YAMLError as broken:
        document.problems.append(Problem((), f"not YAML: {str(broken).splitlines()[0]}"))
    except RecursionError:
        document.problems.append(Problem((), "nested too deeply; allowed: what the example file shows"))
    return document


def _value(node: yaml.Node, path: Path, document: Document, around: frozenset[int]) -> Value:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in around:
        document.problems.append(Problem(path, "an anchor that holds itself", document.line_of(path)))
        return None
    around |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, place), document, around) for place, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document, around)
    return _scalar(node, path, document)


def _mapping(
    node: yaml.MappingNode, path: Path, document: Document, around: frozenset[int]
) -> dict[str, Value]:
    seen: dict[str, Value] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append(Problem(path, "a key that is a list or a mapping; wanted a word", line))
            continue
        key = str(key_node.value)
        if key in seen:
            first = document.line_of((*path, key))
            document.problems.append(Problem((*path, key), f"given twice, first in line {first}", line))
            continue
        document.lines[(*path, key)] = line
        seen[key] = _value(value_node, (*path, key), document, around)
    return seen


_SCALARS: dict[str, Callable[[str], Value]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": lambda text: int(text, 0) if text[:2] in ("0x", "0o") else int(text),
    "tag:yaml.org,2002:float": lambda text: float(text.replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": lambda text: text,
}


def _scalar(node: yaml.Node, path: Path, document: Document) -> Value:
    try:
        return _SCALARS[node.tag](node.value)
    except KeyError:
        what = f"the tag {node.tag}; allowed: plain values"
    except ValueError:
        what = f"not a value of the kind {node.tag.rpartition(':')[2]}"
    document.problems.append(Problem(path, what, document.line_of(path)))
    return None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the words of YAML 1.2 in place of those of 1.1."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, object]]] = {}  # noqa: RUF012  # as the parent declares it


def _learn_yaml_1_2() -> None:
    words = (
        ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
        ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
        ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
        (
            "float",
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$",
            list("-+.0123456789"),
        ),
    )
    for kind, pattern, firsts in words:
        _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(pattern), firsts)


_learn_yaml_1_2()
