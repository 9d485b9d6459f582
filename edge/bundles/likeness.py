"""Whether one version of a bundle may take the place of another while findings are made."""

from __future__ import annotations

from typing import Final

from edge.bundles.manifest import Manifest

READ_AT_START: Final = ("task", "input", "output", "policy")
"""Parts of a manifest that others than the model go by: which series are meant, what may be said."""


def changed_parts(old: Manifest, new: Manifest) -> tuple[str, ...]:
    """Return the parts that differ and are read when the daemon starts; () where the two may be exchanged."""
    return tuple(part for part in READ_AT_START if getattr(old, part) != getattr(new, part))
