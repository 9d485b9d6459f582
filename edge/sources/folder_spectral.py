"""What lies in a folder of cubes or spectra: measurements of one or several files, each taken as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from edge.domain.errors import FormatError
from edge.formats.spectral_files import MODALITIES, bring, recognise
from edge.sources.folder_files import Identity, UnfinishedError


class Measurements:
    """Hyperspectral cubes with what belongs to them, or single spectra."""

    def __init__(self, *, kind: Literal["cube", "spectrum"]) -> None:
        """Store what the folder is for."""
        self._kind: Literal["cube", "spectrum"] = kind

    def comes_with_another(self, path: Path) -> bool:
        """Whether a file is the binary of a header, or a reference, and so comes with its cube."""
        try:
            found = recognise(path, kind=self._kind)
        except FormatError:
            return False
        return found.lead != path or found.is_reference

    def lead(self, path: Path) -> Path:
        """Return the header of a binary."""
        try:
            return recognise(path, kind=self._kind).lead
        except FormatError:
            return path

    def identify(self, path: Path, *, is_patient: bool) -> Identity:
        """Say what a file stands for; see `Contents.identify`."""
        found = recognise(path, kind=self._kind)
        if found.lacking and is_patient:
            raise UnfinishedError(found.lacking)
        return Identity(found.kind, f".{found.kind}", modality=MODALITIES[found.kind], announced_instances=1)

    def copy_in(self, path: Path, target: Path, _identity: Identity) -> tuple[int, str]:
        """Copy a measurement into one file."""
        try:
            return bring(recognise(path, kind=self._kind), target)
        except FormatError as trouble:
            raise UnfinishedError(str(trouble)) from trouble

    def companions(self, path: Path) -> Sequence[Path]:
        """Return the binary of a header; references stay, for more cubes may need them."""
        try:
            return tuple(each for each in recognise(path, kind=self._kind).own_files if each != path)
        except FormatError:
            return ()
