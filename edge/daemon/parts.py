"""What the operator wrote, turned into the parts of the appliance: plain arguments, nothing started."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge import __version__
from edge.bundles.installed import Store
from edge.config import secrets
from edge.config.cameras import VideoPipeline
from edge.config.pipelines import ImagingPipeline, PipelineWithBundle
from edge.config.schema import Config
from edge.config.sources import DicomSource, FolderLikeSource, FolderSource, StudySource
from edge.config.spectral import HyperspectralSource, PixelSpectraPipeline, SpectrumSource
from edge.daemon.exchange import Exchange
from edge.domain import ports
from edge.domain.ports import Alerts, Clock
from edge.findings.identity import KeyedHash, load_or_create_key
from edge.findings.mqtt_json import SCHEMA
from edge.fleet.command_forms import COMMAND_SCHEMA
from edge.fleet.documents import DESIRED_SCHEMA, GROUP_SCHEMA
from edge.fleet.questions import ANSWER_SCHEMA
from edge.fleet.report import EVENT_SCHEMA, REPORTED_SCHEMA
from edge.inference.engine import Engine
from edge.kit.backoff import Backoff
from edge.kit.inherited import Listeners
from edge.kit.journal import Journal
from edge.kit.mqtt import MqttSession, Tls
from edge.kit.stage import Stage
from edge.kit.topics import device_prefix, site_prefix
from edge.ops.presence import Presence, Vitals
from edge.pipelines.stations import Wanted, picture_station, spectra_station, stations, viewers
from edge.sinks.mqtt import MqttSink
from edge.sinks.pump import Pump
from edge.sources.dicom import Caller, DicomDoor, DoorTls
from edge.sources.folder import WatchedFolder
from edge.sources.folder_files import Contents, Studies
from edge.sources.folder_spectral import Measurements
from edge.studies.select import Rule

MEGABYTE = 1_000_000
FLEET_SCHEMAS = (DESIRED_SCHEMA, GROUP_SCHEMA, COMMAND_SCHEMA, REPORTED_SCHEMA, EVENT_SCHEMA, ANSWER_SCHEMA)
IDLE_LIMIT_S = 30.0


def identity_of(config: Config, journal: Journal, alerts: Alerts) -> KeyedHash:
    """Return what makes patients unknown outside; a key that is made anew on a box with a past is told of.

    Raises:
        SecretError: The key is missing, too short or readable by others.
    """
    if config.identity.key is not None:
        return KeyedHash(secrets.read(config.identity.key))
    path = config.state.folder / "identity.key"
    if not path.exists() and any(journal.count("intake", state) for state in ("ready", "done", "set_aside")):
        alerts.raise_alert(
            "identity-key",
            f"{path} was gone and is made anew: subjects of findings change, and no revision replaces "
            "its predecessor at the receiver any more; bring the old key back from the backup",
        )
    return KeyedHash(load_or_create_key(path))


def prefix_of(config: Config) -> str:
    """Return what each of this device's topics begins with."""
    return device_prefix(site=config.site.id, device=config.device.id, root=config.mqtt.root)


def root_prefix_of(config: Config) -> str:
    """Return what the topics of this device's groups begin with."""
    return site_prefix(site=config.site.id, root=config.mqtt.root)


def session_of(config: Config, clock: Clock) -> MqttSession:
    """Return the line to the broker, not opened.

    Raises:
        SecretError: The password or the key of the certificate cannot be read.
    """
    mqtt = config.mqtt
    tls = None
    if mqtt.tls is not None:
        key_file = secrets.resolve(mqtt.tls.key) if mqtt.tls.key else None
        tls = Tls(ca_file=mqtt.tls.ca_file, certificate_file=mqtt.tls.certificate_file, key_file=key_file)
    return MqttSession(
        host=mqtt.host,
        port=mqtt.port,
        client_id=config.device.id,
        clock=clock,
        tls=tls,
        username=mqtt.username,
        password=secrets.read_text(mqtt.password) if mqtt.password else None,
        keep_alive_s=mqtt.keep_alive_s,
        session_expiry_s=mqtt.session_expiry_s,
        will_delay_s=mqtt.will_delay_s,
        backoff=_backoff(config),
    )


def presence_of(
    config: Config, session: MqttSession, journal: Journal, clock: Clock, vitals: Callable[[], Vitals]
) -> Presence:
    """Return who speaks for the device."""
    return Presence(
        session,
        prefix=prefix_of(config),
        session_number=lambda: journal.counter("session"),
        state_folder=config.state.folder,
        vitals=vitals,
        info=info_of(config),
        clock=clock,
        period_s=config.health.period_s,
    )


def info_of(config: Config) -> Mapping[str, Any]:
    """Return what the device says it is."""
    fleet = config.fleet
    return {
        "site": config.site.id,
        "device": config.device.id,
        "room": config.device.room,
        "software": {"edge": __version__, "python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "system": platform.platform()},
        "pipelines": [pipeline.name for pipeline in config.pipelines],
        "groups": list(fleet.groups) if fleet is not None else [],
        "schemas": [SCHEMA, *(FLEET_SCHEMAS if fleet is not None else ())],
    }


def pump_of(config: Config, session: MqttSession, journal: Journal, clock: Clock, alerts: Presence) -> Pump:
    """Return what carries findings from the outbox to the broker."""
    pump = Pump(
        journal,
        MqttSink(session, prefix=prefix_of(config), alerts=alerts),
        clock=clock,
        alerts=alerts,
        workers=config.outbox.workers,
        timeout_s=config.mqtt.acknowledge_s,
        backoff=_backoff(config),
        is_open=lambda: session.connected,
    )
    session.on_connect(pump.wake)
    return pump


def wanted_of(config: Config) -> list[Wanted]:
    """Return the pipelines for series and the bundles they look with."""
    return [
        Wanted(
            one.name,
            one.bundle,
            one.deadline_s,
            modalities=frozenset(one.select.modalities),
            pictures_max=one.pictures_max,
        )
        for one in _imaging(config)
    ]


def bundles_of(config: Config) -> list[str]:
    """Return the bundles of all pipelines, in their order."""
    return [one.bundle for one in config.pipelines if isinstance(one, PipelineWithBundle)]


def exchange_of(config: Config, engine: Engine, alerts: Alerts) -> Exchange:
    """Return what brings installed bundles to work while the daemon runs; unsigned ones are warned of now."""
    places, trust = config.bundles.places(config.state.folder), config.bundles.believed()
    Store(places[0]).tidy()
    guards = {one.bundle for one in config.pipelines if isinstance(one, VideoPipeline) and one.gate}
    exchange = Exchange(engine, places=places, trust=trust, alerts=alerts, guards=guards)
    exchange.tell_signatures(bundles_of(config))
    return exchange


def live_callers_of(config: Config) -> int:
    """Return how many threads may ask one live model at once: one for each source that feeds it."""
    return max(_asking(config).values(), default=1)


def crowded_of(config: Config, *, seats: int) -> Collection[str]:
    """Return the bundles whose model more threads may ask at once than it has seats."""
    return [bundle for bundle, callers in _asking(config).items() if callers > seats]


def _asking(config: Config) -> Counter[str]:
    asking = Counter(
        one.bundle for one in config.pipelines if isinstance(one, VideoPipeline) for _ in one.sources
    )
    asking.update({one.bundle for one in _imaging(config)})  # all series are looked at by one thread
    return asking


def patience_s(config: Config) -> float:
    """Return how long one series may take, in s: every pipeline may look at it, once it is put together."""
    deadlines_s = [one.deadline_s for one in _imaging(config)]
    return max(deadlines_s, default=0.0) + sum(deadlines_s) + IDLE_LIMIT_S


def rules_of(config: Config) -> Sequence[Rule]:
    """Return which series concern which pipeline that looks at a series by itself."""
    return [rule_of(one) for one in _imaging(config) if not one.roles]


def rule_of(pipeline: ImagingPipeline) -> Rule:
    """Return what every series is that a pipeline is meant for."""
    return Rule(
        pipeline=pipeline.name,
        modalities=frozenset(pipeline.select.modalities),
        slices_min=pipeline.select.slices_min,
        spacing_max_mm=pipeline.select.spacing_max_mm,
    )


def _imaging(config: Config) -> list[ImagingPipeline]:
    return [one for one in config.pipelines if isinstance(one, ImagingPipeline)]


def source_of(
    config: Config, source: StudySource, clock: Clock, stage: Stage, listeners: Listeners
) -> ports.StudySource:
    """Return a door, closed.

    Raises:
        SecretError: The key of its certificate cannot be read.
    """
    spool = config.state.folder / "spool"
    if isinstance(source, DicomSource):
        return _door(source, spool, config.state.reserve_mb * MEGABYTE, clock, stage, listeners)
    return _folder(source, spool, clock, stage)


def _door(
    source: DicomSource,
    spool: Path,
    reserve_bytes: int,
    clock: Clock,
    stage: Stage,
    listeners: Listeners,
) -> DicomDoor:
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
        only_own_title=source.only_own_title,
        spool=spool,
        reserve_bytes=reserve_bytes,
        tls=tls,
        listen=listeners.listen,
        clock=clock,
        stage=stage,
    )


def _contents(source: FolderLikeSource) -> Contents:
    match source:
        case FolderSource():
            return Studies(nifti_modality=source.nifti_modality or "")
        case HyperspectralSource():
            return Measurements(kind="cube")
        case SpectrumSource():
            return Measurements(kind="spectrum")


def _folder(source: FolderLikeSource, spool: Path, clock: Clock, stage: Stage) -> WatchedFolder:
    return WatchedFolder(
        source.name,
        path=source.path,
        spool=spool,
        settle_s=source.settle_s,
        after=source.after,
        contents=_contents(source),
        clock=clock,
        stage=stage,
    )


def _backoff(config: Config) -> Backoff:
    return Backoff(min_s=config.mqtt.retry_min_s, max_s=config.mqtt.retry_max_s)


def refused_stations(engine: Engine, config: Config) -> Iterator[tuple[str, str, str]]:
    """Yield each pipeline whose model cannot be asked what it is to be asked: its bundle, and why."""
    wanted = wanted_of(config)
    bundles = {one.pipeline: one.bundle for one in wanted}
    for name, station in stations(engine, wanted).items():
        if station.refusal:
            yield name, bundles[name], station.refusal
    for name, viewer in viewers(engine, wanted).items():
        if viewer.station.refusal:
            yield name, bundles[name], viewer.station.refusal
    for one in config.pipelines:
        if isinstance(one, VideoPipeline):
            station_of = picture_station(engine, one.bundle)
            if station_of.refusal:
                yield one.name, one.bundle, station_of.refusal
        if isinstance(one, PixelSpectraPipeline):
            of_spectra = spectra_station(engine, one.bundle)
            if of_spectra.refusal:
                yield one.name, one.bundle, of_spectra.refusal
