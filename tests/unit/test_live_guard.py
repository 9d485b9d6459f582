"""Who guards the pictures of a camera, as the daemon puts it together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.bundles.manifest import Manifest
from edge.bundles.store import load
from edge.config.cameras import CameraSource, VideoPipeline
from edge.config.load import check_text
from edge.daemon import live_looks
from edge.daemon.surroundings import Surroundings
from edge.pipelines.snapshots import Album
from tests.builders.picture_bundles import write_picture_bundle
from tests.fakes.alerts import FakeAlerts
from tests.fakes.clock import FakeClock

SITE = """
site: {id: demo}
device: {id: box-1}
sources:
  - {kind: camera, name: or, url: "rtsp://10.0.0.5/or", snapshots: gated}
pipelines:
  - {kind: video, name: gate, bundle: scope-gate, sources: [or], gate: {}}
bundles: {roots: [models]}
mqtt: {host: localhost}
"""


ONE_CLASS = {"present_class": "bright", "enter_score_min": 0.95, "stay_score_min": 0.9}
SEVERAL = {"findings": [{"name": "bright", "enter_score_min": 0.95, "stay_score_min": 0.9}]}


def manifest(root: Path, policy: dict[str, Any]) -> Manifest:
    def edit(document: dict[str, Any]) -> None:
        kept = {key: document["policy"][key] for key in ("looked_for", "fail_closed")}
        document["policy"] = {**kept, **policy}

    return load(write_picture_bundle(root, edit=edit)).manifest


@pytest.mark.parametrize(
    ("policy", "guards"),
    [(ONE_CLASS, ["gate"]), ({**ONE_CLASS, "stay_score_min": 0.0}, []), (SEVERAL, [])],
    ids=["one class", "everything is inside", "several findings"],
)
def test_a_bundle_that_cannot_tell_inside_guards_nothing_lets_nothing_leave_and_somebody_is_told(
    policy: dict[str, Any],
    guards: list[str],
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    station = SimpleNamespace(
        model=SimpleNamespace(stamp=SimpleNamespace(sha256="0" * 64)), manifest=manifest(tmp_path, policy)
    )
    monkeypatch.setattr(live_looks, "picture_station", lambda *_: station)
    config = check_text(SITE, folder=Path("/nowhere")).config
    assert config is not None
    albums: dict[str, Album] = {}
    alerts = FakeAlerts()
    around = cast(Surroundings, SimpleNamespace(engine=None, albums=albums, presence=alerts, clock=clock))
    camera, pipeline = config.sources[0], config.pipelines[0]
    assert isinstance(camera, CameraSource)
    assert isinstance(pipeline, VideoPipeline)
    assert list(live_looks.onlookers_of(camera, [pipeline], around)) == guards
    assert len(albums) == len(guards)
    assert list(alerts.raised) == ["gate-or"] * (not guards)
