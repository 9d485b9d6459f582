"""`make demo-fleet` as somebody sees it: two changes reach everybody, the bad one nobody but the canary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.proof
@pytest.mark.timeout(300)  # as long as it may take
def test_the_demo_of_the_fleet_says_what_happened_and_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge", "demo", "fleet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "✗ " not in done.stdout.replace("✗  demo/theatre-1", "").replace("✗ 1 to act on", "")
    for said in (
        "the threshold has reached everybody (missing: nobody)",
        "the model has reached everybody (missing: nobody)",
        "theatre-1 went back: engine: brain-mr: is for volume-segmentation",
        "nobody else was touched (nobody)",
        "models that spoke: 1.0.0 then 1.1.0",
    ):
        assert said in done.stdout
