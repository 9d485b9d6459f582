"""Bundles on disk: found by name, read, and checked before anybody uses them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.bundles.graph import read_network
from edge.bundles.hashed import hashed_files
from edge.bundles.manifest import Manifest, parse
from edge.bundles.parts import Variant
from edge.bundles.shapes import check_fits
from edge.bundles.signature import ANYBODY, Trust
from edge.bundles.verify import MANIFEST as MANIFEST
from edge.bundles.verify import MANIFEST_BYTES_MAX, read_bounded, read_verified
from edge.domain.errors import BundleRejectedError

ACTIVE: Final = "active"  # in a store, under a bundle's name: a link to the version that is in use


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files all hold what its manifest says.

    Attributes:
        path: Its folder; in a store that of its version, whatever becomes active later.
        manifest: What it says about itself.
        digest: SHA-256 of the manifest, which holds the hashes of the rest; hex.
        signed_by: Name of the trust root whose signature it carries; "" where it is unsigned.
    """

    path: Path
    manifest: Manifest
    digest: str
    signed_by: str = ""

    def network(self, variant: Variant) -> bytes:
        """Return the bytes of one ONNX file, checked again at this moment."""
        return read_verified(self.path, variant.file, sha256=variant.sha256)

    def golden(self) -> bytes:
        """Return the bytes of the golden npz, checked again at this moment."""
        return read_verified(self.path, self.manifest.golden.file, sha256=self.manifest.golden.sha256)


def find(name: str, roots: Sequence[Path], trust: Trust = ANYBODY) -> Bundle:
    """Find a bundle by name: the first of `roots` that holds a folder of that name wins.

    Args:
        name: Of the bundle.
        roots: Folders of bundles, and stores, in which the active version counts.
        trust: Whom the site believes.

    Raises:
        BundleRejectedError: There is none, or it is not what it claims to be.
    """
    for root in roots:
        if is_there(root / name):
            return load(folder_of(root / name), trust, name=name)
    raise BundleRejectedError(f"{name}: no {MANIFEST} in {', '.join(str(root / name) for root in roots)}")


def names(roots: Sequence[Path]) -> list[str]:
    """Return the names of all bundles that are there, whatever they are worth."""
    return sorted({folder.name for root in roots for folder in _folders(root) if is_there(folder)})


def is_there(folder: Path) -> bool:
    """Return whether a folder is a bundle, or a bundle's place in a store with an active version."""
    try:
        return (folder / MANIFEST).is_file() or (folder / ACTIVE).is_symlink()
    except OSError:  # a folder that is not ours to read: for us it holds nothing
        return False


def folder_of(folder: Path) -> Path:
    """Return where the files of a bundle lie, given its folder or its place in a store."""
    if (folder / MANIFEST).is_file() or not (folder / ACTIVE).is_symlink():
        return folder
    return folder / (folder / ACTIVE).readlink().name


def load(folder: Path, trust: Trust = ANYBODY, *, name: str | None = None) -> Bundle:
    """Read a bundle: check its signature and every file its manifest names.

    Args:
        folder: Where its files lie.
        trust: Whom the site believes.
        name: That the manifest must give; left out: that of the folder.

    Raises:
        BundleRejectedError: Something is missing, altered, harmful, not signed as wanted, or not understood.
    """
    wanted = folder.name if name is None else name
    text, manifest = read_manifest(folder)
    signed_by = trust.signer(folder, text)
    if manifest.name != wanted:
        where = "the folder's" if name is None else repr(name)
        raise BundleRejectedError(f"{folder}: the manifest's name is {manifest.name!r}, wanted {where}")
    bundle = Bundle(folder, manifest, hashlib.sha256(text).hexdigest(), signed_by)
    networks = {variant.file for variant in manifest.variants}
    for file, sha256 in hashed_files(manifest):
        content = read_verified(folder, file, sha256=sha256)
        if file in networks:
            check_fits(read_network(content, origin=str(folder / file)), manifest, origin=str(folder / file))
    return bundle


def read_manifest(folder: Path) -> tuple[bytes, Manifest]:
    """Return the exact bytes of a manifest, and what they say; nothing else of the bundle is looked at.

    Raises:
        BundleRejectedError: It cannot be read, or is not understood.
    """
    try:
        text = read_bounded(folder, MANIFEST, bytes_max=MANIFEST_BYTES_MAX)
        return text, parse(text.decode(), origin=str(folder / MANIFEST))
    except UnicodeDecodeError as error:
        raise BundleRejectedError(f"{folder / MANIFEST}: not UTF-8 text") from error


def _folders(root: Path) -> Iterator[Path]:
    try:
        return iter(sorted(root.glob("[!.]*")))
    except OSError:
        return iter(())
