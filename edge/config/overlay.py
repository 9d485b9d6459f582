"""The fleet's wish over the device's own YAML: sources and pipelines by name, local options left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from edge.config.classes import is_at_or_in, restart_of
from edge.config.document import Document, Path
from edge.config.named import NAMED, by_name, named, paths_in, with_kinds
from edge.config.partial import check_partial
from edge.domain.errors import ConfigurationError
from edge.kit.trees import is_of_another_kind, is_path, laid_over, leaves, steps_of

__all__ = ["check_partial", "leaves", "local_of", "locked", "over", "overlaid"]

# Of a pipeline with a gate: what decides whose pictures leave, and while what is seen.
GATED: Final = (("sources",), ("pace", "age_max_ms"), ("pace", "gap_max_ms"))


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
    joined = laid_over(with_kinds(base), plain)
    for section in NAMED:
        if section in overlay:
            joined[section] = _entries_over(joined.get(section), overlay[section], section=section)
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
    replaced: list[Path] = []
    if base is not None:
        there = by_name(with_kinds(base))
        own += _own_of(there, overlay)
        replaced = [path for path in _replaced(there, overlay, ()) if _holds_one(path, own)]
    single = [
        path
        for path, value in leaves(overlay)
        if not _is_no_section(path, value) and (_is_local(path) or _touches(path, value, own))
    ]
    return replaced + [path for path in single if not any(is_at_or_in(path, whole) for whole in replaced)]


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


def _is_no_section(path: Path, value: Any) -> bool:
    """Whether all sources, or pipelines, are no mapping by name: that is no lock, `check_partial` says it."""
    return path[1:] == () and path[0] in NAMED and value != {}


def _touches(path: Path, value: Any, own: Sequence[Path]) -> bool:
    """Whether a value lies at or in one of these paths, or replaces what holds one."""
    return any(is_at_or_in(path, one) for one in own) or (value != {} and _holds_one(path, own))


def _holds_one(path: Path, own: Sequence[Path]) -> bool:
    return any(is_at_or_in(path, one[: len(path)]) for one in own if len(one) >= len(path))


def _replaced(base: Mapping[str, Any], overlay: Mapping[str, Any], path: Path) -> Iterator[Path]:
    """Yield the sections that become others of another kind, and keep nothing."""
    for key, above in overlay.items():
        below = base.get(key)
        if not isinstance(above, Mapping) or not isinstance(below, Mapping):
            continue
        if is_of_another_kind(below, above):
            yield (*path, key)
        else:
            yield from _replaced(below, above, (*path, key))


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


def _entries_over(entries: Any, wishes: Any, *, section: str) -> Any:
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
            left.append(_entry_over(name, entry, wishes[name]))
    added = [_entry_over(name, None, wishes[name]) for name in sorted(wishes) if name not in there]
    return left + [entry for entry in added if entry is not None]


def _entry_over(name: str, entry: Mapping[str, Any] | None, wish: Any) -> Any:
    if not isinstance(wish, Mapping):
        return wish
    below = {} if entry is None else {name: entry}
    return {"name": name, **laid_over(below, {name: wish})[name]}
