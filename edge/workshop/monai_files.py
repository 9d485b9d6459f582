"""A MONAI bundle on disk, a folder or a zip: its two documents, its licence and its ONNX file."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from edge.domain.errors import BundleRejectedError

METADATA: Final = "metadata.json"
INFERENCE: Final = ("inference.json", "inference.yaml", "inference.yml")
DOCUMENT_BYTES_MAX: Final = 4_000_000
UNPACKED_BYTES_MAX: Final = 4_000_000_000
MEMBERS_MAX: Final = 2000
EXPORT: Final = (
    "python -m monai.bundle onnx_export network_def --filepath models/model.onnx "
    "--ckpt_file models/model.pt --meta_file configs/metadata.json --config_file {config}"
)
LICENCES: Final = {
    r"Apache License\s+Version 2\.0": "Apache-2.0",
    r"\bMIT License\b": "MIT",
    r"BSD 3-Clause": "BSD-3-Clause",
    r"Attribution-NonCommercial-ShareAlike 4\.0": "CC-BY-NC-SA-4.0",
}


@dataclass(frozen=True, slots=True)
class MonaiFiles:
    """What a MONAI bundle holds.

    Attributes:
        name: Of its folder.
        network: Its ONNX file.
        metadata: `metadata.json`.
        inference: `inference.json` or `.yaml`; {} where there is none.
        licence: SPDX identifier that its licence file seems to be, or "".
    """

    name: str
    network: Path
    metadata: Mapping[str, Any]
    inference: Mapping[str, Any]
    licence: str


def is_monai(path: Path) -> bool:
    """Whether a path is a MONAI bundle, or a zip that may be one."""
    return path.suffix == ".zip" or _found(path, METADATA) is not None


@contextmanager
def opened(path: Path) -> Iterator[MonaiFiles]:
    """Read a MONAI bundle; what a zip holds lies in a passing folder as long as the `with` lasts.

    Raises:
        BundleRejectedError: It is none, is too large, leads out of its folder, or has no ONNX file.
    """
    if path.is_dir():
        yield _read(path, name=path.resolve().name)
        return
    with TemporaryDirectory(prefix="edge-") as place:
        folder = _unpacked(path, Path(place))
        yield _read(folder, name=folder.name if folder != Path(place) else path.stem)


def _read(folder: Path, *, name: str) -> MonaiFiles:
    place = _found(folder, METADATA)
    if place is None:
        raise BundleRejectedError(f"{folder}: no configs/{METADATA}, wanted a MONAI bundle")
    config = next((found for file in INFERENCE if (found := _found(folder, file))), None)
    return MonaiFiles(
        name=name,
        network=_network(folder, config),
        metadata=_document(place),
        inference=_document(config) if config else {},
        licence=_licence(folder),
    )


def _found(folder: Path, file: str) -> Path | None:
    places = (folder / "configs" / file, folder / file)
    return next((place for place in places if place.is_file()), None)


def _document(path: Path) -> Mapping[str, Any]:
    """Read a document; nothing in it is run."""
    if path.stat().st_size > DOCUMENT_BYTES_MAX:
        raise BundleRejectedError(f"{path}: larger than {DOCUMENT_BYTES_MAX} bytes")
    try:
        text = path.read_text("utf-8-sig")
        read = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise BundleRejectedError(f"{path}: cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise BundleRejectedError(f"{path}: holds no mapping")
    return read


def _network(folder: Path, config: Path | None) -> Path:
    """Return the ONNX file.

    Raises:
        BundleRejectedError: There is none, with how to make one; or several, none of which is `model.onnx`.
    """
    usual = folder / "models" / "model.onnx"
    found = [usual] if usual.is_file() else sorted(folder.glob("**/*.onnx"))
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(str(one.relative_to(folder)) for one in found)
        raise BundleRejectedError(
            f"{folder}: {len(found)} networks ({listed}), wanted one: models/model.onnx"
        )
    weights = sorted(one.name for one in folder.glob("**/*") if one.suffix in (".pt", ".ts", ".pth"))
    held = f"holds {', '.join(weights)} and no ONNX file" if weights else "holds no network"
    command = EXPORT.format(config=f"configs/{config.name if config else 'inference.json'}")
    raise BundleRejectedError(
        f"{folder}: {held}. Weights of PyTorch are programs and are not read here; where MONAI is installed, "
        f"export it in the bundle's folder: {command}"
    )


def _licence(folder: Path) -> str:
    for file in sorted(folder.glob("LICENSE*")) + sorted(folder.glob("docs/[lL][iI][cC][eE][nN][sS][eE]*")):
        with file.open("rb") as opened_file:
            text = opened_file.read(4000).decode(errors="ignore")
        for words, name in LICENCES.items():
            if re.search(words, text):
                return name
    return ""


def _unpacked(path: Path, into: Path) -> Path:
    """Unpack a zip, watching its size; return the folder in it that is the bundle.

    Raises:
        BundleRejectedError: It is no zip, or holds what no bundle does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if len(entries) > MEMBERS_MAX or total > UNPACKED_BYTES_MAX:
                raise BundleRejectedError(
                    f"{path}: {len(entries)} files of {total} bytes, at most {MEMBERS_MAX} of "
                    f"{UNPACKED_BYTES_MAX} are taken"
                )
            for entry in entries:
                if _leaves(entry.filename):
                    raise BundleRejectedError(f"{path}: {entry.filename!r} leads out of the bundle")
                archive.extract(entry, into)  # never writes more than the size it was announced with
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise BundleRejectedError(f"{path}: cannot be unpacked: {error}") from error
    folders = [into, *(one for one in sorted(into.iterdir()) if one.is_dir())]
    return next((one for one in folders if _found(one, METADATA)), into)


def _leaves(name: str) -> bool:
    place = PurePosixPath(name)
    return place.is_absolute() or ".." in place.parts or "\\" in name
