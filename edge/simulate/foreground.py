"""Waiting in the foreground, with a line on stderr that tells how far it is."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from rich.console import Console

from edge.simulate.pace import Pace

_LOOK_S = 0.5


def wait(progress: Callable[[], str], *paces: Pace, for_s: float | None) -> None:
    """Return after `for_s`, on Ctrl-C or SIGTERM, or when a pace is over; for the main thread only.

    Raises:
        EdgeError, OSError: What ended a pace before its time.
    """
    before = signal.signal(signal.SIGTERM, _leave)
    ends_s = None if for_s is None else time.monotonic() + for_s
    waiting = threading.Event()  # never set: what wakes us is a signal or the time
    console = Console(stderr=True, highlight=False)
    try:
        with console.status(progress()) as line:
            while not any(pace.is_over for pace in paces) and (ends_s is None or time.monotonic() < ends_s):
                waiting.wait(_LOOK_S if ends_s is None else min(_LOOK_S, max(ends_s - time.monotonic(), 0)))
                line.update(progress())
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        say(progress())
    for pace in paces:
        if pace.trouble is not None:
            raise pace.trouble


def _leave(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def say(text: str) -> None:
    """Print a line on stderr."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
