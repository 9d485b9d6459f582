"""Which form of a network runs here: every one there is stands trial, the fastest that agrees is used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from numpy.typing import NDArray

from edge.bundles.store import Bundle
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.ports import Clock
from edge.inference.forms import CAREFUL_FIRST, REFERENCE, Form, forms_of
from edge.inference.golden import Agreement, Exam
from edge.inference.perils import Perils
from edge.inference.ranking import choose, is_clear
from edge.inference.session import Session
from edge.inference.tables import Tables
from edge.inference.trials import Breathe, Contender, Trial, nobody_waits, race
from edge.kit.log import Log

HOPELESS = 2.5  # so many times slower than the best, warm: not in the race
FAR_FASTER = (
    1.5  # so many times, at a first look, to serve instead of the most careful until all are measured
)
RACES_MAX = 3  # until it is clear who is faster
RACERS_MAX = 5  # their networks are open at the same time


@dataclass(frozen=True, slots=True)
class Exams:
    """What a network is asked before it is used.

    Attributes:
        golden: Must be answered at every start.
        calibration: Further samples, asked when forms are measured; None where the bundle has none.
    """

    golden: Exam
    calibration: Exam | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The form that was chosen, warm, and what all of them did, the chosen one first."""

    session: Session
    form: Form
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far measuring has come.

    Attributes:
        done: Steps that are behind it: each form is one, and the race of the fast ones.
        steps: All of them.
        doing: What it does now.
    """

    done: int
    steps: int
    doing: str


Tell = Callable[[Progress], None]


def tell_nobody(progress: Progress) -> None:
    """Keep it to ourselves."""


class Admission:
    """The test a bundle takes on this device; the result is remembered for the same bundle and device.

    Args:
        opening: Opens one form of a bundle's network where it will run.
        turns: Makes a session wait for its turn, where that is the way of its device.
        threads: For one network on the CPU.
        providers: Devices that may be used.
        state_dir: Where results are remembered.
        clock: Measures.
    """

    def __init__(
        self,
        *,
        opening: Callable[[Bundle, Form], Session],
        turns: Callable[[Session, Form], Session],
        threads: int,
        providers: Collection[str],
        state_dir: Path,
        clock: Clock,
    ) -> None:
        self._open = opening
        self._turns = turns
        self._providers = sorted(providers)
        self._tables = Tables(state_dir / "admission", threads=threads, providers=self._providers)
        self._clock = clock
        self._log = Log("engine")

    def remembered(self, bundle: Bundle, exams: Exams) -> Admitted | None:
        """Open the form that was best when all were measured; None where it is unknown, or fails today."""
        trials = self._tables.recall(bundle)
        if not trials or trials[0].form not in forms_of(bundle.manifest, self._providers):
            return None
        contender, trial, _ = self._try(bundle, trials[0].form, exams.golden, nobody_waits)
        if contender is None:
            self._log.warning("measuring again", bundle=bundle.manifest.name, because=trial.refused)
            return None
        return Admitted(
            contender.session, trial.form, (replace(trials[0], cold_ms=trial.cold_ms), *trials[1:])
        )

    def first_best(self, bundle: Bundle, exams: Exams) -> Admitted:
        """Open what serves until all forms are measured: the most careful one, or a far faster one.

        The one form that tends to be the fastest is looked at beside it, where no engine has to be built for
        it first: without that the first hour of a device would be several times slower than all others.

        Raises:
            BundleRejectedError: None passes; the message says what each did.
        """
        forms = forms_of(bundle.manifest, self._providers)
        trials = []
        for form in sorted(forms, key=lambda form: (form != REFERENCE, CAREFUL_FIRST.index(form.precision))):
            careful, trial, _ = self._try(bundle, form, exams.golden, nobody_waits)
            if careful is not None:
                likely = next(
                    (one for one in forms if one not in (REFERENCE, form) and _opens_soon(one)), None
                )
                faster = likely and self._far_faster(bundle, likely, careful, exams.golden)
                return faster or Admitted(careful.session, form, (trial,))
            trials.append(trial)
        raise _refused(bundle, trials)

    def _far_faster(self, bundle: Bundle, form: Form, careful: Contender, exam: Exam) -> Admitted | None:
        """Open a form if it passes and is far faster than the careful one, which is closed then."""
        perils = self._tables.perils(bundle)
        if perils.refusal(form):
            return None
        with perils.of(form), ExitStack() as opened:
            contender, trial, _ = self._try(bundle, form, exam, nobody_waits)
            if contender is None:
                return None
            opened.callback(contender.session.close)
            try:
                contender.warm_up(exam)
                careful.warm_up(exam)
            except InferenceError as error:
                self._log.warning(
                    "not looked at further", bundle=bundle.manifest.name, form=form, because=error
                )
                return None
            if FAR_FASTER * contender.best_ms > careful.best_ms:
                return None
            opened.pop_all()
        careful.session.close()
        return Admitted(contender.session, form, (trial,))

    def measure(
        self,
        bundle: Bundle,
        exams: Exams,
        *,
        tell: Tell = tell_nobody,
        breathe: Breathe = nobody_waits,
    ) -> Admitted:
        """Try every form there is, and remember how each did.

        Args:
            bundle: Whose files are in order.
            exams: What each is asked.
            tell: Is told how far this is.
            breathe: Waits before each run; what it raises ends the measuring.

        Raises:
            BundleRejectedError: None passes; the message says what each did.
        """
        forms = forms_of(bundle.manifest, self._providers)
        perils = self._tables.perils(bundle)
        with closing(
            _Trials(bundle, exams, lambda form: self._try(bundle, form, exams.golden, breathe))
        ) as all_of:
            if REFERENCE not in forms:
                all_of.ask_reference()
            for number, form in enumerate(forms):
                tell(Progress(number, len(forms) + 1, str(form)))
                all_of.risk(form, perils)
            perils.forget()
            tell(Progress(len(forms), len(forms) + 1, "the fast ones side by side"))
            admitted = all_of.finish()
        for trial in admitted.trials:
            self._log.info("measured", bundle=bundle.manifest.name, form=trial.form, **_numbers(trial))
        self._tables.remember(bundle, admitted.trials)
        tell(Progress(len(forms) + 1, len(forms) + 1, "done"))
        return admitted

    def _try(self, bundle: Bundle, form: Form, exam: Exam, breathe: Breathe) -> _Attempt:
        """Open a form and ask the golden input; the contender is None where the trial says why not."""
        try:
            contender = Contender(
                form,
                opening=lambda: self._open(bundle, form),
                turns=lambda session: self._turns(session, form),
                clock=self._clock,
                breathe=breathe,
            )
        except BundleRejectedError as error:
            return None, Trial(form, refused=str(error)), []
        with ExitStack() as opened:
            opened.callback(contender.session.close)
            try:
                answers, trial = contender.answer(exam)
            except InferenceError as error:
                answers, trial = [], Trial(form, refused=str(error))
            if trial.refused:
                return None, trial, answers
            opened.pop_all()
        return contender, trial, answers


_Attempt = tuple[Contender | None, Trial, list[NDArray[Any]]]


class _Trials:
    """The trial of all forms of one bundle; what is open at its end is closed with it."""

    def __init__(self, bundle: Bundle, exams: Exams, attempt: Callable[[Form], _Attempt]) -> None:
        self._bundle = bundle
        self._exams = exams
        self._attempt = attempt
        self._racing: list[tuple[Contender, Trial]] = []
        self._trials: list[Trial] = []
        self._log = Log("engine")
        self._dropped: dict[Form, tuple[Form, float]] = {}  # by which it was beaten, and how many times
        self._here: list[Exam] = []  # what fp32 on the CPU answers on this device is right in these

    def ask_reference(self) -> None:
        """Let the reference judge though it may not be used itself, where the bundle has it at all."""
        contender, _, answers = self._attempt(REFERENCE)
        if contender is not None:
            try:
                self._judge_by(contender, answers)
            except InferenceError as error:
                self._log.warning("no reference here", bundle=self._bundle.manifest.name, because=error)
            contender.session.close()

    def risk(self, form: Form, perils: Perils) -> None:
        """Try one form, unless it has ended the process too often; the reference serves anyhow."""
        refusal = perils.refusal(form)
        if form == REFERENCE:
            self.add(form)
        elif refusal:
            self._trials.append(Trial(form, refused=refusal))
        else:
            with perils.of(form):
                self.add(form)

    def add(self, form: Form) -> None:
        """Try one form; the reference comes first, where there is one."""
        contender, trial, answers = self._attempt(form)
        if contender is None:
            self._trials.append(trial)
            return
        with ExitStack() as opened:
            opened.callback(contender.session.close)
            try:
                if form == REFERENCE:
                    self._judge_by(contender, answers)
                trial = self._compared(contender, trial, answers)
                if not trial.refused:
                    contender.warm_up(self._exams.golden)
            except InferenceError as error:
                trial = replace(trial, refused=str(error))
            if trial.refused:
                self._trials.append(trial)
                return
            opened.pop_all()
        self._racing.append((contender, trial))
        try:
            self._drop_hopeless()
        except InferenceError as error:
            self._refuse_fallen(error)

    def finish(self) -> Admitted:
        """Let the fast ones race, choose, and close all others."""
        rounds_ms = self._raced()
        forms = [contender.form for contender, _ in self._racing]
        chosen = forms.index(choose(forms, rounds_ms))
        racing, self._racing = self._racing, []
        for number, (contender, trial) in enumerate(racing):
            ratios = [round_ms[number] / round_ms[chosen] for round_ms in rounds_ms]
            self._trials.append(replace(contender.timed(trial), times_chosen=median(ratios)))
            if number != chosen:
                contender.session.close()
        self._rank(forms[chosen])
        return Admitted(racing[chosen][0].session, forms[chosen], tuple(self._trials))

    def _rank(self, chosen: Form) -> None:
        """Put the chosen form first, and say of all others by how much they are beaten."""
        times = {trial.form: trial.times_chosen for trial in self._trials}
        for form, (better, factor) in reversed(self._dropped.items()):  # who was dropped last knows the next
            times[form] = factor * times[better]
        self._trials = [
            replace(
                trial,
                times_chosen=times[trial.form],
                beaten="" if trial.refused or trial.form == chosen else _beaten(times[trial.form], by=chosen),
            )
            for trial in self._trials
        ]
        self._trials.sort(key=lambda trial: (trial.form != chosen, bool(trial.refused), trial.times_chosen))

    def _raced(self) -> list[list[float]]:
        """Return the times of all rounds; a form that fails in one is refused, and the rest runs again."""
        rounds_ms: list[list[float]] = []
        races = 0
        while self._racing and races < RACES_MAX and not (races and is_clear(rounds_ms)):
            try:
                rounds_ms += race([contender for contender, _ in self._racing], self._exams.golden)
                races += 1
            except InferenceError as error:
                self._refuse_fallen(error)
                rounds_ms, races = [], 0
                if not self._racing:
                    self._take_back()
        if not self._racing:
            raise _refused(self._bundle, self._trials)
        return rounds_ms

    def _refuse_fallen(self, error: InferenceError) -> None:
        fallen = next(n for n, (contender, _) in enumerate(self._racing) if contender.has_failed)
        contender, trial = self._racing.pop(fallen)
        contender.session.close()
        self._trials.append(replace(trial, refused=str(error)))

    def _take_back(self) -> None:
        """Try again what was dropped for being slow: all that were faster have failed."""
        dropped, self._dropped = list(self._dropped), {}
        self._trials = [trial for trial in self._trials if trial.form not in dropped]
        for form in dropped:
            self.add(form)

    def close(self) -> None:
        """Free all that is open."""
        for contender, _ in self._racing:
            contender.session.close()

    def _judge_by(self, reference: Contender, answers: list[NDArray[Any]]) -> None:
        self._here = [self._exams.golden.against(answers)]
        if self._exams.calibration is not None:
            self._here.append(self._exams.calibration.against(reference.further(self._exams.calibration)))

    def _compared(self, contender: Contender, trial: Trial, answers: list[NDArray[Any]]) -> Trial:
        """Compare with what the reference answers on this device."""
        if not self._here or contender.form == REFERENCE:
            return trial
        alike = [self._here[0].agreement(answers)]
        alike += [exam.agreement(contender.further(exam)) for exam in self._here[1:]]
        shortfalls = [one.shortfall for one in alike if one.shortfall]
        refused = f"against {REFERENCE} here: {shortfalls[0]}" if shortfalls else ""
        return replace(trial, agreement_here=_worst(alike), refused=refused)

    def _drop_hopeless(self) -> None:
        """Close what is far behind the best: it would make the race long, and its memory is needed."""
        by_speed = sorted(self._racing, key=lambda one: one[0].best_ms)
        best = by_speed[0][0]
        for number, (contender, trial) in enumerate(by_speed):
            if number >= RACERS_MAX or self._is_hopeless(contender, best):
                self._racing.remove((contender, trial))
                self._dropped[contender.form] = (best.form, contender.best_ms / best.best_ms)
                self._trials.append(contender.timed(trial))
                contender.session.close()

    def _is_hopeless(self, contender: Contender, best: Contender) -> bool:
        """Ask both once more where it looks so: one of them may have met a busy moment."""
        if contender.best_ms <= HOPELESS * best.best_ms:
            return False
        best.time(self._exams.golden)
        contender.time(self._exams.golden)
        return contender.best_ms > HOPELESS * best.best_ms


def _opens_soon(form: Form) -> bool:
    """Whether no engine has to be built for it, which takes minutes."""
    return form.device not in ("tensorrt", "npu")


def _beaten(times: float, *, by: Form) -> str:
    if not times:  # it was dropped for one that failed later
        return f"far slower in its first runs than one that failed since; not run beside {by}"
    return (
        f"{times:.2f} × the time of {by}" if times > 1 else f"not clearly faster than {by}, and less careful"
    )


def _worst(alike: Sequence[Agreement]) -> dict[str, float]:
    """Take each number from where it is worst: an error where it is largest, all else where it is least."""
    return {
        name: (max if "error" in name else min)(one.numbers[name] for one in alike)
        for name in alike[0].numbers
    }


def _refused(bundle: Bundle, trials: Sequence[Trial]) -> BundleRejectedError:
    each = "; ".join(f"{trial.form}: {trial.refused}" for trial in trials) or "no variant is for it"
    return BundleRejectedError(f"{bundle.manifest.name}: nothing passes on this device: {each}")


def _numbers(trial: Trial) -> dict[str, object]:
    agreement = {name.replace(" ", "_"): round(number, 4) for name, number in trial.agreement.items()}
    return {"p50_ms": round(trial.p50_ms, 2), **agreement, "refused": trial.refused or "no"}
