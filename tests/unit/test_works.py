"""What is at work becomes another and comes back, while the rest goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.bundles.store import load
from edge.config.schema import Config
from edge.domain.errors import BundleRejectedError, DocumentRefusedError
from edge.inference.making import Made
from edge.pipelines.stations import Wanted, stations
from edge.sinks.outbox import from_row
from tests.builders.arrivals import arrival_of
from tests.builders.bundles import write_bundle
from tests.builders.files import series_of_files
from tests.builders.pair import axial
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.volume_bundles import write_pair
from tests.builders.works import Workshop, wish, workshop
from tests.waiting import until

PAIR = {
    "kind": "imaging",
    "bundle": "pair",
    "select": {"modalities": ["CT"]},
    "roles": [
        {"role": "T1", "series_description": "T1"},
        {"role": "FLAIR", "series_description": "FLAIR"},
    ],
}
FURTHER = {"kind": "imaging", "bundle": "other", "select": {"modalities": ["CT"]}}


@pytest.fixture
def place(place: Workshop) -> Workshop:
    """With another bundle, that no pipeline looks with."""
    write_bundle(place.folder / "bundles", name="other")
    return place


def after(place: Workshop, config: dict[str, Any]) -> Config:
    return place.planning.after(wish(config))


def admitted(place: Workshop, name: str = "tiny", version: str = "2.0.0") -> Made:
    bundle = write_bundle(
        place.folder / version, name=name, edit=lambda written: written.update(version=version)
    )
    return place.works.engine.admit(load(bundle)).result(30)


def version(place: Workshop, name: str = "tiny") -> str:
    return place.works.engine.stamp(name).version


def test_values_are_taken_up_by_whoever_follows_them(place: Workshop) -> None:
    place.works.change(after(place, {"health": {"period_s": 7.0}, "assembly": {"quiet_s": 3.0}}))
    assert place.works.config.health.period_s == 7.0
    assert [config.assembly.quiet_s for config in place.told] == [3.0]


def test_a_model_comes_to_work_and_what_it_replaces_comes_back(place: Workshop) -> None:
    held = place.works.engine.model("tiny")
    former = place.works.former()
    place.works.change(place.works.config, models=[admitted(place)], former=former)
    assert version(place) == held.stamp.version == "2.0.0"
    place.works.undo(former)
    assert version(place) == held.stamp.version == "1.0.0"
    place.works.engine.prove("tiny", is_golden=True)


def test_a_pipeline_comes_with_a_bundle_that_nobody_used_and_goes_with_it(place: Workshop) -> None:
    former = place.works.former()
    bundle = load(place.folder / "bundles" / "other")
    made = place.works.engine.admit(bundle).result(30)
    place.works.change(after(place, {"pipelines": {"more": FURTHER}}), models=[made], former=former)
    assert version(place, "other") == "1.0.0"
    place.works.undo(former)
    with pytest.raises(BundleRejectedError, match="no pipeline looks with it"):
        place.works.engine.stamp("other")
    assert [one.name for one in place.works.config.pipelines] == ["heads"]


def test_a_bundle_that_no_pipeline_uses_any_more_gives_its_memory_back(place: Workshop) -> None:
    made = place.works.engine.admit(load(place.folder / "bundles" / "other")).result(30)
    place.works.change(after(place, {"pipelines": {"heads": {"bundle": "other"}}}), models=[made])
    assert version(place, "other") == "1.0.0"
    with pytest.raises(BundleRejectedError, match="no pipeline looks with it"):
        place.works.engine.stamp("tiny")


def test_a_change_that_fails_in_the_middle_can_be_taken_back(
    place: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Config) -> None:
        raise BundleRejectedError("something")

    former = place.works.former()
    with monkeypatch.context() as broken:
        broken.setattr(place.works.studies, "put", refuse)
        with pytest.raises(BundleRejectedError):
            place.works.change(
                after(place, {"pipelines": {"heads": {"deadline_s": 9.0}}}),
                models=[admitted(place)],
                former=former,
            )
    place.works.undo(former)
    assert version(place) == "1.0.0"
    place.works.engine.prove("tiny", is_golden=True)


def test_what_was_given_up_while_it_waited_for_a_series_is_taken_back_without_waiting_for_it(
    place: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up() -> None:
        raise DocumentRefusedError("superseded", "not wanted any more")

    former = place.works.former()
    changed = after(place, {"pipelines": {"heads": {"deadline_s": 9.0}}})
    with monkeypatch.context() as waiting:
        waiting.setattr(place.works.studies._assessor, "_looking", 1)
        with pytest.raises(DocumentRefusedError, match="not wanted"):
            place.works.change(changed, anew={"heads"}, former=former, go_on=give_up)
        place.works.undo(former, anew={"heads"})
    assert place.works.config is former.config
    place.works.restart("heads")


def test_a_model_for_something_else_takes_the_place_of_a_name(place: Workshop) -> None:
    held = place.works.engine.model("tiny")
    pictures = load(write_picture_bundle(place.folder / "pictures", name="tiny"))
    former = place.works.former()
    made = place.works.engine.admit(pictures).result(30)
    place.works.change(place.works.config, models=[made], anew={"heads"}, former=former)
    assert place.works.engine.picture_model("tiny").stamp.sha256 == pictures.digest
    with pytest.raises(BundleRejectedError, match="something else took its place"):
        _ = held.stamp
    place.works.undo(former, anew={"heads"})
    assert version(place) == "1.0.0"


def test_what_is_refused_before_a_change_is_no_fault_of_it(tmp_path: Path) -> None:
    with workshop(tmp_path) as place:  # where there is no bundle at all
        place.probes.remember_refusals()
        place.probes.run(["engine", "golden"], place.works.config, changed=())
        with pytest.raises(DocumentRefusedError) as refused:
            place.probes.run(["engine"], place.works.config, changed={"tiny"})
    assert refused.value.code == "probe"


def test_a_pipeline_whose_bundle_is_for_something_else_fails_its_probe(place: Workshop) -> None:
    pictures = load(write_picture_bundle(place.folder / "pictures", name="tiny"))
    made = place.works.engine.admit(pictures).result(30)
    place.works.change(place.works.config, models=[made], anew={"heads"})
    place.probes.run(["engine"], place.works.config, changed={"tiny"})  # pictures of a series: that can be
    wrong = after(place, {"pipelines": {"heads": {"bundle": "other"}}})
    with pytest.raises(DocumentRefusedError, match="other"):
        place.probes.run(["engine"], wrong, changed=())


def test_a_broker_that_is_away_fails_its_probe(place: Workshop) -> None:
    with pytest.raises(DocumentRefusedError, match=r"mqtt: .*no connection"):
        place.probes.run(["mqtt"], place.works.config, changed=())


def test_series_in_their_roles_are_waited_for_by_the_pipelines_of_the_moment(place: Workshop) -> None:
    pair = place.works.engine.admit(load(write_pair(place.folder / "bundles"))).result(30)
    quick = {"assembly": {"quiet_s": 0.05}}
    place.works.change(after(place, {**quick, "pipelines": {"pair": PAIR}}), models=[pair])
    studies = place.works.studies
    studies.follow(place.works.config)
    folder = axial(place.folder / "sent", StudyInstanceUID="1.2", SeriesDescription="T1", SeriesNumber=4)
    for one in series_of_files(folder.iterdir()).instances:
        studies._intake.keep(arrival_of(one))
    studies._intake.association_closed("1")
    until(lambda: place.journal.count("together", "ready") == 1, within_s=10, what="a series in its role")
    place.works.change(after(place, quick))
    until(lambda: bool(place.journal.items("outbox")), within_s=10, what="a finding")
    (item,) = place.journal.items("outbox")
    assert b"pipeline pair is not configured any more" in from_row(item.body).envelope.body


def test_a_model_that_takes_over_is_asked_in_the_order_of_its_own_roles(place: Workshop) -> None:
    engine = place.works.engine
    pair = engine.admit(load(write_pair(place.folder / "bundles"))).result(30)
    place.works.change(after(place, {"pipelines": {"pair": PAIR}}), models=[pair])
    station = stations(engine, [Wanted("pair", "pair", 1.0)])["pair"]

    def turn(written: dict[str, Any]) -> None:
        written["version"] = "2.0.0"
        written["input"]["channels"].reverse()

    assert engine.swap(load(write_pair(place.folder / "2.0.0", edit=turn))).result(30).version == "2.0.0"
    with station.held() as held:
        assert held.given is not None
        assert held.given.roles == ("FLAIR", "T1")
