"""The fleet's wish over the device's own YAML: sources and pipelines by name, local options left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.config.classes import is_at_or_in, restart_of
from edge.config.document import Document, Path
from edge.config.named import NAMED, by_name, named, paths_in, tree_of
from edge.config.partial import check_partial
from edge.domain.errors import ConfigurationError
from edge.kit.trees import is_path, laid_over, leaves, steps_of, without

__all__ = [
    "by_name",
    "check_partial",
    "leaves",
    "local_of",
    "locked",
    "named",
    "over",
    "overlaid",
    "tree_of",
    "unlocked",
]

# Of a pipeline with a gate: what decides whose pictures leave, and while what is seen.
GATED = (("kind",), ("sources",), ("pace", "age_max_ms"), ("pace", "gap_max_ms"))


def over(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of a YAML file with a wish over it, in the form of the file.

    Args:
        base: What the YAML says; `sources` and `pipelines` are lists.
        overlay: What differs; `sources` and `pipelines` are mappings by name, None takes one away. Mappings
            are joined, anything else is replaced as a whole, and so is a section that becomes one of another
            `kind`. What is added comes last, sorted by name.

    Raises:
        ConfigurationError: `sources` or `pipelines` of the wish is no mapping.
    """
    plain = {key: value for key, value in overlay.items() if key not in NAMED}
    joined = laid_over(base, plain)
    for section in NAMED:
        if section in overlay:
            joined[section] = _entries_over(section, base.get(section), overlay[section])
    return joined


def locked(
    overlay: Mapping[str, Any], extra: Sequence[str] = (), *, base: Mapping[str, Any] | None = None
) -> list[Path]:
    """Return the paths of a wish that only the device's own file may set.

    Args:
        overlay: The wish.
        extra: `fleet.local` of the device: further such paths, `*` for any name.
        base: Tree of the device's YAML; left out, what depends on it is not found: sources it does not have,
            and whatever decides what leaves through the gates it has.
    """
    own = [steps_of(text) for text in extra]
    if base is not None:
        own += _own_of(by_name(base), overlay)
    return [path for path, value in leaves(overlay) if _is_local(path) or _touches(path, value, own)]


def unlocked(
    overlay: Mapping[str, Any], extra: Sequence[str] = (), *, base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a wish without what only the device's own file may set: the local keys go before all."""
    return without(overlay, locked(overlay, extra, base=base))


def local_of(base: Mapping[str, Any]) -> dict[int, str]:
    """Return `fleet.local` of a YAML tree by place; the check of the file says what of it is not in order."""
    fleet = base.get("fleet")
    said = fleet.get("local") if isinstance(fleet, Mapping) else None
    listed = enumerate(said) if isinstance(said, list) else ()
    return {place: text for place, text in listed if is_path(text)}


def overlaid(document: Document, overlay: Mapping[str, Any]) -> Document:
    """Return what a YAML file says with a wish over it; line 0 for what the wish says.

    Raises:
        ConfigurationError: As for `over`.
    """
    assert isinstance(document.value, dict), "a wish lies over a mapping"
    tree = over(document.value, overlay)
    said = {path for path, _ in leaves(overlay)}
    known = {named(path, document.value): line for path, line in document.lines.items()}
    result = Document(value=tree, problems=document.problems)
    for path in paths_in(tree):
        place = named(path, tree)
        is_said = any(place[:length] in said for length in range(1, len(place) + 1))
        result.lines[path] = 0 if is_said else known.get(place, 0)
    return result


def _is_local(path: Path) -> bool:
    try:
        return restart_of(path) == "local"
    except ValueError:  # no such option, which `check_partial` says
        return False


def _touches(path: Path, value: Any, own: Sequence[Path]) -> bool:
    """Whether a value lies at or in one of these paths, or replaces what holds one."""
    if any(is_at_or_in(path, pattern) for pattern in own):
        return True
    return value != {} and any(len(pattern) > len(path) and _holds(path, pattern) for pattern in own)


def _holds(path: Path, pattern: Path) -> bool:
    return is_at_or_in(path, pattern[: len(path)])


def _own_of(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> list[Path]:
    """Return what is local because of what the device's YAML says."""
    sources, pipelines = base.get("sources"), base.get("pipelines")
    wished = overlay.get("sources")
    there = sources if isinstance(sources, Mapping) else {}
    own: list[Path] = [
        ("sources", name) for name in (wished if isinstance(wished, Mapping) else ()) if name not in there
    ]
    for name, pipeline in pipelines.items() if isinstance(pipelines, Mapping) else ():
        if pipeline.get("gate") is not None:
            own += [("pipelines", name, *below) for below in GATED]
    return own


def _entries_over(section: str, entries: Any, wishes: Any) -> Any:
    if not isinstance(wishes, Mapping):
        raise ConfigurationError(f"{section}: is no mapping by name in what the fleet wants")
    if not isinstance(entries, list):
        return entries  # which the check of the file says
    left = []
    there = set()
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in wishes or name in there:
            left.append(entry)
            continue
        there.add(name)
        if wishes[name] is not None:
            left.append(_entry_over(section, name, entry, wishes[name]))
    added = [_entry_over(section, name, None, wishes[name]) for name in sorted(wishes) if name not in there]
    return left + [entry for entry in added if entry is not None]


def _entry_over(section: str, name: str, entry: Mapping[str, Any] | None, wish: Any) -> Any:
    if not isinstance(wish, Mapping):
        return wish
    kind = {"kind": "imaging"} if section == "pipelines" else {}
    below = {} if entry is None else {name: {**kind, **entry}}
    return {"name": name, **laid_over(below, {name: wish})[name]}
