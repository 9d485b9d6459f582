"""A bundle as one file, `<name>-<version>.edgebundle`: a zip whose members are stored, not compressed.

Weights hardly shrink, and what is not compressed cannot grow: a package is as large as what it holds. The
same bundle makes the same bytes on every machine.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.bundles.signature import SIGNATURE
from edge.bundles.store import read_manifest
from edge.bundles.verify import FILE_BYTES_MAX, MANIFEST
from edge.domain.errors import BundleRejectedError, StorageFullError
from edge.kit.files import sync_folder

SUFFIX: Final = ".edgebundle"
PACKAGE_BYTES_MAX: Final = 4 << 30
FILES_MAX: Final = 256
NAME_BYTES_MAX: Final = 128
LEFT_OUT: Final = ("__pycache__",)
PIECE_BYTES: Final = 1 << 20
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a zip knows
ON_UNIX: Final = 3
ENCRYPTED: Final = 0x1

TROUBLE: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,  # and UnicodeDecodeError
    OverflowError,
    MemoryError,
)


def pack(folder: Path, out: Path) -> Path:
    """Write a bundle's files into one.

    Args:
        folder: The bundle; whether it is in order is not looked at.
        out: A folder, or the file itself.

    Returns:
        The file.

    Raises:
        BundleRejectedError: The manifest is not understood, or there is more than plain files.
        StorageFullError: The file cannot be written.
    """
    _, manifest = read_manifest(folder)
    path = out / f"{manifest.name}-{manifest.version}{SUFFIX}" if out.is_dir() else out
    members = _members_of(folder)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for member in members:
                    _add(archive, member)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageFullError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def unpack(package: Path, folder: Path) -> None:
    """Take a package apart; when it returns, the files are on the medium.

    Args:
        package: Made by `pack`, or by anybody.
        folder: Empty; what was written there before a refusal stays, for the caller to remove.

    Raises:
        BundleRejectedError: It is no package, or holds what none may hold; the message names the member.
        StorageFullError: There is no room.
    """
    try:
        with package.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_entries(entries, package, bytes_max=min(package.stat().st_size, PACKAGE_BYTES_MAX))
            for entry in entries:
                _extract(archive, entry, folder)
    except TROUBLE as error:
        raise BundleRejectedError(f"{package}: is no package: {error}") from error
    except OSError as error:
        if error.filename is not None and Path(error.filename) == package:
            raise BundleRejectedError(f"{package}: {error.strerror}") from error
        raise StorageFullError(f"{folder}: cannot be written: {error.strerror}") from error
    sync_folder(folder)


def _members_of(folder: Path) -> list[Path]:
    """The manifest, its signature, then all others by name."""
    first = {MANIFEST: 0, SIGNATURE: 1}
    found = [path for path in folder.iterdir() if path.name not in LEFT_OUT and path.name[0] != "."]
    for path in found:
        if path.is_symlink() or not path.is_file():
            raise BundleRejectedError(f"{path}: is no plain file; a bundle holds nothing else")
    if len(found) > FILES_MAX:
        raise BundleRejectedError(f"{folder}: holds {len(found)} files, at most {FILES_MAX} are allowed")
    return sorted(found, key=lambda path: (first.get(path.name, 2), path.name))


def _add(archive: zipfile.ZipFile, path: Path) -> None:
    entry = zipfile.ZipInfo(path.name, EPOCH)
    entry.create_system = ON_UNIX
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as target:
        while piece := source.read(PIECE_BYTES):
            target.write(piece)


def _check_entries(entries: list[zipfile.ZipInfo], package: Path, *, bytes_max: int) -> None:
    if len(entries) > FILES_MAX:
        raise BundleRejectedError(f"{package}: holds {len(entries)} files, at most {FILES_MAX} are allowed")
    ahead = min((entry.header_offset for entry in entries), default=0)
    if ahead:  # the end of a package that was cut off may be that of an archive within it
        raise BundleRejectedError(
            f"{package}: {ahead} bytes stand before its first file: cut off, or no package"
        )
    seen: set[str] = set()
    for entry in entries:
        wrong = next(_wrong_with(entry, seen), "")
        if wrong:
            raise BundleRejectedError(f"{package}: {entry.filename[:NAME_BYTES_MAX]!r}: {wrong}")
        seen.add(entry.filename.casefold())
    if MANIFEST not in seen:
        raise BundleRejectedError(f"{package}: holds no {MANIFEST}")
    total = sum(entry.file_size for entry in entries)
    if total > bytes_max:  # members that lie over each other, or a package that is too large
        raise BundleRejectedError(
            f"{package}: says it holds {total} bytes, at most {bytes_max} are allowed in a file of its size"
        )


def _wrong_with(entry: zipfile.ZipInfo, seen: set[str]) -> Iterator[str]:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    if not name or name != Path(name).name or name.startswith(".") or set(name) & set("\\:\0"):
        yield "leads out of the bundle's folder; wanted the plain name of a file"
    if len(name.encode(errors="replace")) > NAME_BYTES_MAX or not name.isprintable():
        yield f"wanted a name of at most {NAME_BYTES_MAX} printable bytes"
    if name.casefold() in seen:
        yield "is there twice"
    if kind not in (0, stat.S_IFREG):
        yield "is a link, a device or a folder; wanted a plain file"
    if entry.flag_bits & ENCRYPTED:
        yield "is encrypted"
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        yield (
            f"is compressed, {entry.compress_size} bytes that stand for {entry.file_size}; "
            "wanted it stored, as `edge bundle pack` does"
        )
    if entry.file_size > FILE_BYTES_MAX:
        yield f"has {entry.file_size} bytes, at most {FILE_BYTES_MAX} are allowed"


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Write one file; its checksum is checked by reading it to the end."""
    path = folder / entry.filename
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as target, archive.open(entry) as source:
        while piece := source.read(PIECE_BYTES):
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
