"""From a bundle to a model at work: admitted on the lane of its task, a session for each caller, all warm."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edge.bundles.store import Bundle
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.ports import Clock
from edge.inference.admission import Admission, Admitted, Exams, Tell, tell_nobody
from edge.inference.deadline import Deadline
from edge.inference.forms import Form, open_session, stamp_of, variant_of
from edge.inference.handle import Active
from edge.inference.keeping import KeptSession
from edge.inference.lanes import Lane, Lanes, TurnTaking
from edge.inference.memory import Budget
from edge.inference.session import Session
from edge.inference.tasks import AnyModel, task_of
from edge.inference.trials import RUN_S, Breathe, Trial, nobody_waits


@dataclass(frozen=True, slots=True)
class Made:
    """A model that was made, and what is known about the forms it might have.

    Attributes:
        active: Warm, and proved.
        trials: What each form did, the chosen one first; of this form alone where the rest was not measured.
        is_measured: Whether all were, now or on an earlier day.
    """

    active: Active[AnyModel]
    trials: tuple[Trial, ...]
    is_measured: bool


class Maker:
    """Makes models; it keeps nothing of them.

    Args:
        threads: For one network of volumes on the CPU, at least 1.
        live_callers: So many may ask one live model at once; each has its own session, with one thread.
        live_burst_max: On a GPU: so many live runs in a row while imaging waits.
        providers: Devices that may be used.
        state_dir: Where measurements are remembered.
        memory_mb: What open imaging networks may hold together, 0 for no limit.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self,
        *,
        threads: int,
        live_callers: int,
        live_burst_max: int,
        providers: Collection[str],
        state_dir: Path,
        memory_mb: float,
        clock: Clock,
    ) -> None:
        self.budget = Budget(limit_mb=memory_mb)
        self._threads = threads
        self.live_callers = live_callers  # of models that are made from now on
        self._clock = clock
        self._lanes = Lanes(live_burst_max=live_burst_max)
        self._admissions: dict[Lane, Admission] = {
            lane: Admission(
                opening=partial(self._open, lane),
                turns=partial(self._in_turns, lane),
                threads=threads if lane == "imaging" else 1,
                providers=providers,
                state_dir=state_dir,
                clock=clock,
            )
            for lane in ("imaging", "live")
        }

    def at_once(self, bundle: Bundle) -> Made:
        """Make a model without measuring: in the form that is remembered, or else the first best.

        Raises:
            BundleRejectedError: Its golden input proves nothing, or no form of it passes here.
        """
        exams = exams_of(bundle, self._clock)
        admission = self._admissions[task_of(bundle, self._clock).lane]
        known = admission.remembered(bundle, exams)
        admitted = known or admission.first_best(bundle, exams)
        return self._made(bundle, admitted, is_measured=known is not None)

    def at_its_best(
        self,
        bundle: Bundle,
        *,
        tell: Tell = tell_nobody,
        breathe: Breathe = nobody_waits,
    ) -> Made:
        """Make a model in its best form; measure where that is not remembered.

        Args:
            bundle: Whose files are in order.
            tell: Is told how far measuring is.
            breathe: Waits before each measured run.

        Raises:
            BundleRejectedError: Its golden input proves nothing, or no form of it passes here.
        """
        exams = exams_of(bundle, self._clock)
        admission = self._admissions[task_of(bundle, self._clock).lane]
        admitted = admission.remembered(bundle, exams)
        admitted = admitted or admission.measure(bundle, exams, tell=tell, breathe=breathe)
        return self._made(bundle, admitted, is_measured=True)

    def measured(
        self, bundle: Bundle, *, at_work: Form | None, tell: Tell, breathe: Breathe
    ) -> Made | tuple[Trial, ...]:
        """Measure every form, also where it is remembered, and make a model of the best.

        Args:
            bundle: Whose files are in order.
            at_work: The form that is used now; where it stays the best no model is made.
            tell: Is told how far this is.
            breathe: Waits before each run.

        Returns:
            The model, or only what was measured where the form at work stays.

        Raises:
            BundleRejectedError: Its golden input proves nothing, or no form of it passes here.
        """
        exams = exams_of(bundle, self._clock)
        admission = self._admissions[task_of(bundle, self._clock).lane]
        admitted = admission.measure(bundle, exams, tell=tell, breathe=breathe)
        if admitted.form == at_work:
            admitted.session.close()
            return admitted.trials
        return self._made(bundle, admitted, is_measured=True)

    def trials(self, bundle: Bundle, *, tell: Tell = tell_nobody) -> tuple[Trial, ...]:
        """Measure every form, and make no model; the chosen form comes first.

        Raises:
            BundleRejectedError: Its golden input proves nothing, or no form of it passes here.
        """
        exams = exams_of(bundle, self._clock)
        admission = self._admissions[task_of(bundle, self._clock).lane]
        admitted = admission.measure(bundle, exams, tell=tell)
        admitted.session.close()
        return admitted.trials

    def _made(self, bundle: Bundle, admitted: Admitted, *, is_measured: bool) -> Made:
        task, form = task_of(bundle, self._clock), admitted.form
        seats = self.live_callers if task.lane == "live" and form.device == "cpu" else 1
        with ExitStack() as opened:  # closed again unless all of them are ready
            sessions = [self._kept(bundle, admitted, task.lane, admitted.session)]
            opened.callback(sessions[0].close)
            while len(sessions) < seats:
                sessions.append(self._kept(bundle, admitted, task.lane, self._open(task.lane, bundle, form)))
                opened.callback(sessions[-1].close)
                try:  # so that no caller meets a cold one
                    task.exam.answers(sessions[-1], Deadline(self._clock, RUN_S))
                except InferenceError as error:
                    raise BundleRejectedError(f"{bundle.manifest.name}: {error}") from error
            seated = [self._in_turns(task.lane, session, form) for session in sessions]
            active = Active(
                bundle=bundle,
                model=task.build(seated, stamp_of(bundle, form, admitted.session)),
                form=form,
                sessions=tuple(sessions),
                exam=task.exam,
                reference=task.reference,
            )
            opened.pop_all()
        return Made(active, admitted.trials, is_measured)

    def _kept(self, bundle: Bundle, admitted: Admitted, lane: Lane, session: Session) -> KeptSession:
        return KeptSession(
            session,
            name=bundle.manifest.name,
            memory_mb=admitted.trials[0].memory_mb,
            reopen=lambda: self._open(lane, bundle, admitted.form),
            may_reopen=(bundle.path / variant_of(bundle, admitted.form).file).is_file,
            budget=self.budget if lane == "imaging" else None,
            clock=self._clock,
        )

    def _open(self, lane: Lane, bundle: Bundle, form: Form) -> Session:
        if lane == "imaging":
            return open_session(bundle, form, threads=self._threads, gives_way=True)
        return open_session(bundle, form, threads=1)

    def _in_turns(self, lane: Lane, session: Session, form: Form) -> Session:
        if form.device == "cpu":
            return session
        return TurnTaking(session, self._lanes.imaging if lane == "imaging" else self._lanes.live)


def exams_of(bundle: Bundle, clock: Clock) -> Exams:
    """Return what the network of a bundle is asked before it is used.

    Raises:
        BundleRejectedError: The golden input or the calibration samples are not what the format says.
    """
    golden = task_of(bundle, clock).exam
    samples = bundle.manifest.calibration
    if samples is None:
        return Exams(golden)
    own = bundle.manifest.golden.model_copy(update={"file": samples.file, "sha256": samples.sha256})
    further = replace(bundle, manifest=bundle.manifest.model_copy(update={"golden": own}))
    return Exams(golden, task_of(further, clock).exam)
