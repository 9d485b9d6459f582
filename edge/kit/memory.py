"""Giving memory back: glibc keeps what large pictures left behind, and a daemon runs for months.

Left alone, glibc raises the size from which an allocation is a mapping of its own (up to 32 MB) and makes up
to eight arenas for each core; resident memory then goes up and down by whole volumes and creeps upwards. With
other allocators nothing happens here.
"""

from __future__ import annotations

import ctypes

MAPPED_FROM_BYTES = 4 << 20
ARENAS_MAX = 4
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h


def keep_memory_plain() -> bool:
    """Have large allocations mapped and unmapped by themselves; call it first. Return whether it worked."""
    allocator = ctypes.CDLL(None)
    if not hasattr(allocator, "mallopt"):
        return False
    return bool(
        allocator.mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        and allocator.mallopt(_M_ARENA_MAX, ARENAS_MAX)
    )


def give_back() -> None:
    """Return what is free to the system; takes milliseconds."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "malloc_trim"):
        allocator.malloc_trim(0)
