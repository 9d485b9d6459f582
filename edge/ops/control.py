"""A person at the box asks the daemon: a socket in the state folder that only its owner may open.

One line of JSON each way: `{"ask": "snapshot", "source": "or"}`
and `{"ok": true, …}` or `{"ok": false, "why": …}`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from edge.domain.errors import ConfigurationError, EdgeError
from edge.kit.log import Log

FILE = "control.sock"
ASKED_BYTES_MAX = 4096
ANSWER_BYTES_MAX = 64 << 20
PATIENCE_S = 5.0

Answering = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Control:
    """Answers questions while its `with` lasts, one at a time."""

    def __init__(self, folder: Path, *, answers: Mapping[str, Answering]) -> None:
        """Store where to listen, and who answers which question."""
        self._path = folder / FILE
        self._answers = answers
        self._log = Log("control")
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: The socket cannot be made.
        """
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        except OSError as trouble:
            listener.close()
            raise ConfigurationError(f"{self._path}: {trouble}; wanted a socket for questions") from trouble
        finally:
            os.umask(before)
        listener.listen(4)
        self._listener = listener
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listener is not None, "opened before"
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        assert self._listener is not None, "opened before"
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return  # it was shut down
            with visitor:
                visitor.settimeout(PATIENCE_S)
                try:
                    asked = _line(visitor, ASKED_BYTES_MAX)
                    visitor.sendall(json.dumps(self._answer(asked)).encode() + b"\n")
                except OSError as trouble:
                    self._log.warning("a visitor left", because=trouble)

    def _answer(self, asked: bytes) -> Mapping[str, Any]:
        try:
            question = json.loads(asked)
            answering = self._answers[question["ask"]]
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "why": f"not understood; wanted ask: {', '.join(self._answers)}"}
        try:
            return {"ok": True, **answering(question)}
        except EdgeError as trouble:
            return {"ok": False, "why": str(trouble)}


def ask(folder: Path, question: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the daemon that keeps its state in a folder.

    Raises:
        ConfigurationError: There is none, or it does not answer.
    """
    path = folder / FILE
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(PATIENCE_S)
        try:
            line.connect(str(path))
            line.sendall(json.dumps(question).encode() + b"\n")
            answer: Mapping[str, Any] = json.loads(_line(line, ANSWER_BYTES_MAX))
        except OSError as trouble:
            raise ConfigurationError(f"{path}: {trouble}; wanted a daemon that runs") from trouble
        except ValueError as trouble:
            raise ConfigurationError(f"{path}: the daemon went away in the middle of its answer") from trouble
    return answer


def _line(line: socket.socket, bytes_max: int) -> bytes:
    """Read up to the end of a line."""
    parts: list[bytes] = []
    total = 0
    while total <= bytes_max and not (parts and parts[-1].endswith(b"\n")):
        part = line.recv(65536)
        if not part:
            break
        parts.append(part)
        total += len(part)
    return b"".join(parts)
