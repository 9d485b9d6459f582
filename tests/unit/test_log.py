"""The newest lines of the log, in memory."""

from __future__ import annotations

import json
import logging

import pytest

from edge.fleet.bench import RESULT_BYTES_MAX
from edge.fleet.collected import collecting
from edge.kit.log import Log, RecentLines, to_stderr


def record(text: str, weight: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("edge.a", weight, "", 0, text, (), None)


def test_so_many_lines_are_held_and_the_newest_are_told_oldest_first() -> None:
    recent = RecentLines(lines_max=3, characters_max=60)
    for number in range(5):
        recent.handle(record(f"line {number}", logging.INFO + 10 * (number % 2)))
    assert [line.split(": ")[1] for line in recent.newest(10)] == ["line 2", "line 3", "line 4"]
    assert [line.split(": ")[1] for line in recent.newest(1)] == ["line 4"]
    assert [line.split()[1] for line in recent.newest(10, level="WARNING")] == ["WARNING"]
    recent.handle(record("x" * 1000))
    assert len(recent.newest(1)[0]) == 60


@pytest.mark.usefixtures("log_as_found")
def test_what_goes_to_the_journal_is_held_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    recent = RecentLines()
    to_stderr(level="INFO", recent=recent)
    Log("fleet").info("command", cmd="selftest/1")
    Log("fleet").debug("not wanted")
    (line,) = recent.newest(10)
    assert line.endswith("Z INFO edge.fleet: command cmd=selftest/1")
    assert "command cmd=selftest/1" in capsys.readouterr().err


def test_what_is_collected_fits_into_a_result_and_says_what_is_left_out() -> None:
    recent = RecentLines()
    for number in range(2000):
        recent.handle(record(f"{number} " + 'é"' * 200))
    result = collecting(recent)({"lines": 2000, "level": "DEBUG"})
    assert len(json.dumps(result, ensure_ascii=False).encode()) <= RESULT_BYTES_MAX
    assert len(result["lines"]) + result["left_out"] == 2000
    assert ": 1999 " in result["lines"][-1]
    assert result["left_out"] > 0
