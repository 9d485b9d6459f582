"""Pieces that every manifest of a new bundle is written with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from edge.bundles.edits import MARK

NAMES_MAX = 24  # as many unknown classes are written down one by one


def edit(wanted: str) -> str:
    """Return a place that a person fills in, as YAML."""
    return quoted(f"{MARK} {wanted}")


def quoted(words: str) -> str:
    """Return words as YAML that cannot be taken for anything else."""
    return json.dumps(words, ensure_ascii=False)


def known(words: str | float | None, wanted: str) -> str:
    """Return what is known, or a place to fill in."""
    if words is None:
        return edit(wanted)
    return quoted(words) if isinstance(words, str) else f"{words:g}"


def code(meaning: str | None, wanted: str) -> str:
    """Return a code of our own for something that has a name, or a place to fill in."""
    if meaning is None:
        return f"{{system: 99EDGE, value: {edit('short-word')}, meaning: {edit(wanted)}}}"
    return f"{{system: 99EDGE, value: {quoted(slug(meaning))}, meaning: {quoted(meaning)}}}"


def slug(words: str) -> str:
    """Return words as a code: small letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:16] or "thing"


def flow(pairs: Mapping[str, str]) -> str:
    """Return pairs as YAML in braces; the values are YAML already."""
    return f"{{{', '.join(f'{quoted(key)}: {value}' for key, value in pairs.items())}}}"


def named(key: str, names: Sequence[str], count: int, what: str) -> Iterator[str]:
    """Write a list of classes or labels, each with a code.

    Args:
        key: `classes` or `labels`.
        names: What they are called, or () where that is not known.
        count: How many there are; 0 where that is not known either.
        what: A word for one of them.
    """
    if names:
        yield f"  {key}:  # in the graph's order; public codes (SCT, DCM) are better than 99EDGE"
        used: set[str] = set()
        for place, name in enumerate(names):
            short = slug(name)
            value = short if short not in used else f"{short[:12]}-{place}"
            used.add(value)
            written = f"{{system: 99EDGE, value: {quoted(value)}, meaning: {quoted(name)}}}"
            yield f"    - {{name: {quoted(name)}, code: {written}}}"
    elif 0 < count <= NAMES_MAX:
        yield f"  {key}:  # in the graph's order"
        for place in range(count):
            yield f"    - {{name: {edit(f'{what} {place}')}, code: {code(None, 'words for a reader')}}}"
    else:
        how_many = f"{count} of them" if count else "as many as the graph has"
        entry = "- {name: …, code: {system: …, value: …, meaning: …}}"
        yield f"  {key}: {edit(f'{how_many}, in its order: {entry}')}"
