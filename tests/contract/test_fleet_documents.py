"""Bytes that never change: what is signed, how it is signed, and the digest by which a fleet compares."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edge.bundles.signature import TrustRoot
from edge.fleet.layers import merge, parse_desired, parse_layer
from edge.fleet.signing import KeyRing, Signer, canonical
from tests.builders.fleet_documents import bundle, desired, layer

DOCUMENT = desired(
    version=42,
    config={"pipelines": {"brain-mr": {"deadline_s": 60.0}}, "log_level": "DEBUG"},
    bundles={"brain-mr": bundle("b")},
)
SIGNED_BYTES = (
    b'{"base":41,"bundles":{"brain-mr":{"digest":"sha256:' + b"b" * 64 + b'","size_bytes":1000,'
    b'"url":"https://packages.example/b-1.0.0.edgebundle","version":"1.0.0"}},'
    b'"config":{"log_level":"DEBUG","pipelines":{"brain-mr":{"deadline_s":60}}},"device":"or-3",'
    b'"issued":"2026-11-22T14:00:00Z","schema":"edge.desired/1","version":42}'
)


@pytest.mark.parametrize(
    ("value", "text"),
    [  # RFC 8785, appendix B and section 3.2
        (0.0, b"0"),
        (-0.0, b"0"),
        (5e-324, b"5e-324"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (9007199254740991, b"9007199254740991"),
        (295147905179352830000.0, b"295147905179352830000"),
        (9.999999999999997e22, b"9.999999999999997e+22"),
        (1e23, b"1e+23"),
        (1e21, b"1e+21"),
        (999999999999999700000.0, b"999999999999999700000"),
        (0.000001, b"0.000001"),
        (1e-7, b"1e-7"),
        (333333333.3333332, b"333333333.3333332"),
        (4.50, b"4.5"),
        (2e-3, b"0.002"),
        ('\u20ac$\u000f\nA\'B"\\\\"/', b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ([None, True, False], b"[null,true,false]"),
    ],
)
def test_values_are_written_as_rfc_8785_has_it(value: object, text: bytes) -> None:
    assert canonical({"a": value}) == b'{"a":' + text + b"}"


def test_keys_are_in_the_order_of_utf_16() -> None:
    keys = ["\ufb01", "\U0001f600", "\u20ac", "1", "\r", "\u00f6"]
    written = canonical(dict.fromkeys(keys, 1))
    assert written == '{"\\r":1,"1":1,"\u00f6":1,"\u20ac":1,"\U0001f600":1,"\ufb01":1}'.encode()


def test_what_is_signed_of_a_document_is_this() -> None:
    assert canonical(DOCUMENT) == SIGNED_BYTES


def test_a_known_key_gives_a_known_signature(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    file = tmp_path / "fleet.key"
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.chmod(0o600)
    public_key = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signed = Signer("fleet-2026", file).sign(DOCUMENT)
    assert signed["signature"] == {
        "alg": "ed25519",
        "key": "fleet-2026",
        "value": base64.b64encode(private.sign(SIGNED_BYTES)).decode(),
    }
    assert KeyRing([TrustRoot("fleet-2026", public_key)]).check(signed) == "fleet-2026"


def test_the_digest_of_a_wish_can_be_computed_by_anybody() -> None:
    group = parse_layer(layer(config={"log_level": "INFO", "drain_s": 5}), group="boxes")
    wanted = merge([group], parse_desired(DOCUMENT, device="or-3"))
    joined = (
        b'{"bundles":{"brain-mr":{"digest":"sha256:' + b"b" * 64 + b'","size_bytes":1000,'
        b'"url":"https://packages.example/b-1.0.0.edgebundle","version":"1.0.0"}},'
        b'"config":{"drain_s":5,"log_level":"DEBUG","pipelines":{"brain-mr":{"deadline_s":60}}}}'
    )
    assert wanted.digest == "sha256:" + hashlib.sha256(joined).hexdigest()
    assert merge([], None).digest == "sha256:" + hashlib.sha256(b'{"bundles":{},"config":{}}').hexdigest()
