"""The composition root: the only file that knows everybody, and the order in which they start and stop.

Start: journal, broker's line, outbox, engine, imaging, sources; then READY=1.
Stop:  sources close, the series in hand is finished, the outbox is flushed, the line and the journal close.
"""

from __future__ import annotations

import platform
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from edge import __version__
from edge.config import secrets
from edge.config.schema import Config, DicomSource, FolderSource
from edge.domain.finding import Finding
from edge.domain.health import StageHealth
from edge.domain.ports import Clock, Intake, StudySource
from edge.findings.envelope import wrap
from edge.findings.identity import KeyedHash, load_or_create_key
from edge.findings.mqtt_json import SCHEMA
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.files import free_bytes
from edge.kit.journal import Entry, Journal
from edge.kit.log import Log, to_stderr
from edge.kit.mqtt import MqttSession, Tls
from edge.kit.stage import Stage
from edge.kit.topics import device_prefix
from edge.ops.presence import Presence, Vitals
from edge.ops.retention import sweep
from edge.ops.status import StatusFile
from edge.ops.watchdog import Watchdog
from edge.pipelines.imaging import Assessor, Imaging
from edge.pipelines.stations import Station, Wanted, stations
from edge.sinks.mqtt import MqttSink
from edge.sinks.outbox import to_entry
from edge.sinks.pump import Pump
from edge.sources.dicom import Caller, DicomDoor, DoorTls
from edge.sources.folder import WatchedFolder
from edge.studies.assemble import Assembler
from edge.studies.intake import QUEUE as INTAKE
from edge.studies.intake import JournaledIntake, instance_of
from edge.studies.select import Rule

MEGABYTE = 1_000_000
SWEEP_S = 60.0
IDLE_LIMIT_S = 30.0


def run(config: Config) -> int:
    """Run the daemon in the foreground until SIGTERM or SIGINT.

    Returns:
        0 after a stop in order, 70 where a broken invariant or a dead thread ended it.

    Raises:
        EdgeError: It cannot start: a port is taken, the journal is in use, a secret is missing.
    """
    to_stderr(level=config.log_level)
    return Daemon(config, SystemClock()).run()


class Daemon:
    """One appliance, from its first thread to its last."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log = Log("daemon")
        self._stopping = threading.Event()
        self._fatal = ""
        self._watchdog = Watchdog(clock)
        self._stages: list[Callable[[], StageHealth]] = []
        self._source_states: dict[str, str] = {}
        self._models: list[dict[str, str]] = []

    def run(self) -> int:
        """Start everything, wait for a signal or a broken part, stop everything."""
        threading.excepthook = self._thread_died
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        with ExitStack() as rooms:
            self._open(rooms)
            self._watchdog.ready("receiving")
            self._log.info("ready", site=self._config.site.id, device=self._config.device.id)
            self._stopping.wait()
            self._watchdog.stopping()
            self._log.info("stopping", because=self._fatal or "asked to")
        return 70 if self._fatal else 0

    # ── the order ─────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, rooms: ExitStack) -> None:
        config, clock = self._config, self._clock
        state = config.state.folder
        state.mkdir(parents=True, exist_ok=True)
        identity = KeyedHash(self._identity_key(state))
        journal = rooms.enter_context(Journal(state / "journal.db", clock))

        prefix = device_prefix(site=config.site.id, device=config.device.id, root=config.mqtt.root)
        session = self._session()
        presence = self._presence(session, journal, prefix=prefix)
        pump = self._pump(session, presence, journal, prefix=prefix)
        status = self._status(session, presence, pump)
        rooms.callback(status.write, stopped=True)
        rooms.enter_context(session)
        rooms.enter_context(presence)
        rooms.enter_context(pump)
        rooms.callback(pump.flush, config.drain_s)
        self._stages.append(pump.health)

        wanted = [Wanted(one.name, one.bundle, one.deadline_s) for one in config.pipelines]
        ready = rooms.enter_context(
            stations(
                wanted,
                roots=config.bundles.roots,
                threads=config.engine.threads,
                provider=config.engine.provider,
                state_folder=state,
                clock=clock,
            )
        )
        assembler = Assembler(clock, quiet_s=config.assembly.quiet_s, deadline_s=config.assembly.deadline_s)
        assessor = Assessor(rules=self._rules(), stations=ready, identity=identity, clock=clock)
        imaging = self._imaging(journal, assembler, assessor)
        intake = JournaledIntake(
            journal,
            folder=state / "intake",
            reserve_bytes=config.state.reserve_mb * MEGABYTE,
            clock=clock,
            on_kept=assembler.kept,
            on_closed=assembler.association_closed,
        )
        intake.recover()
        imaging.take_up()
        assembler.restore(instance_of(item) for item in journal.items(INTAKE))
        rooms.enter_context(self._thread("imaging", imaging.run, imaging.stop))
        rooms.enter_context(self._thread("housekeeping", lambda: self._keep_house(journal, status)))
        rooms.enter_context(self._thread("watchdog", lambda: self._watchdog.run(self._stopping)))
        for source in config.sources:
            self._open_source(rooms, source, intake, presence)

    def _open_source(
        self,
        rooms: ExitStack,
        source: DicomSource | FolderSource,
        intake: Intake,
        presence: Presence,
    ) -> None:
        stage = Stage(source.name, self._clock)
        door: StudySource = (
            self._door(source, stage) if isinstance(source, DicomSource) else self._folder(source, stage)
        )
        rooms.enter_context(door.serve(intake))
        self._stages.append(stage.health)
        self._source_states[source.name] = "online"
        presence.source(source.name, "online")
        self._log.info("source open", source=source.name, kind=source.kind)

    # ── the parts ─────────────────────────────────────────────────────────────────────────────────────────

    def _session(self) -> MqttSession:
        mqtt = self._config.mqtt
        tls = None
        if mqtt.tls is not None:
            key = secrets.resolve(mqtt.tls.key) if mqtt.tls.key else None
            tls = Tls(ca_file=mqtt.tls.ca_file, certificate_file=mqtt.tls.certificate_file, key_file=key)
        return MqttSession(
            host=mqtt.host,
            port=mqtt.port,
            client_id=self._config.device.id,
            clock=self._clock,
            tls=tls,
            username=mqtt.username,
            password=secrets.read_text(mqtt.password) if mqtt.password else None,
            keep_alive_s=mqtt.keep_alive_s,
            session_expiry_s=mqtt.session_expiry_s,
            will_delay_s=mqtt.will_delay_s,
            backoff=Backoff(min_s=mqtt.retry_min_s, max_s=mqtt.retry_max_s),
        )

    def _presence(self, session: MqttSession, journal: Journal, *, prefix: str) -> Presence:
        config = self._config
        return Presence(
            session,
            prefix=prefix,
            session_number=lambda: journal.counter("session"),
            state_folder=config.state.folder,
            vitals=self._vitals,
            info={
                "site": config.site.id,
                "device": config.device.id,
                "room": config.device.room,
                "software": {"edge": __version__, "python": platform.python_version()},
                "hardware": {"machine": platform.machine(), "processor": platform.processor()},
                "pipelines": [pipeline.name for pipeline in config.pipelines],
                "schemas": [SCHEMA],
            },
            clock=self._clock,
            period_s=config.health.period_s,
        )

    def _pump(self, session: MqttSession, presence: Presence, journal: Journal, *, prefix: str) -> Pump:
        mqtt = self._config.mqtt
        pump = Pump(
            journal,
            MqttSink(session, prefix=prefix, alerts=presence),
            clock=self._clock,
            alerts=presence,
            workers=self._config.outbox.workers,
            timeout_s=mqtt.acknowledge_s,
            backoff=Backoff(min_s=mqtt.retry_min_s, max_s=mqtt.retry_max_s),
            is_open=lambda: session.connected,
        )
        session.on_connect(pump.wake)
        return pump

    def _imaging(self, journal: Journal, assembler: Assembler, assessor: Assessor) -> Imaging:
        stage = Stage("imaging", self._clock)
        self._stages.append(stage.health)
        longest_s = max(pipeline.deadline_s for pipeline in self._config.pipelines)
        site, device = self._config.site.id, self._config.device.id

        def envelope(finding: Finding, received_at_ns: int) -> Entry:
            sealed = wrap(finding, site=site, device=device, sequence=journal.counter("finding"))
            return to_entry(sealed, received_at_ns=received_at_ns)

        return Imaging(
            journal=journal,
            assembler=assembler,
            assessor=assessor,
            envelope=envelope,
            stage=stage,
            beat=self._watchdog.watch("imaging", limit_s=2 * longest_s + IDLE_LIMIT_S),
        )

    def _door(self, source: DicomSource, stage: Stage) -> DicomDoor:
        tls = None
        if source.tls is not None:
            tls = DoorTls(
                certificate_file=source.tls.certificate_file,
                key_file=secrets.resolve(source.tls.key),
                ca_file=source.tls.ca_file,
            )
        return DicomDoor(
            source.name,
            host=source.host,
            port=source.port,
            ae_title=source.ae_title,
            allowed=[Caller(caller.ae_title, caller.network) for caller in source.allow],
            associations_max=source.associations_max,
            pdu_bytes=source.pdu_bytes,
            spool=self._config.state.folder / "spool",
            reserve_bytes=self._config.state.reserve_mb * MEGABYTE,
            tls=tls,
            clock=self._clock,
            stage=stage,
        )

    def _folder(self, source: FolderSource, stage: Stage) -> WatchedFolder:
        return WatchedFolder(
            source.name,
            path=source.path,
            spool=self._config.state.folder / "spool",
            settle_s=source.settle_s,
            after=source.after,
            nifti_modality=source.nifti_modality or "",
            clock=self._clock,
            stage=stage,
        )

    def _tell_models(self, presence: Presence, ready: Mapping[str, Station]) -> None:
        for pipeline in self._config.pipelines:
            station = ready[pipeline.name]
            active = station.model.stamp if station.model else None
            presence.model(pipeline.bundle, active=active, why=station.refusal, latency_ms={})
            about = {"name": pipeline.bundle, "refusal": station.refusal}
            if active is not None:
                about |= {
                    "version": active.version,
                    "precision": active.precision,
                    "runtime": active.runtime,
                    "provider": active.provider,
                }
            self._models.append(about)

    def _rules(self) -> Sequence[Rule]:
        return [
            Rule(
                pipeline=pipeline.name,
                modalities=frozenset(pipeline.select.modalities),
                slices_min=pipeline.select.slices_min,
                spacing_max_mm=pipeline.select.spacing_max_mm,
            )
            for pipeline in self._config.pipelines
        ]

    def _identity_key(self, state: Path) -> bytes:
        reference = self._config.identity.key
        return secrets.read(reference) if reference else load_or_create_key(state / "identity.key")

    # ── housekeeping ──────────────────────────────────────────────────────────────────────────────────────

    def _vitals(self) -> Vitals:
        return Vitals(stages=self._books(), free_bytes=free_bytes(self._config.state.folder))

    def _books(self) -> list[StageHealth]:
        return [health() for health in self._stages]

    def _status(self, session: MqttSession, presence: Presence, pump: Pump) -> StatusFile:
        def others() -> Mapping[str, Any]:
            return {
                "session": presence.session,
                "broker": session.connected,
                "sources": [{"name": name, "state": state} for name, state in self._source_states.items()],
                "models": self._models,
                "delivery": {
                    "p50_ms": pump.latency_ms.percentile(50) or 0.0,
                    "p99_ms": pump.latency_ms.percentile(99) or 0.0,
                },
                "disk_free_mb": free_bytes(self._config.state.folder) // MEGABYTE,
            }

        return StatusFile(self._config.state.folder, clock=self._clock, stages=self._books, others=others)

    def _keep_house(self, journal: Journal, status: StatusFile) -> None:
        """Write the status, and let go of what was kept long enough; the body of the thread."""
        limits = self._config.retention
        swept_ns = self._clock.monotonic_ns()
        while not self._stopping.is_set():
            status.write()
            if self._clock.monotonic_ns() - swept_ns > SWEEP_S * 1e9:
                swept_ns = self._clock.monotonic_ns()
                sweep(journal, self._config.state.folder / "intake", self._clock, limits)
            self._stopping.wait(self._config.health.period_s)

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
            stop()
            thread.join(self._config.drain_s)
            if thread.is_alive():
                self._log.warning("left to the journal", thread=name, after_s=self._config.drain_s)

    def _asked_to_stop(self, *_: int | FrameType | None) -> None:
        self._stopping.set()

    def _thread_died(self, died: threading.ExceptHookArgs) -> None:
        """A thread that dies of something nobody expected ends the process; systemd brings it back."""
        name = died.thread.name if died.thread else "a thread"
        self._fatal = f"{name} died: {died.exc_type.__name__}: {died.exc_value}"
        self._log.error("a thread died", thread=name, because=self._fatal)
        self._stopping.set()
