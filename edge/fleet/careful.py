"""A device whose surprises are refusals: whatever goes wrong in it, a version comes to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from edge.domain.errors import DocumentRefusedError
from edge.fleet.ports import Device, Job, Plan, Wanted
from edge.fleet.words import Code, ProbeName
from edge.kit.log import Log
from edge.kit.stage import contain

_Answer = TypeVar("_Answer")


class CarefulDevice:
    """Asks another device, and says so where that does something nobody foresaw."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._log = Log("fleet")

    def plan(self, wanted: Wanted) -> Plan:
        """Check a wish as a whole.

        Raises:
            DocumentRefusedError: With the code of the device, or `unsupported` for a surprise; for a broken
                invariant as well, since a plan changes nothing.
        """
        try:
            return asked(partial(self._device.plan, wanted), "unsupported")
        except AssertionError as broken:
            raise DocumentRefusedError("unsupported", f"it cannot be planned: {broken}") from broken

    def stage(self, plan: Plan) -> Job:
        """Fetch, verify and admit."""
        return _job(partial(self._device.stage, plan), "admission")

    def unsafe(self) -> str:
        """Return what is under way; where nobody knows, that."""
        try:
            return asked(self._device.unsafe, "unsupported")
        except DocumentRefusedError as surprise:
            return f"nobody knows whether it is safe: {surprise}"

    def apply(self, plan: Plan) -> Job:
        """Bring it to work."""
        return _job(partial(self._device.apply, plan), "unsupported")

    def probe(self, plan: Plan, names: Sequence[ProbeName]) -> Job:
        """Try whether the device works now."""
        return _job(partial(self._device.probe, plan, names), "probe")

    def restore(self, plan: Plan) -> Job:
        """Bring back what was at work before."""
        return _job(partial(self._device.restore, plan), "unsupported")

    def discard(self, plan: Plan) -> None:
        """Let go of what was staged; what cannot be let go of stays."""
        why = contain(partial(self._device.discard, plan))
        if why:
            self._log.warning("what was staged is not let go of", because=why)


class _CarefulJob:
    """Asks another job; one that cannot even be asked is over, and went wrong."""

    def __init__(self, job: Job, code: Code) -> None:
        self._job = job
        self._code = code
        self._trouble: DocumentRefusedError | None = None

    def done(self) -> bool:
        if self._trouble is not None:
            return True
        try:
            return asked(self._job.done, self._code)
        except DocumentRefusedError as surprise:
            self._trouble = surprise
            return True

    def result(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        asked(self._job.result, self._code)

    def progress(self) -> Mapping[str, Any]:
        try:
            return asked(self._job.progress, self._code)
        except DocumentRefusedError as surprise:
            return {"doing": f"nobody knows: {surprise}"}

    def cancel(self) -> None:
        contain(self._job.cancel)


class _NoJob:
    """Work that could not even begin."""

    def __init__(self, refusal: DocumentRefusedError) -> None:
        self._refusal = refusal

    def done(self) -> bool:
        return True

    def result(self) -> None:
        raise self._refusal

    def progress(self) -> Mapping[str, Any]:
        return {}

    def cancel(self) -> None:
        """Nothing was begun."""


def _job(begin: Callable[[], Job], code: Code) -> Job:
    try:
        return _CarefulJob(asked(begin, code), code)
    except DocumentRefusedError as refusal:
        return _NoJob(refusal)


def asked(ask: Callable[[], _Answer], code: Code) -> _Answer:
    """Return an answer; whatever goes wrong on the way to it is a refusal.

    Raises:
        DocumentRefusedError: As it was refused, or with `code` for what nobody foresaw.
    """
    answers: list[_Answer] = []
    refusals: list[DocumentRefusedError] = []

    def work() -> None:
        try:
            answers.append(ask())
        except DocumentRefusedError as refusal:
            refusals.append(refusal)

    why = contain(work)
    if refusals:
        raise refusals[0]
    if why:
        raise DocumentRefusedError(code, why)
    return answers[0]
