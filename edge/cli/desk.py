"""What `edge analyze` works with beside models: where it writes, to whom it talks, what it found out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from edge.cli.overlay import save
from edge.cli.rows import printable
from edge.domain.errors import StorageFullError
from edge.domain.finding import Finding, Verdict

_SAID_EVERY_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said about one series, recording or measurement.

    Attributes:
        name: How its files are called, and its row.
        findings: In their order.
        trouble: Why it is not whole, or "".
        is_damaged: Some of its bytes are not what they claim to be.
    """

    name: str
    findings: tuple[Finding, ...]
    trouble: str = ""
    is_damaged: bool = False

    @property
    def was_assessed(self) -> bool:
        """Whether anybody could look."""
        return was_assessed(self.findings)


def was_assessed(findings: tuple[Finding, ...]) -> bool:
    """Whether one of the findings is more than "not assessed"."""
    return any(finding.observation.verdict is not Verdict.NOT_ASSESSED for finding in findings)


class Desk:
    """Writes pictures where the operator wants them, and says how far the work is."""

    def __init__(self, *, out: Path | None, err: Console, show: Callable[[Text], None]) -> None:
        """Store what is needed.

        Args:
            out: Folder for what is written, or None.
            err: For people.
            show: Replaces the line that says how far we are.
        """
        self.out = out
        self._err = err
        self._show = show
        self._taken: set[str] = set()
        self._shown_s = 0.0

    def unique(self, name: str) -> str:
        """Return a name that nothing else has: this, or with a number."""
        wanted = printable(name).strip() or "input"
        tries = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(self._taken) + 2))
        free = next(one for one in tries if one not in self._taken)
        self._taken.add(free)
        return free

    def say(self, line: str) -> None:
        """Say something that stays."""
        self._err.print(printable(line), markup=False, soft_wrap=True)

    def progress(self, line: str) -> None:
        """Say how far we are, now and then."""
        now_s = time.monotonic()
        if now_s - self._shown_s >= _SAID_EVERY_S:
            self._shown_s = now_s
            self._show(Text(printable(line)))

    def place(self, name: str) -> Path:
        """Return where a file is to be written; the folder is made.

        Raises:
            StorageFullError: The folder cannot be made.
        """
        assert self.out is not None, "asked for with a folder only"
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as trouble:
            raise StorageFullError(f"{self.out}: cannot be written: {trouble.strerror}") from trouble
        return self.out / name

    def picture(self, name: str, page: NDArray[np.uint8]) -> None:
        """Write a picture.

        Raises:
            StorageFullError: It cannot be written.
        """
        path = self.place(f"{name}.png")
        save(page, path)
        self.written(path)

    def written(self, path: Path) -> None:
        """Say that a file was written."""
        self._err.print(f"written: {path}", markup=False, soft_wrap=True)
