"""What the live half needs of the rest of the appliance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.daemon.books import Books
from edge.daemon.threads import Threads
from edge.domain.finding import Finding
from edge.domain.ports import Clock
from edge.findings.identity import KeyedHash
from edge.inference.engine import Engine
from edge.kit.journal import Entry, Journal
from edge.ops.presence import Presence
from edge.ops.watchdog import Watchdog
from edge.pipelines.inside import Inside
from edge.pipelines.snapshots import Album
from edge.pipelines.watching import Watch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """What the live half needs of the rest of the appliance.

    Attributes:
        engine: Open, with every bundle.
        albums: Is filled: for each camera whose pictures may leave, who hands them out.
        inside: Is told which cameras see the inside of a patient.
        journal: Open.
        presence: Is told how sources are.
        identity: Makes subjects.
        envelope: Encodes a finding, given when its frame was captured (UTC, ns).
        watchdog: Expects the threads to move.
        watch: Is shown every answer of a model.
        threads: Run whoever looks.
        books: Of every stage, and how sources are.
        clock: Time.
    """

    engine: Engine
    albums: dict[str, Album]
    inside: Inside
    journal: Journal
    presence: Presence
    identity: KeyedHash
    envelope: Callable[[Finding, int], Entry]
    watchdog: Watchdog
    watch: Watch
    threads: Threads
    books: Books
    clock: Clock
