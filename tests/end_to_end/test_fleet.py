"""The fleet changes a real daemon while studies and frames come in: nothing is lost, nothing is doubled."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from edge.simulate.encoding import VideoForm
from edge.simulate.footage import Recording, plain
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Stream
from tests.builders.bundles import golden, write_bundle
from tests.builders.heads import ball_series
from tests.builders.picture_bundles import write_picture_bundle
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.callers import Callers
from tests.end_to_end.fleet_office import DEVICE, Office, at_once, reference, with_fleet
from tests.end_to_end.kept import data_set_of, kept_files
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.sender import Sender
from tests.peers.broker import Mosquitto
from tests.waiting import until

FORM = VideoForm(height_px=144, width_px=256, fps=10.0, bit_rate_kbps=100)
STILL = {"frozen_s": 0, "black_level": 0, "blinded_share": 1.0, "blurred_ratio": 0}
PACE = {"settle_ms": 100, "gap_max_ms": 20_000, "age_max_ms": 5000, "summary_s": 3600}  # of a busy machine
SERIES, SLICES, PACE_S = 250, 4, 0.08
CALLS_WITH_SERIES = 30
CHANGED = "the pipeline is being changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """A daemon with a door, two cameras, and everybody around it."""

    box: Appliance
    office: Office
    receiver: Receiver
    sender: Sender
    callers: Callers
    series: dict[str, set[str]]

    def answered(self) -> dict[str, Path]:
        """Every object that somebody was told is kept."""
        return {**self.sender.answered, **self.callers.answered}

    def findings(self, pipeline: str) -> list[dict[str, Any]]:
        return [finding for finding in self.receiver.findings() if finding["pipeline"] == pipeline]

    def phases(self, pipeline: str) -> list[tuple[str, str]]:
        return [(one["stream"]["phase"], one["verdict"]) for one in self.findings(pipeline)]

    def until_more_studies(self, count: int = 3) -> None:
        """Wait until studies that came after this moment are assessed."""
        before = len(self.findings("tiny"))
        until(lambda: len(self.findings("tiny")) >= before + count, within_s=60, what="further findings")


def series_sent(folder: Path, count: int) -> tuple[list[list[Path]], dict[str, set[str]]]:
    """Write series; return the files of each in order, and their objects."""
    files, objects = [], {}
    for number in range(count):
        name = f"{folder.name}-{number}"
        written = ball_series(folder / str(number), name=name, slices=SLICES)
        files.append(written)
        objects[name] = {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in written}
    return files, objects


def camera(name: str, url: str) -> dict[str, Any]:
    return {"kind": "camera", "name": name, "url": url, "quality": STILL, "open_s": 5, "retry_max_s": 0.5}


def looking(name: str, source: str) -> dict[str, Any]:
    return {"kind": "video", "name": name, "bundle": "brightness", "sources": [source], "pace": PACE}


@contextmanager
def hospital(folder: Path) -> Iterator[Hospital]:
    bundles = folder / "bundles"
    write_bundle(bundles, name="tiny")
    write_picture_bundle(bundles, name="brightness")
    files, series = series_sent(folder / "sent", SERIES)
    called, more = series_sent(folder / "called", CALLS_WITH_SERIES)
    dark = Recording.of((plain(40, FORM) for _ in range(10)), FORM)
    with ExitStack() as rooms:
        server = rooms.enter_context(RtspServer(streams={"/or": Stream(dark), "/well": Stream(dark)}))
        broker = rooms.enter_context(Mosquitto(folder / "broker"))
        receiver = rooms.enter_context(Receiver(broker.port))
        office = rooms.enter_context(Office(broker.port, folder / "office"))
        box = Appliance(folder / "box", broker_port=broker.port, bundles=bundles, bundle="tiny")
        for source, pipeline in (("or", "light"), ("well", "well")):
            box.add(source=camera(source, server.url(f"/{source}")), pipeline=looking(pipeline, source))
        rooms.enter_context(with_fleet(box, office))
        in_turn = [file for one in files for file in one]
        yield Hospital(
            box=box,
            office=office,
            receiver=receiver,
            sender=rooms.enter_context(Sender(box.dicom_port, in_turn, pace_s=PACE_S, seed=None)),
            callers=Callers(box.dicom_port, called),
            series={**series, **more},
        )


def compare(place: Hospital) -> None:
    """Every object answered is kept, every whole series was told of once, and no finding is missing."""
    place.sender.stop.set()
    answered = set(place.answered())
    whole = [objects for objects in place.series.values() if objects <= answered]
    assert len(whole) > 10
    until(lambda: len(told(place)) >= len(whole), within_s=60, what=f"findings of {len(whole)} series")
    assert set(told(place).values()) == {1}
    compare_kept(place)
    until(lambda: not missing(place), within_s=20, what="every finding that was numbered")


def compare_kept(place: Hospital) -> None:
    """Every object that was answered is kept, and no finding came under two names."""
    answered = place.answered()
    kept = kept_files(place.box.state)
    for sop_uid, sent in answered.items():
        assert [data_set_of(path) for path in kept[sop_uid]] == [data_set_of(sent)], sop_uid
    assert {len(ids) for ids in place.receiver.dedupe_ids().values()} == {1}


def waits_for(office: Office) -> str:
    """Why the version under way is not applied."""
    return "; ".join(pending["why"] for pending in office.reported()["pending"])


def version_of_tiny(folder: Path, version: str) -> dict[str, Any]:
    """Write and pack a version of the bundle; return how a document refers to it."""
    bundle = write_bundle(folder / version, edit=lambda written: written.update(version=version))
    return reference(folder / "packages", bundle)


def missing(place: Hospital) -> set[int]:
    """Numbers of findings that never came, below the highest."""
    came = place.receiver.sequence_numbers()
    return set(range(1, max(came) + 1)) - came


def another_answer() -> NDArray[np.uint8]:
    """What the tiny network does not say about its golden input."""
    with np.load(io.BytesIO(golden())) as arrays:
        return np.roll(arrays["labels"], 6, axis=-1)


def told(place: Hospital) -> Counter[tuple[str, int]]:
    """How often each revision of each series was told of as a whole."""
    return Counter(
        (one["subject"], one["revision"])
        for one in place.findings("tiny")
        if one["series"]["instances"] == SLICES
    )


@pytest.mark.timeout(300)
def test_changes_come_to_work_and_go_back_while_studies_and_frames_come_in(tmp_path: Path) -> None:
    with hospital(tmp_path) as place:
        office = place.office
        until(lambda: place.phases("light") and place.phases("well"), within_s=30, what="both are seen")
        place.until_more_studies()

        slower = {"light": {"pace": {**PACE, "settle_ms": 150}}, "tiny": {"deadline_s": 120}}
        version = office.desire({"pipelines": slower, "log_level": "WARNING"})
        office.until_state(version, "committed")
        until(lambda: place.phases("light")[-1] == ("begin", "ABSENT"), within_s=20, what="light goes on")
        assert place.phases("light") == [
            ("begin", "ABSENT"),
            ("end", "ABSENT"),
            ("begin", "NOT_ASSESSED"),
            ("end", "NOT_ASSESSED"),
            ("begin", "ABSENT"),
        ]
        assert CHANGED in place.findings("light")[2]["reason"]
        assert place.phases("well") == [("begin", "ABSENT")]  # nothing happened to the other

        sent = version_of_tiny(tmp_path, "1.1.0")
        version = office.desire({"pipelines": slower}, bundles={"tiny": sent})
        office.until_state(version, "committed")
        place.until_more_studies()
        assert place.findings("tiny")[-1]["model"]["version"] == "1.1.0"
        until(
            lambda: office.reported()["bundles"]["tiny"]["digest"] == sent["digest"], within_s=20, what="it"
        )
        assert not office.reported()["drift"]

        wrong = write_bundle(tmp_path / "wrong", golden_npz=golden(labels=another_answer()))
        refused = office.desire({}, bundles={"tiny": reference(tmp_path / "packages", wrong)})
        assert office.until_state(refused, "rejected")["code"] == "admission"
        misfit = office.desire(
            {"pipelines": {"light": {"bundle": "tiny"}}},  # which looks at volumes
            bundles={"tiny": version_of_tiny(tmp_path, "1.2.0")},
            apply={**at_once(), "confirm_s": 3},
        )
        assert office.until_state(misfit, "rolled_back")["code"] == "probe"
        place.until_more_studies()
        assert place.findings("tiny")[-1]["model"]["version"] == "1.1.0"

        office.command("restart-pipeline", "one", pipeline="light")
        assert office.until_done("restart-pipeline", "one")["result"] == {"pipeline": "light"}
        office.command("selftest", "one")
        assert office.until_done("selftest", "one")["result"]["passed"] == [
            "ingest",
            "engine",
            "golden",
            "mqtt",
        ]
        until(lambda: place.phases("light")[-1] == ("begin", "ABSENT"), within_s=20, what="light goes on")
        assert place.phases("well") == [("begin", "ABSENT")]

        office.desire({"log_level": "DEBUG"}, apply={"mode": "safe_point"})
        until(lambda: "DICOM associations" in waits_for(office), within_s=20, what="it waits for the door")
        office.publish(f"{DEVICE}/case", {"state": "open"})
        instead = {key: value for key, value in looking("deep", "well").items() if key != "name"}
        tuned = office.desire(
            {"sources": {"or": {"silence_s": 2.5}}, "pipelines": {"well": None, "deep": instead}}
        )
        until(lambda: "case" in waits_for(office), within_s=20, what="it waits for the case")
        office.publish(f"{DEVICE}/case", {"state": "closed"})
        before = len(place.phases("light"))
        office.until_state(tuned, "committed")
        until(lambda: len(place.phases("light")) == before + 4, within_s=20, what="light is seen again")
        assert place.phases("light")[-1] == ("begin", "ABSENT")
        assert place.phases("well")[1:] == [
            ("end", "ABSENT"),
            ("begin", "NOT_ASSESSED"),
            ("end", "NOT_ASSESSED"),
        ]

        with place.callers:  # while another process takes the place of this one
            version = office.desire({"engine": {"threads": 2}})
            office.until_state(version, "committed", within_s=60)
            place.until_more_studies()
        assert place.callers.failed == []
        assert len(place.callers.waited_s) > CALLS_WITH_SERIES
        assert max(place.callers.waited_s) > 0.5  # some had to wait for it
        assert place.findings("tiny")[-1]["model"]["version"] == "1.0.0"  # the fleet names it no more
        compare(place)
        models = [one["model"] for one in place.findings("tiny")]  # none: one slice, where the sender stopped
        versions = [model["version"] for model in filter(None, models)]
        spoke = [version for version, _ in itertools.groupby(versions)]
        tried = ["1.1.0", "1.2.0", "1.1.0"]  # where a study came just while it was
        assert spoke in (["1.0.0", "1.1.0", "1.0.0"], ["1.0.0", *tried, "1.0.0"])


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_change_that_needs_another_process_and_does_not_work_there_goes_back(tmp_path: Path) -> None:
    with hospital(tmp_path) as place:
        place.until_more_studies()
        first = place.office.desire({"pipelines": {"tiny": {"deadline_s": 120}}})
        place.office.until_state(first, "committed")
        with place.callers:  # there and back
            nowhere = place.office.desire(
                {"pipelines": {"tiny": {"deadline_s": 130}}, "engine": {"provider": "npu"}},
                apply={**at_once(), "confirm_s": 5},
            )
            assert place.office.until_state(nowhere, "rolled_back", within_s=90)["code"] == "probe"
            until(lambda: place.office.reported()["applied_version"] == first, within_s=30, what="the first")
        assert place.callers.failed == []
        assert "fleet-rolled-back-device" in place.office.alerts()
        place.until_more_studies()
        assert place.findings("tiny")[-1]["verdict"] == "PRESENT"
        place.sender.stop.set()
        until(lambda: not missing(place), within_s=20, what="every finding that was numbered")


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("state", ["applying", "probing"])
def test_a_power_cut_in_the_middle_of_a_trial_ends_in_a_device_that_works(tmp_path: Path, state: str) -> None:
    with hospital(tmp_path) as place:
        place.until_more_studies()
        first = place.office.desire(
            {"pipelines": {"tiny": {"deadline_s": 120}}}, bundles={"tiny": version_of_tiny(tmp_path, "1.1.0")}
        )
        place.office.until_state(first, "committed")
        misfit = place.office.desire(
            {"pipelines": {"light": {"bundle": "tiny"}}},
            bundles={"tiny": version_of_tiny(tmp_path, "1.2.0")},
            apply={**at_once(), "confirm_s": 3600},
        )
        until(lambda: state in place.office.states(misfit), within_s=60, what=state)
        place.box.kill()
        place.box.start()  # the trial goes on, once
        until(lambda: place.office.states(misfit).count("probing") >= 1, within_s=60, what="probing")
        place.until_more_studies(1)
        place.box.kill()
        place.box.start()
        assert place.office.until_state(misfit, "rolled_back", within_s=60)["code"] == "timeout"
        place.until_more_studies()
        assert place.findings("tiny")[-1]["model"]["version"] == "1.1.0"
        until(
            lambda: place.phases("light")[-1] == ("begin", "ABSENT"), within_s=30, what="light is seen again"
        )
        compare_kept(place)
