"""What the daemon has on disk, read without any of its own code."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pydicom

PREAMBLE_BYTES = 132


def data_set_of(path: Path) -> bytes:
    """Return the data set of a Part 10 file, byte for byte."""
    meta = pydicom.filereader.read_file_meta_info(path)
    group_length = int(meta.FileMetaInformationGroupLength)
    return path.read_bytes()[PREAMBLE_BYTES + 12 + group_length :]


def kept_files(state: Path) -> dict[str, list[Path]]:
    """Return every journaled file by the SOP Instance UID it was kept under."""
    with sqlite3.connect(f"file:{state / 'journal.db'}?mode=ro", uri=True) as rows:
        found = rows.execute("SELECT key, body FROM items WHERE queue = 'intake'").fetchall()
    rows.close()
    kept: dict[str, list[Path]] = {}
    for key, body in found:
        kept.setdefault(key, []).append(Path(json.loads(body)["path"]))
    return kept
