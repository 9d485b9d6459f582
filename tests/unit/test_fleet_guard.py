"""What comes from the broker is read strictly, and refused before it costs anything."""

from __future__ import annotations

import contextlib
import json
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import DOCUMENT_BYTES_MAX
from edge.fleet.guard import DEPTH_MAX, INTEGER_MAX, check_tree, read_document

COMPOSED = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(
    lambda text: unicodedata.normalize("NFC", text)
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | COMPOSED
)
TREES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    COMPOSED,
    st.recursive(
        VALUES, lambda below: st.lists(below, max_size=3) | st.dictionaries(COMPOSED, below, max_size=3)
    ),
    max_size=4,
)
A_MOMENT_S = (
    1.0  # what takes 30 ms at most, on a machine that does other things; quadratic it would be minutes
)


def refusal(payload: bytes) -> DocumentRefusedError:
    with pytest.raises(DocumentRefusedError) as caught:
        read_document(payload)
    assert caught.value.code == "schema"
    return caught.value


@given(TREES)
def test_what_json_says_is_what_is_read(tree: dict[str, Any]) -> None:
    assert read_document(json.dumps(tree).encode()) == tree
    assert read_document(json.dumps(tree, ensure_ascii=False).encode()) == tree


@given(
    st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ue019.-nulltrfas \n', max_size=60).map(str.encode)
)
def test_no_bytes_get_another_exception(payload: bytes) -> None:
    with contextlib.suppress(DocumentRefusedError):
        assert isinstance(read_document(payload), dict)


def test_a_document_as_large_as_allowed_is_read_and_one_byte_more_is_not() -> None:
    filler = "x" * (DOCUMENT_BYTES_MAX - len(b'{"a":""}'))
    assert read_document(b'{"a":"%s"}' % filler.encode()) == {"a": filler}
    assert "65537 bytes; allowed: at most 65536" in str(refusal(b'{"a":"%sx"}' % filler.encode()))


def test_the_deepest_that_is_allowed_is_read_and_one_deeper_is_not() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert read_document(nested(DEPTH_MAX))
    assert f"nested more than {DEPTH_MAX} deep" in str(refusal(nested(DEPTH_MAX + 1)))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":' + b"[" * 65_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'[{"a":' * 10_000,
        b'{"]]]]":' + b'{"}}":' * 40,
    ],
)
def test_what_is_nested_too_deeply_never_reaches_the_parser(
    payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("the parser was asked"))
    assert "deep" in str(refusal(payload))


@pytest.mark.parametrize(
    "payload",
    [
        b'"' * 65_000,
        b'{"a":"' + b'\\"' * 32_700,
        b'{"a":"' + b"\\" * 65_001,
        b'{"a":"' + b"\\\\" * 32_000 + b'"',
        b'{"a":' + b"9" * 65_000 + b"}",
        b"{" + b'"":' * 21_000,
        b"[]" * 32_000,
    ],
)
def test_what_is_made_to_take_long_is_refused_in_a_moment(payload: bytes) -> None:
    began_s = time.perf_counter()
    refusal(payload)
    assert time.perf_counter() - began_s < A_MOMENT_S


def test_brackets_within_text_are_no_nesting() -> None:
    text = '[{"\\' * 40
    assert read_document(json.dumps({text: text}).encode()) == {text: text}


@pytest.mark.parametrize(
    ("payload", "path", "said"),
    [
        (b"", "", "no JSON"),
        (b"[]", "", "no JSON object"),
        (b"null", "", "no JSON object"),
        (b"{} {}", "", "no JSON: Extra data"),
        (b'{"a":1,}', "", "no JSON"),
        (b"\xef\xbb\xbf{}", "", "BOM"),
        (b'{"a":"\xff"}', "", "byte 6 is not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "", "not UTF-8"),
        (b'{"a":"\x00"}', "", "control character"),
        (b'{"a":{"version":1,"version":2}}', "", "the key 'version' is given twice"),
        (b'{"a":1,"\\u0061":2}', "", "the key 'a' is given twice"),
        (b'{"a":NaN}', "", "NaN is no number"),
        (b'{"a":-Infinity}', "", "-Infinity is no number"),
        (b'{"a":[1,1e999]}', "a[1]", "is inf"),
        (b'{"a":{"b":9007199254740992}}', "a.b", "is beyond 9007199254740991"),
        (b'{"a":-9007199254740992}', "a", "is beyond 9007199254740991"),
        (b'{"a":12345678901234567890}', "", "is beyond 9007199254740991"),
        (b'{"a":["x","\\ud800"]}', "a[1]", "half a surrogate pair"),
        (b'{"a":{"\\udfff":1}}', "a", "half a surrogate pair"),
        ('{"a":{"e\u0301":1}}'.encode(), "a", "not in the form NFC"),
        ('{"a":{"b":"e\u0301"}}'.encode(), "a.b", "not in the form NFC"),
        ('{"pipelines":{"brain.mr":"e\u0301"}}'.encode(), 'pipelines."brain.mr"', "not in the form NFC"),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(payload: bytes, path: str, said: str) -> None:
    refused = refusal(payload)
    assert said in str(refused)
    assert refused.path == path


def test_a_whole_character_beyond_the_first_plane_is_text() -> None:
    assert read_document(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), {1: 2}, float("nan"), 2**53])
def test_a_tree_that_json_does_not_have_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(DocumentRefusedError, match=r"a\[0\].b: "):
        check_tree({"a": [{"b": value}]})


def test_a_tree_that_holds_itself_is_refused() -> None:
    tree: dict[str, Any] = {}
    tree["self"] = tree
    with pytest.raises(DocumentRefusedError, match="nested more than 32 deep"):
        check_tree(tree)
