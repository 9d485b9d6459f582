"""Which cameras see the inside of a patient, or did a while ago: nothing is changed under a running case."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edge.domain.finding import Verdict
from edge.domain.frame import Frame
from edge.domain.ports import Clock
from edge.kit.files import write_durably
from edge.kit.log import Log
from edge.pipelines.looked import Looked

FILE: Final = "inside.json"


class Inside:
    """When each camera saw the inside last; it outlives a restart.

    The pipeline that has a gate says so: its verdict about the whole picture is PRESENT. Whether pictures may
    leave is another question, and asks for more (`findings/gate.py`).

    Args:
        state_folder: Where it is remembered.
        clock: The wall clock, for it must outlive a restart; one that went back makes a case last longer.
    """

    def __init__(self, state_folder: Path, *, clock: Clock) -> None:
        self._path = state_folder / FILE
        self._clock = clock
        self._log = Log("inside")
        self._lock = threading.Lock()
        self._seen_utc_ns: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def recall(self) -> None:
        """Take up what an earlier run saw; what cannot be read is forgotten, and said."""
        if not self._path.exists():
            return
        try:
            read = json.loads(self._path.read_bytes())
            self._seen_utc_ns = {str(source): int(seen) for source, seen in read.items()}
        except (OSError, ValueError, AttributeError, TypeError) as trouble:
            self._log.error("when cameras were inside is forgotten", file=self._path, because=trouble)

    def seen(self, source: str) -> None:
        """Note that a camera sees the inside now."""
        with self._lock:
            self._seen_utc_ns[source] = self._clock.utc_ns()

    def ago_s(self) -> Mapping[str, float]:
        """Return for each camera that ever saw the inside how long ago that was, in s, at least 0."""
        now_ns = self._clock.utc_ns()
        with self._lock:
            return {name: max(0.0, (now_ns - seen) / 1e9) for name, seen in self._seen_utc_ns.items()}

    def write_down(self) -> None:
        """Remember it across a restart; waits for the disk. What fails is tried again next time."""
        with self._lock:
            known = dict(self._seen_utc_ns)
        if known == self._written:
            return
        try:
            write_durably(self._path, json.dumps(known).encode())
            self._written = known
        except OSError as trouble:
            self._log.error("when cameras were inside is not written", file=self._path, because=trouble)


class InsideWatch:
    """An onlooker of the pipeline that guards a camera."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def assessed(self, frame: Frame, looked: Looked) -> None:
        """Note it where the whole picture is judged to be inside."""
        if any(one.verdict is Verdict.PRESENT and one.box_px is None for one in looked.observations):
            self._inside.seen(frame.source)

    def missed(self, reason: str) -> None:
        """What was not assessed says nothing; what was seen before counts on."""
