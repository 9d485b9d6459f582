"""Whether one version of a bundle may take the place of another while findings are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from edge.bundles.manifest import Manifest
from edge.bundles.parts import CodeEntry
from edge.bundles.pictures import PictureBundle


def changed_parts(old: Manifest, new: Manifest, *, guards_pixels: bool) -> tuple[str, ...]:
    """Return the parts that differ and are read when the daemon starts; () where the two may be exchanged.

    Who makes a finding holds a model and its manifest together, so most may change between two items. What
    may not: which series are meant, the code under which it is said that nobody could look, and for pictures
    also under which codes and names something is said, for events in a stream go on under those.

    Args:
        old: At work.
        new: Should take its place.
        guards_pixels: A gate that lets pictures out goes by the thresholds of the one at work.
    """
    if old.task != new.task:
        return ("task",)
    changed = []
    if old.policy.looked_for != new.policy.looked_for:
        changed.append("policy.looked_for")
    if isinstance(old, PictureBundle) and isinstance(new, PictureBundle):
        if old.input.pictured != new.input.pictured:
            changed.append("input.modalities")
        if sorted(_words(old.output)) != sorted(_words(new.output)):
            changed.append("output")
        same = old.policy == new.policy if guards_pixels else _form(old.policy) == _form(new.policy)
        if not same and not changed:
            changed.append("policy")
    return tuple(changed)


def _words(part: Any) -> Iterator[str]:
    """Yield the codes and names under which something is said."""
    if isinstance(part, tuple | list):
        for one in part:
            yield from _words(one)
    if isinstance(part, CodeEntry):
        yield f"{part.system} {part.value}"
    elif isinstance(part, BaseModel):
        fields = {name: getattr(part, name) for name in type(part).model_fields}
        if "code" in fields and "name" in fields:
            yield f"name {fields['name']}"
        for one in fields.values():
            yield from _words(one)


def _form(part: Any) -> Any:
    """Return a part without its numbers: what is said, whatever it takes."""
    if isinstance(part, BaseModel):
        return {name: _form(getattr(part, name)) for name in type(part).model_fields}
    if isinstance(part, tuple | list):
        return [_form(one) for one in part]
    if isinstance(part, dict):
        return {name: _form(one) for name, one in part.items()}
    return "a number" if isinstance(part, int | float) and not isinstance(part, bool) else part
