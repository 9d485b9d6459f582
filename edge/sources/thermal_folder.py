"""A folder in which a thermal camera leaves pictures: TIFF, PNG, FFF or radiometric JPEG, the newest wins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.domain.errors import FormatError, SourceLostError
from edge.domain.frame import Frame
from edge.domain.ports import Clock
from edge.domain.thermal import RawThermogram
from edge.formats.thermal_files import read
from edge.preprocess.thermal import thermogram
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources.frame_files import Fingerprint, present
from edge.sources.live_books import LiveBooks
from edge.sources.thermal import is_picture

OVERTAKEN = "a newer file came"
_POLL_MAX_S = 0.1


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when it last changed, and when we first saw it so."""

    fingerprint: Fingerprint
    since_ns: int


class ThermalFolder:
    """Thermograms out of files as they appear; a file that is written anew is a new frame."""

    def __init__(
        self,
        name: str,
        *,
        path: Path,
        site: SiteCalibration,
        after: Literal["keep", "remove"] = "keep",
        takes_present: bool = False,
        settle_s: float = 0.2,
        silence_s: float = 30.0,
        clock: Clock,
        books: LiveBooks,
    ) -> None:
        """Store what the folder needs.

        Args:
            name: Of the source in the configuration.
            path: The folder.
            site: What goes before what the files say about the camera.
            after: What becomes of a file that was taken or overtaken.
            takes_present: Whether what lies there at opening counts too; else only what comes later.
            settle_s: A file that is not whole is given up when it has not changed for this long; a whole one
                is taken at once.
            silence_s: Time until the first frame, and between two.
            clock: Time.
            books: Where losses are counted.
        """
        self.name = name
        self.books = books
        self._path = path
        self._site = site
        self._after = after
        self._takes_present = takes_present
        self._settle_ns = settle_s * 1e9
        self._poll_s = min(_POLL_MAX_S, max(settle_s / 4, 0.005))
        self._silence_s = silence_s
        self._clock = clock
        self._stopping = threading.Event()
        self._sequence = 0
        self._through: dict[str, Fingerprint] = {}
        self._waiting: dict[str, _Seen] = {}

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Watch; the iterator gives the newest file that is whole.

        Raises:
            SourceLostError: The folder cannot be read, or nothing appears in it any more.
        """
        here = present(self._path, is_picture)
        if not self._takes_present and not self._through:
            self._through = here
        yield self._taken()

    def interrupt(self) -> None:
        """End every wait, from another thread; the source gives nothing any more."""
        self._stopping.set()

    def _taken(self) -> Iterator[Frame]:
        last_ns = self._clock.monotonic_ns()
        while True:
            frame = self._look()
            if frame is not None:
                last_ns = self._clock.monotonic_ns()
                yield frame
                continue
            if self._clock.monotonic_ns() - last_ns > self._silence_s * 1e9:
                raise SourceLostError(f"{self._path}: no new thermogram for {self._silence_s:g} s")
            if self._stopping.wait(self._poll_s):
                raise SourceLostError(f"{self._path}: we were told to stop")

    def _look(self) -> Frame | None:
        """Go through the folder once: the newest whole file is the frame, older ones are lost to it."""
        here = present(self._path, is_picture)
        self._through = {name: seen for name, seen in self._through.items() if name in here}
        now_ns = self._clock.monotonic_ns()
        new = [name for name in here if here[name] != self._through.get(name)]
        waiting = {name: self._waiting.get(name) for name in new}
        self._waiting = {
            name: seen if seen is not None and seen.fingerprint == here[name] else _Seen(here[name], now_ns)
            for name, seen in waiting.items()
        }
        newest_first = sorted(new, key=lambda name: (here[name].changed_ns, name), reverse=True)
        for place, name in enumerate(newest_first):
            raw = self._picture(name, now_ns)
            if raw is not None:
                frame = self._frame(name, raw, overtaken=newest_first[place + 1 :])
                if frame is not None:
                    return frame
        return None

    def _picture(self, name: str, now_ns: int) -> RawThermogram | None:
        """Return what a file holds; None while it is not whole, or where it never will be."""
        try:
            pictures = read(self._path / name)
            raw = next(pictures)
            if next(pictures, None) is not None:
                raise FormatError(f"{name}: a sequence, wanted one picture; play it as a recording")
        except FormatError as trouble:
            if now_ns - self._waiting[name].since_ns >= self._settle_ns:
                self._sequence += 1
                self.books.set_aside(f"frame {self._sequence}", reason=str(trouble))
                self._finish(name)
            return None
        return raw

    def _frame(self, name: str, raw: RawThermogram, *, overtaken: list[str]) -> Frame | None:
        for older in overtaken:
            self._sequence += 1
            self.books.lost(OVERTAKEN)
            self._finish(older)
        self._sequence += 1
        since_ns = self._waiting[name].since_ns
        self._finish(name)
        try:
            seen = thermogram(raw, self._site)
        except FormatError as trouble:
            self.books.set_aside(f"frame {self._sequence}", reason=str(trouble))
            return None
        return Frame(
            source=self.name,
            sequence=self._sequence,
            captured_at_ns=since_ns,
            timed_by="arrival",
            content=seen,
        )

    def _finish(self, name: str) -> None:
        """Be through with a file as we saw it."""
        self._through[name] = self._waiting.pop(name).fingerprint
        if self._after == "remove":
            try:
                (self._path / name).unlink(missing_ok=True)
            except OSError as trouble:
                self.books.remark("files", f"cannot be removed: {trouble.strerror}")
