"""The live half of the appliance: each live source with everything that looks at it, built and started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_policies import ScoreFinding
from edge.bundles.picture_tasks import PictureManifest
from edge.config.cameras import CameraSource, Pace, PixelGate, VideoPipeline
from edge.config.pipelines import LivePipeline
from edge.config.schema import Config
from edge.config.sources import LiveSourceOption
from edge.config.thermal import ThermalPipeline
from edge.daemon.live_sources import live_source_of, quality_of
from edge.domain.finding import Finding
from edge.domain.frame import Frame
from edge.domain.health import StageHealth
from edge.domain.ports import Clock
from edge.findings import track
from edge.findings.gate import Gate, GateRules, LocalValidation
from edge.findings.identity import KeyedHash
from edge.findings.thermal_policy import WHOLE, Pair, Region, ThermalPolicy
from edge.inference.engine import Engine
from edge.kit.backoff import Backoff
from edge.kit.journal import Entry, Journal
from edge.kit.queues import Latest
from edge.kit.stage import Stage
from edge.ops.presence import Presence
from edge.ops.watchdog import Watchdog
from edge.pipelines.live import Live, Look, Onlooker
from edge.pipelines.looks import PictureLook, ThermalLook
from edge.pipelines.snapshots import Album, Gatekeeper
from edge.pipelines.stations import picture_station
from edge.pipelines.watching import Watch
from edge.sources.live import LiveSource
from edge.sources.live_books import LiveBooks
from edge.sources.live_looks import Looks

HANG_S = 30.0  # what a thread of a live pipeline may take beyond the deadline of its model
StartThread = Callable[[str, Callable[[], None], Callable[[], None]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """What the live half needs of the rest of the appliance.

    Attributes:
        engine: Open, with every bundle.
        albums: Is filled: for each camera whose pictures may leave, who hands them out.
        journal: Open.
        presence: Is told how sources are.
        identity: Makes subjects.
        envelope: Encodes a finding, given when its frame was captured (UTC, ns).
        watchdog: Expects the threads to move.
        watch: Is shown every answer of a model.
        start: Runs a body in a thread of a name until the `with` ends and its stop was called.
        clock: Time.
    """

    engine: Engine
    albums: dict[str, Album]
    journal: Journal
    presence: Presence
    identity: KeyedHash
    envelope: Callable[[Finding, int], Entry]
    watchdog: Watchdog
    watch: Watch
    start: StartThread
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenedSource:
    """One live source that runs.

    Attributes:
        about: Name, kind, state and reason, how quickly each pipeline reads a frame of late, which assess
            nothing, and why, as of now, and how many boxes each did not follow.
        books: Of the source, and of each pipeline that looks at it.
        ask_to_stop: Tells them to stop, without waiting.
    """

    about: Callable[[], Mapping[str, Any]]
    books: tuple[Callable[[], StageHealth], ...]
    ask_to_stop: Callable[[], None]


def open_live(rooms: ExitStack, config: Config, around: Surroundings) -> list[OpenedSource]:
    """Start every live source of a configuration: first whoever looks at it, then the source.

    Raises:
        SecretError: The password of a camera cannot be read.
    """
    sources = [one for one in config.sources if isinstance(one, LiveSourceOption)]
    looking = [one for one in config.pipelines if isinstance(one, LivePipeline)]
    all_opened: list[OpenedSource] = []
    for source in sources:
        opened = _open_source(rooms, source, [one for one in looking if source.name in one.sources], around)
        all_opened.append(opened)
    for opened in all_opened:  # at the stop all are told before one is waited for
        rooms.callback(opened.ask_to_stop)
    return all_opened


def _open_source(
    rooms: ExitStack, source: LiveSourceOption, pipelines: Sequence[LivePipeline], around: Surroundings
) -> OpenedSource:
    clock = around.clock
    books = LiveBooks(source.name, clock=clock)
    frames: dict[str, Latest[Frame]] = {one.name: Latest(clock=clock) for one in pipelines}
    opened = live_source_of(source, clock, books)
    running = LiveSource(
        source.name,
        source=opened,
        interrupt=opened.interrupt,
        books=books,
        hand_overs=list(frames.values()),
        say=lambda state, why: around.presence.source(source.name, state, why=why),
        looks=Looks(limits=quality_of(source)),
        open_s=source.open_s,
        silence_s=source.silence_s,
        backoff=Backoff(min_s=source.retry_min_s, max_s=source.retry_max_s),
        disabled="" if source.enabled else "the site has turned it off",
        clock=clock,
    )
    onlookers = _onlookers(source, pipelines, around)
    lives = [
        _live(one, source.name, frames[one.name], running, onlookers.get(one.name, ()), around)
        for one in pipelines
    ]
    for live in lives:
        rooms.enter_context(around.start(live.name, live.run, live.stop))
    rooms.enter_context(running)

    def about() -> Mapping[str, Any]:
        state, why = running.state()
        return {
            "name": source.name,
            "kind": source.kind,
            "state": state,
            "why": why,
            "capture_to_answer_ms": {live.name: live.latency_ms.percentiles() for live in lives},
            "not_assessed": {live.name: live.gap for live in lives if live.gap},
            "not_followed": {live.name: live.not_followed for live in lives if live.not_followed},
        }

    def ask_to_stop() -> None:
        running.ask_to_stop()
        for live in lives:
            live.stop()

    books_of_all = (running.health, *(live.health for live in lives))
    return OpenedSource(about=about, books=books_of_all, ask_to_stop=ask_to_stop)


def _onlookers(
    source: LiveSourceOption, pipelines: Sequence[LivePipeline], around: Surroundings
) -> dict[str, tuple[Onlooker, ...]]:
    """Return who watches the pipelines of a camera whose pictures may leave: its gate, and its album.

    The first pipeline that has a gate guards the camera; without one nothing leaves, nor where its bundle is
    not in use or calls a score of 0 inside.
    """
    if not isinstance(source, CameraSource) or source.snapshots == "never":
        return {}
    for one in pipelines:
        if not isinstance(one, VideoPipeline) or one.gate is None:
            continue
        station = picture_station(around.engine, one.bundle)
        guarding = _guarding(station.manifest)
        if station.manifest is not None and guarding is None:
            around.presence.raise_alert(
                f"gate-{source.name}",
                f"no picture of {source.name} ever leaves: the gate of {one.name} needs a bundle that judges "
                f"pictures by one class, with a score above 0 to stay; {one.bundle} does not",
            )
        if station.model is None or guarding is None:
            return {}
        gate = Gate(
            _gate_rules(one, one.gate, guarding),
            validation=_declared(one.gate),
            clock=around.clock,
        )
        album = Album({source.name: gate}, blur=source.snapshot_blur)
        around.albums[source.name] = album
        return {one.name: (Gatekeeper(gate, bundle_sha256=station.model.stamp.sha256), album)}
    return {}


def _guarding(manifest: PictureManifest | None) -> ScoreFinding | None:
    """Return what guards a gate: one class of a bundle that judges pictures, and never a score of 0."""
    judged = manifest.policy.one_class if isinstance(manifest, PictureClassification) else None
    return judged if judged is not None and judged.stay_score_min > 0 else None


def _gate_rules(pipeline: VideoPipeline, gate: PixelGate, judged: ScoreFinding) -> GateRules:
    return GateRules(
        enter_score_min=judged.enter_score_min,
        stay_score_min=judged.stay_score_min,
        enter_ms=gate.enter_ms,
        enter_frames_min=gate.enter_frames_min,
        gap_max_ms=pipeline.pace.gap_max_ms,
        age_max_ms=pipeline.pace.age_max_ms,
    )


def _declared(gate: PixelGate) -> LocalValidation | None:
    given = gate.local_validation
    return None if given is None else LocalValidation(**given.model_dump())


def _live(
    pipeline: LivePipeline,
    source: str,
    frames: Latest[Frame],
    running: LiveSource,
    onlookers: Sequence[Onlooker],
    around: Surroundings,
) -> Live:
    name = f"{pipeline.name} on {source}"
    deadline_s = pipeline.deadline_ms / 1e3 if isinstance(pipeline, VideoPipeline) else 0.0
    return Live(
        pipeline=pipeline.name,
        source=source,
        frames=frames,
        look=_look(pipeline, around),
        pace=_pace(pipeline.pace),
        age_max_ms=pipeline.pace.age_max_ms,
        losses=lambda: running.health().dropped,
        trouble=running.trouble,
        journal=around.journal,
        envelope=around.envelope,
        identity=around.identity,
        stage=Stage(name, around.clock),
        clock=around.clock,
        beat=around.watchdog.watch(name, limit_s=deadline_s + HANG_S),
        onlookers=onlookers,
    )


def _look(pipeline: LivePipeline, around: Surroundings) -> Look:
    if isinstance(pipeline, ThermalPipeline):
        return ThermalLook(_thermal_policy(pipeline))
    station = picture_station(around.engine, pipeline.bundle)
    return PictureLook(station, deadline_s=pipeline.deadline_ms / 1e3, watch=around.watch)


def _thermal_policy(pipeline: ThermalPipeline) -> ThermalPolicy:
    regions = tuple(Region(name=one.name, corners=one.corners) for one in pipeline.regions)
    return ThermalPolicy(
        regions=regions or (WHOLE,),
        pairs=tuple(Pair(left=one.left, right=one.right) for one in pipeline.pairs),
        judged_by=pipeline.judged_by,
        limit_enter_celsius=pipeline.limit_enter_celsius,
        limit_stay_celsius=pipeline.limit_stay_celsius,
        asymmetry_enter_k=pipeline.asymmetry_enter_k,
        asymmetry_stay_k=pipeline.asymmetry_stay_k,
        spot_enter_celsius=pipeline.spot_enter_celsius,
        spot_stay_celsius=pipeline.spot_stay_celsius,
        spot_area_min_px=pipeline.spot_area_min_px,
        spots_in=pipeline.spots_in,
        saturated_fraction_max=pipeline.saturated_fraction_max,
        assumed_is_enough=pipeline.assumed_is_enough,
        unevenness_k=pipeline.unevenness_k,
    )


def _pace(pace: Pace) -> track.Pace:
    return track.Pace(
        settle_s=pace.settle_ms / 1e3,
        vanish_s=pace.vanish_ms / 1e3,
        summary_s=pace.summary_s,
        gap_s=pace.gap_max_ms / 1e3,
    )
