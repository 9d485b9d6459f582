"""Questions to the daemon: whatever a visitor says or does, the daemon goes on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.ops import control
from edge.ops.control import FILE, Control, ask
from tests.waiting import until


def broken(_asked: Mapping[str, Any]) -> Mapping[str, Any]:
    raise ValueError("a decoder gave up")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    answers = {"broken": broken, "well": lambda asked: {"heard": asked["ask"]}}
    with Control(tmp_path, answers=answers):
        yield tmp_path


def visit(folder: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(5.0)
    line.connect(str(folder / FILE))
    return line


def send_slowly(line: socket.socket) -> None:
    until(lambda: line.sendall(b" "), within_s=20, what="the line is cut")


def test_a_question_that_nobody_can_read_is_refused_and_the_next_is_answered(folder: Path) -> None:
    with visit(folder) as line:
        line.sendall(b"[" * 4000 + b"\n")
        assert b"not understood" in line.recv(4096)
    assert ask(folder, {"ask": "well"}) == {"ok": True, "heard": "well"}


def test_an_answer_that_fails_unexpectedly_is_said_and_the_next_is_given(folder: Path) -> None:
    said = ask(folder, {"ask": "broken"})
    assert (said["ok"], said["why"]) == (False, "unexpected ValueError: a decoder gave up")
    assert ask(folder, {"ask": "well"})["ok"]


def test_a_visitor_who_never_ends_his_question_keeps_nobody_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE_S", 0.1)
    with visit(folder) as slow, pytest.raises(BrokenPipeError):
        send_slowly(slow)
    monkeypatch.undo()
    assert ask(folder, {"ask": "well"})["ok"]


def test_a_visitor_who_says_nothing_does_not_keep_the_daemon_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "STOP_S", 0.05)
    with Control(tmp_path, answers={}):
        silent = visit(tmp_path)
        began = time.monotonic()
    assert time.monotonic() - began < 1.0
    silent.close()
