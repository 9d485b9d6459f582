"""What the fleet may have a device do, and ask it; the parts of an appliance in this process."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from typing import cast

import cv2
import numpy as np
import pytest

from edge.config.pipelines import ImagingPipeline
from edge.config.schema import Config
from edge.daemon.control_plane import stager_of
from edge.daemon.fleet import LOOK_S
from edge.daemon.fleet_errands import COMMANDS, FleetAnswers, FleetErrands
from edge.domain.errors import ConfigurationError, DocumentRefusedError, PixelsHeldBackError
from edge.fleet.command_forms import ARGS
from edge.fleet.install import Stager
from edge.fleet.staging import StagingJob
from edge.kit.clock import SystemClock
from edge.kit.journal import Entry
from edge.pipelines.snapshots import Album
from tests.builders.works import Workshop, wish

PICTURE = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
PICTURE_CHARACTERS_MAX = 190_000


class OpenAlbum:
    """Gives a picture out."""

    def snapshot(self, source: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        assert source == "or"
        return PICTURE


@pytest.fixture
def errands(place: Workshop) -> Iterator[FleetErrands]:
    with stager_of(place.works.config) as stager:
        yield FleetErrands(
            works=place.works,
            journal=place.journal,
            stager=stager,
            probes=place.probes,
            albums={"or": cast(Album, OpenAlbum())},
            presence=place.presence,
            busy=place.device.busy,
            clock=SystemClock(),
        )


@pytest.fixture
def answers(place: Workshop) -> Iterator[FleetAnswers]:
    with stager_of(place.works.config) as stager:
        yield FleetAnswers(
            device=place.device,
            works=place.works,
            planning=place.planning,
            stager=stager,
            status=dict,
            models=list,
        )


def test_every_type_of_command_is_executed_by_somebody() -> None:
    assert {*COMMANDS, "collect-logs"} == set(ARGS)


def test_a_picture_leaves_through_the_gate_only_and_is_small_enough_to_be_told(errands: FleetErrands) -> None:
    told = errands.execute("snapshot", {"source": "or"})
    assert len(told["picture"]) < PICTURE_CHARACTERS_MAX
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(told["picture"]), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape[1] / shown.shape[0] == pytest.approx(1920 / 1080, rel=0.02)
    with pytest.raises(PixelsHeldBackError, match="never leave"):
        errands.execute("snapshot", {"source": "ward"})


def test_a_fetch_ends_with_its_command(place: Workshop, errands: FleetErrands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bundle = {
            "version": "1.0.0",
            "digest": "sha256:" + "a" * 64,
            "url": f"http://127.0.0.1:{silent.getsockname()[1]}/never",
            "size_bytes": 10,
        }
        args = {"name": "tiny", "bundle": bundle, "expires": "2020-01-01T00:00:00Z"}
        with pytest.raises(DocumentRefusedError, match="before all had come") as refused:
            errands.execute("fetch", args)
    assert refused.value.code == "expired"


def test_staging_that_is_given_up_waits_for_its_end_and_does_not_spin(
    place: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    class Lasting(StagingJob):
        """Ends some time after it was asked to."""

        def wait(self, timeout_s: float) -> bool:
            looks.append(timeout_s)
            return len(looks) > 3

        def done(self) -> bool:
            raise AssertionError("asked again and again, instead of waited for")

        def result(self) -> None:
            raise DocumentRefusedError("download", "was cancelled")

    monkeypatch.setattr(Stager, "job", lambda *_: Lasting())
    new = {"version": "2", "digest": "sha256:" + "a" * 64, "url": "file:///nowhere", "size_bytes": 10}
    job = place.device.stage(place.device.plan(wish({}, tiny=new)))
    job.cancel()
    assert job.wait(10)
    assert looks == [LOOK_S] * 4


def test_a_pipeline_begins_anew_and_one_that_is_not_there_does_not(errands: FleetErrands) -> None:
    assert errands.execute("restart-pipeline", {"pipeline": "heads"}) == {"pipeline": "heads"}
    with pytest.raises(DocumentRefusedError, match="wanted one of heads"):
        errands.execute("restart-pipeline", {"pipeline": "tails"})


def test_a_pipeline_that_begins_anew_while_it_is_changed_begins_as_it_was_changed(
    place: Workshop, errands: FleetErrands, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    put = place.works.studies.put

    def slowly(config: Config) -> None:
        inside.set()
        assert go_on.wait(10)
        put(config)

    monkeypatch.setattr(place.works.studies, "put", slowly)
    after = place.planning.after(wish({"pipelines": {"heads": {"deadline_s": 9.0}}}))
    changing = threading.Thread(target=place.works.change, args=(after,), name="changing")
    changing.start()
    assert inside.wait(10)
    asked = ("restart-pipeline", {"pipeline": "heads"})
    restarting = threading.Thread(target=errands.execute, args=asked, name="restarting")
    restarting.start()
    go_on.set()
    changing.join(10)
    restarting.join(10)
    pipeline = place.works.config.pipelines[0]
    assert isinstance(pipeline, ImagingPipeline)
    assert pipeline.deadline_s == 9.0


def test_no_pipeline_begins_anew_while_a_case_runs_or_a_version_is_tried(
    place: Workshop, errands: FleetErrands
) -> None:
    place.case.hear(b"open")
    with pytest.raises(DocumentRefusedError, match="a case is open") as refused:
        errands.execute("restart-pipeline", {"pipeline": "heads"})
    assert refused.value.code == "busy"
    place.case.hear(b"closed")
    job = place.device.apply(place.device.plan(wish({"drain_s": 7.0})))
    assert job.wait(10)
    with pytest.raises(DocumentRefusedError, match="a version is being tried"):
        errands.execute("restart-pipeline", {"pipeline": "heads"})
    place.device.settled()
    assert errands.execute("restart-pipeline", {"pipeline": "heads"}) == {"pipeline": "heads"}


def test_an_appliance_that_stops_changes_nothing_any_more(place: Workshop, errands: FleetErrands) -> None:
    place.works.close()
    with pytest.raises(ConfigurationError, match="is stopping"):
        place.works.restart("heads")


def test_what_does_not_work_fails_the_test_of_oneself(errands: FleetErrands) -> None:
    names = ["ingest", "engine", "golden"]
    assert errands.execute("selftest", {"probe": names}) == {"passed": names}
    with pytest.raises(DocumentRefusedError, match="no connection"):
        errands.execute("selftest", {"probe": ["mqtt"]})


def test_what_was_set_aside_is_tried_again(place: Workshop, errands: FleetErrands) -> None:
    place.journal.put(Entry("outbox", "one", "subject", b"{}"))
    lease = place.journal.lease_group("outbox", "subject")
    assert lease is not None
    place.journal.set_aside(lease, reason="refused")
    assert errands.execute("retry-set-aside", {"queue": "outbox"}) == {"queue": "outbox", "items": 1}
    assert place.journal.count("outbox", "ready") == 1
    assert errands.execute("retry-set-aside", {"queue": "intake"}) == {"queue": "intake", "items": 0}


def test_the_configuration_is_told_with_where_each_value_comes_from(
    place: Workshop, answers: FleetAnswers
) -> None:
    plan = place.device.plan(wish({"pipelines": {"heads": {"deadline_s": 7.0}}}))
    job = place.device.apply(plan)
    assert job.wait(30)
    told = json.loads(json.dumps(answers.answer("config")))
    assert told["digest"] == plan.wanted.digest
    assert told["config"]["pipelines.heads.deadline_s"] == {
        "value": 7.0,
        "origin": "device",
        "restart": "pipeline",
    }
    assert told["config"]["drain_s"] == {"value": 5.0, "origin": "file", "restart": "hot"}
    assert told["config"]["site.id"]["restart"] == "local"


def test_a_device_says_what_works_and_where_it_differs_from_what_is_wanted(
    place: Workshop, answers: FleetAnswers
) -> None:
    at_work = answers.at_work()
    assert (at_work.bundles["tiny"].version, at_work.bundles["tiny"].digest) == ("1.0.0", "")
    assert list(at_work.drift_paths) == []
    text = (place.folder / "edge.yaml").read_text()
    (place.folder / "edge.yaml").write_text(text.replace("drain_s: 5", "drain_s: 61"))
    assert list(answers.at_work().drift_paths) == ["drain_s"]
