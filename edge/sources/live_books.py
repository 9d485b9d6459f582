"""The books of one live source: what it captured, what it lost before anybody could look."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from edge.domain.health import StageHealth
from edge.domain.ports import Clock
from edge.kit.log import Log


class LiveBooks:
    """Where a source reports what does not come out of its iterator, safe to use from several threads.

    What is handed over is out of these books; the pipelines that look at it have their own.
    """

    def __init__(self, name: str, *, clock: Clock) -> None:
        """Open empty books.

        Args:
            name: Of the source in the configuration.
            clock: Time.
        """
        self.name = name
        self._clock = clock
        self._log = Log(name)
        self._lock = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._out = self._set_aside = 0
        self._remarks: dict[str, str] = {}
        self._claimed_fps: float | None = None
        self._last_move_ns = clock.monotonic_ns()

    def handed_over(self) -> None:
        """Count a frame that went to whoever looks at it."""
        with self._lock:
            self._out += 1
            self._last_move_ns = self._clock.monotonic_ns()

    def lost(self, reason: str, *, frames: int = 1) -> None:
        """Count frames that were captured and given up before they could be handed over."""
        with self._lock:
            self._dropped[reason] += frames

    def set_aside(self, item: str, *, reason: str) -> None:
        """Count a frame that came whole and could not be decoded or judged."""
        with self._lock:
            self._set_aside += 1
            is_new = self._remarks.get("set aside") != reason
            self._remarks["set aside"] = reason
        if is_new:
            self._log.warning("set aside", item=item, because=reason)

    def remark(self, about: str, text: str) -> None:
        """Say what a person should know about the stream; "" takes it back, the same again costs nothing."""
        with self._lock:
            if self._remarks.get(about, "") == text:
                return
            self._remarks[about] = text
        if text:
            self._log.warning("stream", about=about, seen=text)

    def claim(self, frames_per_s: float | None) -> None:
        """Note the frame rate that the stream says it has; None where it says none."""
        with self._lock:
            self._claimed_fps = frames_per_s

    @property
    def claimed_fps(self) -> float | None:
        """The frame rate the stream says it has."""
        with self._lock:
            return self._claimed_fps

    def note(self) -> str:
        """Return all remarks in one line."""
        with self._lock:
            return "; ".join(f"{about}: {text}" for about, text in self._remarks.items() if text)

    def losses(self) -> Mapping[str, int]:
        """Return the frames lost before they could be handed over, by reason."""
        with self._lock:
            return dict(self._dropped)

    def health(self) -> StageHealth:
        """Return the books as they stand; a frame is taken in when it is known what became of it."""
        note = self.note()
        with self._lock:
            return StageHealth(
                name=self.name,
                taken=self._out + self._set_aside + sum(self._dropped.values()),
                out=self._out,
                set_aside=self._set_aside,
                dropped=dict(self._dropped),
                held=0,
                oldest_ms=0.0,
                last_move_ns=self._last_move_ns,
                note=note,
            )
