"""An ONNX file with a manifest beside it becomes a bundle: copied together, its hashes filled in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import yaml

from edge.bundles.edits import places
from edge.bundles.seal import hash_of, with_hashes
from edge.bundles.verify import MANIFEST
from edge.domain.errors import BundleRejectedError, StorageFullError
from edge.kit.files import write_durably
from edge.workshop.picture_text import UNSEALED
from edge.workshop.scaffold import CARD, NAME, Written


def import_plain(path: Path, *, name: str | None, into: Path) -> Written:
    """Copy a network, its manifest and every file that names, and write their hashes.

    A golden file that is not there yet is left to `edge bundle golden`.

    Args:
        path: The ONNX file, or the folder that holds it.
        name: Of the bundle; None: as the manifest says.
        into: Folder that will hold it.

    Raises:
        BundleRejectedError: There is no manifest, it does not name the file, or names what is not there.
        StorageFullError: It cannot be written.
    """
    folder = path if path.is_dir() else path.parent
    text = _text(folder)
    document = yaml.safe_load(text)
    named = sorted(set(_named(document)))
    variants = [file for file in named if file.endswith(".onnx")]
    if path.is_file() and path.name not in variants:
        raise BundleRejectedError(
            f"{folder / MANIFEST}: names {', '.join(variants) or 'no network'}, wanted {path.name}"
        )
    own = str(document.get("name", ""))
    if not NAME.fullmatch(name or own):
        raise BundleRejectedError(f"name: seen {name or own!r}, wanted small letters, digits and hyphens")
    golden = document.get("golden")
    later = {golden["file"]} if isinstance(golden, dict) and "file" in golden else set()
    missing = [file for file in named if not (folder / file).is_file() and file not in later]
    if missing:
        raise BundleRejectedError(f"{folder}: {', '.join(missing)} is not there, {MANIFEST} names it")
    sealed = with_hashes(
        text,
        lambda file: hash_of(folder / file) if (folder / file).is_file() else f'"{UNSEALED}"',
        origin=str(folder / MANIFEST),
    )
    if name and name != own:
        sealed = sealed.replace(f"name: {own}", f"name: {name}", 1)
    _copy(folder, into / (name or own), [*named, CARD, *_scripts(document)], sealed)
    return Written(into / (name or own), tuple(places(yaml.safe_load(sealed))))


def _text(folder: Path) -> str:
    path = folder / MANIFEST
    try:
        text = path.read_bytes().decode()
        document = yaml.safe_load(text)
    except FileNotFoundError as error:
        raise BundleRejectedError(
            f"{path}: is not there; `edge bundle new MODEL.onnx` writes one, with all that the network tells"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BundleRejectedError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise BundleRejectedError(f"{path}: holds no mapping")
    return text


def _named(document: Any) -> Iterator[str]:
    """Yield every file that a manifest names, at whatever place.

    Raises:
        BundleRejectedError: A name leads out of the folder.
    """
    if isinstance(document, dict):
        file = document.get("file")
        if isinstance(file, str):
            if PurePath(file).name != file or file.startswith("."):
                raise BundleRejectedError(f"{MANIFEST}: {file!r} is no file of the bundle's own folder")
            yield file
        for value in document.values():
            yield from _named(value)
    elif isinstance(document, list):
        for value in document:
            yield from _named(value)


def _scripts(document: dict[str, Any]) -> list[str]:
    provenance = document.get("provenance")
    script = provenance.get("script") if isinstance(provenance, dict) else None
    return [script] if isinstance(script, str) and PurePath(script).name == script else []


def _copy(source: Path, folder: Path, files: list[str], text: str) -> None:
    if folder.exists():
        raise BundleRejectedError(f"{folder}: is there already; take it away, or choose another name")
    try:
        folder.mkdir(parents=True)
        for file in files:
            if (source / file).is_file():
                shutil.copyfile(source / file, folder / file)
        write_durably(folder / MANIFEST, text.encode())
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StorageFullError(f"{folder}: {error.strerror}") from error
