"""A bundle of the fleet that is gone from the store is fetched again, and put to work."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from edge.bundles.installed import Store
from edge.bundles.package import pack
from edge.daemon.control_plane import stager_of
from edge.daemon.mending import Mending
from edge.domain.errors import BundleRejectedError
from edge.fleet.install import Stager
from edge.fleet.ledger import Attempt
from edge.fleet.ports import Wanted
from edge.fleet.progress import Progress
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from tests.builders.bundles import golden, network, write_bundle
from tests.builders.works import Workshop, wish, workshop
from tests.waiting import until

IDLE = Progress(
    scopes={},
    under_way=None,
    queued=(),
    doing={},
    waits_for="",
    at_work=None,
    before=None,
    rung="committed",
    is_frozen=False,
    troubles={},
)
BUSY = replace(IDLE, under_way=cast(Attempt, object()))


@dataclass(frozen=True)
class Site:
    """A device on which a version of the fleet is at work."""

    place: Workshop
    stager: Stager
    package: Path
    wanted: Wanted

    def folder(self) -> Path | None:
        return self.stager.folder_of("tiny", self.wanted.bundles["tiny"])

    def is_well(self) -> bool:
        engine = self.place.works.engine
        is_speaking = "tiny" not in engine.refusals and engine.state("tiny").stamp.version == "2.0.0"
        return is_speaking and self.place.device.is_at_work("tiny", self.wanted)

    def lose(self) -> None:
        """The store is damaged, and the process began with what was left of it."""
        config = self.place.works.config
        shutil.rmtree(config.bundles.places(config.state.folder)[0] / "tiny")
        made = self.place.works.engine.withdraw("tiny", why="tiny: is not there")
        assert made is not None
        made.active.model.close()

    def mending(self, **given: Any) -> Mending:
        given = {"clock": SystemClock(), "backoff": Backoff(min_s=1e-6, max_s=1e-6), **given}
        return Mending(self.place.device, self.place.works, self.stager, **given)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    write_bundle(tmp_path / "bundles", name="tiny")
    made = write_bundle(
        tmp_path / "made",
        name="tiny",
        networks={"fp32": network()},
        golden_npz=golden(),
        edit=lambda manifest: manifest.update(version="2.0.0"),
    )
    package = pack(made, tmp_path)
    content = package.read_bytes()
    wanted = wish(
        {},
        tiny={
            "version": "2.0.0",
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "url": package.as_uri(),
            "size_bytes": len(content),
        },
    )
    with workshop(tmp_path) as place, stager_of(place.works.config) as stager:
        plan = place.device.plan(wanted)
        for begin in (place.device.stage, place.device.apply):
            job = begin(plan)
            assert job.wait(20)
            job.result()
        place.device.settled()
        site = Site(place, stager, package, wanted)
        assert site.is_well()
        yield site


def looked(site: Site, mending: Mending) -> bool:
    """Let it look once more, as the agent does."""
    mending.look(IDLE)
    return site.is_well() and not mending.doing("tiny")


def said(mending: Mending, progress: Progress) -> str:
    """What is said of it after it has looked once more."""
    mending.look(progress)
    return mending.doing("tiny")


def test_what_is_gone_is_fetched_again_and_put_to_work(site: Site) -> None:
    mending = site.mending()
    site.lose()
    mending.look(IDLE)
    assert "is gone from the store; is brought back: " in mending.doing("tiny")
    until(lambda: looked(site, mending), within_s=20)
    assert mending.doing("tiny") == ""
    site.place.works.engine.prove("tiny", is_golden=True)
    assert Store(site.folder().parent.parent).versions()[0].state == "active"  # type: ignore[union-attr]  # there


def test_nothing_is_begun_under_a_version_that_is_under_way_or_where_the_site_is_frozen(site: Site) -> None:
    site.lose()
    mending, frozen = site.mending(), site.mending(is_frozen=True)
    mending.look(BUSY)
    frozen.look(IDLE)
    assert (mending.doing("tiny"), frozen.doing("tiny"), site.folder()) == ("", "", None)


def test_it_gives_way_to_a_version_that_comes_and_goes_on_afterwards(site: Site) -> None:
    site.place.case.hear(b"open")
    site.lose()
    mending = site.mending()
    mending.look(IDLE)
    until(lambda: "waiting: a case is open" in mending.doing("tiny"), within_s=20)
    assert not site.is_well()
    mending.look(BUSY)
    until(lambda: "not wanted any more" in said(mending, BUSY), within_s=10)
    site.place.case.hear(b"closed")
    assert not site.is_well(), "its folder is there, and its model waits"
    assert "is back in the store, and is not at work yet" in mending.doing("tiny")
    until(lambda: looked(site, mending), within_s=20)


def test_what_nobody_gives_is_said_and_tried_again(site: Site) -> None:
    aside = site.package.rename(site.package.with_suffix(".away"))
    site.lose()
    mending = site.mending()
    mending.look(IDLE)
    until(lambda: "No such file" in said(mending, IDLE), within_s=10)
    aside.rename(site.package)
    until(lambda: looked(site, mending), within_s=20)


def test_what_is_back_and_did_not_come_to_work_is_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.lose()
    mending = site.mending()

    def refuse(*_: object, **__: object) -> None:
        raise BundleRejectedError("16 models are waiting to be measured; try again later")

    with monkeypatch.context() as full:
        full.setattr(site.place.works.engine, "admit", refuse)
        mending.look(IDLE)
        until(lambda: "try again later" in said(mending, IDLE), within_s=10)
        assert site.folder() is not None
    until(lambda: looked(site, mending), within_s=20)


def test_what_somebody_at_the_box_has_put_in_its_place_stays(site: Site) -> None:
    folder = site.folder()
    assert folder is not None
    link = folder.parent / "active"
    other = folder.with_name("another")
    shutil.copytree(folder, other)
    shutil.rmtree(folder)
    link.unlink()
    link.symlink_to(other.name)
    mending = site.mending()
    mending.look(IDLE)
    assert mending.doing("tiny") == ""
