"""What was measured on this device, kept over restarts: one table for each bundle, device and runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.bundles.store import Bundle
from edge.inference import device
from edge.inference.forms import Form
from edge.inference.perils import Perils
from edge.inference.trials import Trial
from edge.kit.files import write_durably
from edge.kit.log import Log

SCHEMA = "edge.admission/2"
VERSIONS_KEPT = 4  # of one bundle: enough to go back to the one before without measuring again


class Tables:
    """Tables of one state folder; a damaged one, or one of other circumstances, is none.

    Args:
        folder: Made with the first table.
        threads: For one network on the CPU.
        providers: Devices that may be used.
    """

    def __init__(self, folder: Path, *, threads: int, providers: Sequence[str]) -> None:
        self._folder = folder
        self._threads = threads
        self._providers = sorted(providers)
        self._log = Log("engine")

    def recall(self, bundle: Bundle) -> tuple[Trial, ...]:
        """Return what was measured before, the chosen form first; () where nothing can be relied on."""
        try:
            known = json.loads(self._path(bundle).read_text())
            if known["key"] != self._key(bundle):
                return ()
            trials = tuple(_trial(row) for row in known["trials"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return ()  # never measured, or damaged: measuring again costs time only
        return trials if trials and not trials[0].refused else ()

    def remember(self, bundle: Bundle, trials: Sequence[Trial]) -> None:
        """Keep a table, the chosen form first; it is there whole after a crash, or not at all."""
        known = {"key": self._key(bundle), "trials": [asdict(trial) for trial in trials]}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(self._path(bundle), json.dumps(known, indent=1).encode())
            self._forget_old(bundle.manifest.name)
        except OSError as error:  # the next start measures again
            self._log.warning("measurements not remembered", bundle=bundle.manifest.name, because=error)

    def perils(self, bundle: Bundle) -> Perils:
        """Return what is noted of trials of a bundle that the process did not survive."""
        return Perils(self._path(bundle).with_suffix(".trying"))

    def _path(self, bundle: Bundle) -> Path:
        return self._folder / f"{bundle.manifest.name}.{bundle.digest[:12]}.{self._threads}.json"

    def _key(self, bundle: Bundle) -> Mapping[str, object]:
        return {
            "schema": SCHEMA,
            "bundle": bundle.digest,
            "device": device.describe(),
            "threads": self._threads,
            "providers": self._providers,
        }

    def _forget_old(self, name: str) -> None:
        tables = sorted(self._folder.glob(f"{name}.*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in tables[:-VERSIONS_KEPT]:
            path.unlink(missing_ok=True)


def _trial(row: Any) -> Trial:
    """Read one row of a table.

    Raises:
        KeyError, TypeError, AttributeError: It is none.
    """
    form = Form(**row["form"])
    trial = Trial(**{**row, "form": form})
    words = (form.precision, form.runtime, form.device, trial.refused, trial.beaten)
    numbers = (trial.cold_ms, trial.p50_ms, trial.p99_ms, trial.runs, trial.times_chosen, trial.memory_mb)
    agreeing = (*trial.agreement.values(), *trial.agreement_here.values())
    if not all(isinstance(one, str) for one in words):
        raise TypeError(f"{words}: wanted words")
    if not all(isinstance(one, int | float) for one in (*numbers, *agreeing)):
        raise TypeError(f"{numbers}, {agreeing}: wanted numbers")
    return trial
