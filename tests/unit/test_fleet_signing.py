"""Who signed a document, and whether it is still what was signed."""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundles.signature import TrustRoot
from edge.domain.errors import DocumentRefusedError, SecretError
from edge.fleet.signing import KeyRing, Signer, canonical, digest_of
from edge.kit.trees import leaves
from tests.builders.fleet_documents import bundle, desired, new_key

DOCUMENT = desired(
    version=42, config={"pipelines": {"brain-mr": {"deadline_s": 60.5}}}, bundles={"brain-mr": bundle("b")}
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signer, TrustRoot]:
    return new_key(tmp_path_factory.mktemp("keys"))


def refusal(ring: KeyRing, document: dict[str, Any]) -> DocumentRefusedError:
    with pytest.raises(DocumentRefusedError) as caught:
        ring.check(document)
    return caught.value


def test_a_signed_document_is_believed_and_the_key_is_named(key: tuple[Signer, TrustRoot]) -> None:
    signer, root = key
    signed = signer.sign(DOCUMENT)
    assert KeyRing([root]).check(signed) == "fleet-2026"
    assert {**signed, "signature": None} == {**DOCUMENT, "signature": None}


def test_the_order_of_keys_and_the_way_a_number_is_written_do_not_matter(
    key: tuple[Signer, TrustRoot],
) -> None:
    signer, root = key
    signed = signer.sign({**DOCUMENT, "version": 42})
    turned = dict(reversed([*signed.items()]))
    assert KeyRing([root]).check({**turned, "version": 42.0}) == "fleet-2026"


def test_signing_again_gives_the_same_bytes(key: tuple[Signer, TrustRoot]) -> None:
    signer, _ = key
    assert signer.sign(signer.sign(DOCUMENT)) == signer.sign(DOCUMENT)


@settings(max_examples=40)
@given(data=st.data())
def test_a_document_with_any_value_altered_is_refused(
    key: tuple[Signer, TrustRoot], data: st.DataObject
) -> None:
    signer, root = key
    signed = signer.sign(DOCUMENT)
    path, before = data.draw(
        st.sampled_from([(path, value) for path, value in leaves(signed) if path[:1] != ("signature",)])
    )
    after = data.draw(
        st.one_of(st.none(), st.integers(0, 99), st.text(max_size=4)).filter(lambda value: value != before)
    )
    altered: Any = copy.deepcopy(signed)
    section = altered
    for step in path[:-1]:
        section = section[step]
    section[path[-1]] = after
    refused = refusal(KeyRing([root]), altered)
    assert (refused.code, refused.path) == ("bad_signature", "signature.value")


def test_something_added_or_taken_away_is_refused(key: tuple[Signer, TrustRoot]) -> None:
    signer, root = key
    signed = signer.sign(DOCUMENT)
    for altered in (
        {**signed, "expires": "2030-01-01T00:00:00Z"},
        {name: value for name, value in signed.items() if name != "base"},
    ):
        assert refusal(KeyRing([root]), altered).code == "bad_signature"


def test_while_keys_are_rotated_both_count_and_afterwards_the_new_one_only(
    key: tuple[Signer, TrustRoot], tmp_path: Path
) -> None:
    old, old_root = key
    new, new_root = new_key(tmp_path, "fleet-2027")
    both = KeyRing([old_root, new_root])
    assert [both.check(signer.sign(DOCUMENT)) for signer in (old, new)] == ["fleet-2026", "fleet-2027"]
    refused = refusal(KeyRing([new_root]), old.sign(DOCUMENT))
    assert "'fleet-2026', which this device does not know; known: fleet-2027" in str(refused)
    assert refused.path == "signature.key"


def test_a_key_of_the_same_name_is_another_key(key: tuple[Signer, TrustRoot], tmp_path: Path) -> None:
    _, root = key
    other, _ = new_key(tmp_path)
    refused = refusal(KeyRing([root]), other.sign(DOCUMENT))
    assert "another key of that name made it" in str(refused)


def test_what_was_signed_for_a_device_of_the_same_name_elsewhere_is_refused(
    key: tuple[Signer, TrustRoot],
) -> None:
    signer, root = key
    ring = KeyRing([root], site="st-anna")
    assert ring.check(signer.sign(DOCUMENT)) == ring.check(signer.sign({**DOCUMENT, "site": "st-anna"}))
    refused = refusal(ring, signer.sign({**DOCUMENT, "site": "st-elsewhere"}))
    assert (refused.code, refused.path) == ("bad_signature", "site")
    assert "is 'st-elsewhere'; this device is of the site 'st-anna'" in str(refused)
    assert refusal(ring, {**signer.sign({**DOCUMENT, "site": "st-elsewhere"}), "site": "st-anna"}).path == (
        "signature.value"
    )


def test_where_no_key_is_known_nobody_is_believed(key: tuple[Signer, TrustRoot]) -> None:
    assert "known: none" in str(refusal(KeyRing([]), key[0].sign(DOCUMENT)))


@pytest.mark.parametrize(
    ("signature", "path"),
    [
        (None, "signature"),
        ("text", "signature"),
        ([], "signature"),
        ({}, "signature.alg"),
        ({"alg": "none", "key": "fleet-2026", "value": ""}, "signature.alg"),
        ({"alg": "ed25519", "key": "../../etc", "value": ""}, "signature.key"),
        ({"alg": "ed25519", "key": "fleet-2026"}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": "*"}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": "ö"}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": "AB=="}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": "AA=="}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": ""}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": 3}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": "A" * 129}, "signature.value"),
        ({"alg": "ed25519", "key": "fleet-2026", "value": "", "more": 1}, "signature.more"),
    ],
)
def test_a_signature_that_is_none_is_refused_with_its_path(
    key: tuple[Signer, TrustRoot], signature: object, path: str
) -> None:
    refused = refusal(KeyRing([key[1]]), {**DOCUMENT, "signature": signature})
    assert (refused.code, refused.path) == ("bad_signature", path)


def test_a_signature_that_other_base64_stands_for_is_refused(key: tuple[Signer, TrustRoot]) -> None:
    signer, root = key
    signed = signer.sign(DOCUMENT)
    value = signed["signature"]["value"]
    assert value.endswith("==")
    spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = value[:-3] + spare[spare.index(value[-3]) ^ 1] + "=="  # the same 64 bytes, other text
    assert base64.b64decode(twin) == base64.b64decode(value)
    assert "as base64 writes it" in str(
        refusal(KeyRing([root]), {**signed, "signature": {**signed["signature"], "value": twin}})
    )


def test_a_key_that_others_may_read_signs_nothing(tmp_path: Path) -> None:
    signer, _ = new_key(tmp_path)
    signer.private_file.chmod(0o644)
    with pytest.raises(SecretError, match="others may read it"):
        signer.sign(DOCUMENT)


def test_what_a_device_would_not_read_is_not_signed(key: tuple[Signer, TrustRoot]) -> None:
    with pytest.raises(DocumentRefusedError, match=r"config.drain_s: is inf"):
        key[0].sign({**DOCUMENT, "config": {"drain_s": float("inf")}})


def test_the_signature_is_no_part_of_what_is_signed() -> None:
    assert canonical({"b": 1, "signature": {"value": "x"}, "a": [True, None]}) == b'{"a":[true,null],"b":1}'


def test_a_digest_covers_everything() -> None:
    assert digest_of({"a": 1.0}) == digest_of({"a": 1})
    assert digest_of({"a": 1, "signature": 2}) != digest_of({"a": 1})
