"""A device for the state machine: it is quick, slow, hangs, fails or ends the process, as the test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.domain.errors import DocumentRefusedError
from edge.fleet.ports import Change, Plan, Wanted
from edge.fleet.words import ProbeName, Restart

NOTHING: Mapping[str, Any] = {}


class ProcessEndedError(Exception):
    """The process of the device is gone; whoever catches it starts another."""


class FakeJob:
    """Over after it was asked for so often; does its work then."""

    def __init__(self, what: str, *, polls: int = 0, refusal: DocumentRefusedError | None = None) -> None:
        self._what = what
        self._polls_left = polls
        self._refusal = refusal
        self.is_cancelled = False

    def done(self) -> bool:
        self._polls_left -= 1
        return self._polls_left < 0 or self.is_cancelled

    def result(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def progress(self) -> Mapping[str, Any]:
        return {"doing": self._what, "done": 0, "of": 1}

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass(slots=True)
class Faults:
    """What goes wrong, by the digest of the wish or for all.

    Attributes:
        polls: So often each job is asked before it is over.
        plan, stage, apply: Why it is refused.
        probe: Why a probe fails, by the digest of the wish.
        unsafe: What must not be disturbed.
        restarts: What each change needs.
        ends_in: Method in which the process ends.
    """

    polls: int = 0
    plan: DocumentRefusedError | None = None
    stage: DocumentRefusedError | None = None
    apply: DocumentRefusedError | None = None
    restore: DocumentRefusedError | None = None
    probe: dict[str, str] = field(default_factory=dict)
    unsafe: str = ""
    restart: Restart = "hot"
    ends_in: str = ""


class FakeFleetDevice:
    """Has one configuration at work; knows which were ever."""

    def __init__(self, at_work: Wanted | None = None, *, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.config: Mapping[str, Any] = NOTHING if at_work is None else at_work.config
        self.calls: list[str] = []

    def plan(self, wanted: Wanted) -> Plan:
        self._called("plan")
        if self.faults.plan is not None:
            raise self.faults.plan
        names = sorted({*wanted.config, *self.config})
        changed = [name for name in names if wanted.config.get(name) != self.config.get(name)]
        changes = [Change(name, self.faults.restart) for name in changed]
        return Plan(wanted=wanted, changes=changes, body=self.config)

    def stage(self, plan: Plan) -> FakeJob:
        self._called("stage")
        return self._job("stage", self.faults.stage)

    def unsafe(self) -> str:
        return self.faults.unsafe

    def apply(self, plan: Plan) -> FakeJob:
        self._called("apply")
        needs = {change.restart for change in plan.changes}
        if "process" in needs:
            raise ProcessEndedError("begins anew")
        if self.faults.apply is None:
            self.config = plan.wanted.config
        return self._job("apply", self.faults.apply)

    def probe(self, plan: Plan, names: Sequence[ProbeName]) -> FakeJob:
        self._called("probe")
        why = self.faults.probe.get(plan.wanted.digest, "")
        return self._job("probe", DocumentRefusedError("probe", why) if why else None)

    def restore(self, plan: Plan) -> FakeJob:
        self._called("restore")
        if any(change.restart == "process" for change in plan.changes):
            raise ProcessEndedError("begins anew")
        if self.faults.restore is None:
            assert isinstance(plan.body, Mapping)
            self.config = plan.body
        return self._job("restore", self.faults.restore)

    def discard(self, plan: Plan) -> None:
        self._called("discard")

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.faults.ends_in == what:
            raise ProcessEndedError(what)

    def _job(self, what: str, refusal: DocumentRefusedError | None) -> FakeJob:
        return FakeJob(what, polls=self.faults.polls, refusal=refusal)
