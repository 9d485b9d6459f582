"""Who guards the pictures of a camera, as the daemon puts it together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from edge.config.cameras import CameraSource, VideoPipeline
from edge.config.load import check_text
from edge.daemon import live
from edge.daemon.live import Surroundings
from edge.pipelines.snapshots import Album
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


@pytest.mark.parametrize(("stay_score_min", "guards"), [(0.9, ["gate"]), (0.0, [])])
def test_a_bundle_that_calls_everything_inside_guards_nothing_and_lets_nothing_leave(
    stay_score_min: float, guards: list[str], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = SimpleNamespace(enter_score_min=0.95, stay_score_min=stay_score_min)
    station = SimpleNamespace(
        model=SimpleNamespace(stamp=SimpleNamespace(sha256="0" * 64)), manifest=SimpleNamespace(policy=policy)
    )
    monkeypatch.setattr(live, "picture_station", lambda *_: station)
    config = check_text(SITE, folder=Path("/nowhere")).config
    assert config is not None
    albums: dict[str, Album] = {}
    around = cast(Surroundings, SimpleNamespace(engine=None, albums=albums, clock=clock))
    camera, pipeline = config.sources[0], config.pipelines[0]
    assert isinstance(camera, CameraSource)
    assert isinstance(pipeline, VideoPipeline)
    assert list(live._onlookers(camera, [pipeline], around)) == guards
    assert len(albums) == len(guards)
