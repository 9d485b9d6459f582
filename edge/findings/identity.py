"""Who a finding is about, without saying who: keyed hashes of UIDs that only this site can make again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from edge.domain.errors import SecretError
from edge.kit.files import write_durably

KEY_BYTES = 32
KEY_BYTES_MIN = 16
HEX_DIGITS = 32


class KeyedHash:
    """HMAC-SHA256, the first 128 bits as 32 hexadecimal digits; the same UID always gives the same hash."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Store the key.

        Raises:
            SecretError: It is shorter than 16 bytes.
        """
        if len(key) < KEY_BYTES_MIN:
            raise SecretError(f"identity key: {len(key)} bytes, wanted at least {KEY_BYTES_MIN}")
        self._key = key

    def subject(self, series_uid: str) -> str:
        """Return the hash of a series."""
        return self._hash("series", series_uid)

    def instance(self, sop_uid: str) -> str:
        """Return the hash of one object of a series."""
        return self._hash("instance", sop_uid)

    def study(self, study_uid: str) -> str:
        """Return the hash of a study; "" where there is none to speak of."""
        return self._hash("study", study_uid) if study_uid else ""

    def together(self, group: str) -> str:
        """Return the hash of what a pipeline looks at together: no other counts its revisions."""
        return self._hash("together", group)

    def _hash(self, kind: str, uid: str) -> str:
        return hmac.new(self._key, f"{kind}\0{uid}".encode(), hashlib.sha256).hexdigest()[:HEX_DIGITS]


def load_or_create_key(path: Path) -> bytes:
    """Read the device's own key; where there is none, make one that only its owner may read.

    Args:
        path: In the state folder, which exists.

    Raises:
        SecretError: Others may read it, or it is too short to be one.
    """
    if not path.exists():
        write_durably(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise SecretError(f"{path}: mode {mode:04o} lets others read it, wanted 0600")
    key = path.read_bytes()
    if len(key) < KEY_BYTES_MIN:
        raise SecretError(f"{path}: {len(key)} bytes, wanted at least {KEY_BYTES_MIN}")
    return key
