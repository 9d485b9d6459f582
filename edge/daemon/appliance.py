"""One appliance: the order in which its parts start and stop, and what ends it.

Start: journal, broker's line, outbox, engine, imaging, sources; then READY=1.
Stop:  sources close, the series in hand is finished, the outbox is flushed, the line and the journal close.
"""

from __future__ import annotations

import base64
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import FrameType
from typing import Any

from edge.config.schema import Config
from edge.config.sources import StudySource
from edge.daemon.books import Books
from edge.daemon.control_plane import FLEET, ControlPlane, Running
from edge.daemon.exchange import Exchange
from edge.daemon.housekeeping import Housekeeping
from edge.daemon.live import LiveHalf
from edge.daemon.models import ModelVoice
from edge.daemon.parts import (
    MEGABYTE,
    bundles_of,
    exchange_of,
    identity_of,
    info_of,
    live_callers_of,
    presence_of,
    pump_of,
    session_of,
    source_of,
)
from edge.daemon.studies import IMAGING, StudyHalf
from edge.daemon.surroundings import Surroundings
from edge.daemon.takeover import Takeover
from edge.daemon.threads import Threads
from edge.daemon.works import Works
from edge.domain.finding import Finding
from edge.domain.ports import Clock, Intake
from edge.findings.envelope import wrap
from edge.inference.drift import Drift
from edge.inference.engine import Engine
from edge.kit.files import free_bytes
from edge.kit.inherited import Listeners
from edge.kit.journal import Entry, Journal
from edge.kit.log import Log, RecentLines, to_stderr
from edge.kit.recent import Recent
from edge.kit.stage import Stage
from edge.ops.control import Control
from edge.ops.presence import Presence, Vitals
from edge.ops.status import StatusFile
from edge.ops.watchdog import Watchdog
from edge.pipelines.inside import Inside
from edge.pipelines.snapshots import Album, to_png
from edge.pipelines.stations import opened_engine
from edge.sinks.outbox import Lane, to_entry
from edge.sources.dicom import DicomDoor

SIGNALS_SEEN_S = 0.1
SOMETHING_BROKE = 70
NEXT_START_S = 600.0  # as long as the unit gives a first start; the stop before it comes on top
LAST_CALLERS_S = 3.0  # others wait that much longer: beside a start of 2 to 4 s, and well below their 30 s
CALLERS_SEEN_S = 0.02


class Appliance:
    """Everything in one process, from its first thread to its last.

    Args:
        config: With which it is opened.
        clock: Time.
        recent: Holds the newest lines of the log.
        listeners: Keeps the sockets of doors for whoever opens after us; left out, nobody does.

    Attributes:
        plane: The fleet's side; to be set before `run`, None where there is none.
        was_open: It has been receiving.
        begins_anew: It ended in order, so that the process can begin anew.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        recent: RecentLines | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        self.plane: ControlPlane | None = None
        self.was_open = False
        self.begins_anew = False
        self._config = config  # what is at work now is that of `_works`
        self._clock = clock
        self._recent = recent
        self._listeners = listeners if listeners is not None else Listeners()
        self._doors: list[DicomDoor] = []
        self._log = Log("daemon")
        self._stopping = threading.Event()
        self._is_asked_to_stop = False
        self._fatal = ""
        self._watchdog = Watchdog(clock)
        self._threads = Threads(self._watchdog, drain_s=lambda: self._now.drain_s)
        self._books = Books()
        self._works: Works | None = None
        self._voice: ModelVoice | None = None
        self._standing: Callable[[], Mapping[str, Any]] = dict
        self._waiting: Callable[[], Sequence[Mapping[str, Any]]] = tuple
        self._write_down: list[Callable[[], None]] = []
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
            self.was_open = True
            self._listeners.close_unused()
            self._watchdog.ready("receiving")
            self._log.info("ready", site=self._config.site.id, device=self._config.device.id)
            self._await_end()
            self._say_why()
            self._part_with_callers()
        if self.begins_anew:  # a signal from now on ends the process at once, and is not lost with it
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
        self.begins_anew = self._goes_on()
        return SOMETHING_BROKE if self._fatal else 0

    def _say_why(self) -> None:
        """Tell systemd and the log why it ends; one that begins anew must not be taken for stopped."""
        if self._goes_on():
            self._watchdog.begin_anew(within_s=self._config.drain_s + NEXT_START_S)
            self._log.info("stopping", because="the process begins anew")
            return
        self._watchdog.stopping()
        self._log.info("stopping", because=self._fatal or "asked to")

    def _part_with_callers(self) -> None:
        """Refuse callers from now on; or, where the process begins anew, have them wait for it."""
        was_to_go_on = self._goes_on()
        if was_to_go_on:
            self._have_callers_wait()
        if not self._goes_on():
            self._listeners.close()  # nobody comes for whom they would wait
            if was_to_go_on:
                self._say_why()

    def _have_callers_wait(self) -> None:
        """Let nobody in any more, but keep them.

        The series in hand is finished while callers are still served, and those who are in may come to their
        end: so that nobody waits for longer than the rest of the stop and a start. The fleet's agent ends
        before all that: a series that takes its time is nothing for which a version goes back.
        """
        self._threads.end(FLEET)
        self._threads.end(IMAGING)
        for door in self._doors:
            door.let_nobody_in()
        until_ns = self._clock.monotonic_ns() + round(LAST_CALLERS_S * 1e9)
        while self._goes_on() and (callers := sum(door.callers for door in self._doors)):
            if self._clock.monotonic_ns() >= until_ns:
                self._log.warning("callers are hung up on", callers=callers)
                return
            threading.Event().wait(CALLERS_SEEN_S)

    def _goes_on(self) -> bool:
        """Return whether the process begins anew and nothing has come between."""
        return self.begins_anew and not (self._fatal or self._is_asked_to_stop)

    def begin_anew(self) -> None:
        """Have the appliance end in order, so that its process can begin anew; from any thread."""
        self.begins_anew = True
        self._stopping.set()

    @property
    def _now(self) -> Config:
        """The configuration at work."""
        return self._works.config if self._works is not None else self._config

    # ── the order ─────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, rooms: ExitStack) -> None:
        config, clock = self._config, self._clock
        config.state.folder.mkdir(parents=True, exist_ok=True)
        journal = rooms.enter_context(Journal(config.state.folder / "journal.db", clock))
        self._watchdog.expect("the journal", journal.is_usable)
        inside = self._inside(rooms)
        presence = self._open_way_out(rooms, journal, inside)
        identity = identity_of(config, journal, presence)
        drift = Drift(config.state.folder, alerts=presence, clock=clock)
        rooms.callback(drift.write_down)
        self._write_down.append(drift.write_down)
        engine = self._open_engine(rooms, presence, drift)
        studies = StudyHalf(
            config,
            journal=journal,
            engine=engine,
            identity=identity,
            watch=drift.see,
            envelope=partial(self._envelope, journal),
            watchdog=self._watchdog,
            clock=clock,
        )
        self._books.keep(studies.health)
        self._waiting = studies.waiting
        intake = studies.open(rooms, self._threads)
        stop = self._stopping.set
        rooms.enter_context(
            self._threads.running("watchdog", lambda: self._watchdog.run(self._stopping), stop)
        )
        around = Surroundings(
            engine=engine,
            albums=self._albums,
            inside=inside,
            journal=journal,
            presence=presence,
            identity=identity,
            envelope=partial(self._envelope, journal, lane="live"),
            watchdog=self._watchdog,
            watch=drift.see,
            threads=self._threads,
            books=self._books,
            clock=clock,
        )
        live = LiveHalf(around)
        rooms.callback(self._stop_live, live)
        live.resume(config)
        exchange = exchange_of(config, engine, presence)
        self._works = self._at_work(engine, studies, live, presence, exchange)
        takeover = Takeover(self._works, busy=self._busy, trial=self._on_trial)
        rooms.callback(takeover.close)
        exchange.take_over_with(takeover)
        answers = {"snapshot": self._snapshot, "bundle": exchange.answer}
        rooms.enter_context(Control(config.state.folder, answers=answers))
        self._open_sources(rooms, intake, presence)
        if self.plane is not None and self._voice is not None:
            running = Running(
                works=self._works,
                journal=journal,
                doors=self._doors,
                albums=self._albums,
                status=self._status,
                models=self._about_models,
                heed=self._voice.heed,
            )
            self.plane.open(rooms, running, self._threads)

    def _open_way_out(self, rooms: ExitStack, journal: Journal, inside: Inside) -> Presence:
        """Open the broker's line and the outbox: what an earlier run left there leaves first."""
        config, clock = self._config, self._clock
        session = session_of(config, clock)
        presence = presence_of(config, session, journal, clock, self._vitals)
        pump = pump_of(config, session, journal, clock, presence)
        if self.plane is not None:
            self.plane.attach(session, presence, inside=inside, watchdog=self._watchdog)
        self._standing = lambda: {"session": presence.session, "broker": session.connected}
        status = StatusFile(config.state.folder, clock=clock, stages=self._books.health, others=self._status)
        rooms.callback(status.write, stopped=True)
        rooms.enter_context(session)
        rooms.enter_context(presence)
        rooms.enter_context(pump)
        rooms.callback(lambda: pump.flush(self._now.drain_s))
        house = Housekeeping(
            journal,
            folder=config.state.folder,
            status=status,
            write_down=self._write_down,
            now=lambda: self._now,
            stopping=self._stopping,
            clock=clock,
        )
        rooms.enter_context(self._threads.running("housekeeping", house.run, self._stopping.set))
        self._books.keep(pump.health)
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
        self._voice = ModelVoice(bundles, engine=engine, drift=drift, presence=presence)
        self._voice.speak()
        return engine

    def _inside(self, rooms: ExitStack) -> Inside:
        """Return who knows which cameras see the inside of a patient, also what was so before this start."""
        inside = Inside(self._config.state.folder, clock=self._clock)
        inside.recall()
        rooms.callback(inside.write_down)
        self._write_down.append(inside.write_down)
        return inside

    def _at_work(
        self, engine: Engine, studies: StudyHalf, live: LiveHalf, presence: Presence, exchange: Exchange
    ) -> Works:
        """Return what may become another while it runs."""
        assert self._voice is not None, "the engine was opened before"
        return Works(
            self._config,
            engine=engine,
            studies=studies,
            live=live,
            voice=self._voice,
            hot=[
                lambda now: to_stderr(level=now.log_level, recent=self._recent),
                lambda now: presence.tell_health_every(now.health.period_s),
                lambda now: presence.introduce(info_of(now)),
                studies.follow,
            ],
            signed=exchange.tell_signatures,
        )

    def _busy(self) -> str:
        return self.plane.busy() if self.plane is not None else ""

    def _on_trial(self) -> str:
        return self.plane.on_trial() if self.plane is not None else ""

    def _stop_live(self, live: LiveHalf) -> None:
        if self._works is None:  # it never came up
            live.stop()
        else:
            self._works.close()

    def _open_sources(self, rooms: ExitStack, intake: Intake, presence: Presence) -> None:
        """Open every source of studies, last of all."""
        for source in self._config.sources:
            if not isinstance(source, StudySource):
                continue
            stage = Stage(source.name, self._clock)
            opened = source_of(self._config, source, self._clock, stage, self._listeners)
            rooms.enter_context(opened.serve(intake))
            self._doors += [opened] if isinstance(opened, DicomDoor) else []
            self._books.keep(stage.health)
            about = {"name": source.name, "kind": source.kind, "state": "online"}
            self._books.know(lambda about=about: about)  # type: ignore[misc]  # mypy: a default is no argument
            presence.source(source.name, "online")
            self._log.info("source open", source=source.name, kind=source.kind)

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
        return Vitals(
            stages=self._books.health(),
            free_bytes=free_bytes(self._config.state.folder),
            latency_ms=self._latency.percentiles(),
            waiting=self._waiting(),
        )

    def _status(self) -> Mapping[str, Any]:
        """Return what belongs into the status file beside the books of the stages."""
        return {
            **self._standing(),
            "sources": self._books.sources(),
            "waiting": self._waiting(),
            "models": self._about_models(),
            **({"fleet": self.plane.standing()} if self.plane is not None else {}),
            "delivery_ms": self._latency.percentiles(),
            "live_delivery_ms": self._live_latency.percentiles(),
            "disk_free_mb": free_bytes(self._config.state.folder) // MEGABYTE,
        }

    def _about_models(self) -> Sequence[Mapping[str, Any]]:
        return self._voice.about() if self._voice is not None else ()

    # ── how it ends ───────────────────────────────────────────────────────────────────────────────────────

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
