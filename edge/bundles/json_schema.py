"""The JSON Schema of manifests, for editors that check YAML; docs/schema/bundle-1.json is its copy."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from edge.bundles.manifest import UNNAMED, Manifest

FORMAT = "edge.bundle/1"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of every task's manifest, draft 2020-12."""
    every: TypeAdapter[Any] = TypeAdapter(Manifest)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{FORMAT.replace('/', ':')}",
        "title": "The manifest of a bundle",
        "description": f"`task` says which of these it is; without one it is {UNNAMED}.",
        **every.json_schema(),
    }
