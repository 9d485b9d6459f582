"""Everything at once for a while: three cameras, a thermal camera, heads from a scanner, on one box."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.demo.studies import studies
from edge.simulate.encoding import VideoForm
from edge.simulate.recordings import load, prepared
from edge.simulate.rtsp import RtspServer
from edge.simulate.scanner import Scanner
from edge.simulate.scu import Peer
from edge.simulate.stream import Stream
from edge.simulate.thermal import ThermalCamera
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.receiver import Receiver
from tests.peers.broker import Mosquitto
from tests.waiting import until

MODELS = Path(__file__).parents[2] / "models"
FORM = VideoForm()  # 720p25
CAMERAS = ("or1", "or2", "or3")
AGE_MAX_MS = 500.0
SAMPLE_S = 2.0


@dataclass
class Watched:
    """What was seen of the daemon while it worked."""

    at_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def slope_mb_per_min(self, *, after_s: float) -> float:
        """Slope of a straight line through the memory from a moment on."""
        pairs = [(at, mb) for at, mb in zip(self.at_s, self.memory_mb, strict=True) if at >= after_s]
        at, mb = np.array(pairs).T
        return float(np.polyfit(at / 60, mb, 1)[0])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("film"), scene_name="inside", form=FORM, duration_s=4.0)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Mosquitto(tmp_path / "broker") as broker, Receiver(broker.port) as listening:
        yield listening


def box_for(folder: Path, receiver: Receiver, server: RtspServer) -> Appliance:
    box = Appliance(folder / "box", broker_port=receiver.port, bundles=MODELS, bundle="brain-mr")
    pace = {"age_max_ms": AGE_MAX_MS, "summary_s": 5}
    for name in CAMERAS:
        box.add(source={"kind": "camera", "name": name, "url": server.url(f"/{name}")})
    scale = {"scale": {"kind": "linear", "kelvin_per_count": 0.01}}
    box.add(
        source={"kind": "thermal", "name": "thermo", "folder": str(folder / "thermal"), "calibration": scale},
        pipeline={"kind": "thermal", "name": "warmth", "sources": ["thermo"], "pace": pace},
    )
    gate = {"kind": "video", "name": "scope-gate", "bundle": "scope-gate", "sources": [*CAMERAS]}
    pipelines = box.document["pipelines"]
    assert isinstance(pipelines, list)
    pipelines.append({**gate, "pace": pace})
    return box


def status_of(box: Appliance) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((box.state / "status.json").read_text())
    return document


def memory_mb(box: Appliance) -> float:
    assert box.process is not None
    lines = Path(f"/proc/{box.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS:"))


def balances(stage: Mapping[str, Any]) -> bool:
    left = stage["out"] + stage["set_aside"] + sum(stage["dropped"].values()) + stage["held"]
    return bool(stage["taken"] == left)


@pytest.mark.parametrize(
    ("minutes", "head_every_s", "settled_s", "slope_max"),
    [
        pytest.param(0.25, 7.0, 0.0, np.inf, id="in short"),  # too short for a slope: memory is still taken
        pytest.param(10.0, 30.0, 120.0, 1.0, id="ten minutes", marks=pytest.mark.proof),
    ],
)
@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_cameras_heat_and_heads_share_a_box_and_nothing_is_lost_that_may_not_be(
    tmp_path: Path,
    receiver: Receiver,
    film: Path,
    minutes: float,
    head_every_s: float,
    settled_s: float,
    slope_max: float,
) -> None:
    head = studies(tmp_path / "head", None)[0]
    seen = Watched()
    with ExitStack() as running:
        streams = {f"/{name}": Stream(load(film)) for name in CAMERAS}
        server = running.enter_context(RtspServer(streams=streams))
        running.enter_context(ThermalCamera(tmp_path / "thermal", fps=9.0))
        box = running.enter_context(box_for(tmp_path, receiver, server))
        peer = Peer(host="127.0.0.1", port=box.dicom_port, called_ae="EDGE", calling_ae="SCANNER")
        with Scanner(
            peer, [head.files], every_s=head_every_s, studies_max=round(minutes * 60 / head_every_s)
        ) as scanner:
            began_s = time.monotonic()
            while time.monotonic() - began_s < minutes * 60:
                seen.at_s.append(time.monotonic() - began_s)
                seen.memory_mb.append(memory_mb(box))
                until(
                    lambda: time.monotonic() - began_s > seen.at_s[-1] + SAMPLE_S,
                    within_s=60,
                    what="a moment",
                )
        sent = scanner.tally
        until(
            lambda: len(of(receiver, "brain-mr")) >= sent.studies,
            within_s=120,
            what="a finding for each head",
        )
        status = status_of(box)
        print(json.dumps({"status": status, "sent": asdict(sent), "memory_mb": seen.memory_mb}, default=str))
        assert (sent.refused, sent.failed) == (0, 0)
        assert sent.stored == sent.studies * len(head.files)
        assert {finding["verdict"] for finding in of(receiver, "brain-mr")} == {"PRESENT"}
        for stage in status["stages"]:
            assert balances(stage), stage
        live = {
            name: measured
            for source in status["sources"]
            for name, measured in source.get("capture_to_answer_ms", {}).items()
        }
        assert len(live) == len(CAMERAS) + 1
        for name, measured in live.items():
            assert measured["p99"] < AGE_MAX_MS, f"{name}: {measured}"
        told = {
            (finding["pipeline"], finding["stream"]["source"])
            for finding in receiver.findings()
            if finding["stream"]
        }
        assert told == {*(("scope-gate", name) for name in CAMERAS), ("warmth", "thermo")}
        assert seen.slope_mb_per_min(after_s=settled_s) < slope_max, f"{seen.memory_mb} MB"


def of(receiver: Receiver, pipeline: str) -> list[dict[str, Any]]:
    return [finding for finding in receiver.findings() if finding["pipeline"] == pipeline]
