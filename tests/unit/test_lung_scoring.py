"""How found and missed nodules are counted for the card of `lung-ct`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PLACE = Path(__file__).parents[2] / "models" / "lung-ct" / "scoring.py"


@pytest.fixture(scope="module")
def scoring() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lung_ct_scoring", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def scan(scoring: ModuleType, tally: object, *, first: float, false: float) -> None:
    """Two nodules, the first marked with a score, the other missed; and one mark where nothing is."""
    marked, score = np.zeros((40, 40, 40), bool), np.zeros((40, 40, 40), np.float32)
    marked[4:8, 4:8, 4:8], score[5, 5, 5] = True, first
    marked[30:32, 30:32, 30:32], score[30, 30, 30] = True, false
    nowhere = np.empty((0, 3), np.int64)
    own = np.argwhere(np.pad(np.ones((4, 4, 4), bool), ((4, 32),) * 3))
    ball_mm = (6 * 64 * 1.5**3 / np.pi) ** (1 / 3)
    drawn = [scoring.Drawn(ball_mm, (6, 6, 6), own), scoring.Drawn(5.0, (20, 20, 20), nowhere)]
    scoring.count(tally, marked, score, drawn, 1.5)


def test_found_missed_and_false_are_told_apart(scoring: ModuleType) -> None:
    tally = scoring.Tally()
    scan(scoring, tally, first=0.9, false=0.7)
    assert (tally.scans, tally.false_marks) == (1, pytest.approx([0.7]))
    assert [score for _, score in tally.nodules] == pytest.approx([0.9, -1.0])
    assert [error for _, error in tally.errors_mm] == pytest.approx([0.0])
    assert [line.split(" | ")[:2] for line in scoring.by_size(tally)] == [
        ["4 to 6 mm", "0 of 1 = 0.000"],
        ["6 to 8 mm", "1 of 1 = 1.000"],
    ]


def test_fewer_false_marks_are_paid_for_with_nodules(scoring: ModuleType) -> None:
    tally = scoring.Tally()
    scan(scoring, tally, first=0.9, false=0.95)
    scan(scoring, tally, first=0.5, false=0.1)
    rates = {rate: share for rate, _, share in scoring.curve(tally)}
    assert rates[0.125] == 0.0  # no false mark allowed: nothing scores above 0.95
    assert rates[0.5] == 0.5  # one allowed: both marked nodules out of four
    assert rates[8.0] == 0.5
