"""A person at the box asks the daemon: a socket in the state folder that only its owner may open.

One line of JSON each way: `{"ask": "snapshot", "source": "or"}`
and `{"ok": true, …}` or `{"ok": false, "why": …}`.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from edge.domain.errors import ConfigurationError
from edge.kit.log import Log
from edge.kit.stage import contain

FILE = "control.sock"
ASKED_BYTES_MAX = 4096
ANSWER_BYTES_MAX = 64 << 20
PATIENCE_S = 5.0  # for one question, and for one answer
STOP_S = 2.0

Answering = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Control:
    """Answers questions while its `with` lasts, one at a time."""

    def __init__(self, folder: Path, *, answers: Mapping[str, Answering]) -> None:
        """Store where to listen, and who answers which question."""
        self._path = folder / FILE
        self._answers = answers
        self._log = Log("control")
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: The socket cannot be made.
        """
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._path))
            self._path.chmod(0o600)  # before anybody can connect; a umask would be that of all threads
            listener.listen(4)
        except OSError as trouble:
            listener.close()
            raise ConfigurationError(f"{self._path}: {trouble}; wanted a socket for questions") from trouble
        self._listener = listener
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listener is not None, "opened before"
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(STOP_S)  # a visitor who takes his time is left behind
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        assert self._listener is not None, "opened before"
        while not self._stopping.is_set():
            try:
                visitor, _ = self._listener.accept()
            except OSError as trouble:
                if not self._stopping.is_set():
                    self._log.warning("nobody can be let in", because=trouble)
                self._stopping.wait(1.0)
                continue
            with visitor:
                trouble_with = contain(partial(self._talk, visitor))
            if trouble_with:
                self._log.warning("a visitor left", because=trouble_with)

    def _talk(self, visitor: socket.socket) -> None:
        """Hear one question and answer it.

        Raises:
            OSError: The visitor is gone, or too slow.
        """
        asked = _line(visitor, ASKED_BYTES_MAX)
        answer = json.dumps(self._answer(asked)).encode() + b"\n"
        visitor.settimeout(PATIENCE_S)
        visitor.sendall(answer)

    def _answer(self, asked: bytes) -> Mapping[str, Any]:
        try:
            question = json.loads(asked)
            answering = self._answers[question["ask"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"ok": False, "why": f"not understood; wanted ask: {', '.join(self._answers)}"}
        answer: dict[str, Any] = {}
        why = contain(lambda: answer.update(answering(question)))
        return {"ok": False, "why": why} if why else {"ok": True, **answer}


def ask(folder: Path, question: Mapping[str, Any], *, patience_s: float | None = None) -> Mapping[str, Any]:
    """Ask the daemon that keeps its state in a folder.

    Args:
        folder: Of its state.
        question: With `ask`, which names the kind.
        patience_s: To wait for the answer, in s; left out: `PATIENCE_S`.

    Raises:
        ConfigurationError: There is none, or it does not answer.
    """
    path = folder / FILE
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(patience_s or PATIENCE_S)
        try:
            line.connect(str(path))
            line.sendall(json.dumps(question).encode() + b"\n")
            answer: Mapping[str, Any] = json.loads(_line(line, ANSWER_BYTES_MAX, patience_s))
        except OSError as trouble:
            raise ConfigurationError(f"{path}: {trouble}; wanted a daemon that runs") from trouble
        except ValueError as trouble:
            raise ConfigurationError(f"{path}: the daemon went away in the middle of its answer") from trouble
    return answer


def _line(line: socket.socket, bytes_max: int, patience_s: float | None = None) -> bytes:
    """Read up to the end of a line.

    Raises:
        OSError: The other side is gone, or takes longer than `patience_s`, or `PATIENCE_S`, for all of it.
    """
    until_s = time.monotonic() + (patience_s or PATIENCE_S)
    parts: list[bytes] = []
    total = 0
    while total <= bytes_max and not (parts and parts[-1].endswith(b"\n")):
        line.settimeout(max(until_s - time.monotonic(), 0.001))
        part = line.recv(65536)
        if not part:
            break
        parts.append(part)
        total += len(part)
    return b"".join(parts)
