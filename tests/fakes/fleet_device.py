"""A device for the state machine: quick, slow, failing or lying, as its faults or a document say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.domain.errors import DocumentRefusedError
from edge.fleet.ports import WAITS_FOR, Change, Plan, Wanted
from edge.fleet.words import ProbeName, Restart

FAULT = "fault_"  # a key of a document's configuration that begins so says what goes wrong with it
FOR_EVER = 10**9
HARMLESS = {"process", "load", "restore", ""}  # what says nothing about how it works then


class ProcessEnded(BaseException):  # no error: what SIGKILL is to a process
    """The process of the device is gone; whoever catches it starts another."""


class FakeJob:
    """Over after it was asked often enough, or once it is cancelled, unless it is stubborn."""

    def __init__(
        self,
        what: str,
        *,
        polls: int = 0,
        work: Callable[[], None] = lambda: None,
        is_stubborn: bool = False,
        waits_for: Callable[[], str] = lambda: "",
    ) -> None:
        self.what = what
        self._waits_for = waits_for
        self.is_over = False
        self._polls_left = polls
        self._work = work
        self._is_stubborn = is_stubborn
        self._refusal: DocumentRefusedError | None = None

    def done(self) -> bool:
        self._polls_left -= 1
        if self._polls_left < 0 and not self.is_over:
            self.is_over = True
            try:
                self._work()
            except DocumentRefusedError as refusal:
                self._refusal = refusal
        return self.is_over

    def result(self) -> None:
        assert self.is_over, "only asked when it is done"
        if self._refusal is not None:
            raise self._refusal

    def progress(self) -> Mapping[str, Any]:
        waits_for = self._waits_for()
        said = {"doing": self.what, "done": int(self.is_over), "of": 1}
        return {**said, WAITS_FOR: waits_for} if waits_for else said

    def cancel(self) -> None:
        if not self.is_over and not self._is_stubborn:
            self.is_over = True
            self._refusal = DocumentRefusedError("timeout", f"{self.what} was cancelled")


@dataclass(slots=True)
class Faults:
    """What is the matter with the device, whatever it is asked for.

    Attributes:
        polls: So often each job is asked before it is over.
        is_stubborn: Jobs do not end when they are cancelled.
        unsafe: What must not be disturbed.
        in_hand: What applying waits for.
        restart: What every change needs.
        ends_in: In this method the process ends.
        wrong: What goes wrong, as in a document.
    """

    polls: int = 0
    is_stubborn: bool = False
    unsafe: str = ""
    in_hand: str = ""
    restart: Restart = "hot"
    ends_in: str = ""
    wrong: frozenset[str] = frozenset()


class FakeFleetDevice:
    """Has one configuration at work.

    A document makes something go wrong with `{"fault_<anything>": "<what>"}` in its configuration: `plan`,
    `stage`, `apply`, `probe` and `restore` fail; `half` is applied in part before it fails; `lie` is never
    brought to work though it is said to be; `surprise in apply` raises what nobody foresaw; `process` needs a
    new process.
    """

    def __init__(self, at_work: Wanted | None = None, *, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.config: Mapping[str, Any] = {} if at_work is None else at_work.config
        self.calls: list[str] = []
        self.proven: list[str] = []
        self.staged: list[Plan] = []
        self._busy: FakeJob | None = None

    def plan(self, wanted: Wanted) -> Plan:
        self._called("plan")
        self._fail("plan", wanted)
        names = sorted({*wanted.config, *self.config})
        changed = [name for name in names if wanted.config.get(name) != self.config.get(name)]
        marks = self._wrong(wanted) | _marks(self.config)
        needs: Restart = "process" if "process" in marks else self.faults.restart
        return Plan(wanted=wanted, changes=[Change(name, needs) for name in changed], body=self.config)

    def stage(self, plan: Plan) -> FakeJob:
        self._called("stage")
        self.staged.append(plan)
        return self._job("stage", lambda: self._fail("stage", plan.wanted))

    def unsafe(self) -> str:
        return self.faults.unsafe

    def apply(self, plan: Plan) -> FakeJob:
        self._called("apply")
        self._let_go(plan)
        return self._turn("apply", plan, plan.wanted.config)

    def probe(self, plan: Plan, names: Sequence[ProbeName]) -> FakeJob:
        self._called("probe")

        def work() -> None:
            self._fail("probe", plan.wanted)
            if self._wrong(plan.wanted) - HARMLESS:  # however it came to work
                raise DocumentRefusedError("probe", "engine: does not answer")
            if self.config != plan.wanted.config:
                raise DocumentRefusedError("probe", "engine: answers as before")
            self.proven.append(plan.wanted.digest)

        return self._alone(self._job("probe", work))

    def restore(self, plan: Plan) -> FakeJob:
        self._called("restore")
        assert isinstance(plan.body, Mapping), "made by this device"
        return self._turn("restore", plan, plan.body)

    def discard(self, plan: Plan) -> None:
        self._called("discard")
        self._let_go(plan)

    def _let_go(self, plan: Plan) -> None:
        self.staged = [staged for staged in self.staged if staged is not plan]

    def _turn(self, what: str, plan: Plan, config: Mapping[str, Any]) -> FakeJob:
        """Bring one configuration to work, or another back."""
        if any(change.restart == "process" for change in plan.changes):
            raise ProcessEnded("begins anew")

        def work() -> None:
            if what == "apply" and "half" in self._wrong(plan.wanted):
                self.config = {"half": True}
                raise DocumentRefusedError("admission", "the second half fails")
            self._fail(what, plan.wanted)
            if "lie" not in self._wrong(plan.wanted) or what == "restore":
                self.config = config

        return self._alone(self._job(what, work))

    def _job(self, what: str, work: Callable[[], None]) -> FakeJob:
        return FakeJob(
            what,
            polls=self.faults.polls,
            work=work,
            is_stubborn=self.faults.is_stubborn,
            waits_for=lambda: self.faults.in_hand,
        )

    def _alone(self, job: FakeJob) -> FakeJob:
        busy = self._busy
        assert busy is None or busy.is_over, f"{job.what} while {busy.what} is under way"
        self._busy = job
        return job

    def _wrong(self, wanted: Wanted) -> set[str]:
        return _marks(wanted.config) | self.faults.wrong

    def _fail(self, what: str, wanted: Wanted) -> None:
        wrong = self._wrong(wanted)
        if f"surprise in {what}" in wrong:
            raise LookupError("what nobody foresaw")
        if what in wrong:
            codes = {"plan": "unsupported", "stage": "download"}
            raise DocumentRefusedError(codes.get(what, "probe"), f"{what} fails", path="pipelines.a")

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.faults.ends_in == what:
            raise ProcessEnded(what)


def _marks(config: Mapping[str, Any]) -> set[str]:
    return {str(value) for name, value in config.items() if name.startswith(FAULT)}
