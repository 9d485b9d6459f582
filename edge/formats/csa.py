"""Read the private header that Siemens MR scanners add to each image (CSA, both of its versions)."""

from __future__ import annotations

import struct

from edge.domain.errors import FormatError

_TAGS_MAX = 1000
_ITEMS_MAX = 100
_TAG = struct.Struct("<64si4siii")  # name, multiplicity, VR, syngo type, items, check value
_ITEM = struct.Struct("<4i")


def read_csa(raw: bytes) -> dict[str, tuple[str, ...]]:
    """Return the values of every tag that has some, as the text they are written in.

    Args:
        raw: Value of element (0029,1010) or (0029,1020).

    Raises:
        FormatError: The bytes are no CSA header.
    """
    is_second = raw[:4] == b"SV10"
    at = 8 if is_second else 0
    try:
        (count,) = struct.unpack_from("<I", raw, at)
        if not 0 < count <= _TAGS_MAX:
            raise FormatError(f"a CSA header of {count} tags, wanted 1 to {_TAGS_MAX}")
        at += 8
        values: dict[str, tuple[str, ...]] = {}
        base = 0
        for index in range(count):
            name, multiplicity, _, _, items, _ = _TAG.unpack_from(raw, at)
            at += _TAG.size
            if index == 0:
                base = items  # in the first version, lengths are counted from the number of the first items
            found, at = _items(raw, at, items, length_base=0 if is_second else base, is_second=is_second)
            wanted = found[:multiplicity] if multiplicity > 0 else found
            values[_text(name)] = tuple(value for value in wanted if value)
    except struct.error as trouble:
        raise FormatError("a CSA header that ends too early") from trouble
    return {name: found for name, found in values.items() if found}


def _items(raw: bytes, at: int, count: int, *, length_base: int, is_second: bool) -> tuple[list[str], int]:
    if not 0 <= count <= _ITEMS_MAX:
        raise FormatError(f"a CSA tag of {count} items, wanted 0 to {_ITEMS_MAX}")
    found = []
    for _ in range(count):
        first, second, _, _ = _ITEM.unpack_from(raw, at)
        at += _ITEM.size
        length = second if is_second else first - length_base
        if length < 0 or at + length > len(raw):
            if is_second or length >= 0:
                raise FormatError("a CSA item that reaches past the end of its header")
            length = 0
        found.append(_text(raw[at : at + length]))
        at += (length + 3) // 4 * 4
    return found, at


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("latin-1").strip()
