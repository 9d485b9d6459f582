"""What the daemon last knew about itself, in a file beside its state: what `edge status` shows."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge import __version__
from edge.domain.health import StageHealth
from edge.domain.ports import Clock
from edge.kit.files import write_durably
from edge.kit.log import Log

FILE = "status.json"


class StatusFile:
    """Written whole and renamed into place, so that a reader never sees half of it."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        stages: Callable[[], Sequence[StageHealth]],
        others: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Store where to write and whom to ask.

        Args:
            folder: The state folder.
            clock: Of the machine.
            stages: The books of every stage.
            others: What else belongs in it, as JSON can hold it.
        """
        self._path = folder / FILE
        self._clock = clock
        self._stages = stages
        self._others = others
        self._log = Log("status")

    def write(self, *, stopped: bool = False) -> None:
        """Write what is known now; what fails (a full disk) is said, and written the next time.

        Args:
            stopped: This is the last word, at a stop in order.
        """
        written_at = datetime.datetime.fromtimestamp(self._clock.utc_ns() / 1e9, tz=datetime.UTC)
        document = {
            "written_at": written_at.isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "version": __version__,
            "stopped": stopped,
            "stages": [asdict(books) for books in self._stages()],
            **self._others(),
        }
        try:
            write_durably(self._path, json.dumps(document, indent=1).encode())
        except OSError as trouble:
            self._log.error("status not written", file=self._path, because=trouble)
