"""What a device that is not there does with a wish: it takes its time, and fails where it was told to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.config.classes import restart_of
from edge.config.overlay import locked
from edge.config.partial import check_partial
from edge.domain.errors import DocumentRefusedError
from edge.domain.ports import Clock
from edge.fleet.ports import Change, Plan, Wanted
from edge.fleet.words import ProbeName
from edge.kit.trees import leaves, written


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How a device behaves.

    Attributes:
        stage_s: To fetch and admit what is missing; nothing is fetched really.
        apply_s: To bring a wish to work, and to bring it back.
        probe_s: For one round of probes.
        is_failing: Its probes fail after every change.
        is_lying: They fail, too, and it reports the version as committed.
        bad: Bundles, as `name@version`, whose golden check fails here.
    """

    stage_s: float = 0.2
    apply_s: float = 0.1
    probe_s: float = 0.2
    is_failing: bool = False
    is_lying: bool = False
    bad: frozenset[str] = frozenset()


class Hardware:
    """A `fleet.ports.Device`: checks a wish as a real one does, and changes nothing but what it remembers.

    Attributes:
        at_work: The wish it follows; None: only its YAML.
    """

    def __init__(self, traits: Traits, clock: Clock) -> None:
        self.at_work: Wanted | None = None
        self._traits = traits
        self._clock = clock

    def plan(self, wanted: Wanted) -> Plan:
        """Check every value against its own option, and what is local.

        Raises:
            DocumentRefusedError: schema or local_lock, with the path.
        """
        for problem in check_partial(wanted.config):
            raise DocumentRefusedError("schema", str(problem), path=written(tuple(map(str, problem.path))))
        for path in locked(wanted.config):
            text = f"{written(path)}: only the file of the device itself says that"
            raise DocumentRefusedError("local_lock", text, path=written(path))
        return Plan(wanted=wanted, changes=list(_changes(self.at_work, wanted)), body=self.at_work)

    def stage(self, plan: Plan) -> Errand:
        """Take the time that fetching takes, where there are bundles in it."""
        return Errand("fetches", self._clock, last_s=self._traits.stage_s if plan.wanted.bundles else 0.0)

    def unsafe(self) -> str:
        """Return "": nobody sends anything to a device that is not there."""
        return ""

    def apply(self, plan: Plan) -> Errand:
        """Follow a wish."""
        self.at_work = plan.wanted
        return Errand("applies", self._clock, last_s=self._traits.apply_s)

    def probe(self, plan: Plan, names: Sequence[ProbeName]) -> Errand:
        """Find everything in order, or not."""
        return Errand("probes", self._clock, last_s=self._traits.probe_s, refusal=self._fault(plan, names))

    def restore(self, plan: Plan) -> Errand:
        """Follow the wish from before."""
        assert plan.body is None or isinstance(plan.body, Wanted), "our own plan"
        self.at_work = plan.body
        return Errand("goes back", self._clock, last_s=self._traits.apply_s)

    def discard(self, plan: Plan) -> None:
        """Let go of nothing: nothing was fetched."""

    def _fault(self, plan: Plan, names: Sequence[ProbeName]) -> DocumentRefusedError | None:
        if (self._traits.is_failing or self._traits.is_lying) and names:
            return DocumentRefusedError("probe", f"{names[0]}: fails on this device, as it was told to")
        for name, bundle in plan.wanted.bundles.items():
            if f"{name}@{bundle.version}" in self._traits.bad and "golden" in names:
                text = f"golden: {name} {bundle.version} answers otherwise than it must"
                return DocumentRefusedError("probe", text, path=f"bundles.{name}")
        return None


class Errand:
    """A `fleet.ports.Job` that is over after some time."""

    def __init__(
        self, doing: str, clock: Clock, *, last_s: float, refusal: DocumentRefusedError | None = None
    ) -> None:
        self._doing = doing
        self._clock = clock
        self._over_ns = clock.monotonic_ns() + round(last_s * 1e9)
        self._refusal = refusal

    def done(self) -> bool:
        """Return whether its time is over, or it was cancelled."""
        return self._clock.monotonic_ns() >= self._over_ns

    def result(self) -> None:
        """Return when all went well.

        Raises:
            DocumentRefusedError: It did not.
        """
        if self._refusal is not None:
            raise self._refusal

    def progress(self) -> Mapping[str, Any]:
        """Return what is being done."""
        return {"doing": self._doing, "done": int(self.done()), "of": 1}

    def cancel(self) -> None:
        """Be over at once."""
        self._over_ns = 0


def _changes(before: Wanted | None, after: Wanted) -> Iterator[Change]:
    old = {} if before is None else dict(leaves(before.config))
    new = dict(leaves(after.config))
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path) or (path in old) != (path in new):
            needed = restart_of(path)
            yield Change(written(path), "process" if needed == "local" else needed)
    had = {} if before is None else before.bundles
    for name in sorted(had.keys() | after.bundles.keys()):
        if had.get(name) != after.bundles.get(name):
            yield Change(f"bundles.{name}", "pipeline")
