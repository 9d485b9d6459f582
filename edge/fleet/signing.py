"""Signatures over documents: Ed25519 over the RFC 8785 form of a document without its signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from edge.bundles.signature import TrustRoot, private_key_of
from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import Signature
from edge.fleet.guard import check_tree
from edge.fleet.wording import refusal_of

SIGNATURE: Final = "signature"


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 form of a document without its signature: what is signed.

    Raises:
        DocumentRefusedError: It holds what has no such form; code `schema`, with the path.
    """
    check_tree(document)
    return rfc8785.dumps({key: value for key, value in document.items() if key != SIGNATURE})


def digest_of(tree: Mapping[str, Any]) -> str:
    """Return `sha256:…` of the RFC 8785 form of a tree, all of it.

    Raises:
        DocumentRefusedError: It holds what has no such form; code `schema`, with the path.
    """
    check_tree(tree)
    return "sha256:" + hashlib.sha256(rfc8785.dumps(dict(tree))).hexdigest()


class KeyRing:
    """The keys whose signatures on documents this device believes; several while keys are rotated.

    Args:
        roots: The keys, each with its name.
        site: Of the device: devices of two sites may have one name, and what was signed for the one says
            nothing to the other. "" takes the documents of all.
    """

    def __init__(self, roots: Sequence[TrustRoot], *, site: str = "") -> None:
        self._roots = {root.name: root.public_key for root in roots}
        self._site = site

    def check(self, document: Mapping[str, Any]) -> str:
        """Return the name of the key that signed a document.

        Raises:
            DocumentRefusedError: None of ours did, the document was altered since, or it was signed for
                another site; code `bad_signature`.
        """
        signature = _signature_of(document)
        public_key = self._roots.get(signature.key)
        if public_key is None:
            known = ", ".join(self._roots) or "none"
            raise _bad(
                f"is by the key {signature.key!r}, which this device does not know; known: {known}", "key"
            )
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(_value_of(signature), canonical(document))
        except InvalidSignature as error:
            raise _bad(
                f"is not that of the key {signature.key!r} over this document: "
                "either of the two was altered, or another key of that name made it",
                "value",
            ) from error
        site = document.get("site")
        if self._site and site is not None and site != self._site:
            told = f"site: is {str(site)[:64]!r}; this device is of the site {self._site!r}"
            raise DocumentRefusedError("bad_signature", told, path="site")
        return signature.key


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs documents with one key; the file is read whenever it signs, and nothing of it is kept.

    Attributes:
        name: Of the key, as the devices call it.
        private_file: PEM of the private key, for its owner only.
    """

    name: str
    private_file: Path

    def sign(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document with its signature, in place of any it had.

        Raises:
            SecretError: The key cannot be read, others may read it, or it is none.
            DocumentRefusedError: It holds what cannot be signed; code `schema`, with the path.
        """
        private = private_key_of(self.private_file)
        value = base64.b64encode(private.sign(canonical(document))).decode("ascii")
        signature = {"alg": "ed25519", "key": self.name, "value": value}
        return {**{key: value for key, value in document.items() if key != SIGNATURE}, SIGNATURE: signature}


def _signature_of(document: Mapping[str, Any]) -> Signature:
    given = document.get(SIGNATURE)
    if given is None:
        raise _bad("is missing; wanted alg, key and value")
    try:
        return Signature.model_validate(given)
    except ValidationError as errors:
        raise refusal_of(errors, Signature, code="bad_signature", under=(SIGNATURE,)) from errors


def _value_of(signature: Signature) -> bytes:
    try:
        value = base64.b64decode(signature.value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad(f"no base64: {error}", "value") from error
    if base64.b64encode(value).decode("ascii") != signature.value:  # bits at its end that mean nothing
        raise _bad("is not as base64 writes it", "value")
    return value


def _bad(what: str, step: str = "") -> DocumentRefusedError:
    path = f"{SIGNATURE}.{step}" if step else SIGNATURE
    return DocumentRefusedError("bad_signature", f"{path}: {what}", path=path)
