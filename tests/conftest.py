"""What every test may ask for: the corpus, and a clock that the test owns."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import gdcm  # noqa: F401  # like cv2 it sets variables of the environment, whoever imports it first
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.clock import FakeClock

CORPUS = Path(os.environ.get("EDGE_CORPUS", Path(__file__).parents[1] / ".." / "shared" / "corpus")).resolve()
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD)


def pytest_configure() -> None:
    """Let Ctrl-C end the programs that tests start, also where the tests themselves run in the background.

    A shell without job control starts what it puts into the background with SIGINT ignored, and the
    children of such a process inherit that. And let no example of Hypothesis fail because the machine is
    busy: the limit of a test is pytest-timeout's.

    The examples are the same in every run of `make test`, so that a commit that passed once passes; `make
    proof` looks for others (`--hypothesis-profile=explore`, which is loaded after this).
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    busy = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("explore", busy)
    settings.register_profile("same", busy, derandomize=True)
    settings.load_profile("same")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let a test marked `alone` begin when no other worker runs one, and keep the others out until it ends.

    Before the clock of its time limit starts: waiting is no fault of a test.
    """
    with ExitStack() as room:
        if hasattr(item.config, "workerinput"):  # one of several workers of pytest-xdist
            shared = Path(item.config.getoption("basetemp")).parent
            how = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
            with locked(shared / "turn", fcntl.LOCK_EX):  # nobody gets past who waits for an empty room
                room.enter_context(locked(shared / "room", how))
        yield


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock on a file."""
    with path.open("a") as held:
        fcntl.flock(held, how)
        yield
        fcntl.flock(held, fcntl.LOCK_UN)  # also for a child that was forked meanwhile


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, for the end to be shared; skip what needs the corpus where there is none."""
    items.sort(key=lambda item: (item.get_closest_marker("alone") is None, -limit_s(item)))
    if CORPUS.is_dir():
        return
    absent = pytest.mark.skip(reason=f"no corpus at {CORPUS}: set EDGE_CORPUS")
    for item in items:
        if item.get_closest_marker("corpus"):
            item.add_marker(absent)


def limit_s(item: pytest.Item) -> float:
    """Return the time a test asks for; 0 where it is content with what all get."""
    asked = item.get_closest_marker("timeout")
    return float(asked.args[0]) if asked else 0.0


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    """Turn a skip of a corpus test into a failure where the corpus is there."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's result has no public stub
    if report.skipped and item.get_closest_marker("corpus") and CORPUS.is_dir():
        report.outcome = "failed"
        report.longrepr = f"a corpus test may not be skipped where the corpus is: {report.longrepr}"


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """Fail a test that leaves the process otherwise than it found it: the next one would depend on it."""
    found = state_of_process()
    yield
    left = state_of_process()
    assert left == found


def state_of_process() -> dict[str, object]:
    """Return what all tests of a process share and each may read."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    root, ours = logging.getLogger(), logging.getLogger("edge")
    return {
        "environment": environment,
        "folder": Path.cwd(),
        "signals": [signal.getsignal(number) for number in SIGNALS],
        "excepthooks": (sys.excepthook, threading.excepthook),
        "loggers": [(logger.level, logger.propagate, logger.disabled) for logger in (root, ours)],
        "handlers": [handler for handler in (*root.handlers, *ours.handlers) if not is_of_pytest(handler)],
        "floating point": np.geterr(),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "threads of OpenCV": cv2.getNumThreads(),
        "recursion": sys.getrecursionlimit(),
    }


def is_of_pytest(handler: logging.Handler) -> bool:
    return type(handler).__module__.startswith("_pytest.")


@pytest.fixture
def log_as_found() -> Iterator[None]:
    """Undo what a command sets of the log, where it runs inside the test: a program sets it once, for all."""
    ours = logging.getLogger("edge")
    level, propagate, handlers = ours.level, ours.propagate, list(ours.handlers)
    yield
    ours.setLevel(level)
    ours.propagate = propagate
    ours.handlers[:] = handlers


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real data."""
    return CORPUS


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    return FakeClock()
