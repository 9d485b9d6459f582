"""Signatures over manifests: who is believed, and what each refusal says."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.bundles.signature import ANYBODY, SIGNATURE, Trust, make_key, public_key_of, sign, trust_of
from edge.bundles.store import MANIFEST, load
from edge.domain.errors import BundleRejectedError, SecretError
from tests.builders.bundles import write_bundle


def signed(folder: Path, *, key: str = "clinic") -> tuple[Path, Trust]:
    """A bundle that is signed, and a site that believes that key and nobody else."""
    bundle = write_bundle(folder)
    make_key(folder / "clinic.key", folder / "clinic.pub")
    sign(bundle, key_file=folder / "clinic.key", key=key)
    return bundle, trust_of([("clinic", folder / "clinic.pub")], allows_unsigned=False)


def test_a_signed_bundle_says_who_signed_it(tmp_path: Path) -> None:
    bundle, trust = signed(tmp_path)
    assert load(bundle, trust).signed_by == "clinic"
    assert load(bundle, ANYBODY).signed_by == ""  # nobody is known there


def test_a_private_key_is_for_its_owner_and_no_key_is_overwritten(tmp_path: Path) -> None:
    short = make_key(tmp_path / "a.key", tmp_path / "a.pub")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert public_key_of(short) == public_key_of((tmp_path / "a.pub").read_text())
    with pytest.raises(SecretError, match=r"a\.key: is there already"):
        make_key(tmp_path / "a.key", tmp_path / "b.pub")


def test_an_unsigned_bundle_is_refused_unless_the_site_allows_it(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    with pytest.raises(BundleRejectedError, match="is not signed; wanted a signature by nobody"):
        load(bundle, Trust())
    assert load(bundle, Trust(allows_unsigned=True)).signed_by == ""


def test_a_signature_by_an_unknown_key_is_as_good_as_none(tmp_path: Path) -> None:
    bundle, trust = signed(tmp_path, key="stranger")
    with pytest.raises(BundleRejectedError, match=r"by the key 'stranger', which this site does not know"):
        load(bundle, trust)
    assert load(bundle, ANYBODY).signed_by == ""


def test_another_key_of_the_same_name_is_refused_even_where_unsigned_ones_are_allowed(tmp_path: Path) -> None:
    bundle, _ = signed(tmp_path)
    make_key(tmp_path / "other.key", tmp_path / "other.pub")
    trust = trust_of([("clinic", tmp_path / "other.pub")], allows_unsigned=True)
    with pytest.raises(BundleRejectedError, match="is not that of the key 'clinic' over this manifest"):
        load(bundle, trust)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON"),
        (b"{}", "alg: Field required"),
        (b'{"alg": "rsa", "key": "a", "value": ""}', "alg: Input should be 'ed25519'"),
        (b'{"alg": "ed25519", "key": "clinic", "value": "%"}', "value: no base64"),
        (b'{"alg": "ed25519", "key": "clinic", "value": "AAAA"}', "is not that of the key 'clinic'"),
        (b'{"alg": "ed25519", "key": "../x", "value": ""}', "key: String should match"),
        (b"x" * 5000, "more than the 4096 bytes"),
    ],
)
def test_a_signature_that_is_malformed_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, message: str
) -> None:
    bundle, trust = signed(tmp_path)
    (bundle / SIGNATURE).write_bytes(content)
    with pytest.raises(BundleRejectedError, match=message):
        load(bundle, trust)


def test_a_signature_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    bundle, trust = signed(tmp_path)
    (bundle / SIGNATURE).rename(tmp_path / "elsewhere")
    (bundle / SIGNATURE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleRejectedError, match="wanted a file inside"):
        load(bundle, trust)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trust]:
    """A signed bundle that is put right again after each change."""
    return signed(tmp_path_factory.mktemp("signed"))


@settings(max_examples=80, deadline=None)
@given(place=st.integers(min_value=0), flip=st.integers(1, 255))
@pytest.mark.parametrize("file", [MANIFEST, SIGNATURE])
def test_one_byte_changed_in_what_is_signed_or_in_the_signature_is_refused(
    whole: tuple[Path, Trust], file: str, place: int, flip: int
) -> None:
    (folder, trust), path = whole, whole[0] / file
    right = path.read_bytes()
    changed = bytearray(right)
    changed[place % len(right)] ^= flip
    assume(changed.split() != right.split())  # another kind of blank in JSON means nothing
    path.write_bytes(changed)
    try:
        with pytest.raises(BundleRejectedError):
            load(folder, trust)
    finally:
        path.write_bytes(right)


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"", 0o600, "is no private key in PEM"),
        (b"", 0o644, r"others may read it \(mode 644\); wanted 600"),
        (
            X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            0o600,
            "is no Ed25519 key",
        ),
    ],
)
def test_a_private_key_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes, mode: int, message: str
) -> None:
    bundle, key = write_bundle(tmp_path), tmp_path / "a.key"
    key.write_bytes(content)
    key.chmod(mode)
    with pytest.raises(SecretError, match=message):
        sign(bundle, key_file=key, key="a")


def test_a_public_key_of_another_kind_or_in_no_file_is_refused(tmp_path: Path) -> None:
    pem = (
        X25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "x.pub").write_bytes(pem)
    with pytest.raises(BundleRejectedError, match=r"x\.pub: is no Ed25519 key"):
        trust_of([("x", tmp_path / "x.pub")], allows_unsigned=False)
    with pytest.raises(BundleRejectedError, match=r"y\.pub: No such file"):
        trust_of([("y", tmp_path / "y.pub")], allows_unsigned=False)


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="is no public key"):
        public_key_of(private.decode())
