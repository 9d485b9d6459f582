"""The configuration of a MONAI bundle as far as it can be read without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, Final

UNKNOWN: Final = "?"
"""What a value becomes that only running the configuration would tell."""

_REFERENCE: Final = re.compile(r"[@%]([A-Za-z_][\w:#]*)")
_DEPTH_MAX: Final = 20


class Config:
    """A configuration: `@name` means another part of it, `$…` is a Python expression.

    References are followed; of expressions those are read that are a literal, a list after all references, or
    a sum of lists. Everything else is `UNKNOWN`: no code out of a bundle is ever run.

    Args:
        document: As it was read.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def get(self, name: str) -> Any:
        """Return a part, resolved; None where there is none."""
        return self.resolved(self._document.get(name))

    def transforms(self, *names: str) -> list[Mapping[str, Any]]:
        """Return the transforms of the first of some parts that has any, each with `_target_`."""
        for name in names:
            part = self.get(name)
            listed = part.get("transforms") if isinstance(part, dict) else part
            if isinstance(listed, list):
                return [one for one in listed if isinstance(one, dict) and "_target_" in one]
        return []

    def resolved(self, value: Any, depth: int = 0) -> Any:
        """Return a value with its references followed."""
        if depth > _DEPTH_MAX:
            return UNKNOWN
        if isinstance(value, dict):
            return {key: self.resolved(one, depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolved(one, depth + 1) for one in value]
        if not isinstance(value, str):
            return value
        if whole := _REFERENCE.fullmatch(value):
            return self.resolved(self._at(whole[1]), depth + 1)
        return self._expression(value[1:], depth) if value.startswith("$") else value

    def _at(self, path: str) -> Any:
        found: Any = self._document
        for key in re.split("::|#", path):
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return UNKNOWN
        return found

    def _expression(self, words: str, depth: int) -> Any:
        parts = [part.strip() for part in words.split("+")]
        if all(_REFERENCE.fullmatch(part) for part in parts):
            lists = [self.resolved(part, depth + 1) for part in parts]
            if all(isinstance(one, list) for one in lists):
                return [item for one in lists for item in one]
        try:
            return ast.literal_eval(words.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return f"${words}"  # as it stands, for whoever can read some of it
