"""How a live pipeline reads frames, and who watches it: what the operator wrote, turned into parts."""

from __future__ import annotations

from collections.abc import Sequence

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_policies import ScoreFinding
from edge.bundles.picture_tasks import PictureManifest
from edge.config.cameras import CameraSource, Pace, PixelGate, VideoPipeline
from edge.config.pipelines import LivePipeline
from edge.config.sources import LiveSourceOption
from edge.config.thermal import ThermalPipeline
from edge.daemon.surroundings import Surroundings
from edge.findings import track
from edge.findings.gate import Gate, GateRules, LocalValidation
from edge.findings.thermal_policy import WHOLE, Pair, Region, ThermalPolicy
from edge.pipelines.live import Look, Onlooker
from edge.pipelines.looks import PictureLook, ThermalLook
from edge.pipelines.snapshots import Album, Gatekeeper
from edge.pipelines.stations import picture_station


def look_of(pipeline: LivePipeline, around: Surroundings) -> Look:
    """Return how a pipeline reads a frame."""
    if isinstance(pipeline, ThermalPipeline):
        return ThermalLook(_thermal_policy(pipeline))
    station = picture_station(around.engine, pipeline.bundle)
    return PictureLook(station, deadline_s=pipeline.deadline_ms / 1e3, watch=around.watch)


def pace_of(pace: Pace) -> track.Pace:
    """Return how quickly something is said, and how often."""
    return track.Pace(
        settle_s=pace.settle_ms / 1e3,
        vanish_s=pace.vanish_ms / 1e3,
        summary_s=pace.summary_s,
        gap_s=pace.gap_max_ms / 1e3,
    )


def guard_of(source: LiveSourceOption, pipelines: Sequence[LivePipeline]) -> VideoPipeline | None:
    """Return the pipeline that guards a camera whose pictures may leave: the first that has a gate."""
    if not isinstance(source, CameraSource) or source.snapshots == "never":
        return None
    return next((one for one in pipelines if isinstance(one, VideoPipeline) and one.gate is not None), None)


def onlookers_of(
    source: LiveSourceOption, pipelines: Sequence[LivePipeline], around: Surroundings
) -> dict[str, tuple[Onlooker, ...]]:
    """Return who watches the pipelines of a camera whose pictures may leave: its gate, and its album.

    The first pipeline that has a gate guards the camera; without one nothing leaves, nor where its bundle is
    not in use or calls a score of 0 inside.
    """
    one = guard_of(source, pipelines)
    if one is None or one.gate is None or not isinstance(source, CameraSource):
        return {}
    station = picture_station(around.engine, one.bundle)
    guarding = _guarding(station.manifest)
    if station.manifest is not None and guarding is None:
        around.presence.raise_alert(
            f"gate-{source.name}",
            f"no picture of {source.name} ever leaves: the gate of {one.name} needs a bundle that judges "
            f"pictures by one class, with a score above 0 to stay; {one.bundle} does not",
        )
    else:
        around.presence.clear_alert(f"gate-{source.name}")
    if station.model is None or guarding is None:
        return {}
    gate = Gate(_gate_rules(one, one.gate, guarding), validation=_declared(one.gate), clock=around.clock)
    album = Album({source.name: gate}, blur=source.snapshot_blur)
    around.albums[source.name] = album
    return {one.name: (Gatekeeper(gate, bundle_sha256=station.model.stamp.sha256), album)}


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
