"""What admission finds on one thread: how many times as fast as fp32 in ONNX Runtime the chosen form is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edge.bundles.store import Bundle, find, load
from edge.inference.forms import REFERENCE
from edge.inference.making import Maker
from edge.kit.clock import SystemClock
from tests.bench.engine import MODELS
from tests.bench.rows import Row
from tests.builders.networks import write_residual_bundle


def run(root: Path = MODELS) -> list[Row]:
    """Return a row for a network of pictures and one for a network of volumes; wanted 1.8 and 4."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = load(write_residual_bundle(Path(folder)))
        rows = [_row(pictures, Path(folder) / "state", wanted=1.8)]
        return [*rows, _row(find("brain-mr", [root]), Path(folder) / "state", wanted=4.0)]


def _row(bundle: Bundle, state: Path, *, wanted: float) -> Row:
    maker = Maker(
        threads=1,
        live_callers=1,
        live_burst_max=8,
        providers=["cpu"],
        state_dir=state,
        memory_mb=0,
        clock=SystemClock(),
    )
    trials = maker.trials(bundle)
    reference = next(trial for trial in trials if trial.form == REFERENCE)
    return Row(
        f"{bundle.manifest.name}: {trials[0].form} beside {REFERENCE}, 1 thread (wanted {wanted:g})",
        trials[0].p50_ms,
        reference.p50_ms,
        "ms",
        reference.times_chosen,
    )
