"""Bundles on disk: found by name, read, and checked before anybody uses them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.bundles.manifest import Manifest, parse
from edge.bundles.parts import Variant
from edge.bundles.verify import read_verified
from edge.domain.errors import BundleRejectedError

MANIFEST = "manifest.yaml"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files all hold what its manifest says.

    Attributes:
        path: Its folder.
        manifest: What it says about itself.
        digest: SHA-256 of the manifest, which holds the hashes of the rest; hex.
    """

    path: Path
    manifest: Manifest
    digest: str

    def network(self, variant: Variant) -> bytes:
        """Return the bytes of one ONNX file, checked again at this moment."""
        return read_verified(self.path, variant.file, sha256=variant.sha256)

    def golden(self) -> bytes:
        """Return the bytes of the golden npz, checked again at this moment."""
        return read_verified(self.path, self.manifest.golden.file, sha256=self.manifest.golden.sha256)


def find(name: str, roots: Sequence[Path]) -> Bundle:
    """Find a bundle by name: the first of `roots` that holds a folder of that name wins.

    Raises:
        BundleRejectedError: There is none, or it is not what it claims to be.
    """
    for root in roots:
        if (root / name / MANIFEST).is_file():
            return load(root / name)
    raise BundleRejectedError(f"{name}: no {MANIFEST} in {', '.join(str(root / name) for root in roots)}")


def load(folder: Path) -> Bundle:
    """Read a bundle and check every file its manifest names.

    Raises:
        BundleRejectedError: Something is missing, altered or not understood.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleRejectedError(f"{folder / MANIFEST}: {error.strerror}") from error
    try:
        manifest = parse(text.decode(), origin=str(folder / MANIFEST))
    except UnicodeDecodeError as error:
        raise BundleRejectedError(f"{folder / MANIFEST}: not UTF-8 text") from error
    if manifest.name != folder.name:
        raise BundleRejectedError(f"{folder}: the manifest's name is {manifest.name!r}, wanted the folder's")
    bundle = Bundle(folder, manifest, hashlib.sha256(text).hexdigest())
    bundle.golden()
    for variant in manifest.variants:
        bundle.network(variant)
    return bundle
