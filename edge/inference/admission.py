"""Which form of a network runs here: each precision and runtime is measured, the fastest that agrees wins."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from numpy.typing import NDArray

from edge.bundles.store import Bundle
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.finding import ModelStamp
from edge.domain.ports import Clock
from edge.inference import device
from edge.inference.deadline import Deadline
from edge.inference.golden import Exam
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.openvino_runtime import OpenVinoSession, takes_bf16
from edge.inference.session import Session, wiring
from edge.kit.files import write_durably
from edge.kit.log import Log

RUN_S = 300.0  # one golden run may take so long
RUNS = 3  # counted at least, after one that is not
RUNS_MAX, RUNS_S = 30, 0.3  # a quick network runs more often, while so much time has not passed
HOPELESS = 3.0  # a first run so many times slower than the best is not repeated
FAST_FIRST = ("int8", "bf16", "fp16", "fp32")


@dataclass(frozen=True, slots=True)
class Form:
    """One way to run a network: precision of the arithmetic, `onnxruntime` or `openvino`, `cpu` or `cuda`."""

    precision: str
    runtime: str
    device: str

    def __str__(self) -> str:
        return f"{self.precision} with {self.runtime} on {self.device}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What one form did on this device.

    Attributes:
        form: Which.
        latency_ms: Median on the golden input; the first run where that was slow enough to tell.
        agreement: With the golden answers, in the numbers of its task: `union_dice`, `score_error` …
        refused: Why it is not used, or "".
    """

    form: Form
    latency_ms: float = 0.0
    agreement: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The form that was chosen, warm, and what all of them did, the chosen one first."""

    session: Session
    form: Form
    trials: tuple[Trial, ...]


Opening = Callable[[Bundle, Form], Session]


class Admission:
    """The test a bundle takes on this device; the result is remembered for the same bundle and device.

    Args:
        opening: Opens one form of a bundle's network where it will run.
        threads: For one network on the CPU.
        providers: What may be used: `cpu`, `cuda`.
        state_dir: Where results are remembered.
        clock: Measures.
    """

    def __init__(
        self,
        *,
        opening: Opening,
        threads: int,
        providers: Collection[str],
        state_dir: Path,
        clock: Clock,
    ) -> None:
        self._open = opening
        self._threads = threads
        self._providers = sorted(providers)
        self._folder = state_dir / "admission"
        self._clock = clock
        self._log = Log("engine")

    def admit(self, bundle: Bundle, exam: Exam) -> Admitted:
        """Return a warm session that has just passed the golden check.

        Args:
            bundle: Whose files are in order.
            exam: Its golden check.

        Raises:
            BundleRejectedError: None does; the message says what each did.
        """
        trials = self._recall(bundle)
        if trials:
            session, trial = self._try(bundle, trials[0].form, exam, best_ms=0.0)
            if session:
                return Admitted(session, trial.form, trials)
            self._log.warning("measuring again", bundle=bundle.manifest.name, because=trial.refused)
        return self._measure(bundle, exam)

    def _measure(self, bundle: Bundle, exam: Exam) -> Admitted:
        best: tuple[Session, Trial] | None = None
        trials: list[Trial] = []
        for form in self._forms(bundle):
            session, trial = self._try(bundle, form, exam, best_ms=best[1].latency_ms if best else None)
            trials.append(trial)
            self._log.info("measured", bundle=bundle.manifest.name, form=form, **_numbers(trial))
            if session and (best is None or trial.latency_ms < best[1].latency_ms):
                beaten, best = best, (session, trial)
                session = beaten[0] if beaten else None
            if session:
                session.close()
        if best is None:
            each = "; ".join(f"{trial.form}: {trial.refused}" for trial in trials) or "no variant is for it"
            raise BundleRejectedError(f"{bundle.manifest.name}: nothing passes on this device: {each}")
        ranked = tuple(sorted(trials, key=lambda t: (t is not best[1], bool(t.refused), t.latency_ms)))
        self._remember(bundle, ranked)
        return Admitted(best[0], best[1].form, ranked)

    def _forms(self, bundle: Bundle) -> Iterator[Form]:
        """All that may run here, those that tend to be fast first: the slow ones are hopeless sooner."""
        variants = sorted(bundle.manifest.variants, key=lambda variant: FAST_FIRST.index(variant.precision))
        on_cpu = [v.precision for v in variants if "cpu" in v.devices and "cpu" in self._providers]
        if "cuda" in self._providers and device.has_cuda():
            yield from (Form(v.precision, "onnxruntime", "cuda") for v in variants if "gpu" in v.devices)
        yield from (Form(precision, "openvino", "cpu") for precision in on_cpu)
        if "fp32" in on_cpu and takes_bf16():
            yield Form("bf16", "openvino", "cpu")
        yield from (Form(precision, "onnxruntime", "cpu") for precision in on_cpu)

    def _try(
        self, bundle: Bundle, form: Form, exam: Exam, *, best_ms: float | None
    ) -> tuple[Session | None, Trial]:
        """Open a form and run the golden input; with `best_ms` of 0 only once.

        Returns:
            The session, warm, or None where the trial says why it is refused.
        """
        try:
            session = self._open(bundle, form)
        except BundleRejectedError as error:
            return None, Trial(form, refused=str(error))
        try:
            trial = self._run(session, form, exam, best_ms)
        except InferenceError as error:
            trial = Trial(form, refused=str(error))
        if trial.refused:
            session.close()
            return None, trial
        return session, trial

    def _run(self, session: Session, form: Form, exam: Exam, best_ms: float | None) -> Trial:
        first_ms, answers = self._time(session, exam)
        alike = exam.agreement(answers)
        is_enough = bool(alike.shortfall) or (best_ms is not None and first_ms > HOPELESS * best_ms)
        latency_ms = first_ms if is_enough else self._median_ms(session, exam)
        return Trial(form, latency_ms, alike.numbers, alike.shortfall)

    def _median_ms(self, session: Session, exam: Exam) -> float:
        taken_ms: list[float] = []
        while len(taken_ms) < RUNS or (len(taken_ms) < RUNS_MAX and sum(taken_ms) < RUNS_S * 1000):
            taken_ms.append(self._time(session, exam)[0])
        return median(taken_ms)

    def _time(self, session: Session, exam: Exam) -> tuple[float, list[NDArray[Any]]]:
        started_ns = self._clock.monotonic_ns()
        answers = exam.answers(session, Deadline(self._clock, RUN_S))
        return (self._clock.monotonic_ns() - started_ns) / 1e6, answers

    def _key(self, bundle: Bundle) -> dict[str, object]:
        return {
            "bundle": bundle.digest,
            "device": device.describe(),
            "threads": self._threads,
            "providers": self._providers,
        }

    def _recall(self, bundle: Bundle) -> tuple[Trial, ...]:
        """Return what was measured before, or () where there is nothing that can be relied on."""
        try:
            known = json.loads((self._folder / f"{bundle.manifest.name}.json").read_text())
            if known["key"] != self._key(bundle):
                return ()
            return tuple(Trial(**{**trial, "form": Form(**trial["form"])}) for trial in known["trials"])
        except (OSError, ValueError, KeyError, TypeError):
            return ()  # never measured, or half written: measuring again costs time only

    def _remember(self, bundle: Bundle, trials: tuple[Trial, ...]) -> None:
        known = {"key": self._key(bundle), "trials": [asdict(trial) for trial in trials]}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(self._folder / f"{bundle.manifest.name}.json", json.dumps(known, indent=1).encode())
        except OSError as error:  # the next start measures again
            self._log.warning("measurements not remembered", bundle=bundle.manifest.name, because=error)


def open_session(bundle: Bundle, form: Form, *, threads: int, gives_way: bool = False) -> Session:
    """Open one form of a bundle's network; its bytes are checked on the way.

    Args:
        bundle: Whose files are in order.
        form: One that it has.
        threads: On the CPU; with OpenVINO only what gives way may have more than one.
        gives_way: Its threads leave the cores to live networks first.

    Raises:
        BundleRejectedError: The bundle has no such form, or the runtime does not take it.
    """
    stored = "fp32" if form.precision == "bf16" and form.runtime == "openvino" else form.precision
    variant = next((v for v in bundle.manifest.variants if v.precision == stored), None)
    if variant is None:
        raise BundleRejectedError(f"{bundle.manifest.name}: has no variant in {stored}")
    network, name = bundle.network(variant), f"{bundle.manifest.name}/{variant.file}"
    addressed = wiring(bundle.manifest)
    if form.runtime == "openvino":
        hint = "bf16" if form.precision == "bf16" else "f32"
        return OpenVinoSession(
            network, name=name, wiring=addressed, hint=hint, threads=threads, gives_way=gives_way
        )
    return OnnxRuntimeSession(
        network,
        name=name,
        wiring=addressed,
        provider=form.device,
        threads=threads,
        gives_way=gives_way,
    )


def stamp_of(bundle: Bundle, form: Form, session: Session) -> ModelStamp:
    """Say which weights speak, and on what."""
    return ModelStamp(
        model_id=bundle.manifest.name,
        version=bundle.manifest.version,
        sha256=bundle.digest,
        precision=form.precision,
        runtime=session.runtime,
        provider=session.provider,
    )


def _numbers(trial: Trial) -> dict[str, object]:
    agreement = {name.replace(" ", "_"): round(number, 4) for name, number in trial.agreement.items()}
    return {"latency_ms": round(trial.latency_ms, 2), **agreement, "refused": trial.refused or "no"}
