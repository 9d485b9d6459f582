"""Holding findings against the published schema."""

from __future__ import annotations

from typing import Any

import jsonschema

from edge.findings.json_schema import schema

_VALIDATOR = jsonschema.Draft202012Validator(schema())  # built once: checking the schema takes 70 ms


def assert_fulfils_schema(finding: dict[str, Any]) -> None:
    """Fail where the published schema of findings does not allow this document; says where."""
    _VALIDATOR.validate(finding)
