"""The parts of an appliance in this process, without broker and door, to be changed while they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from edge.config.load import check_text
from edge.config.schema import Config
from edge.daemon.books import Books
from edge.daemon.control_plane import folder_of, stager_of
from edge.daemon.fleet import FleetDevice
from edge.daemon.live import LiveHalf
from edge.daemon.models import ModelVoice
from edge.daemon.parts import bundles_of, presence_of, session_of
from edge.daemon.planning import Planning, Site
from edge.daemon.probes import Probes
from edge.daemon.studies import StudyHalf
from edge.daemon.surroundings import Surroundings
from edge.daemon.threads import Threads
from edge.daemon.works import Works
from edge.domain.finding import Finding
from edge.findings.envelope import wrap
from edge.findings.identity import KeyedHash
from edge.fleet.case import Case
from edge.fleet.layers import merge, parse_desired
from edge.fleet.ports import Wanted
from edge.inference.drift import Drift
from edge.kit.clock import SystemClock
from edge.kit.journal import Entry, Journal
from edge.ops.presence import Presence, Vitals
from edge.ops.watchdog import Watchdog
from edge.pipelines.inside import Inside
from edge.pipelines.stations import opened_engine
from edge.sinks.outbox import to_entry
from tests.builders.fleet_documents import desired


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Everything a test may look at."""

    folder: Path
    works: Works
    device: FleetDevice
    planning: Planning
    probes: Probes
    presence: Presence
    journal: Journal
    books: Books
    case: Case
    told: list[Config]
    begun_anew: list[str]


def document_of(folder: Path, **more: Any) -> dict[str, Any]:
    """Return the YAML of a device as a tree: one pipeline for series, by the bundle `tiny`."""
    return {
        "site": {"id": "test"},
        "device": {"id": "box-1"},
        "state": {"folder": str(folder / "state"), "reserve_mb": 16},
        "sources": [{"kind": "folder", "name": "inbox", "path": str(folder / "inbox")}],
        "pipelines": [{"name": "heads", "bundle": "tiny", "select": {"modalities": ["MR"]}}],
        "bundles": {"roots": [str(folder / "bundles")], "allow_unsigned": True},
        "engine": {"threads": 1, "provider": "cpu"},
        "mqtt": {"host": "127.0.0.1"},
        "drain_s": 5,
        "fleet": {
            "keys": [{"name": "fleet", "public_key": "ed25519:o+h3wsEGbWIHDDJYSrtxbkeACZYPpVEqXCSNpAaJtVU="}]
        },
        **more,
    }


def wish(config: dict[str, Any], **bundles: Any) -> Wanted:
    """Return what the device's own document would ask for."""
    tree = desired(device="box-1", config=config, bundles=bundles)
    return merge([], parse_desired(tree, device="box-1"))


@contextmanager
def workshop(folder: Path, **more: Any) -> Iterator[Workshop]:
    """Run the parts of an appliance, its bundles in `folder / "bundles"`."""
    path = folder / "edge.yaml"
    text = yaml.safe_dump(document_of(folder, **more))
    path.write_text(text)
    report = check_text(text, folder=folder)
    assert report.config is not None, report.errors
    config, clock = report.config, SystemClock()
    config.state.folder.mkdir(exist_ok=True)
    with ExitStack() as rooms:
        journal = rooms.enter_context(Journal(config.state.folder / "journal.db", clock))
        vitals = Vitals(stages=(), free_bytes=0)
        presence = presence_of(config, session_of(config, clock), journal, clock, lambda: vitals)
        watchdog, books, identity = Watchdog(clock), Books(), KeyedHash(bytes(16))
        threads = Threads(watchdog, drain_s=lambda: 5.0)
        drift = Drift(config.state.folder, alerts=presence, clock=clock)
        engine = rooms.enter_context(
            opened_engine(
                bundles_of(config),
                roots=config.bundles.places(config.state.folder),
                trust=config.bundles.believed(),
                threads=1,
                provider="cpu",
                state_folder=config.state.folder,
                clock=clock,
            )
        )
        voice = ModelVoice(
            list(dict.fromkeys(bundles_of(config))), engine=engine, drift=drift, presence=presence
        )
        voice.speak()
        studies = StudyHalf(
            config,
            journal=journal,
            engine=engine,
            identity=identity,
            watch=drift.see,
            envelope=partial(_envelope, journal),
            watchdog=watchdog,
            clock=clock,
        )
        studies.open(rooms, threads)
        live = LiveHalf(
            Surroundings(
                engine=engine,
                albums={},
                inside=Inside(config.state.folder, clock=clock),
                journal=journal,
                presence=presence,
                identity=identity,
                envelope=partial(_envelope, journal),
                watchdog=watchdog,
                watch=drift.see,
                threads=threads,
                books=books,
                clock=clock,
            )
        )
        rooms.callback(lambda: works.close())
        live.resume(config)
        told: list[Config] = []
        works = Works(
            config,
            engine=engine,
            studies=studies,
            live=live,
            voice=voice,
            hot=[told.append],
            signed=lambda _: None,
        )
        planning = Planning(Site(path, text), clock=clock)
        probes = Probes(doors=(), engine=engine, presence=presence, folder=folder_of(config))
        begun_anew: list[str] = []
        stager = rooms.enter_context(stager_of(config, admit=lambda bundle: device.admit(bundle)))
        case = Case(folder, quiet_min=0, inside=dict, alerts=presence, clock=clock)
        device = FleetDevice(
            None,
            works=works,
            planning=planning,
            stager=stager,
            probes=probes,
            case=case,
            doors=(),
            places=config.bundles.places(config.state.folder),
            trust=config.bundles.believed(),
            begin_anew=lambda: begun_anew.append("now"),
        )
        rooms.callback(device.close, within_s=10.0)
        yield Workshop(
            folder=folder,
            works=works,
            device=device,
            planning=planning,
            probes=probes,
            presence=presence,
            journal=journal,
            books=books,
            case=case,
            told=told,
            begun_anew=begun_anew,
        )


def _envelope(journal: Journal, finding: Finding, received_at_ns: int) -> Entry:
    sealed = wrap(finding, site="test", device="box-1", sequence=journal.counter("finding"))
    return to_entry(sealed, received_at_ns=received_at_ns)
