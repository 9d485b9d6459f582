"""The seams of the control plane: what the state machine asks of the device it stands on.

Every implementation is listed in `tests/contract/test_fleet_ports.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from edge.fleet.documents import BundleWanted
from edge.fleet.words import ProbeName, Restart

WAITS_FOR: Final = "waits_for"  # of the progress of a job


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What all documents together ask of the device: groups by priority, then its own.

    Attributes:
        versions: Of each document that is in it, by scope (`device`, `group/<name>`).
        config: What differs from the YAML of the device; sources and pipelines are mappings by name.
        bundles: By reference, by name.
        origins: For each value of `config`, as a path (`pipelines.a.deadline_s`), the scope it comes from.
        digest: `sha256:…` of the RFC 8785 form of {"bundles": …, "config": …}: what the fleet compares.
    """

    versions: Mapping[str, int]
    config: Mapping[str, Any]
    bundles: Mapping[str, BundleWanted]
    origins: Mapping[str, str]
    digest: str


@dataclass(frozen=True, slots=True)
class Change:
    """One value that becomes another.

    Attributes:
        path: `pipelines.brain-mr.deadline_s`, `bundles.brain-mr`.
        restart: What that needs.
    """

    path: str
    restart: Restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What there is to do to bring a wish to work, as the device sees it; nothing was done yet.

    Attributes:
        wanted: The wish.
        changes: Against what is at work now.
        body: The device's own preparations; nobody else looks into it.
    """

    wanted: Wanted
    changes: Sequence[Change]
    body: object = None


class Job(Protocol):
    """Something the device does in a thread of its own."""

    def done(self) -> bool:
        """Return whether it is over, well or not."""

    def result(self) -> None:
        """Return when it went well; only asked when it is done.

        Raises:
            DocumentRefusedError: It did not; with code, path and reason.
        """

    def progress(self) -> Mapping[str, Any]:
        """Return how far it is, for people: `{"doing": …, "done": …, "of": …}`.

        Of applying also `waits_for` (`WAITS_FOR`), why it has not begun: what is in hand must end first.
        While it is there nothing was changed, and the device has a limit of its own for it.
        """

    def cancel(self) -> None:
        """Ask it to end soon; never waits."""


class Device(Protocol):
    """The device, as the state machine sees it; every method returns at once."""

    def plan(self, wanted: Wanted) -> Plan:
        """Check a wish as a whole, and say what it changes.

        Raises:
            DocumentRefusedError: schema, unsupported or local_lock, with the path.
        """

    def stage(self, plan: Plan) -> Job:
        """Fetch, verify and admit what is missing, while everything goes on as it is."""

    def unsafe(self) -> str:
        """Return what is under way that must not be disturbed, "" at a safe point.

        A case that runs is named first, and the text then begins with `words.CASE`: for that also the window
        of a document waits.
        """

    def apply(self, plan: Plan) -> Job:
        """Bring it to work; where the process must begin anew, this process ends before the job does."""

    def probe(self, plan: Plan, names: Sequence[ProbeName]) -> Job:
        """Try whether the device works now."""

    def restore(self, plan: Plan) -> Job:
        """Bring back what was at work before, as `apply` does, but with no more questions asked.

        Asked only of a plan that this process applied. Where the process began with the trial, `apply` is
        asked with a plan of what was proven instead.
        """

    def discard(self, plan: Plan) -> None:
        """Let go of what was staged for a plan that came to nothing."""
