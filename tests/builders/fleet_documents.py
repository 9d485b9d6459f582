"""Documents of a fleet, and keys to sign them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.bundles.signature import TrustRoot, make_key, public_key_of
from edge.fleet.signing import Signer

UNSIGNED = {"alg": "ed25519", "key": "nobody", "value": ""}


def desired(*, version: int = 1, device: str = "or-3", **others: Any) -> dict[str, Any]:
    """Return the document of a device, unsigned."""
    return {
        "schema": "edge.desired/1",
        "device": device,
        "version": version,
        "base": version - 1,
        "issued": "2026-11-22T14:00:00Z",
        "config": {},
        "signature": UNSIGNED,
        **others,
    }


def layer(*, group: str = "boxes", version: int = 1, priority: int = 10, **others: Any) -> dict[str, Any]:
    """Return the document of a group, unsigned."""
    document = desired(version=version, **others)
    del document["device"]
    return {**document, "schema": "edge.group/1", "group": group, "priority": priority}


def bundle(name: str = "a", *, version: str = "1.0.0") -> dict[str, Any]:
    """Return a bundle by reference."""
    return {
        "version": version,
        "digest": "sha256:" + name[0] * 64,
        "url": f"https://packages.example/{name}-{version}.edgebundle",
        "size_bytes": 1000,
    }


def new_key(folder: Path, name: str = "fleet-2026") -> tuple[Signer, TrustRoot]:
    """Make a key; return who signs with it, and what a device knows of it."""
    public = make_key(folder / f"{name}.key", folder / f"{name}.pub")
    return Signer(name, folder / f"{name}.key"), TrustRoot(name, public_key_of(public))
