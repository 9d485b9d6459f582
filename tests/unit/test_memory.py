"""Memory that is free goes back to the system."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import numpy as np
from edge.kit.memory import give_back, keep_memory_plain

def resident_mb():
    lines = open('/proc/self/status').read().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith('VmRSS'))

assert keep_memory_plain()
before = resident_mb()
for _ in range(20):
    volumes = [np.ones(6_000_000 + n, np.uint8) for n in range(40)]
    rows = [bytearray(3000) for _ in range(20_000)]
    del volumes, rows[::2]
    kept = rows[:10]
    del rows
    give_back()
print(resident_mb() - before)
"""


def test_what_large_pictures_left_behind_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout) < 30
