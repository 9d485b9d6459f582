"""Tells systemd that we live, but only while the work moves.

A thread that works through a queue calls its `beat` once a second while idle and before each item. A beat
that is overdue, or a thread that is gone, stops the feeding; systemd then ends the process with SIGABRT and
starts it again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable

from edge.domain.ports import Clock
from edge.kit.log import Log

PERIOD_S = 2.0
USEC = "WATCHDOG_USEC"  # in the environment: what the unit says; systemd takes another value while we run


class Watchdog:
    """Feeds systemd's watchdog from the beats of the threads that matter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._log = Log("watchdog")
        self._lock = threading.Lock()
        self._beats: dict[str, tuple[float, int]] = {}
        self._checks: dict[str, Callable[[], bool]] = {}

    def watch(self, name: str, *, limit_s: float) -> Callable[[], None]:
        """Expect a beat of `name` at least every `limit_s`; return what it has to call."""

        def beat() -> None:
            with self._lock:
                if name in self._beats:
                    self._beats[name] = (self._beats[name][0], self._clock.monotonic_ns())

        self.allow(name, limit_s=limit_s)
        return beat

    def allow(self, name: str, *, limit_s: float) -> None:
        """Expect a beat of `name` at least every `limit_s` from now on, whatever was said before."""
        with self._lock:
            self._beats[name] = (limit_s, self._clock.monotonic_ns())

    def expect(self, name: str, is_alive: Callable[[], bool]) -> None:
        """Expect `is_alive` to hold for as long as we run."""
        with self._lock:
            self._checks[name] = is_alive

    def release(self, name: str) -> None:
        """Expect nothing more of `name`: it ended as it should."""
        with self._lock:
            self._beats.pop(name, None)
            self._checks.pop(name, None)

    def overdue(self) -> list[str]:
        """Name whatever has not moved for too long, with how long."""
        now = self._clock.monotonic_ns()
        with self._lock:
            late = [
                f"{name} has not moved for {(now - last_ns) / 1e9:.0f} s, {limit_s:.0f} s are allowed"
                for name, (limit_s, last_ns) in self._beats.items()
                if now - last_ns > limit_s * 1e9
            ]
            checks = list(self._checks.items())
        return late + [f"{name} is gone" for name, is_alive in checks if not is_alive()]

    def run(self, stopping: threading.Event) -> None:
        """Feed until `stopping`; the body of the thread `watchdog`."""
        while not stopping.wait(PERIOD_S):
            self.feed()

    def feed(self) -> bool:
        """Feed once if everything moves; return whether it did."""
        late = self.overdue()
        for trouble in late:
            self._log.error("not feeding the watchdog", because=trouble)
        if not late:
            _notify("WATCHDOG=1")
        return not late

    def ready(self, status: str) -> None:
        """Tell systemd that the start is over, and that the time it was given for beginning anew is."""
        again = f"\nWATCHDOG_USEC={os.environ[USEC]}" if USEC in os.environ else ""
        _notify(f"READY=1\nSTATUS={status}{again}")

    def begin_anew(self, *, within_s: float) -> None:
        """Tell systemd that this process begins anew under the same number, and may be silent for so long."""
        silent = f"\nWATCHDOG_USEC={round(within_s * 1e6)}" if USEC in os.environ else ""
        _notify(f"RELOADING=1\nSTATUS=beginning anew{silent}")

    def status(self, status: str) -> None:
        """Tell systemd what `systemctl status` shows."""
        _notify(f"STATUS={status}")

    def stopping(self) -> None:
        """Tell systemd that we end."""
        _notify("STOPPING=1")


def _notify(state: str) -> None:
    """Tell whoever started us, as sd_notify(3) describes; one who no longer reads holds nobody up."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line, contextlib.suppress(OSError):
            line.setblocking(False)
            line.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
