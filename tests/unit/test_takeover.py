"""What is installed at the box comes to work in the daemon, where that disturbs nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edge.bundles.signature import ANYBODY
from edge.config.cameras import VideoPipeline
from edge.daemon.exchange import Exchange
from edge.daemon.takeover import Takeover
from edge.daemon.works import Works
from edge.domain.errors import EdgeError
from tests.builders.bundles import golden, network, write_bundle
from tests.builders.works import Workshop
from tests.fakes.alerts import FakeAlerts
from tests.waiting import until


class Box:
    """A device, and a person who installs bundles at it."""

    def __init__(self, place: Workshop, *, busy: Callable[[], str] = str, trial: str = "") -> None:
        self.place = place
        self.alerts = FakeAlerts()
        self.takeover = Takeover(place.works, busy=busy, trial=lambda: trial)
        root = place.folder / "bundles"
        self.exchange = Exchange(place.works.engine, places=[root], trust=ANYBODY, alerts=self.alerts)
        self.exchange.take_over_with(self.takeover)

    def install(self, edit: Callable[[dict[str, Any]], None], **more: Any) -> None:
        """Put another version where bundles lie."""
        shutil.rmtree(self.place.folder / "bundles" / "tiny")
        write_bundle(self.place.folder / "bundles", name="tiny", edit=edit, **more)

    def answer(self) -> Mapping[str, Any]:
        return self.exchange.answer({"name": "tiny"})

    def end(self) -> Mapping[str, Any]:
        """Ask until it is not under way any more."""
        answers: list[Mapping[str, Any]] = []
        until(lambda: answers.append(self.answer()) or answers[-1]["state"] != "under way", within_s=20)  # type: ignore[func-returns-value]  # a list
        return answers[-1]


@pytest.fixture
def box(place: Workshop) -> Iterator[Box]:
    box = Box(place)
    with closing(box.takeover):
        yield box


def looks_for_another(written: dict[str, Any]) -> None:
    written["version"] = "2.0.0"
    written["policy"]["looked_for"]["value"] = "other"


def test_a_bundle_for_a_pipeline_that_had_none_comes_to_work_at_once(box: Box) -> None:
    made = box.place.works.engine.withdraw("tiny", why="tiny: is not there")
    assert made is not None
    made.active.model.close()
    box.install(lambda written: written.update(version="2.0.0"))
    assert box.answer() == {"state": "under way"}
    assert box.end() == {"state": "at work", "version": "2.0.0"}
    box.place.works.engine.prove("tiny", is_golden=True)
    assert "unsigned-bundle-tiny" in box.alerts.raised


def test_one_that_says_other_things_begins_its_pipelines_anew_between_two_series(box: Box) -> None:
    box.install(looks_for_another)
    assert box.end() == {"state": "at work", "version": "2.0.0"}


def test_one_that_does_not_pass_is_refused_and_the_one_at_work_goes_on(box: Box) -> None:
    blind = network(offsets=np.array([0.0, -30.0, -30.0], np.float32))
    box.install(looks_for_another, networks={"fp32": blind}, golden_npz=golden())
    with pytest.raises(EdgeError, match="nothing passes on this device"):
        box.end()
    assert box.place.works.engine.stamp("tiny").version == "1.0.0"


def test_during_a_case_or_a_trial_it_waits_for_the_next_start(place: Workshop) -> None:
    box = Box(place, busy=lambda: "a case is open")
    with closing(box.takeover):
        box.install(looks_for_another)
        said = box.answer()
        assert said["state"] == "at the next start"
        assert "its policy.looked_for differ" in said["why"]
        assert said["why"].endswith("; a case is open")


def test_what_is_on_trial_is_not_exchanged_under_it_either(place: Workshop) -> None:
    box = Box(place, trial="a version is being tried")
    with closing(box.takeover):
        box.install(lambda manifest: manifest.update(version="1.0.1"))
        assert box.answer() == {"state": "at the next start", "why": "tiny: a version is being tried"}
        assert place.works.engine.stamp("tiny").version == "1.0.0"


def test_what_somebody_else_changes_meanwhile_stays_changed(box: Box) -> None:
    works = box.place.works
    with works.alone:
        box.install(looks_for_another)
        assert box.answer() == {"state": "under way"}
        assert works.engine.settle(timeout_s=20)  # it has proved itself, and waits
        works.change(works.config.model_copy(update={"log_level": "DEBUG"}))
        assert box.answer() == {"state": "under way"}
    assert box.end() == {"state": "at work", "version": "2.0.0"}
    assert works.config.log_level == "DEBUG"


def test_it_gives_way_to_a_version_of_the_fleet_that_came_meanwhile(place: Workshop) -> None:
    busy: list[str] = []
    box = Box(place, busy=lambda: "".join(busy))
    with closing(box.takeover):
        with place.works.studies.between_series():  # as if one were looked at
            box.install(looks_for_another)
            assert box.answer() == {"state": "under way"}
            busy.append("a version is being tried")
            with pytest.raises(EdgeError, match="a version is being tried"):
                box.end()
        assert place.works.engine.stamp("tiny").version == "1.0.0"


def takeover_of(*, refusals: Mapping[str, str]) -> Takeover:
    pipeline = VideoPipeline.model_construct(name="look", bundle="lamp")
    works = SimpleNamespace(
        config=SimpleNamespace(pipelines=[pipeline]), engine=SimpleNamespace(refusals=refusals)
    )
    return Takeover(cast(Works, works), busy=str, trial=str)


def test_events_of_a_camera_are_not_told_as_others_in_the_middle() -> None:
    assert "camera" in takeover_of(refusals={}).why_not("lamp")
    assert takeover_of(refusals={"lamp": "is not there"}).why_not("lamp") == ""
    assert takeover_of(refusals={}).why_not("other") == "no pipeline looks with it"
