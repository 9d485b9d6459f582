"""One appliance: the order in which its parts start and stop, and what ends it.

Start: journal, broker's line, outbox, engine, imaging, sources; then READY=1.
Stop:  sources close, the series in hand is finished, the outbox is flushed, the line and the journal close.
"""

from __future__ import annotations

import base64
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType
from typing import Any

from edge.config.schema import Config
from edge.config.sources import StudySource
from edge.daemon.live import Surroundings, open_live
from edge.daemon.models import ModelVoice
from edge.daemon.parts import (
    MEGABYTE,
    bundles_of,
    exchange_of,
    identity_of,
    live_callers_of,
    patience_s,
    presence_of,
    pump_of,
    rules_of,
    session_of,
    source_of,
    wanted_of,
)
from edge.daemon.readings import readings_of
from edge.domain.errors import StorageFullError
from edge.domain.finding import Finding
from edge.domain.health import StageHealth
from edge.domain.ports import Clock, Intake
from edge.domain.study import Instance
from edge.findings.envelope import wrap
from edge.findings.identity import KeyedHash
from edge.inference.drift import Drift
from edge.inference.engine import Engine
from edge.kit.clock import SystemClock
from edge.kit.files import free_bytes
from edge.kit.journal import Entry, Journal
from edge.kit.log import Log, to_stderr
from edge.kit.memory import give_back, keep_memory_plain
from edge.kit.mqtt import MqttSession
from edge.kit.recent import Recent
from edge.kit.stage import Stage
from edge.ops.control import Control
from edge.ops.presence import Presence, Vitals
from edge.ops.retention import sweep
from edge.ops.status import StatusFile
from edge.ops.watchdog import Watchdog
from edge.pipelines.imaging import Assessor, Imaging
from edge.pipelines.measured import FileAssessor
from edge.pipelines.result import Assessing, ByFormat
from edge.pipelines.snapshots import Album, to_png
from edge.pipelines.stations import opened_engine, stations, viewers
from edge.sinks.outbox import Lane, to_entry
from edge.studies.assemble import Assembler
from edge.studies.intake import QUEUE as INTAKE
from edge.studies.intake import JournaledIntake, instance_of

SWEEP_S = 60.0
SIGNALS_SEEN_S = 0.1
SOMETHING_BROKE = 70


def run(config: Config) -> int:
    """Run the appliance in the foreground until SIGTERM or SIGINT.

    Returns:
        0 after a stop in order, 70 where a broken invariant or a dead thread ended it.

    Raises:
        EdgeError: It cannot start: a port is taken, the journal is in use, a secret is missing.
    """
    to_stderr(level=config.log_level)
    keep_memory_plain()
    return Appliance(config, SystemClock()).run()


class Appliance:
    """Everything in one process, from its first thread to its last."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log = Log("daemon")
        self._stopping = threading.Event()
        self._is_asked_to_stop = False
        self._fatal = ""
        self._watchdog = Watchdog(clock)
        self._books: list[Callable[[], StageHealth]] = []
        self._sources: list[Callable[[], Mapping[str, Any]]] = []
        self._models: Callable[[], Sequence[Mapping[str, Any]]] = lambda: ()
        self._write_down_drift: Callable[[], None] = lambda: None
        self._albums: dict[str, Album] = {}
        self._latency = Recent()
        self._live_latency = Recent()

    def run(self) -> int:
        """Start everything, wait for a signal or a broken part, stop everything."""
        threading.excepthook = self._thread_died
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        with ExitStack() as rooms:
            self._open(rooms)
            self._watchdog.ready("receiving")
            self._log.info("ready", site=self._config.site.id, device=self._config.device.id)
            self._await_end()
            self._watchdog.stopping()
            self._log.info("stopping", because=self._fatal or "asked to")
        return SOMETHING_BROKE if self._fatal else 0

    # ── the order ─────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, rooms: ExitStack) -> None:
        self._config.state.folder.mkdir(parents=True, exist_ok=True)
        journal = rooms.enter_context(Journal(self._config.state.folder / "journal.db", self._clock))
        self._watchdog.expect("the journal", journal.is_usable)
        presence = self._open_way_out(rooms, journal)
        identity = identity_of(self._config, journal, presence)
        drift = Drift(self._config.state.folder, alerts=presence, clock=self._clock)
        rooms.callback(drift.write_down)
        self._write_down_drift = drift.write_down
        engine = self._open_engine(rooms, presence, drift)
        intake = self._open_path(rooms, journal, engine, identity, drift)
        rooms.enter_context(self._thread("watchdog", lambda: self._watchdog.run(self._stopping)))
        self._open_live(rooms, journal, engine, identity, presence, drift)
        exchange = exchange_of(self._config, engine, presence)
        answers = {"snapshot": self._snapshot, "bundle": exchange.answer}
        rooms.enter_context(Control(self._config.state.folder, answers=answers))
        self._open_sources(rooms, intake, presence)

    def _open_way_out(self, rooms: ExitStack, journal: Journal) -> Presence:
        """Open the broker's line and the outbox: what an earlier run left there leaves first."""
        config, clock = self._config, self._clock
        session = session_of(config, clock)
        presence = presence_of(config, session, journal, clock, self._vitals)
        pump = pump_of(config, session, journal, clock, presence)
        status = self._status_file(session, presence)
        rooms.callback(status.write, stopped=True)
        rooms.enter_context(session)
        rooms.enter_context(presence)
        rooms.enter_context(pump)
        rooms.callback(pump.flush, config.drain_s)
        rooms.enter_context(self._thread("housekeeping", lambda: self._keep_house(journal, status)))
        self._books.append(pump.health)
        self._latency = pump.latency_ms
        self._live_latency = pump.live_latency_ms
        return presence

    def _open_engine(self, rooms: ExitStack, presence: Presence, drift: Drift) -> Engine:
        config = self._config
        engine = rooms.enter_context(
            opened_engine(
                bundles_of(config),
                roots=config.bundles.places(config.state.folder),
                trust=config.bundles.believed(),
                threads=config.engine.threads,
                live_callers=live_callers_of(config),
                live_burst_max=config.engine.live_burst_max,
                provider=config.engine.provider,
                measures="behind",
                memory_mb=config.engine.memory_mb,
                keep_warm_s=config.engine.keep_warm_s,
                state_folder=config.state.folder,
                clock=self._clock,
            )
        )
        bundles = list(dict.fromkeys(bundles_of(config)))
        voice = ModelVoice(bundles, engine=engine, drift=drift, presence=presence)
        voice.speak()
        self._models = voice.about
        return engine

    def _open_path(
        self, rooms: ExitStack, journal: Journal, engine: Engine, identity: KeyedHash, drift: Drift
    ) -> Intake:
        """Take up what a crash left, and let the imaging thread begin."""
        config, clock = self._config, self._clock
        assembler = Assembler(clock, quiet_s=config.assembly.quiet_s, deadline_s=config.assembly.deadline_s)
        beat = self._watchdog.watch("imaging", limit_s=patience_s(config))
        series = Assessor(
            rules=rules_of(config),
            stations=stations(engine, wanted_of(config)),
            viewers=viewers(engine, wanted_of(config)),
            identity=identity,
            clock=clock,
            beat=beat,
            watch=drift.see,
        )
        files = FileAssessor(readings=readings_of(config, engine, drift.see), identity=identity, clock=clock)
        assessor = ByFormat({"cube": files, "spectrum": files}, otherwise=series)
        imaging = self._imaging(journal, assembler, assessor, beat)

        def kept(instance: Instance) -> None:
            assembler.kept(instance)
            imaging.wake()

        def closed(association: str) -> None:
            assembler.association_closed(association)
            imaging.wake()

        intake = JournaledIntake(
            journal,
            folder=config.state.folder / "intake",
            reserve_bytes=config.state.reserve_mb * MEGABYTE,
            clock=clock,
            on_kept=kept,
            on_closed=closed,
        )
        intake.recover()
        imaging.take_up()
        assembler.restore(instance_of(item) for item in journal.items(INTAKE))
        rooms.enter_context(self._thread("imaging", imaging.run, imaging.stop))
        return intake

    def _open_live(
        self,
        rooms: ExitStack,
        journal: Journal,
        engine: Engine,
        identity: KeyedHash,
        presence: Presence,
        drift: Drift,
    ) -> None:
        """Open live sources and whoever looks at them; none of them is ever waited for."""
        around = Surroundings(
            engine=engine,
            albums=self._albums,
            journal=journal,
            presence=presence,
            identity=identity,
            envelope=partial(self._envelope, journal, lane="live"),
            watchdog=self._watchdog,
            watch=drift.see,
            start=self._thread,
            clock=self._clock,
        )
        for opened in open_live(rooms, self._config, around):
            self._books += opened.books
            self._sources.append(opened.about)

    def _open_sources(self, rooms: ExitStack, intake: Intake, presence: Presence) -> None:
        for source in self._config.sources:
            if not isinstance(source, StudySource):
                continue
            stage = Stage(source.name, self._clock)
            rooms.enter_context(source_of(self._config, source, self._clock, stage).serve(intake))
            self._books.append(stage.health)
            about = {"name": source.name, "kind": source.kind, "state": "online"}
            self._sources.append(lambda about=about: about)  # type: ignore[misc]  # mypy: a default is no argument
            presence.source(source.name, "online")
            self._log.info("source open", source=source.name, kind=source.kind)

    def _imaging(
        self, journal: Journal, assembler: Assembler, assessor: Assessing, beat: Callable[[], None]
    ) -> Imaging:
        stage = Stage("imaging", self._clock)
        self._books.append(stage.health)
        return Imaging(
            journal=journal,
            assembler=assembler,
            assessor=assessor,
            envelope=partial(self._envelope, journal),
            stage=stage,
            beat=beat,
        )

    def _snapshot(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a person at the box who wants to see what a camera shows."""
        source = str(asked.get("source", ""))
        album = self._albums.get(source) or Album({}, blur="nothing")
        return {"png": base64.b64encode(to_png(album.snapshot(source))).decode("ascii")}

    def _envelope(
        self, journal: Journal, finding: Finding, received_at_ns: int, *, lane: Lane = "study"
    ) -> Entry:
        site, device = self._config.site.id, self._config.device.id
        sealed = wrap(finding, site=site, device=device, sequence=journal.counter("finding"))
        return to_entry(sealed, received_at_ns=received_at_ns, lane=lane)

    # ── what it says about itself ─────────────────────────────────────────────────────────────────────────

    def _vitals(self) -> Vitals:
        free = free_bytes(self._config.state.folder)
        return Vitals(stages=self._health(), free_bytes=free, latency_ms=self._latency.percentiles())

    def _health(self) -> list[StageHealth]:
        return [health() for health in self._books]

    def _status_file(self, session: MqttSession, presence: Presence) -> StatusFile:
        def others() -> Mapping[str, Any]:
            return {
                "session": presence.session,
                "broker": session.connected,
                "sources": [about() for about in self._sources],
                "models": self._models(),
                "delivery_ms": self._latency.percentiles(),
                "live_delivery_ms": self._live_latency.percentiles(),
                "disk_free_mb": free_bytes(self._config.state.folder) // MEGABYTE,
            }

        return StatusFile(self._config.state.folder, clock=self._clock, stages=self._health, others=others)

    def _keep_house(self, journal: Journal, status: StatusFile) -> None:
        """Write the status, and let go of what was kept long enough; the body of the thread."""
        sweep_ns = self._clock.monotonic_ns()  # at once: we may have been started again for want of space
        while not self._stopping.is_set():
            if self._clock.monotonic_ns() >= sweep_ns:
                sweep_ns = self._clock.monotonic_ns() + round(SWEEP_S * 1e9)
                self._sweep(journal)
                give_back()
            self._write_down_drift()
            status.write()
            self._stopping.wait(self._config.health.period_s)

    def _sweep(self, journal: Journal) -> None:
        try:
            sweep(journal, self._config.state.folder / "intake", self._clock, self._config.retention)
        except StorageFullError as full:  # some files may be gone by now, and next time there is room
            self._log.error("not all was swept", because=full)

    # ── how it ends ───────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _thread(
        self, name: str, body: Callable[[], None], stop: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Run `body` in a thread of its own until the `with` ends and `stop` was called."""
        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        self._watchdog.expect(name, thread.is_alive)
        try:
            yield
        finally:
            self._stopping.set()
            stop()
            thread.join(self._config.drain_s)
            if thread.is_alive():
                self._log.warning("left to the journal", thread=name, after_s=self._config.drain_s)

    def _await_end(self) -> None:
        """Wait until a signal, or a broken part, wants the end.

        Not for ever at once: Python's handler runs in the main thread, and where the system hands the signal
        to another one, nothing but the end of its wait makes the main thread look.
        """
        while not (self._is_asked_to_stop or self._stopping.wait(SIGNALS_SEEN_S)):
            pass
        self._stopping.set()

    def _asked_to_stop(self, *_: int | FrameType | None) -> None:
        self._is_asked_to_stop = True  # no lock in a handler: the thread it runs in may hold it

    def _thread_died(self, died: threading.ExceptHookArgs) -> None:
        """A thread that dies of something nobody expected ends the process; systemd brings it back."""
        name = died.thread.name if died.thread else "a thread"
        self._fatal = f"{name} died: {died.exc_type.__name__}: {died.exc_value}"
        self._log.error("a thread died", thread=name, because=self._fatal)
        self._stopping.set()
