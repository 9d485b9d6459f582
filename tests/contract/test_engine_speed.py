"""What the engine promises about time, measured: overhead, what tuning gains, frames during an exchange."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench import engine, frames, swap, tune

pytestmark = pytest.mark.proof


def test_no_frame_is_lost_to_an_exchange_and_p99_stays_below_twice_what_it_was() -> None:
    runs = [swap.exchanged() for _ in range(3)]
    for run in runs:
        assert len(run.stamps) == len(run.before) + len(run.during)
        assert run.stamps == sorted(run.stamps)
        assert set(run.stamps) == {"1.0.0", "2.0.0"}
    times = sorted(np.percentile(run.during, 99) / np.percentile(run.before, 99) for run in runs)
    print("p99 during an exchange, times that before:", *(f"{one:.2f}" for one in times))
    assert times[1] < 2


def test_tuning_gains_1_8_for_a_network_of_pictures_and_4_for_one_of_volumes() -> None:
    pictures, volumes = tune.run()
    print(pictures, volumes)
    assert pictures.ratio >= 1.8
    assert volumes.ratio >= 4


def test_the_engine_adds_at_most_a_tenth_to_a_frame() -> None:
    rows = frames.run()
    print(*rows, sep="\n")
    assert min(row.ratio for row in rows) >= 1 / 1.10


def test_the_engine_adds_at_most_a_twentieth_to_a_volume() -> None:
    int8, fp32, _ = engine.run()
    print(int8, fp32)
    assert min(int8.ratio, fp32.ratio) >= 1 / 1.05
