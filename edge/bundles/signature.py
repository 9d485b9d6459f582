"""Ed25519 signatures over manifests: who vouches for a bundle, and whom a site believes.

A bundle is signed by the file `signature` in its folder, JSON
`{"alg": "ed25519", "key": "<name>", "value": "<base64>"}`, over the exact bytes of `manifest.yaml`, which
holds the hashes of the rest.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import Field, StringConstraints, ValidationError

from edge.bundles.parts import Part
from edge.bundles.verify import MANIFEST, MANIFEST_BYTES_MAX, read_bounded
from edge.domain.errors import BundleRejectedError, SecretError
from edge.kit.files import write_durably

SIGNATURE: Final = "signature"
SIGNATURE_BYTES_MAX: Final = 4096
KEY_BYTES_MAX: Final = 16_384
SHORT: Final = "ed25519:"  # then the 32 bytes of a public key, in base64

KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class SignatureFile(Part):
    """What the file `signature` holds."""

    alg: Literal["ed25519"] = Field(description="The only one there is.")
    key: KeyName = Field(description="Name of the key, as the trust roots of a site call it.")
    value: str = Field(max_length=128, description="64 bytes in base64.")


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """A key whose signatures are believed.

    Attributes:
        name: As the signatures call it.
        public_key: Ed25519, 32 bytes.
    """

    name: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a site believes.

    Attributes:
        roots: Keys whose signatures are believed.
        allows_unsigned: A bundle that none of them signed is taken, too; a signature that is wrong never is.
    """

    roots: tuple[TrustRoot, ...] = ()
    allows_unsigned: bool = False

    def signer(self, folder: Path, manifest: bytes) -> str:
        """Return whose signature a bundle carries; "" where nobody signed whom we know, and that is allowed.

        Args:
            folder: Of the bundle.
            manifest: The exact bytes of its manifest.

        Raises:
            BundleRejectedError: The signature is not in order, or there is none and there must be one.
        """
        path = folder / SIGNATURE
        if not path.is_symlink() and not path.exists():
            return self._nobody(f"{folder}: is not signed")
        signature = _read(folder)
        root = next((root for root in self.roots if root.name == signature.key), None)
        if root is None:
            return self._nobody(f"{path}: is by the key {signature.key!r}, which this site does not know")
        try:
            Ed25519PublicKey.from_public_bytes(root.public_key).verify(_bytes(path, signature), manifest)
        except InvalidSignature as error:
            raise BundleRejectedError(
                f"{path}: is not that of the key {signature.key!r} over this manifest: "
                "either of the two was altered, or another key of that name made it"
            ) from error
        return root.name

    def _nobody(self, what: str) -> str:
        if self.allows_unsigned:
            return ""
        known = ", ".join(root.name for root in self.roots) or "nobody: bundles.trust is empty"
        raise BundleRejectedError(f"{what}; wanted a signature by {known}, or bundles.allow_unsigned")


ANYBODY: Final = Trust(allows_unsigned=True)  # for a person at a desk, who asks what a bundle would say


def make_key(private_file: Path, public_file: Path) -> str:
    """Make a pair of keys: PEM files, the private one for its owner only.

    Returns:
        The public key as short text.

    Raises:
        SecretError: One of the files is there already, or cannot be written.
    """
    for path in (private_file, public_file):
        if path.exists():
            raise SecretError(f"{path}: is there already; a key is never overwritten")
    private = Ed25519PrivateKey.generate()
    try:
        write_durably(
            private_file,
            private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            mode=0o600,
        )
        write_durably(
            public_file,
            private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        )
    except OSError as error:
        raise SecretError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return short_text(_raw(private.public_key()))


def sign(folder: Path, *, key_file: Path, key: str) -> None:
    """Write the signature of a bundle, over its manifest as it now is.

    Args:
        folder: Of the bundle.
        key_file: PEM of the private key.
        key: Its name, as sites call it.

    Raises:
        SecretError: The key cannot be read, others may read it, or it is none.
        BundleRejectedError: The manifest cannot be read, or the signature cannot be written.
    """
    private = private_key_of(key_file)
    manifest = read_bounded(folder, MANIFEST, bytes_max=MANIFEST_BYTES_MAX)
    try:
        SignatureFile(alg="ed25519", key=key, value="")
    except ValidationError as error:
        raise BundleRejectedError(
            f"{key!r}: is no name for a key; wanted letters, digits, '.', '-' and '_', 64 at most"
        ) from error
    value = base64.b64encode(private.sign(manifest)).decode()
    written = json.dumps({"alg": "ed25519", "key": key, "value": value}).encode() + b"\n"
    try:
        write_durably(folder / SIGNATURE, written)
    except OSError as error:
        raise BundleRejectedError(f"{folder / SIGNATURE}: cannot be written: {error.strerror}") from error


def public_key_of(text: str) -> bytes:
    """Return the 32 bytes of a public key.

    Args:
        text: `ed25519:` and base64, or PEM.

    Raises:
        ValueError: It is neither, or a key of another kind.
    """
    stripped = text.strip()
    if stripped.startswith(SHORT):
        try:
            raw = base64.b64decode(stripped.removeprefix(SHORT), validate=True)
        except binascii.Error as error:
            raise ValueError(f"is no base64 behind {SHORT!r}: {error}") from error
        if len(raw) != 32:
            raise ValueError(f"holds {len(raw)} bytes; wanted the 32 of an Ed25519 public key")
        return raw
    try:
        key = load_pem_public_key(stripped.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"is no public key; wanted {SHORT}BASE64, or PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("is no Ed25519 key")
    return _raw(key)


def short_text(public_key: bytes) -> str:
    """Return a public key as one line, for a configuration."""
    return SHORT + base64.b64encode(public_key).decode()


def private_key_of(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Args:
        path: PEM, for its owner only.

    Raises:
        SecretError: It cannot be read, others may read it, or it is no Ed25519 key.
    """
    try:
        with path.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(KEY_BYTES_MAX)
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}; wanted a private key") from error
    if mode & 0o077:
        raise SecretError(f"{path}: others may read it (mode {mode & 0o777:o}); wanted 600")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SecretError(f"{path}: is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretError(
            f"{path}: is no Ed25519 key; `edge fleet keygen` makes one for documents, "
            "`edge bundle keygen` for bundles"
        )
    return key


def trust_of(named: Sequence[tuple[str, Path]], *, allows_unsigned: bool) -> Trust:
    """Read public keys from files, each with the name it goes by.

    Raises:
        BundleRejectedError: A file cannot be read, or holds none.
    """
    roots = []
    for name, path in named:
        try:
            text = path.read_bytes()[:KEY_BYTES_MAX].decode()
            roots.append(TrustRoot(name, public_key_of(text)))
        except OSError as error:
            raise BundleRejectedError(f"{path}: {error.strerror}; wanted a public key") from error
        except ValueError as error:
            raise BundleRejectedError(f"{path}: {error}") from error
    return Trust(tuple(roots), allows_unsigned)


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _read(folder: Path) -> SignatureFile:
    path = folder / SIGNATURE
    content = read_bounded(folder, SIGNATURE, bytes_max=SIGNATURE_BYTES_MAX)
    try:
        return SignatureFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BundleRejectedError(
            f"{path}: {where}: {first['msg']}; wanted JSON with alg, key and value"
        ) from error


def _bytes(path: Path, signature: SignatureFile) -> bytes:
    try:
        value = base64.b64decode(signature.value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BundleRejectedError(f"{path}: value: no base64: {error}") from error
    if base64.b64encode(value).decode() != signature.value:  # bits at its end that mean nothing
        raise BundleRejectedError(f"{path}: value: is not as base64 writes it")
    return value
