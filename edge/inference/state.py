"""How one bundle's model is at this moment, for people and for the broker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edge.domain.finding import ModelStamp
from edge.inference.admission import Progress
from edge.inference.forms import Form
from edge.inference.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """A model at work.

    Attributes:
        name: Of its bundle.
        stamp: Which weights speak.
        form: How they run.
        trials: What each form did on this device, the chosen one first; of this form alone until all were
            measured.
        is_measured: Whether all were, now or on an earlier day.
        previous: What spoke before the last swap; None where there was none.
        doing: What is measured behind it, and how far that is; None where nothing is.
        refusal: Why the version that should have taken its place last does not; "" where none was refused.
    """

    name: str
    stamp: ModelStamp
    form: Form
    trials: tuple[Trial, ...]
    is_measured: bool
    previous: ModelStamp | None = None
    doing: Progress | None = None
    refusal: str = ""

    def knowing(self, trials: tuple[Trial, ...]) -> ModelState:
        """Return it with all forms measured."""
        return replace(self, trials=trials, is_measured=True, doing=None)


def row(trial: Trial, *, is_chosen: bool) -> dict[str, Any]:
    """Return how one form did, as JSON holds it."""
    form = trial.form
    return {
        "precision": form.precision,
        "runtime": form.runtime,
        "device": form.device,
        "verdict": "chosen" if is_chosen else "refused" if trial.refused else "beaten",
        "why": trial.refused or trial.beaten,
        "cold_ms": round(trial.cold_ms, 1),
        "p50_ms": round(trial.p50_ms, 3),
        "p99_ms": round(trial.p99_ms, 3),
        "runs": trial.runs,
        "times_chosen": round(trial.times_chosen, 2),
        "memory_mb": round(trial.memory_mb, 1),
        "agreement": {name: round(number, 5) for name, number in trial.agreement.items()},
        "agreement_here": {name: round(number, 5) for name, number in trial.agreement_here.items()},
    }
