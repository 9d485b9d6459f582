"""What is wrong with a document, in words: the path, what was seen, what is wanted."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.domain.errors import DocumentRefusedError
from edge.fleet.addresses import shown as shown_address
from edge.kit.trees import Path, written

_SHOWN_MAX: Final = 60
_TOLD_MAX: Final = 20
_PLAIN: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}
_BOUNDS: Final[Mapping[str, str]] = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "too_long": "at most {max_length} of them",
    "too_short": "at least {min_length} of them",
    "literal_error": "{expected}",
}
_PATTERNS: Final[Mapping[str, str]] = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$": "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter "
    "or digit",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter "
    "or digit",
    r"^sha256:[0-9a-f]{64}$": "sha256: and 64 hexadecimal digits in small letters",
}


def refusal_of(
    errors: ValidationError, form: type[BaseModel], *, code: str = "schema", under: Path = ()
) -> DocumentRefusedError:
    """Return everything that is wrong with a document as one refusal, with the path of the first.

    Args:
        errors: What pydantic says.
        form: What was wanted.
        code: Of the refusal.
        under: Where in the document it lies.
    """
    listed = errors.errors(include_url=False)
    told = [((*under, *_path(error)), _what(error, form)) for error in listed[:_TOLD_MAX]]
    lines = [f"{written(path)}: {what}" if path else what for path, what in told]
    if len(listed) > _TOLD_MAX:
        lines.append(f"and {len(listed) - _TOLD_MAX} more")
    return DocumentRefusedError(code, "; ".join(lines), path=written(told[0][0]))


def _path(error: ErrorDetails) -> Path:
    return tuple(step for step in error["loc"] if step != "[key]")


def _what(error: ErrorDetails, form: type[BaseModel]) -> str:
    kind, seen = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = _keys(form, _path(error)[:-1])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"unknown key{f' (did you mean {close[0]!r}?)' if close else ''}; allowed: {', '.join(known)}"
    if kind == "missing":
        return "missing"
    if kind == "value_error":
        why = str(error.get("ctx", {}).get("error"))
        return f"is {_shown(error)}; {why}" if isinstance(seen, str) else why
    return f"is {_shown(error)}; wanted {_wanted(error)}"


def _wanted(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        return _PATTERNS.get(pattern, f"text of the form {pattern}")
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return _PLAIN.get(kind) or error["msg"].removeprefix("Input should be ")


def _shown(error: ErrorDetails) -> str:
    """Return what was seen, without secrets and not too long."""
    seen = error["input"]
    if isinstance(seen, Mapping | list):
        return f"{'a mapping' if isinstance(seen, Mapping) else 'a list'} of {len(seen)}"
    if seen is None:
        return "empty"
    if isinstance(seen, bool):
        return str(seen).lower()
    text = repr(shown_address(seen) if isinstance(seen, str) and "://" in seen else seen)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def _keys(form: type[BaseModel], path: Path) -> list[str]:
    """Return the keys of the part of a form that a path leads to."""
    part: type[BaseModel] = form
    for step in path:
        field = part.model_fields.get(str(step))
        inner = [] if field is None else _parts(field.annotation)
        part = inner[0] if inner else part
    return [field.alias or name for name, field in part.model_fields.items()]


def _parts(annotation: object) -> list[type[BaseModel]]:
    """Return the parts that an annotation names, wherever in it they stand."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = cast(tuple[object, ...], getattr(annotation, "__args__", ()))
    return [part for one in inner for part in _parts(one)]
