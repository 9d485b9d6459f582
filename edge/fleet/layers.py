"""From documents to one wish: each read strictly, groups by priority, the device's own before them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import DESIRED_SCHEMA, GROUP_SCHEMA, BundleWanted, Desired, Document, GroupLayer
from edge.fleet.ports import Wanted
from edge.fleet.signing import digest_of
from edge.fleet.wording import refusal_of
from edge.fleet.words import DEVICE_SCOPE, group_scope
from edge.kit.trees import Path, laid_over, leaves, written

_Form = TypeVar("_Form", bound=BaseModel)
_SHOWN: Final = 60
_BUNDLES: Final = "bundles"


def parse_desired(tree: Mapping[str, Any], *, device: str) -> Desired:
    """Read the document of one device.

    Args:
        tree: As `guard.read_document` returns it.
        device: Whose documents are taken.

    Raises:
        DocumentRefusedError: It is none, or another device's; `schema` with the path, or `unsupported` for a
            form of a later day.
    """
    document = _parsed(tree, Desired, DESIRED_SCHEMA)
    if document.device != device:
        raise _refused(f"is {document.device!r}; this device is {device!r}", ("device",))
    return document


def parse_layer(tree: Mapping[str, Any], *, group: str) -> GroupLayer:
    """Read the document of a group.

    Args:
        tree: As `guard.read_document` returns it.
        group: Under whose topic it came.

    Raises:
        DocumentRefusedError: As for `parse_desired`.
    """
    document = _parsed(tree, GroupLayer, GROUP_SCHEMA)
    if document.group != group:
        raise _refused(f"is {document.group!r}; it came for the group {group!r}", ("group",))
    return document


def merge(layers: Sequence[GroupLayer], own: Desired | None) -> Wanted:
    """Return what all documents together ask of a device.

    Mappings are joined, anything else is replaced as a whole; a bundle is one value. Of two groups the higher
    priority counts, of equal ones the name that sorts last; the device's own document counts before all.

    Args:
        layers: At most one for each group, in any order.
        own: Of the device; None where there is none.
    """
    by_priority = sorted(layers, key=lambda layer: (layer.priority, layer.group))
    scoped: list[tuple[str, Document]] = [(group_scope(layer.group), layer) for layer in by_priority]
    if own is not None:
        scoped.append((DEVICE_SCOPE, own))
    assert len({scope for scope, _ in scoped}) == len(scoped), "one document for each scope"
    config: dict[str, Any] = {}
    bundles: dict[str, BundleWanted] = {}
    for _, document in scoped:
        config = laid_over(config, document.config)
        bundles |= document.bundles
    return Wanted(
        versions={scope: document.version for scope, document in scoped},
        config=config,
        bundles=bundles,
        origins=_origins(config, bundles, scoped),
        digest=config_digest(config, bundles),
    )


def config_digest(config: Mapping[str, Any], bundles: Mapping[str, BundleWanted]) -> str:
    """Return what the fleet compares: `sha256:…` of the RFC 8785 form of {"bundles": …, "config": …}."""
    named = {name: bundle.model_dump() for name, bundle in bundles.items()}
    return digest_of({_BUNDLES: named, "config": config})


def _origins(
    config: Mapping[str, Any], bundles: Mapping[str, BundleWanted], scoped: Sequence[tuple[str, Document]]
) -> dict[str, str]:
    """Return for each value the scope it comes from: the last that gives it."""
    given: dict[Path, str] = {}
    for scope, document in scoped:
        given |= {path: scope for path, _ in leaves(document.config)}
    origins = {written(path): given[path] for path, _ in leaves(config)}
    for scope, document in scoped:
        origins |= {written((_BUNDLES, name)): scope for name in document.bundles if name in bundles}
    return origins


def _parsed(tree: Mapping[str, Any], form: type[_Form], schema: str) -> _Form:
    said = tree.get("schema")
    if isinstance(said, str) and said != schema and said.partition("/")[0] == schema.partition("/")[0]:
        raise DocumentRefusedError(
            "unsupported", f"schema: is {said[:_SHOWN]!r}; this software reads {schema}", path="schema"
        )
    try:
        return form.model_validate(tree)
    except ValidationError as errors:
        raise refusal_of(errors, form) from errors


def _refused(what: str, path: Path) -> DocumentRefusedError:
    place = written(path)
    return DocumentRefusedError("schema", f"{place}: {what}", path=place)
