"""A thread that mostly waits gets the processor as soon as it wakes, although others compute."""

from __future__ import annotations

import ctypes
import platform

TURN_NS = 100_000  # the shortest that Linux takes
_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # sched_setattr, sched_getattr
_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """`struct sched_attr`, the part that every kernel knows."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def wake_promptly() -> bool:
    """Have the calling thread take short turns: its share of the processor stays the same, and comes at once.

    A thread that computes is left alone until its turn is over, which the kernel looks at once a tick, every
    4 ms; a thread that wakes meanwhile waits for that, after each answer of the disk or the network anew. One
    that takes shorter turns need not wait. It takes no privilege.

    Returns:
        Whether the kernel took it; before Linux 6.12 it does and changes nothing.
    """
    attributes = _attributes()
    if attributes is None:
        return False
    attributes.runtime_ns = TURN_NS
    setter, _ = _CALLS[platform.machine()]
    return bool(_libc.syscall(setter, 0, ctypes.byref(attributes), 0) == 0)


def turn_ns() -> int:
    """Return how long a turn of the calling thread is; 0 where the kernel does not say."""
    attributes = _attributes()
    return 0 if attributes is None else int(attributes.runtime_ns)


def _attributes() -> _Attributes | None:
    attributes = _Attributes()
    size = ctypes.sizeof(attributes)
    _, getter = _CALLS.get(platform.machine(), (0, -1))
    if _libc.syscall(getter, 0, ctypes.byref(attributes), size, 0) != 0:
        return None
    return attributes
