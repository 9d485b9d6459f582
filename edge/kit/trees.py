"""Plain trees of mappings, lists and values: their leaves, one laid over another, and paths as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Path = tuple[str | int, ...]

_PLAIN: Final = re.compile(r"[^\s.\[\]\"]+")
_STEP: Final = re.compile(
    r'\[(?P<place>\d{1,9})\]|(?P<dot>\.)?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s.\[\]"]+))'
)


def leaves(tree: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each value that is no mapping, with its path; a list is one value, an empty mapping, too."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def laid_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return one tree with another over it: mappings are joined, anything else is replaced as a whole.

    A section that says of which `kind` it is joins none of another kind: it replaces it.
    """
    joined = dict(lower)
    for key, above in upper.items():
        below = joined.get(key)
        is_joined = (
            isinstance(below, Mapping) and isinstance(above, Mapping) and not is_of_another_kind(below, above)
        )
        joined[key] = laid_over(below, above) if is_joined else above  # type: ignore[arg-type]  # both are mappings
    return joined


def is_of_another_kind(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Return whether two sections say that they are of different kinds."""
    return "kind" in below and "kind" in above and below["kind"] != above["kind"]


def without(tree: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """Return a tree without what lies at or below these paths; a mapping that is left empty goes, too."""
    dropped = set(paths)
    return _without(tree, (), dropped) or {}


def written(path: Path) -> str:
    """Return a path as a person writes it: `sources[0].port`; a name that holds dots stands in quotes."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{_name(step)}" for step in path)
    return "".join(steps).removeprefix(".")


def steps_of(text: str) -> Path:
    """Return the path that a text stands for: the way back from `written`.

    Raises:
        ValueError: It stands for none.
    """
    path: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (found["place"] is None and (found["dot"] is None) == bool(path)):
            break
        try:
            path.append(_step(found))
        except json.JSONDecodeError:
            break
        at = found.end()
    if at < len(text) or not path:
        raise ValueError(f"is {text[:80]!r}; wanted a path such as pipelines.brain-mr.deadline_s")
    return tuple(path)


def is_path(text: object) -> bool:
    """Return whether a text stands for a path."""
    try:
        return isinstance(text, str) and bool(steps_of(text))
    except ValueError:
        return False


def _step(found: re.Match[str]) -> str | int:
    if found["place"] is not None:
        return int(found["place"])
    return str(json.loads(f'"{found["quoted"]}"')) if found["quoted"] is not None else found["plain"]


def _name(step: str) -> str:
    return step if _PLAIN.fullmatch(step) else json.dumps(step, ensure_ascii=False)


def _without(tree: Mapping[str, Any], path: Path, dropped: set[Path]) -> dict[str, Any] | None:
    """Return what is left of a mapping; None where something was taken and nothing is left."""
    left: dict[str, Any] = {}
    for key, value in tree.items():
        here = (*path, key)
        if here in dropped:
            continue
        below = _without(value, here, dropped) if isinstance(value, Mapping) else value
        if not isinstance(value, Mapping) or below is not None:
            left[key] = below
    return left if left or not tree else None
