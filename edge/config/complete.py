"""What an entry of a wish lacks to be a pipeline of its own, without anything below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from edge.config.pipelines import Pipeline

_FORM: Final[TypeAdapter[Any]] = TypeAdapter(Pipeline)


def lacking(name: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the options that a new pipeline needs and an entry does not give, `select.modalities`.

    Args:
        name: Of the pipeline.
        entry: What a wish says about it; imaging where it names no kind.
    """
    try:
        _FORM.validate_python({"kind": "imaging", **entry, "name": name})
    except ValidationError as errors:
        said = errors.errors(include_url=False, include_input=False)
        return [".".join(map(str, each["loc"][1:])) for each in said if each["type"] == "missing"]
    return []
