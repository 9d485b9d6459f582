"""Waiting for something to become true, without long sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(predicate: Callable[[], object], *, within_s: float, what: str = "") -> None:
    """Return as soon as `predicate` holds; fail when it does not within `within_s`."""
    deadline = time.monotonic() + within_s
    while not predicate():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or predicate}"
        time.sleep(0.02)
