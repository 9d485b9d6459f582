"""Two lanes on two cores: three live callers at 25 Hz while a volume network runs without a pause."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from edge.bundles.store import Bundle, find, load
from edge.inference import background
from edge.inference.deadline import Deadline
from edge.inference.forms import Form, open_session
from edge.inference.lanes import TurnTaking
from edge.inference.session import Session
from edge.kit.clock import SystemClock
from tests.bench.rows import Row
from tests.builders.picture_bundles import picture_network, write_picture_bundle

ROOT = Path(__file__).parents[2]
CORES = 2
CALLERS = 3
RATE_HZ = 25
SECONDS = 4.0
ROUNDS = 3
SIDE_PX = 128  # with three convolutions of 24 channels, some 3 ms on one thread
SIDE_VOXELS = 128
LIMIT_S = 60.0
LIVE = Form("fp32", "openvino", "cpu")
IMAGING = Form("int8", "openvino", "cpu")


@dataclass(slots=True)
class Seen:
    """What the callers saw, in ms: from when a frame was due to its answer; and how long a volume took."""

    live_ms: list[float] = field(default_factory=list)
    volume_ms: list[float] = field(default_factory=list)

    def live_percentile_ms(self, percent: float) -> float:
        """Return a percentile of the live answers."""
        return float(np.percentile(self.live_ms, percent))


def run(*, seconds: float = SECONDS, rounds: int = ROUNDS) -> list[Row]:
    """Return live p50 and p99 and the time of a volume: ours beside two ways without lanes.

    Medians of rounds; each way runs in a process of its own, in turns, since the threads of a runtime stay
    what the first network that ran made of them.
    """
    seen: dict[str, list[Seen]] = {way: [] for way in WAYS}
    for way in list(WAYS) * rounds:
        command = [sys.executable, "-m", "tests.bench.lanes", way, str(seconds)]
        told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
        seen[way].append(Seen(**json.loads(told)))
    ours, load = seen.pop("lanes"), f"{CALLERS} live callers at {RATE_HZ} Hz and brain-mr, {CORES} cores"
    return [
        Row(f"{load}: {title}, beside {way}", mine, theirs, "ms", theirs / mine)
        for way, others in seen.items()
        for title, number in NUMBERS.items()
        for mine, theirs in [(_middle(ours, number), _middle(others, number))]
    ]


NUMBERS: dict[str, Callable[[Seen], float]] = {
    "live p50": lambda seen: seen.live_percentile_ms(50),
    "live p99": lambda seen: seen.live_percentile_ms(99),
    f"volume of {SIDE_VOXELS}³": lambda seen: statistics.median(seen.volume_ms),
}


def _middle(rounds: list[Seen], number: Callable[[Seen], float]) -> float:
    return statistics.median(number(seen) for seen in rounds)


# ── the ways: sessions for the live callers, and one for volumes ───────────────────────────────────────────


@contextmanager
def _lanes(pictures: Bundle, volumes: Bundle) -> Iterator[tuple[Sequence[Session], Session]]:
    """What the engine does: a session with one thread for each live caller, imaging threads that give way."""
    live = [open_session(pictures, LIVE, threads=1) for _ in range(CALLERS)]
    yield live, open_session(volumes, IMAGING, threads=CORES, gives_way=True)


@contextmanager
def _side_by_side(pictures: Bundle, volumes: Bundle) -> Iterator[tuple[Sequence[Session], Session]]:
    """What runtimes do by themselves: a session for each network with all cores, at one priority."""
    lock = threading.Lock()
    live = TurnTaking(_opened_with_all_cores(pictures, LIVE), lambda _: lock)
    yield [live] * CALLERS, _opened_with_all_cores(volumes, IMAGING)


@contextmanager
def _one_queue(pictures: Bundle, volumes: Bundle) -> Iterator[tuple[Sequence[Session], Session]]:
    """A server that takes one request after the other."""
    lock = threading.Lock()
    live = TurnTaking(_opened_with_all_cores(pictures, LIVE), lambda _: lock)
    yield [live] * CALLERS, TurnTaking(_opened_with_all_cores(volumes, IMAGING), lambda _: lock)


def _opened_with_all_cores(bundle: Bundle, form: Form) -> Session:
    """Open a network that gives way by nothing."""
    with patch.object(background, "NICENESS", 0):
        return open_session(bundle, form, threads=CORES, gives_way=True)


WAYS = {"lanes": _lanes, "side by side": _side_by_side, "one queue": _one_queue}


# ── one measurement, in a process of its own ───────────────────────────────────────────────────────────────


def measure(way: str, seconds: float) -> Seen:
    """Let the callers and the volumes run for a while."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    picture = np.zeros((1, 3, SIDE_PX, SIDE_PX), np.uint8)
    volume = np.random.default_rng(0).random((1, 1, *[SIDE_VOXELS] * 3), np.float32)
    seen, ends = Seen(), threading.Event()
    with ExitStack() as rooms:
        folder = Path(rooms.enter_context(tempfile.TemporaryDirectory()))
        networks = {"fp32": picture_network(extra_convolutions=3)}
        written = write_picture_bundle(folder, height_px=SIDE_PX, width_px=SIDE_PX, networks=networks)
        bundles = load(written), find("brain-mr", [ROOT / "models"])
        live, imaging = rooms.enter_context(WAYS[way](*bundles))
        for session in live:
            _ms(session, picture)
        _ms(imaging, volume)
        callers = [
            threading.Thread(target=_call, args=(session, picture, number, ends, seen.live_ms))
            for number, session in enumerate(live)
        ]
        for caller in callers:
            caller.start()
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            seen.volume_ms.append(_ms(imaging, volume))
        ends.set()
        for caller in callers:
            caller.join()
    return seen


def _call(
    session: Session, picture: NDArray[Any], number: int, ends: threading.Event, into: list[float]
) -> None:
    """Ask at a steady rate; a frame that waits for the one before it is late from when it was due."""
    due_s = time.monotonic() + number / RATE_HZ / CALLERS
    while not ends.wait(max(0.0, due_s - time.monotonic())):
        _ms(session, picture)
        into.append((time.monotonic() - due_s) * 1e3)
        due_s += 1 / RATE_HZ


def _ms(session: Session, given: NDArray[Any]) -> float:
    began_s = time.monotonic()
    session.run(given, Deadline(SystemClock(), LIMIT_S))
    return (time.monotonic() - began_s) * 1e3


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(sys.argv[1], float(sys.argv[2])))))
