"""Changes to a manifest that somebody has written by hand: every other character stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from edge.domain.errors import BundleRejectedError

Where = tuple[str, ...]


def replaced(text: str, where: Where, written: str) -> str:
    """Write another value in the place of one.

    Args:
        text: YAML.
        where: Keys from the top: `("golden", "errors_max")`.
        written: YAML of the new value, on one line.

    Raises:
        BundleRejectedError: There is no such place.
    """
    node = _at(text, where)
    start, end = node.start_mark.index, _end(node)
    return text[:start] + written + text[end:]


def without(text: str, key: str) -> str:
    """Take a key and what stands under it out of the top of a manifest; the rest of its last line goes, too.

    Raises:
        BundleRejectedError: There is no such key.
    """
    value = _at(text, (key,))
    begin = text.rfind("\n", 0, text.rfind(key, 0, value.start_mark.index)) + 1
    end = text.find("\n", _end(value))
    return text[:begin] + ("" if end < 0 else text[end + 1 :])


def with_entry(
    text: str, where: Where, entry: Mapping[str, str], *, instead_of: Callable[[Mapping[str, Any]], bool]
) -> str:
    """Put an entry into a list, in the place of the one like it, or at the end.

    Args:
        text: YAML.
        where: Keys from the top to the list: `("variants",)`.
        entry: Key and YAML of each value.
        instead_of: Says which entry it replaces, if any.

    Raises:
        BundleRejectedError: There is no such list, or it is empty.
    """
    node = _at(text, where)
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise BundleRejectedError(f"{'.'.join(where)}: wanted a list with an entry")
    written = ", ".join(f"{key}: {value}" for key, value in entry.items())
    old = next((item for item in node.value if instead_of(_plain(item))), None)
    if old is not None:
        start, end = old.start_mark.index, _end(old)
        return text[:start] + f"{{{written}}}" + text[end:]
    last = node.value[-1]
    if node.flow_style:
        return text[: _end(last)] + f", {{{written}}}" + text[_end(last) :]
    line_end = text.find("\n", _end(last))
    line_end = len(text) if line_end < 0 else line_end
    dash = text.rfind("-", 0, last.start_mark.index)
    column = dash - (text.rfind("\n", 0, dash) + 1)
    return text[:line_end] + f"\n{' ' * column}- {{{written}}}" + text[line_end:]


def value_at(text: str, where: Where) -> object:
    """Return what stands somewhere, or None.

    Raises:
        BundleRejectedError: It is not YAML.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BundleRejectedError(f"not YAML: {error}") from error
    for key in where:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _at(text: str, where: Where) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise BundleRejectedError(f"not YAML: {error}") from error
    for key in where:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    if node is None:
        raise BundleRejectedError(f"the manifest has no {'.'.join(where)}")
    return node


def _plain(node: yaml.Node) -> Mapping[str, Any]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: value.value for key, value in pairs}


def _end(node: yaml.Node) -> int:
    """Return where a value ends: blocks claim the comments that follow, their last leaf does not."""
    return max(leaf.end_mark.index for leaf in _leaves(node))


def _leaves(node: yaml.Node) -> Iterator[yaml.Node]:
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _leaves(item)
    else:
        for _, value in node.value:
            yield from _leaves(value)
