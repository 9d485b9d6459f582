"""How much memory networks hold, and a budget for those that wait: the least recently used one dozes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Protocol

from edge.kit.log import Log

MEGABYTE = 1_000_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_mb() -> float:
    """Return the memory this process has in RAM, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE_BYTES / MEGABYTE


class Tenant(Protocol):
    """What lives in the budget."""

    @property
    def name(self) -> str:
        """In the log."""

    @property
    def memory_mb(self) -> float:
        """What it holds while it is open."""

    @property
    def used_ns(self) -> int:
        """When it was last used, monotonic."""

    def doze(self) -> bool:
        """Free the memory if nobody uses it now; return whether it was freed."""


class Budget:
    """What open imaging networks may hold together.

    Args:
        limit_mb: 0 for no limit.
    """

    def __init__(self, *, limit_mb: float) -> None:
        self._limit_mb = limit_mb
        self._lock = threading.Lock()
        self._open: list[Tenant] = []
        self._log = Log("engine")

    @property
    def held_mb(self) -> float:
        """What is held now."""
        with self._lock:
            return sum(tenant.memory_mb for tenant in self._open)

    def enter(self, tenant: Tenant) -> None:
        """Let a tenant open; others that are idle doze first, where there is not room for all.

        One that does not fit alone is let in all the same: to look slowly is better than not to look.
        """
        with self._lock:
            self._open.append(tenant)
            if not self._limit_mb:
                return
            for other in sorted(self._open[:-1], key=lambda one: one.used_ns):
                if self._held_mb() <= self._limit_mb:
                    return
                if other.doze():
                    self._open.remove(other)
                    self._log.info(
                        "network closed until it is needed", bundle=other.name, makes_room_for=tenant.name
                    )
            if self._held_mb() > self._limit_mb:
                self._log.warning(
                    "more memory than the budget",
                    bundle=tenant.name,
                    held_mb=round(self._held_mb()),
                    memory_mb=round(self._limit_mb),
                )

    def leave(self, tenant: Tenant) -> None:
        """Forget a tenant that was closed for good."""
        with self._lock:
            if tenant in self._open:
                self._open.remove(tenant)

    def _held_mb(self) -> float:
        return sum(tenant.memory_mb for tenant in self._open)
