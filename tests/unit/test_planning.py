"""What a wish would make of a device is said before anything is done, or why it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.daemon.fleet import SERIES
from edge.domain.errors import DocumentRefusedError
from edge.fleet.ports import WAITS_FOR, Plan
from tests.builders.bundles import write_bundle
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.works import Workshop, document_of, wish, workshop
from tests.waiting import until

NEW = {"version": "1.0.0", "digest": "sha256:" + "a" * 64, "url": "file:///nowhere", "size_bytes": 10}


def planned(place: Workshop, config: dict[str, Any], **bundles: Any) -> dict[str, str]:
    plan: Plan = place.device.plan(wish(config, **bundles))
    return {change.path: change.restart for change in plan.changes}


def refusal(place: Workshop, config: dict[str, Any], **bundles: Any) -> tuple[str, str]:
    with pytest.raises(DocumentRefusedError) as refused:
        place.device.plan(wish(config, **bundles))
    return refused.value.code, refused.value.path


def test_each_change_comes_with_what_it_needs(place: Workshop) -> None:
    assert planned(place, {}) == {}
    assert planned(place, {"log_level": "DEBUG"}) == {"log_level": "hot"}
    assert planned(place, {"pipelines": {"heads": {"deadline_s": 5.0}}}) == {
        "pipelines.heads.deadline_s": "pipeline"
    }
    assert planned(place, {"engine": {"threads": 2}}) == {"engine.threads": "process"}
    assert planned(place, {}, tiny=NEW) == {"bundles.tiny": "pipeline"}


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"pipelines": {"heads": {"deadlines": 5.0}}}, ("schema", "pipelines.heads.deadlines")),
        ({"pipelines": {"heads": {"deadline_s": -1.0}}}, ("schema", "pipelines.heads.deadline_s")),
        ({"pipelines": {"heads": {"bundle": "gone"}}}, ("unsupported", "pipelines.heads.bundle")),
        ({"bundles": {"allow_unsigned": True}}, ("local_lock", "bundles.allow_unsigned")),
        ({"sources": {"inbox": {"path": "/tmp"}}}, ("local_lock", "sources.inbox.path")),
        ({"sources": {"inbox": {"after": "remove"}}}, ("local_lock", "sources.inbox.after")),
        ({"retention": {"set_aside_days": 0.0}}, ("local_lock", "retention.set_aside_days")),
        ({"retention": {"done_h": 0.0}}, ("local_lock", "retention.done_h")),
        ({"retention": {"soft_free_mb": 9_000_000}}, ("local_lock", "retention.soft_free_mb")),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(
    place: Workshop, config: dict[str, Any], refused: tuple[str, str]
) -> None:
    assert refusal(place, config) == refused


def test_a_bundle_that_comes_with_the_wish_need_not_be_there(place: Workshop) -> None:
    further = {"kind": "imaging", "bundle": "new", "select": {"modalities": ["CT"]}}
    assert set(planned(place, {"pipelines": {"more": further}}, new=NEW)) == {"pipelines.more", "bundles.new"}


def test_what_was_wrong_with_the_file_before_is_no_fault_of_a_wish(tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    with workshop(tmp_path) as place:  # whose pipeline looks with a bundle that nobody has
        assert planned(place, {"pipelines": {"heads": {"deadline_s": 5.0}}})


def test_a_wish_that_needs_another_process_is_held_against_the_file_that_this_one_will_read(
    place: Workshop,
) -> None:
    (place.folder / "edge.yaml").write_text("no: file of ours\n")
    assert planned(place, {"log_level": "DEBUG"}) == {"log_level": "hot"}
    assert refusal(place, {"engine": {"threads": 2}})[0] == "schema"


def test_somebody_who_writes_the_file_is_seen(place: Workshop) -> None:
    assert place.planning.drift(place.works.config, None) == []
    changed = yaml.safe_dump(document_of(place.folder, drain_s=9, log_level="DEBUG"))
    seen = place.planning.seen()
    (place.folder / "edge.yaml").write_text(changed)
    assert place.planning.seen() != seen
    assert sorted(place.planning.drift(place.works.config, None)) == ["drain_s", "log_level"]
    assert place.planning.drift(place.works.config, wish({"log_level": "INFO"})) == ["drain_s"]


def test_what_only_the_file_may_set_by_now_is_told_as_a_difference(place: Workshop) -> None:
    fleet = {**document_of(place.folder)["fleet"], "local": ["log_level"]}
    (place.folder / "edge.yaml").write_text(yaml.safe_dump(document_of(place.folder, fleet=fleet)))
    wanted = wish({"log_level": "DEBUG", "drain_s": 5.0})
    assert place.planning.drift(place.works.config, wanted) == ["log_level", "fleet.local"]


def test_the_last_pipeline_of_a_camera_cannot_be_taken_away(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundles", name="tiny")
    write_picture_bundle(tmp_path / "bundles", name="pics")
    own = document_of(tmp_path)
    cameras = [
        {"kind": "camera", "name": name, "url": "rtsp://127.0.0.1:9/x", "enabled": False}
        for name in ("watched", "alone")
    ]
    look = {"kind": "video", "name": "look", "bundle": "pics", "sources": ["watched"]}
    more = {"sources": [*own["sources"], *cameras], "pipelines": [*own["pipelines"], look]}
    with workshop(tmp_path, **more) as place:  # of whose cameras one was alone before
        assert refusal(place, {"pipelines": {"look": None}}) == ("unsupported", "sources.watched")
        assert planned(place, {"pipelines": {"look": {"deadline_ms": 80.0}}})


def test_a_change_says_while_it_waits_for_the_series_in_hand(
    place: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assessor = place.works.studies._assessor
    monkeypatch.setattr(assessor, "_looking", 1)
    job = place.device.apply(place.device.plan(wish({"pipelines": {"heads": {"deadline_s": 9.0}}})))
    until(lambda: job.progress().get(WAITS_FOR) == SERIES, within_s=5)
    monkeypatch.setattr(assessor, "_looking", 0)
    assert job.wait(10)
    job.result()
    assert WAITS_FOR not in job.progress()
    place.device.settled()


def test_a_series_that_does_not_end_in_its_own_time_is_a_timeout(
    place: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.works.studies, "_patience_s", 0.05)
    monkeypatch.setattr(place.works.studies._assessor, "_looking", 1)
    plan = place.device.plan(wish({"pipelines": {"heads": {"deadline_s": 9.0}}}))
    job = place.device.apply(plan)
    assert job.wait(10)
    with pytest.raises(DocumentRefusedError, match="waited too long for the series") as refused:
        job.result()
    assert refused.value.code == "timeout"
    back = place.device.restore(plan)
    assert back.wait(10)
    back.result()


def test_a_device_that_must_begin_anew_says_so_and_does_not_call_itself_done(place: Workshop) -> None:
    plan = place.device.plan(wish({"engine": {"threads": 2}}))
    job = place.device.apply(plan)
    assert not job.wait(0.3)
    assert place.begun_anew == ["now"]
    job.cancel()
    assert job.wait(10)
