"""A recording in the place of a thermal camera: a sequence, or a folder of pictures, at its own pace."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge.domain.errors import FormatError, SourceLostError
from edge.domain.frame import Frame, Thermogram
from edge.domain.ports import Clock
from edge.domain.thermal import RawThermogram
from edge.formats.thermal_files import SUFFIXES, read
from edge.preprocess.thermal import thermogram
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources.live_books import LiveBooks


def thermograms(path: Path, site: SiteCalibration) -> Iterator[tuple[float | None, Thermogram]]:
    """Yield what a file of a thermal camera shows, one picture in memory at a time.

    Args:
        path: Any that `edge.formats.thermal_files` reads.
        site: What goes before what the file says.

    Yields:
        The recorder's time in seconds, of which only differences are meant, or None; and the degrees.

    Raises:
        FormatError: It is damaged, or no such file; pictures before the damage have come.
        UnsupportedError: Its form is not known, or nobody says what its counts mean.
    """
    for raw in read(path):
        yield raw.recorded_at_s, thermogram(raw, site)


class ThermalRecording:
    """Thermograms out of a file, or out of the files of a folder in the order of their names."""

    def __init__(
        self,
        name: str,
        *,
        path: Path,
        site: SiteCalibration,
        is_live: bool = True,
        loop: bool = False,
        frames_per_s: float = 9.0,
        gap_max_s: float = 1.0,
        clock: Clock,
        books: LiveBooks,
    ) -> None:
        """Store what the recording needs.

        Args:
            name: Of the source in the configuration.
            path: The file or folder.
            site: What goes before what the files say about the camera.
            is_live: Each frame comes when it is due; else as soon as it is asked for.
            loop: Whether it begins anew at its end.
            frames_per_s: Pace where the files have no times.
            gap_max_s: Longer pauses of the recording are shortened to this; below the time that whoever runs
                the source allows for a frame.
            clock: Time.
            books: Where losses are counted.
        """
        self.name = name
        self.books = books
        self._path = path
        self._site = site
        self._is_live = is_live
        self._loop = loop
        self._period_s = 1 / frames_per_s
        self._gap_max_s = gap_max_s
        self._clock = clock
        self._stopping = threading.Event()
        self._sequence = 0

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Play; each frame is captured when it is due, counted from the first.

        Raises:
            SourceLostError: It cannot be opened, holds no thermogram, or cannot be read any further.
        """
        self._files()
        with closing(self._played()) as playing:
            yield playing

    def interrupt(self) -> None:
        """End every wait, from another thread; the source gives nothing any more."""
        self._stopping.set()

    def _played(self) -> Generator[Frame, None, None]:
        due_ns = self._clock.monotonic_ns()
        while True:
            before = self._sequence
            for step_s, seen in self._paced():
                due_ns += round(step_s * 1e9)
                self._wait_until(due_ns)
                yield Frame(
                    source=self.name,
                    sequence=self._sequence,
                    captured_at_ns=due_ns if self._is_live else self._clock.monotonic_ns(),
                    timed_by="stream",
                    content=seen,
                )
            if self._sequence == before:
                raise SourceLostError(f"{self._path.name}: holds no thermogram")
            if not self._loop:
                return
            due_ns += round(self._period_s * 1e9)

    def _paced(self) -> Iterator[tuple[float, Thermogram]]:
        """Yield each thermogram with how long after the one before it was recorded."""
        before_s: float | None = None
        is_first = True
        for raw in self._read():
            is_timed = raw.recorded_at_s is not None and before_s is not None
            step_s = (raw.recorded_at_s or 0.0) - (before_s or 0.0) if is_timed else self._period_s
            step_s = min(step_s, self._gap_max_s) if step_s > 0 else self._period_s
            before_s = raw.recorded_at_s
            self._sequence += 1
            try:
                seen = thermogram(raw, self._site)
            except FormatError as trouble:
                raise SourceLostError(f"{self._path.name}: {trouble}") from trouble
            yield 0.0 if is_first else step_s, seen
            is_first = False

    def _read(self) -> Iterator[RawThermogram]:
        files = self._files()
        for path in files:
            try:
                yield from read(path)
            except FormatError as trouble:
                if len(files) == 1:
                    raise SourceLostError(str(trouble)) from trouble
                self._sequence += 1
                self.books.set_aside(f"file {files.index(path) + 1} of {len(files)}", reason=str(trouble))

    def _files(self) -> list[Path]:
        try:
            if not self._path.is_dir():
                self._path.open("rb").close()
                return [self._path]
            found = sorted(path for path in self._path.iterdir() if is_picture(path))
        except OSError as trouble:
            raise SourceLostError(f"{self._path}: cannot be read: {trouble.strerror}") from trouble
        if not found:
            raise SourceLostError(f"{self._path}: no file called {', '.join(SUFFIXES)}")
        return found

    def _wait_until(self, due_ns: int) -> None:
        wait_s = (due_ns - self._clock.monotonic_ns()) / 1e9 if self._is_live else 0.0
        if self._stopping.wait(max(wait_s, 0.0)):
            raise SourceLostError(f"{self._path.name}: we were told to stop")


def is_picture(path: Path) -> bool:
    """Whether a file is called as those of thermal cameras are."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
