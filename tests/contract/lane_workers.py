"""A process that asks a network of volumes and prints the niceness of its threads that worked.

usage: python -m tests.contract.lane_workers PRECISION RUNTIME DEVICE [LIVE_BUNDLE …] BUNDLE
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np

from edge.bundles.store import load
from edge.inference.deadline import Deadline
from edge.inference.forms import Form, open_session
from edge.kit.clock import SystemClock
from tests.builders.picture_bundles import SIDE_PX

CLOCK = SystemClock()
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
BUSY_S = 0.03


def main(form: Form, *folders: Path) -> None:
    """Open and run the networks in these folders, live ones first, and look on while the last one works.

    Args:
        form: Of all of them.
        folders: Each with a bundle; the last is the one for volumes.
    """
    *pictures, volumes = map(load, folders)
    for bundle in pictures:
        live = open_session(bundle, form, threads=1)
        live.run(np.zeros((1, 3, SIDE_PX, SIDE_PX), np.uint8), Deadline(CLOCK, 60))
    imaging = open_session(volumes, form, threads=2, gives_way=True)
    before, caller = threads(), threading.get_native_id()
    for _ in range(2):
        imaging.run(np.zeros((1, 1, 64, 64, 64), np.float32), Deadline(CLOCK, 60))
    after = threads()
    workers = {
        niceness
        for thread, (spent_s, niceness) in after.items()
        if thread != caller and spent_s - before.get(thread, (0.0, 0))[0] > BUSY_S
    }
    print(json.dumps({"workers": sorted(workers), "caller": after[caller][1]}))


def threads() -> dict[int, tuple[float, int]]:
    """Return processor time in seconds, and niceness, of each thread of this process."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        found[int(task.name)] = (TICK_S * (int(fields[11]) + int(fields[12])), int(fields[16]))
    return found


if __name__ == "__main__":
    main(Form(*sys.argv[1:4]), *map(Path, sys.argv[4:]))
