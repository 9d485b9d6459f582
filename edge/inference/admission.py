"""Which form of a network runs here: each precision and runtime is measured, the fastest that agrees wins."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.bundles.store import Bundle
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.ports import Clock
from edge.inference import device
from edge.inference.deadline import Deadline
from edge.inference.golden import Golden, agreement, read_golden
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.openvino_runtime import OpenVinoSession, takes_bf16
from edge.inference.session import Session, ask
from edge.kit.files import write_durably
from edge.kit.log import Log

RUN_S = 300.0  # one golden run may take so long
RUNS = 3  # counted, after one that is not
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
        union_dice: Agreement with the golden labels, 0 to 1.
        label_dice: Mean over the labels, 0 to 1.
        refused: Why it is not used, or "".
    """

    form: Form
    latency_ms: float = 0.0
    union_dice: float = 0.0
    label_dice: float = 0.0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The form that was chosen, warm, and what all of them did, the chosen one first."""

    session: Session
    form: Form
    trials: tuple[Trial, ...]


class Admission:
    """The test a bundle takes on this device; the result is remembered for the same bundle and device.

    Args:
        threads: For one network on the CPU.
        providers: What may be used: `cpu`, `cuda`.
        state_dir: Where results are remembered.
        clock: Measures.
    """

    def __init__(self, *, threads: int, providers: Collection[str], state_dir: Path, clock: Clock) -> None:
        self._threads = threads
        self._providers = sorted(providers)
        self._folder = state_dir / "admission"
        self._clock = clock
        self._log = Log("engine")

    def admit(self, bundle: Bundle) -> Admitted:
        """Return a warm session that has just passed the golden check.

        Raises:
            BundleRejectedError: None does; the message says what each did.
        """
        golden = read_golden(bundle)
        trials = self._recall(bundle)
        if trials:
            session, trial = self._try(bundle, trials[0].form, golden, best_ms=0.0)
            if session:
                return Admitted(session, trial.form, trials)
            self._log.warning("measuring again", bundle=bundle.manifest.name, because=trial.refused)
        return self._measure(bundle, golden)

    def _measure(self, bundle: Bundle, golden: Golden) -> Admitted:
        best: tuple[Session, Trial] | None = None
        trials: list[Trial] = []
        for form in self._forms(bundle):
            session, trial = self._try(bundle, form, golden, best_ms=best[1].latency_ms if best else None)
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
        self, bundle: Bundle, form: Form, golden: Golden, *, best_ms: float | None
    ) -> tuple[Session | None, Trial]:
        """Open a form and run the golden input; with `best_ms` of 0 only once.

        Returns:
            The session, warm, or None where the trial says why it is refused.
        """
        try:
            session = open_session(bundle, form, threads=self._threads)
        except BundleRejectedError as error:
            return None, Trial(form, refused=str(error))
        try:
            trial = self._run(session, bundle, form, golden, best_ms)
        except InferenceError as error:
            trial = Trial(form, refused=str(error))
        if trial.refused:
            session.close()
            return None, trial
        return session, trial

    def _run(
        self, session: Session, bundle: Bundle, form: Form, golden: Golden, best_ms: float | None
    ) -> Trial:
        first_ms, labels = self._time(session, bundle, golden)
        alike = agreement(labels, golden.labels)
        refused = alike.shortfall(bundle)
        is_enough = bool(refused) or (best_ms is not None and first_ms > HOPELESS * best_ms)
        latency_ms = (
            first_ms if is_enough else median(self._time(session, bundle, golden)[0] for _ in range(RUNS))
        )
        return Trial(form, latency_ms, alike.union_dice, alike.label_dice, refused)

    def _time(self, session: Session, bundle: Bundle, golden: Golden) -> tuple[float, NDArray[np.uint8]]:
        started_ns = self._clock.monotonic_ns()
        output = bundle.manifest.output
        answers = [ask(session, image, output, Deadline(self._clock, RUN_S)) for image in golden.images]
        took_ms = (self._clock.monotonic_ns() - started_ns) / 1e6
        labels = [answer if answer.ndim == 3 else answer.argmax(axis=0) for answer in answers]
        return took_ms, np.stack(labels).astype(np.uint8)

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


def open_session(bundle: Bundle, form: Form, *, threads: int) -> Session:
    """Open one form of a bundle's network; its bytes are checked on the way.

    Raises:
        BundleRejectedError: The bundle has no such form, or the runtime does not take it.
    """
    stored = "fp32" if form.precision == "bf16" and form.runtime == "openvino" else form.precision
    variant = next((v for v in bundle.manifest.variants if v.precision == stored), None)
    if variant is None:
        raise BundleRejectedError(f"{bundle.manifest.name}: has no variant in {stored}")
    network, name = bundle.network(variant), f"{bundle.manifest.name}/{variant.file}"
    image, answer = bundle.manifest.input.name, bundle.manifest.output.name
    if form.runtime == "openvino":
        hint = "bf16" if form.precision == "bf16" else "f32"
        return OpenVinoSession(network, name=name, image=image, answer=answer, hint=hint, threads=threads)
    return OnnxRuntimeSession(
        network, name=name, image=image, answer=answer, provider=form.device, threads=threads
    )


def _numbers(trial: Trial) -> dict[str, object]:
    return {
        "latency_ms": round(trial.latency_ms, 2),
        "union_dice": round(trial.union_dice, 4),
        "label_dice": round(trial.label_dice, 4),
        "refused": trial.refused or "no",
    }
