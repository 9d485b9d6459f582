"""Addresses of packages: which of them may be followed, and how one is told without its secrets."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

SCHEMES: Final = ("https", "http", "file")


def trouble_with(url: str) -> str:
    """Return why nothing can be fetched from an address, "" where one may try."""
    if not url.isprintable() or " " in url or not url.isascii():
        return "wanted printable ASCII without blanks"
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        return f"is no address: {error}"
    if parts.scheme not in SCHEMES:
        return f"wanted one of {', '.join(SCHEMES)}"
    if parts.username is not None or parts.password is not None:
        return "names a user or a password; no secret may stand in a document"
    if parts.fragment:
        return "leads to a part of a document"
    if parts.scheme == "file":
        is_absolute = unquote(parts.path).startswith("/") and "\0" not in unquote(parts.path)
        is_here = is_absolute and parts.netloc in ("", "localhost") and not parts.query
        return "" if is_here else "wanted file:///PATH, on the device itself"
    return "" if has_host else "names no host"


def shown(url: str) -> str:
    """Return an address as it may be told: without user, password and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    told = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return "".join(one if one.isprintable() else "?" for one in told)[:300]
