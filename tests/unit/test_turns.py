"""Short turns are for the thread that asks, and change nothing else."""

from __future__ import annotations

import os
import platform
import threading

import pytest

from edge.kit import turns
from edge.kit.turns import TURN_NS, turn_ns, wake_promptly

_KERNEL = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


@pytest.mark.skipif(_KERNEL < (6, 12), reason="before Linux 6.12 the length of a turn cannot be chosen")
def test_short_turns_are_for_the_thread_that_asks() -> None:
    before_ns, nice = turn_ns(), os.nice(0)
    seen: list[tuple[bool, int, int]] = []
    thread = threading.Thread(target=lambda: seen.append((wake_promptly(), turn_ns(), os.nice(0))))
    thread.start()
    thread.join()
    assert seen == [(True, TURN_NS, nice)]
    assert turn_ns() == before_ns


def test_a_processor_that_is_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_CALLS", {})
    assert not wake_promptly()
    assert turn_ns() == 0
