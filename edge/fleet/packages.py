"""Which folder of the store came out of which package; a record without which packages are fetched anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edge.domain.errors import StorageFullError
from edge.fleet.documents import BundleWanted
from edge.kit.files import write_durably

PACKAGES_MAX: Final = 256
RECORD_BYTES_MAX: Final = 1 << 20


class Packages:
    """The newest packages that were taken in; read each time, for it is small and seldom asked.

    Args:
        file: Where the record lies; its folder is made.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def folder_of(self, name: str, wanted: BundleWanted) -> str | None:
        """Return the name of the folder that came out of a package; None where nobody knows."""
        known = self._rows().get(_digits(wanted), {})
        return known["folder"] if known.get("name") == name else None

    def digest_of(self, name: str, folder: str | None) -> str:
        """Return `sha256:…` of the package that a folder came out of; "" where nobody knows."""
        wanted = {"name": name, "folder": folder}
        found = (digest for digest, known in self._rows().items() if known == wanted)
        return next((f"sha256:{digest}" for digest in found), "")

    def remember(self, wanted: BundleWanted, name: str, folder: str) -> None:
        """Note that a folder came out of a package.

        Raises:
            StorageFullError: It cannot be written.
        """
        rows = {digest: known for digest, known in self._rows().items() if digest != _digits(wanted)}
        rows[_digits(wanted)] = {"name": name, "folder": folder}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._file, json.dumps(dict(list(rows.items())[-PACKAGES_MAX:])).encode())
        except OSError as error:
            raise StorageFullError(f"{self._file}: cannot be written: {error.strerror}") from error

    def _rows(self) -> Mapping[str, dict[str, str]]:
        """Return name and folder by digest; of a file that is damaged, nothing."""
        try:
            read = json.loads(self._file.read_bytes()[:RECORD_BYTES_MAX])
        except (OSError, ValueError, RecursionError):
            return {}
        rows = read.items() if isinstance(read, dict) else ()
        return {digest: known for digest, known in rows if _is_row(known)}


def _digits(wanted: BundleWanted) -> str:
    return wanted.digest.removeprefix("sha256:")


def _is_row(known: object) -> bool:
    return (
        isinstance(known, dict)
        and known.keys() == {"name", "folder"}
        and all(isinstance(one, str) and one == Path(one).name for one in known.values())
    )
