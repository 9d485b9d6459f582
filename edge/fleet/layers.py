"""From documents to one wish: each read strictly, groups by priority, the device's own before them all."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import DESIRED_SCHEMA, GROUP_SCHEMA, BundleWanted, Desired, Document, GroupLayer
from edge.fleet.ports import Wanted
from edge.fleet.signing import digest_of
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
        told = [(_path(error), _what(error, form)) for error in errors.errors(include_url=False)]
        listed = "; ".join(f"{written(path)}: {what}" for path, what in told)
        raise DocumentRefusedError("schema", listed, path=written(told[0][0])) from errors


def _path(error: ErrorDetails) -> Path:
    return tuple(step for step in error["loc"] if step != "[key]")


def _what(error: ErrorDetails, form: type[BaseModel]) -> str:
    """Say what is wrong: what was seen, what is wanted."""
    kind, seen = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = _keys(form, _path(error)[:-1])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"unknown key{f' (did you mean {close[0]!r}?)' if close else ''}; allowed: {', '.join(known)}"
    if kind == "missing":
        return "missing"
    if kind == "value_error":
        return str(error.get("ctx", {}).get("error"))
    return f"is {_shown(seen)}; {error['msg'].replace('Input should', 'it should')}"


def _shown(seen: object) -> str:
    if isinstance(seen, Mapping | list):
        return "a mapping" if isinstance(seen, Mapping) else f"a list of {len(seen)}"
    return "empty" if seen is None else repr(seen)[:_SHOWN]


def _keys(form: type[BaseModel], path: Path) -> list[str]:
    """Return the keys of the part of a form that a path leads to."""
    part: type[BaseModel] = form
    for step in path:
        field = part.model_fields.get(str(step))
        inner = [] if field is None else _types(field.annotation)
        part = inner[0] if inner else part
    return [field.alias or name for name, field in part.model_fields.items()]


def _types(annotation: object) -> list[type[BaseModel]]:
    """Return the parts that an annotation names, wherever in it they stand."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = cast(tuple[object, ...], getattr(annotation, "__args__", ()))
    return [part for one in inner for part in _types(one)]


def _refused(what: str, path: Path) -> DocumentRefusedError:
    place = written(path)
    return DocumentRefusedError("schema", f"{place}: {what}", path=place)
