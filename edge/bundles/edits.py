"""Places of a manifest that a person must still fill in: values that begin with `EDIT:`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MARK: Final = "EDIT:"


def places(document: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Find what is still to be filled in.

    Args:
        document: As YAML was read.
        path: Where it stands in the whole.

    Yields:
        The path of each place, `output.classes.0.name`, and what is wanted there.
    """
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, f"{path}{'.' * bool(path)}{key}")
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from places(value, f"{path}{'.' * bool(path)}{number}")
    elif isinstance(document, str) and document.lstrip().startswith(MARK):
        yield path, document.lstrip().removeprefix(MARK).strip()
