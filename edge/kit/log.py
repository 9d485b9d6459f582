"""One event, one line, key=value.

INFO: a thing an operator asked for happened. WARNING: we coped, nothing is lost. ERROR: someone must act.
"""

from __future__ import annotations

import logging
import sys
from collections import deque

from edge.kit.moments import told


class Log:
    """A named log whose lines are an event and its fields: `log.info("series closed", instances=212)`."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"edge.{name}")

    def debug(self, event: str, **fields: object) -> None:
        """Say what only a developer asks for."""
        self._logger.debug("%s", _Line(event, fields))

    def info(self, event: str, **fields: object) -> None:
        """Say that a thing an operator asked for happened."""
        self._logger.info("%s", _Line(event, fields))

    def warning(self, event: str, **fields: object) -> None:
        """Say that we coped and nothing is lost."""
        self._logger.warning("%s", _Line(event, fields))

    def error(self, event: str, **fields: object) -> None:
        """Say that someone must act."""
        self._logger.error("%s", _Line(event, fields))


class _Line:
    """Formats itself only when a handler wants it."""

    __slots__ = ("_event", "_fields")

    def __init__(self, event: str, fields: dict[str, object]) -> None:
        self._event = event
        self._fields = fields

    def __str__(self) -> str:
        return " ".join([self._event, *(f"{key}={_quoted(value)}" for key, value in self._fields.items())])


def _quoted(value: object) -> str:
    text = str(value)
    plain = bool(text) and not any(character.isspace() or character in '"=' for character in text)
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class RecentLines(logging.Handler):
    """The newest lines, in memory, for whoever cannot reach the journal of the box; from any thread.

    Args:
        lines_max: How many it holds; the oldest goes.
        characters_max: Of a line; the rest of a longer one is left out.
    """

    def __init__(self, *, lines_max: int = 2000, characters_max: int = 500) -> None:
        super().__init__()
        self._lines: deque[tuple[int, str]] = deque(maxlen=lines_max)
        self._characters_max = characters_max

    def emit(self, record: logging.LogRecord) -> None:
        """Hold a line; called by `logging`, which holds the lock of the handler meanwhile."""
        at = told(round(record.created * 1e6) * 1000)
        line = f"{at} {record.levelname} {record.name}: {record.getMessage()}"
        cut = line if len(line) <= self._characters_max else line[: self._characters_max - 1] + "…"
        self._lines.append((record.levelno, cut))

    def newest(self, count: int, *, level: str = "DEBUG") -> list[str]:
        """Return at most so many lines that weigh at least `level`, oldest first."""
        least = logging.getLevelNamesMapping()[level]
        self.acquire()
        try:
            held = list(self._lines)
        finally:
            self.release()
        return [line for weight, line in held if weight >= least][-count:]


def to_stderr(*, level: str, recent: RecentLines | None = None) -> None:
    """Send every line of this house to stderr; systemd's journal adds the time.

    Args:
        level: `DEBUG`, `INFO`, `WARNING` or `ERROR`.
        recent: Holds the newest of them as well, or None.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("edge")
    root.handlers[:] = [handler] if recent is None else [handler, recent]
    root.propagate = False
    root.setLevel(level)
