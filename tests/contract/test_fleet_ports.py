"""What the fleet's state machine may rely on: the daemon's device, a simulated one, that of other tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.domain.errors import DocumentRefusedError
from edge.fleet.ports import Device, Job, Wanted
from edge.kit.clock import SystemClock
from edge.simulate.fleet_hardware import Hardware, Traits
from tests.builders.bundles import write_bundle
from tests.builders.works import wish, workshop
from tests.fakes.fleet_device import FakeFleetDevice
from tests.waiting import until

AT_ONCE_S = 1.0


class Town:
    """A device, and wishes it can fulfil, each another one than those before."""

    def __init__(self, device: Device, wish_of: Callable[[int], Wanted]) -> None:
        self.device = device
        self.wish = wish_of

    def done(self, job: Job) -> None:
        """Wait for a job, and have its result."""
        until(job.done, within_s=30, what="the job is done")
        job.result()

    def apply(self, wanted: Wanted) -> None:
        plan = self.device.plan(wanted)
        self.done(self.device.stage(plan))
        self.done(self.device.apply(plan))

    def changes(self, wanted: Wanted) -> list[str]:
        return [change.path for change in self.device.plan(wanted).changes]


@pytest.fixture(params=["daemon", "simulated", "fake"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    kinds = {"daemon": of_daemon, "simulated": of_simulated, "fake": of_fake}
    yield from kinds[request.param](tmp_path)


def of_daemon(folder: Path) -> Iterator[Town]:
    write_bundle(folder / "bundles", name="tiny")
    with workshop(folder) as place:
        yield Town(place.device, lambda number: wish({"pipelines": {"heads": {"deadline_s": 100 + number}}}))


def of_simulated(_: Path) -> Iterator[Town]:
    traits = Traits(stage_s=0.05, apply_s=0.05, probe_s=0.05)
    yield Town(Hardware(traits, SystemClock()), lambda number: wish({"drain_s": float(number)}))


def of_fake(_: Path) -> Iterator[Town]:
    yield Town(FakeFleetDevice(), lambda number: wish({"value": number}))


def test_what_was_applied_changes_nothing_when_it_is_asked_for_again(town: Town) -> None:
    assert town.changes(town.wish(1))
    town.apply(town.wish(1))
    assert town.changes(town.wish(1)) == []
    assert town.changes(town.wish(2)) == town.changes(wish({}))


def test_what_was_applied_can_be_brought_back_however_often_it_is_tried(town: Town) -> None:
    town.apply(town.wish(1))
    for number in (2, 3):
        plan = town.device.plan(town.wish(number))
        town.done(town.device.stage(plan))
        town.done(town.device.apply(plan))
        town.done(town.device.restore(plan))
        assert town.changes(town.wish(1)) == []


def test_what_was_staged_and_is_not_wanted_leaves_everything_as_it_was(town: Town) -> None:
    town.apply(town.wish(1))
    plan = town.device.plan(town.wish(2))
    town.done(town.device.stage(plan))
    town.device.discard(plan)
    assert town.changes(town.wish(1)) == []


def test_every_method_returns_at_once_and_says_how_far_it_is(town: Town) -> None:
    began_s = time.monotonic()
    plan = town.device.plan(town.wish(1))
    job = town.device.stage(plan)
    assert set(job.progress()) == {"doing", "done", "of"}
    assert time.monotonic() - began_s < AT_ONCE_S
    town.done(job)
    job.cancel()  # of what is over
    assert town.device.unsafe() == ""


def test_what_works_passes_its_probes(town: Town) -> None:
    plan = town.device.plan(town.wish(1))
    town.done(town.device.stage(plan))
    town.done(town.device.apply(plan))
    town.done(town.device.probe(plan, ["ingest", "engine", "golden"]))


def test_a_wish_that_cannot_be_is_refused_before_anything_is_done(town: Town) -> None:
    impossible: dict[str, Any] = {"fault_x": "plan"}
    with pytest.raises(DocumentRefusedError) as refused:
        town.device.plan(wish(impossible))
    assert refused.value.code in ("schema", "unsupported", "local_lock")
