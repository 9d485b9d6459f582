"""Waiting for room on the disk: what is finished is not given up because it cannot be written down yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from edge.domain.errors import StorageFullError
from edge.kit.stage import Stage

PAUSE_S = 1.0

_Answer = TypeVar("_Answer")


def when_there_is_room(act: Callable[[], _Answer], *, stage: Stage, wait: Callable[[float], bool]) -> _Answer:
    """Do what writes to the disk, again and again while it is full; only room, or a stop, ends that.

    Args:
        act: Is taken back whole where it fails.
        stage: Says in health what it waits for.
        wait: Sleeps for some seconds; returns whether it is time to stop.

    Returns:
        The answer of `act`.

    Raises:
        StorageFullError: There is no room, and it is time to stop.
    """
    is_waiting = False
    while True:
        try:
            answer = act()
        except StorageFullError as full:
            stage.note(f"waits for room on the disk: {full}")
            is_waiting = True
            if wait(PAUSE_S):
                raise
        else:
            if is_waiting:
                stage.note("")
            return answer
