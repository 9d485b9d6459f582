"""Native threads that give way: those of imaging networks, beside the live ones, on the same cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

# Of a core that live and imaging threads both want, the second get a quarter: Linux gives each level of
# niceness 1.25 times less. With 10 it would be a tenth; with 0 live answers took 1.6 times as long
# (docs/decisions/two-lanes.md).
NICENESS = 5
NICENESS_MAX = 19


def give_way(opening: Callable[[], Made]) -> Made:
    """Open a network whose threads give way to others.

    A thread inherits its niceness from the one that starts it, and may not take it back. So `opening` runs
    in a thread of its own that ends with it, and does nothing but the native call: a thread that gives way
    while it holds the interpreter's lock would hold up everybody on a busy machine. For the same reason
    networks are asked from ordinary threads.

    The threads of ONNX Runtime belong to one network. OpenVINO has one pool of workers in each process: the
    first network that needs one starts it, later ones use it as it is. So nobody but imaging may open an
    OpenVINO network with more than one thread; `OpenVinoSession` holds to that.

    Args:
        opening: Makes the runtime start its threads, or the one that will start the others.

    Returns:
        What `opening` does, and it raises what that raises.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="engine-opening", initializer=_be_nice) as thread:
        return thread.submit(opening).result()


def at_once(opening: Callable[[], Made]) -> Made:
    """Open a network whose threads take what they can get."""
    return opening()


def _be_nice() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)  # on Linux of this thread, and of those it starts
    os.setpriority(os.PRIO_PROCESS, 0, min(own + NICENESS, NICENESS_MAX))
