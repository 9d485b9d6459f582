"""The newest lines of the log, for the command `collect-logs`: without words that others wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from edge.fleet.bench import RESULT_BYTES_MAX
from edge.fleet.commands import Executor
from edge.kit.log import RecentLines

ROOM_BYTES: Final = RESULT_BYTES_MAX - 1000  # for what stands around the lines

# Our own words name no patient; those of a library that failed unexpectedly may quote what it was given.
_OTHERS_WORDS: Final = re.compile(r"(unexpected \w+): .*")


def collecting(recent: RecentLines) -> Executor:
    """Return what executes `collect-logs`: `{"lines": […], "left_out": n}`, the oldest are left out.

    Args:
        recent: Where the lines are held.
    """

    def execute(args: Mapping[str, Any]) -> Mapping[str, Any]:
        lines = [told(line) for line in recent.newest(int(args["lines"]), level=str(args["level"]))]
        kept, room_bytes = [], ROOM_BYTES
        for line in reversed(lines):
            room_bytes -= len(json.dumps(line, ensure_ascii=False).encode()) + len(", ")
            if room_bytes < 0:
                break
            kept.append(line)
        return {"lines": kept[::-1], "left_out": len(lines) - len(kept)}

    return execute


def told(line: str) -> str:
    """Return a line as it may leave the device."""
    return _OTHERS_WORDS.sub(r"\1 (its words stay on the device)", line)
