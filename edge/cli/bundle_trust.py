"""`edge bundle keygen`, `sign`, `verify`, `seal`: who vouches for a bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import typer

from edge.bundles.package import unpack
from edge.bundles.seal import seal as write_hashes
from edge.bundles.signature import Trust, make_key
from edge.bundles.signature import sign as write_signature
from edge.bundles.store import MANIFEST, folder_of, load, read_manifest
from edge.domain.errors import BundleRejectedError, SecretError


def keygen(name: str, out: Path) -> int:
    """Make a pair of keys, and the folder for them; print what a site writes into its configuration.

    Raises:
        SecretError: One of the files is there already, or cannot be written.
    """
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SecretError(f"{out}: no folder can be made there: {error.strerror}") from error
    private, public = out / f"{name}.key", out / f"{name}.pub"
    short = make_key(private, public)
    typer.echo(f"written: {private} (keep it secret), {public}", err=True)
    typer.echo(f"bundles:\n  trust:\n    - name: {name}\n      public_key: {short}")
    return 0


def seal(folder: Path) -> int:
    """Write the hashes of all files into the manifest, and look at the whole.

    Raises:
        BundleRejectedError: A file is missing, or the bundle is not in order.
    """
    digest = write_hashes(folder / MANIFEST)
    read_manifest(folder)
    typer.echo(f"{folder}: digest {digest}")
    return 0


def sign(folder: Path, key_file: Path, name: str | None) -> int:
    """Sign a bundle whose files are in order.

    Raises:
        BundleRejectedError: The bundle is not in order.
        SecretError: The key cannot be used.
    """
    key = name or key_file.stem
    unsigned = Trust(allows_unsigned=True)  # an old signature is no hindrance, it is replaced
    bundle = load(folder, unsigned, name=read_manifest(folder)[1].name)
    write_signature(folder, key_file=key_file, key=key)
    typer.echo(f"{folder}: {bundle.manifest.name} {bundle.manifest.version}, signed by {key}")
    return 0


def verify(paths: Sequence[Path], trust: Trust) -> int:
    """Say for each bundle or package whether it is whole, and whose signature it carries.

    Returns:
        0 when all are signed by somebody who is believed, else 1.
    """
    refused = 0
    for path in paths:
        try:
            with tempfile.TemporaryDirectory(prefix="edge-verify-") as passing:
                folder = _folder(path, Path(passing))
                bundle = load(folder, trust, name=read_manifest(folder)[1].name)
        except BundleRejectedError as refusal:
            refused += 1
            said = str(refusal).replace(str(Path(passing)), str(path))
            typer.echo(f"{path}: refused: {said}")
        else:
            about = f"{bundle.manifest.name} {bundle.manifest.version}, digest {bundle.digest[:12]}"
            typer.echo(f"{path}: {about}, signed by {bundle.signed_by}")
    return 1 if refused else 0


def _folder(path: Path, passing: Path) -> Path:
    if path.is_dir():
        return folder_of(path)
    unpack(path, passing)
    return passing
