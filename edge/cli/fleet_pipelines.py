"""Pipelines that a document names and no device has: a name that was mistyped, before it is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edge.cli.rows import printable
from edge.config.complete import lacking
from edge.config.problems import guess
from edge.fleet.operator.inventory import DeviceView, Document, document_part


def known_pipelines(views: Iterable[DeviceView], documents: Iterable[Document | None]) -> frozenset[str]:
    """Return the names of pipelines that devices have, as they say, or documents give them.

    Returns:
        Nothing where one of the devices does not say what it has.
    """
    names: set[str] = set()
    for view in views:
        told = None if view.info is None else view.info.get("pipelines")
        if not isinstance(told, list) or not told:
            return frozenset()
        names.update(name for name in told if isinstance(name, str))
    if not names:
        return frozenset()
    for document in documents:
        names.update(document_part(document_part(document, "config"), "pipelines"))
    return frozenset(names)


def strange_pipelines(content: Mapping[str, Any], known: frozenset[str], *, name: str) -> Iterator[str]:
    """Yield what is wrong with pipelines that are not there and not whole: nobody could begin one.

    Args:
        content: Of the document.
        known: What there is; nothing where that is not known, and then nothing is said.
        name: Of the device or group.
    """
    for pipeline, entry in document_part(document_part(content, "config"), "pipelines").items():
        if not known or pipeline in known or not isinstance(entry, Mapping):
            continue
        missing = lacking(pipeline, entry)
        if missing:
            close = guess(printable(pipeline), sorted(known))
            yield (
                f"config.pipelines.{pipeline}: no pipeline '{pipeline}' on {name}{close}; "
                f"a new one needs {', '.join(missing)}, too"
            )
