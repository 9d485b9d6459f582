"""The device as the fleet's state machine sees it: plans, stages, applies, probes, and brings back.

Every method returns at once; what takes its time is a `Work` in a thread of its own. A process that has to
begin anew ends before its job does, and `begin.py` goes on from what was written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from edge.bundles.signature import Trust
from edge.bundles.store import Bundle, find
from edge.config.classes import changes
from edge.config.schema import Config
from edge.daemon.jobs import Work
from edge.daemon.parts import bundles_of, crowded_of, live_callers_of
from edge.daemon.planning import Planning, bundle_changes
from edge.daemon.probes import Probes
from edge.daemon.takeover import admitted, differing, pipelines_with
from edge.daemon.works import Former, Works
from edge.domain.errors import BundleRejectedError, DocumentRefusedError, InferenceError
from edge.fleet.case import Case
from edge.fleet.install import Stager, attempt_of
from edge.fleet.ports import WAITS_FOR, Change, Plan, Wanted
from edge.fleet.words import ProbeName
from edge.inference.making import Made
from edge.kit.log import Log
from edge.sources.dicom import DicomDoor

LOOK_S: Final = 0.05
SERIES: Final = "the series that is looked at now"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """What a plan rests on.

    Attributes:
        after: The configuration that is asked for.
        coming: Bundles whose package is to be brought into use.
        leaving: Bundles that go back to what they were before the fleet came.
        needs_process: The process begins anew.
    """

    after: Config
    coming: tuple[str, ...]
    leaving: tuple[str, ...]
    needs_process: bool


@dataclass(slots=True)
class _Trial:
    """What was changed and may have to be taken back.

    Attributes:
        attempt: Names the switch of bundles.
        before: The wish that was at work.
        former: What else was.
        is_asked: The change has been asked whether it goes on waiting for a series.
        anew: Bundles whose pipelines began anew.
    """

    attempt: str
    before: Wanted | None
    former: Former | None = None
    is_asked: bool = False
    anew: frozenset[str] = field(default=frozenset())

    @property
    def waits(self) -> bool:
        """Whether nothing is changed yet, because a series is in hand."""
        return self.is_asked and self.former is not None and not self.former.is_disturbed


class _Applying(Work):
    """The work of applying, which says while it waits."""

    def __init__(self, do: Callable[[Work], None], trial: _Trial) -> None:
        self._trial = trial
        super().__init__("applying", do, code="admission")

    def progress(self) -> Mapping[str, Any]:
        """Return how far it is."""
        return {**super().progress(), **({WAITS_FOR: SERIES} if self._trial.waits else {})}


class FleetDevice:
    """A `fleet.ports.Device`; the thread of the fleet's agent asks it.

    Args:
        wanted: The wish that is at work; None: the device's file alone.
        works: What may become another.
        planning: Says what a wish would change.
        stager: Brings bundles here and into use; it must admit them by `admit`.
        probes: Try whether it works.
        case: Whether one is running.
        doors: For studies.
        places: Where bundles lie.
        trust: Whom the site believes about them.
        begin_anew: Has the process end in order and begin anew; returns at once.
        is_trial: The process began with a version that is being tried.
    """

    def __init__(
        self,
        wanted: Wanted | None,
        *,
        works: Works,
        planning: Planning,
        stager: Stager,
        probes: Probes,
        case: Case,
        doors: Sequence[DicomDoor],
        places: Sequence[Path],
        trust: Trust,
        begin_anew: Callable[[], None],
        is_trial: bool = False,
    ) -> None:
        self.wanted = wanted
        self._is_trying = is_trial
        self._works = works
        self._planning = planning
        self._stager = stager
        self._probes = probes
        self._case = case
        self._doors = tuple(doors)
        self._places = tuple(places)
        self._trust = trust
        self._begin_anew = begin_anew
        self._staged: dict[str, Made] = {}  # by the digest of its bundle
        self._callers = live_callers_of(works.config)
        self._trial: _Trial | None = None
        self._under_way: Work | None = None
        self._log = Log("fleet")

    # ── the port ──────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, wanted: Wanted) -> Plan:
        """Check a wish as a whole, and say what it changes.

        Raises:
            DocumentRefusedError: schema, unsupported or local_lock, with the path.
        """
        before = self._works.config
        after = self._planning.after(wanted)
        self._planning.check_parts(after, before, self._works.engine)
        in_use = [name for name, one in wanted.bundles.items() if self.is_at_work(name, wanted)]
        found = [*changes(before, after), *bundle_changes(self.wanted, wanted, in_use)]
        needs_process = any(change.restart == "process" for change in found)
        if needs_process:
            self._planning.check_next_start(wanted)
        coming, leaving = _sorted_out(found, wanted)
        body = _Prepared(after=after, coming=coming, leaving=leaving, needs_process=needs_process)
        return Plan(wanted=wanted, changes=tuple(found), body=body)

    def stage(self, plan: Plan) -> Work:
        """Fetch, verify and admit what is missing, while everything goes on as it is."""
        return self._begun("staging", partial(self._stage, plan))

    def unsafe(self) -> str:
        """Return what is under way that must not be disturbed, "" at a safe point."""
        why = self._case.under_way()
        if why:
            return why
        associations = sum(door.associations for door in self._doors)
        if associations:
            return f"{associations} DICOM associations are open"
        waiting = self._works.studies.in_flight()
        return f"{waiting} objects are not assessed yet" if waiting else ""

    def apply(self, plan: Plan) -> Work:
        """Bring it to work; where the process must begin anew, it ends before the job does."""
        self._trial, self._is_trying = _Trial(attempt=attempt_of(plan.wanted), before=self.wanted), True
        self._under_way = _Applying(partial(self._apply, plan, self._trial), self._trial)
        return self._under_way

    def probe(self, plan: Plan, names: Sequence[ProbeName]) -> Work:
        """Try whether the device works now."""
        changed = set(plan.wanted.bundles)
        return self._begun(
            "probing",
            lambda work: self._probes.run(names, self._works.config, changed=changed, go_on=work.check),
        )

    def restore(self, plan: Plan) -> Work:
        """Bring back what was at work before."""
        assert self._trial is not None, "something was applied before"
        assert self._trial.attempt == attempt_of(plan.wanted), "and it was this"
        return self._begun("going back", partial(self._restore, self._trial))

    def discard(self, plan: Plan) -> None:
        """Let go of what was staged for a plan that came to nothing."""
        if self._staged:
            self._log.info(
                "not wanted any more", bundles=",".join(self._staged), wish=plan.wanted.digest[:19]
            )
        self._close_staged()

    # ── beside the port ───────────────────────────────────────────────────────────────────────────────────

    def settled(self) -> None:
        """Let go of what was kept in case somebody wanted it back: the version has come to its end."""
        if self._trial is not None and self._trial.former is not None:
            self._trial.former.release()
        self._trial, self._is_trying = None, False
        self._close_staged()

    def busy(self) -> str:
        """Return why no command may change what is at work now, "" where it may."""
        return self._case.under_way() or self.on_trial()

    def on_trial(self) -> str:
        """Return what is on trial, "" where nothing is."""
        return "a version is being tried" if self._is_trying else ""

    def admit(self, bundle: Bundle) -> None:
        """Let a bundle prove itself on this device while everything goes on; it is kept until it is used.

        Raises:
            BundleRejectedError: It does not pass.
        """
        made = admitted(self._works, bundle, callers=self._callers)
        before, self._staged[bundle.digest] = self._staged.pop(bundle.digest, None), made
        if before is not None:
            before.active.model.close()

    def close(self, *, within_s: float) -> None:
        """Let what is under way end, and let go of what was staged; at the stop of the appliance."""
        if self._under_way is not None:
            self._under_way.cancel()
            if not self._under_way.wait(within_s):
                self._log.warning("left behind", work=self._under_way.progress().get("doing", ""))
                return
        self._close_staged()
        if self._trial is not None and self._trial.former is not None:
            self._trial.former.release()

    def is_at_work(self, name: str, wanted: Wanted) -> bool:
        """Return whether a bundle of a wish is in use, and speaks where a pipeline looks with it."""
        one = wanted.bundles[name]
        if not self._stager.is_in_use(name, one):
            return False
        if name not in bundles_of(self._works.config) or name in self._works.engine.refusals:
            return True
        return self._works.engine.bundle(name).path == self._stager.folder_of(name, one)

    # ── the work ──────────────────────────────────────────────────────────────────────────────────────────

    def _begun(self, name: str, do: Callable[[Work], None]) -> Work:
        self._under_way = Work(name, do, code="admission" if name != "probing" else "probe")
        return self._under_way

    def _stage(self, plan: Plan, work: Work) -> None:
        prepared = _body(plan)
        self._close_staged()  # of a job that was given up and came to its end after all
        self._callers = live_callers_of(prepared.after)
        if prepared.coming:
            job = self._stager.job({name: plan.wanted.bundles[name] for name in prepared.coming})
            while not job.wait(LOOK_S):
                work.say(job.progress())
                if work.is_cancelled_within(0):
                    job.cancel()
            job.result()
        work.check()
        if not prepared.needs_process:
            for bundle in self._wanted_bundles(prepared, plan.wanted, is_switched=False):
                if bundle.digest not in self._staged:
                    self._admit_or_refuse(bundle)

    def _wanted_bundles(self, prepared: _Prepared, wanted: Wanted, *, is_switched: bool) -> Iterator[Bundle]:
        """Yield the bundles whose model must be another, of those that pipelines will look with.

        Args:
            prepared: What is planned.
            wanted: The wish.
            is_switched: The store is; what goes back to before the fleet can be found there then, not before.

        Raises:
            DocumentRefusedError: admission: one is not there.
        """
        used = set(bundles_of(self._works.config))
        crowded = crowded_of(prepared.after, seats=live_callers_of(self._works.config))
        for name in dict.fromkeys(bundles_of(prepared.after)):
            if name in prepared.coming:
                yield self._stager.bundle(name, wanted.bundles[name])
            elif name in prepared.leaving:
                if is_switched:
                    yield self._found(name)
            elif name not in used or (name in crowded and name not in self._works.engine.refusals):
                yield self._found(name)

    def _found(self, name: str) -> Bundle:
        try:
            return find(name, self._places, self._trust)
        except BundleRejectedError as refusal:
            raise DocumentRefusedError("admission", str(refusal), path=f"bundles.{name}") from refusal

    def _admit_or_refuse(self, bundle: Bundle) -> None:
        try:
            self.admit(bundle)
        except BundleRejectedError as refusal:
            path = f"bundles.{bundle.manifest.name}"
            raise DocumentRefusedError("admission", str(refusal), path=path) from refusal

    def _apply(self, plan: Plan, trial: _Trial, work: Work) -> None:
        with self._works.alone:
            self._apply_alone(plan, trial, work)

    def _apply_alone(self, plan: Plan, trial: _Trial, work: Work) -> None:
        prepared = _body(plan)
        self._probes.remember_refusals()
        if prepared.coming or prepared.leaving:
            self._stager.switch(plan.wanted.bundles, attempt=trial.attempt)
        if prepared.needs_process:
            work.say({"doing": "beginning anew", "done": 0, "of": 1})
            self._begin_anew()
            while not work.is_cancelled_within(LOOK_S):
                pass
            raise DocumentRefusedError("timeout", "the process should have begun anew and has not")
        models = self._models(prepared, plan.wanted)
        trial.former = self._works.former()
        trial.anew = frozenset(differing(self._works, models))

        def go_on() -> None:
            work.check()
            trial.is_asked = True

        try:
            self._works.change(
                prepared.after,
                models=models,
                anew=pipelines_with(trial.anew, prepared.after),
                former=trial.former,
                go_on=go_on,
            )
        except InferenceError as late:
            if not trial.waits:
                raise
            raise DocumentRefusedError("timeout", f"waited too long for {SERIES}: {late}") from late
        self.wanted = plan.wanted

    def _restore(self, trial: _Trial, work: Work) -> None:
        with self._works.alone:
            self._restore_alone(trial, work)

    def _restore_alone(self, trial: _Trial, work: Work) -> None:
        work.say({"doing": "going back", "done": 0, "of": 1})
        if trial.former is not None:
            anew = pipelines_with(trial.anew, trial.former.config)
            self._works.undo(trial.former, anew=anew)
        self._stager.switch_back(trial.attempt)
        self.wanted = trial.before
        self._trial = None
        self._close_staged()

    def _models(self, prepared: _Prepared, wanted: Wanted) -> list[Made]:
        """Return the models that take over: what was staged, and what comes back from before the fleet.

        Raises:
            DocumentRefusedError: admission: what was before the fleet came passes no longer.
        """
        models = []
        for bundle in self._wanted_bundles(prepared, wanted, is_switched=True):
            if bundle.digest not in self._staged:
                self._admit_or_refuse(bundle)
            models.append(self._staged.pop(bundle.digest))
        return models

    def _close_staged(self) -> None:
        while self._staged:
            _, made = self._staged.popitem()
            made.active.model.close()


def _body(plan: Plan) -> _Prepared:
    assert isinstance(plan.body, _Prepared), "a plan of this device"
    return plan.body


def _sorted_out(found: Sequence[Change], wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which bundles come, and which leave."""
    names = [change.path.removeprefix("bundles.") for change in found if change.path.startswith("bundles.")]
    coming = tuple(name for name in names if name in wanted.bundles)
    return coming, tuple(name for name in names if name not in wanted.bundles)
