"""The door for documents: what is too large, too deep or ambiguous is refused before it costs anything."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import DOCUMENT_BYTES_MAX
from edge.kit.trees import Path, written

DEPTH_MAX: Final = 32
INTEGER_MAX: Final = 2**53 - 1  # RFC 8785: what every reader of JSON holds exactly
_SHOWN: Final = 40
_HALVES: Final = re.compile("[\ud800-\udfff]")

# A text, as a whole, so that brackets in it count for nothing; nothing here is ever tried twice.
_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)


def read_document(payload: bytes) -> dict[str, Any]:
    """Read one JSON document, strictly.

    Args:
        payload: As it came from the broker; from anybody.

    Returns:
        Its tree: at most 32 deep, no key twice, numbers that every reader takes for the same, text in NFC.

    Raises:
        DocumentRefusedError: It is none such; code `schema`, with the path where one can be told.
    """
    _check_size(payload)
    _check_depth(payload)
    try:
        tree = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_mapping,
            parse_constant=_no_number,
            parse_int=_integer,
            parse_float=_number,
        )
    except UnicodeDecodeError as error:
        raise _refused(f"byte {error.start} is not UTF-8; wanted JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        raise _refused(f"no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    if not isinstance(tree, dict):
        raise _refused("the document is no JSON object; wanted {…}")
    check_tree(tree)
    return tree


def check_tree(tree: Mapping[str, Any]) -> None:
    """Refuse values that could be signed or sent, and that the far side would not read as they were meant.

    Raises:
        DocumentRefusedError: It holds one; code `schema`, with its path.
    """
    waiting: list[tuple[Path, Any]] = [((), tree)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > DEPTH_MAX:
            raise _refused(f"nested more than {DEPTH_MAX} deep", path)
        if isinstance(value, Mapping):
            for key in value:
                _check_text(key, path)
            waiting += [((*path, key), below) for key, below in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [((*path, place), below) for place, below in enumerate(value)]
        else:
            _check_value(value, path)


def _check_size(payload: bytes) -> None:
    if len(payload) > DOCUMENT_BYTES_MAX:
        raise _refused(f"{len(payload)} bytes; allowed: at most {DOCUMENT_BYTES_MAX}")


def _check_depth(payload: bytes) -> None:
    """Count brackets, before anything recurses."""
    depth = 0
    for token in _TOKENS.finditer(payload):
        mark = token[0]
        depth += (mark in b"[{") - (mark in b"]}")
        if depth > DEPTH_MAX:
            raise _refused(f"nested more than {DEPTH_MAX} deep, at byte {token.start()}")


def _check_value(value: object, path: Path) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise _refused(f"is {value}; wanted a number", path)
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise _refused(f"is beyond {INTEGER_MAX}; wanted a number every reader holds exactly", path)
    elif value is not None:
        raise _refused(f"is a {type(value).__name__}; wanted what JSON has", path)


def _check_text(text: object, path: Path) -> None:
    if not isinstance(text, str):
        raise _refused(f"a key is a {type(text).__name__}; wanted text", path)
    if text.isascii():
        return
    if _HALVES.search(text):
        raise _refused("holds half a surrogate pair; wanted whole characters", path)
    if not unicodedata.is_normalized("NFC", text):
        raise _refused(f"{ascii(text)[:_SHOWN]} is not in the form NFC; wanted its composed form", path)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if key in tree:
            raise _refused(f"the key {ascii(key)[:_SHOWN]} is given twice in one object")
        tree[key] = value
    return tree


def _integer(text: str) -> int:
    if len(text) > len(str(INTEGER_MAX)) + 1:
        raise _refused(f"the number {text[:_SHOWN]}… is beyond {INTEGER_MAX}")
    return int(text)


def _number(text: str) -> float:
    return float(text)


def _no_number(text: str) -> NoReturn:
    raise _refused(f"{text} is no number that JSON has")


def _refused(what: str, path: Path = ()) -> DocumentRefusedError:
    place = written(path)
    return DocumentRefusedError("schema", f"{place}: {what}" if place else what, path=place)
