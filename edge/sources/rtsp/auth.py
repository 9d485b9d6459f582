"""Who we are, as an RTSP server asks for it: Digest (RFC 7616, MD5 or SHA-256) before Basic (RFC 7617)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.domain.errors import UnsupportedError

_PART = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_STRONGEST = ("SHA-256", "MD5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of the camera; its password never appears in a message."""

    username: str
    password: str = field(repr=False)


class Challenge:
    """What a server asked for with its 401; answers each of our requests."""

    def __init__(self, offered: str, *, basic_is_allowed: bool) -> None:
        """Choose the strongest kind of those offered.

        Args:
            offered: The `WWW-Authenticate` headers, one a line.
            basic_is_allowed: Whether the password itself may go to this server.

        Raises:
            UnsupportedError: None of them is a kind we have.
        """
        kinds = [_read(line) for line in offered.split("\n")]
        digests = {parts.get("algorithm", "MD5").upper(): parts for kind, parts in kinds if kind == "digest"}
        self._uses = 0
        self.is_stale = any(parts.get("stale", "").lower() == "true" for _, parts in kinds)
        self._algorithm = next((name for name in _STRONGEST if _usable(digests.get(name))), "")
        self._parts: Mapping[str, str] = digests.get(self._algorithm, {})
        self.kind = f"Digest {self._algorithm}" if self._algorithm else "Basic"
        if not self._algorithm and not (basic_is_allowed and any(kind == "basic" for kind, _ in kinds)):
            names = ", ".join(f"{kind} {parts.get('algorithm', '')}".strip() for kind, parts in kinds)
            allowed = (
                " or Basic" if basic_is_allowed else "; Basic is not given to a server we were redirected to"
            )
            raise UnsupportedError(f"it wants {names[:120]!r}; we have Digest with MD5 or SHA-256{allowed}")

    def answer(self, account: Account, *, method: str, uri: str) -> str:
        """Return the `Authorization` header for a request."""
        if not self._algorithm:
            pair = f"{account.username}:{account.password}".encode()
            return "Basic " + base64.b64encode(pair).decode()
        self._uses += 1
        realm, nonce = self._parts.get("realm", ""), self._parts["nonce"]
        secret = self._hash(f"{account.username}:{realm}:{account.password}")
        request = self._hash(f"{method}:{uri}")
        said = {"username": account.username, "realm": realm, "nonce": nonce, "uri": uri}
        bare = {"algorithm": self._algorithm} if "algorithm" in self._parts else {}
        if "qop" in self._parts:
            count, ours = f"{self._uses:08x}", secrets.token_hex(8)
            said |= {
                "response": self._hash(f"{secret}:{nonce}:{count}:{ours}:auth:{request}"),
                "cnonce": ours,
            }
            bare |= {"qop": "auth", "nc": count}
        else:
            said["response"] = self._hash(f"{secret}:{nonce}:{request}")
        if "opaque" in self._parts:
            said["opaque"] = self._parts["opaque"]
        quoted = [f'{name}="{value}"' for name, value in said.items()]
        return "Digest " + ", ".join(quoted + [f"{name}={value}" for name, value in bare.items()])

    def _hash(self, text: str) -> str:
        return hashlib.new(_HASHES[self._algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _usable(parts: Mapping[str, str] | None) -> bool:
    if parts is None or "nonce" not in parts:
        return False
    offered = [one.strip() for one in parts.get("qop", "auth").split(",")]
    return "auth" in offered


def _read(line: str) -> tuple[str, dict[str, str]]:
    kind, _, rest = line.strip().partition(" ")
    parts = {name.lower(): quoted or bare for name, quoted, bare in _PART.findall(rest)}
    return kind.lower(), parts
