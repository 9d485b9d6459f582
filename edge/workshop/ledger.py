"""What was measured so far, on disk: whoever is killed goes on where he was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from edge.domain.errors import StorageFullError
from edge.kit.files import write_durably


class Ledger:
    """Results by key, each in a file of its own; what is half written counts as not measured.

    Args:
        folder: Of one question: another network or other samples have another folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFullError(f"{folder}: {error.strerror}") from error

    def recall(self, key: str) -> Any:
        """Return what was written under a key, or None."""
        try:
            return json.loads(self._path(key).read_text())["result"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, key: str, result: object) -> None:
        """Keep a result.

        Raises:
            StorageFullError: It cannot be written.
        """
        try:
            write_durably(self._path(key), json.dumps({"key": key, "result": result}).encode())
        except OSError as error:
            raise StorageFullError(f"{self.folder}: {error.strerror}") from error

    def forget(self) -> None:
        """Start anew."""
        for path in self.folder.glob("*.json"):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
