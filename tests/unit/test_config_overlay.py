"""The fleet's wish over a device's own YAML: what counts, what is refused, what stays local."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config.classes import changes, restart_of
from edge.config.load import Report, check_text, load
from edge.config.named import by_name, named, tree_of
from edge.config.overlay import check_partial, leaves, locked, over
from edge.config.schema import Config
from edge.domain.errors import ConfigurationError
from edge.kit.trees import laid_over, without, written
from tests.tidy.sources import ROOT

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
NOWHERE = Path("/nowhere")
EXAMPLE = (ROOT / "config" / "edge.example.yaml").read_text()
BASE = """
site: {id: demo}
device: {id: box-1}
sources:
  - {kind: dicom, name: door, port: 11112, allow: [{network: 127.0.0.1}]}
  - {kind: camera, name: or, url: "rtsp://10.0.0.5/stream", snapshots: gated}
  - kind: thermal
    name: thermo
    device: /dev/video0
    calibration: {scale: {kind: linear, kelvin_per_count: 0.01, zero_kelvin: 1}, emissivity: 0.9}
pipelines:
  - {name: brain, bundle: brain-mr, select: {modalities: [MR]}}
  - {name: scope, kind: video, bundle: scope-gate, sources: [or], gate: {}}
  - {name: warm, kind: thermal, sources: [thermo], regions: [{name: a, corners: [[0, 0], [1, 1]]}]}
bundles: {roots: [models]}
assembly:
  quiet_s: 5
mqtt: {host: localhost}
"""


def checked(overlay: dict[str, Any], text: str = BASE) -> Report:
    return check_text(text, folder=NOWHERE, overlay=overlay)


def config_of(overlay: dict[str, Any] | None = None, text: str = BASE) -> Config:
    report = check_text(text, folder=NOWHERE, overlay=overlay)
    assert report.config is not None, report.errors
    return report.config


def said(overlay: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in checked(overlay).errors]


def unlocked(wish: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return without(wish, locked(wish, base=base))


def changed(overlay: dict[str, Any]) -> dict[str, str]:
    """Return what a wish changes at the device, each with what that needs."""
    return {change.path: change.restart for change in changes(config_of(), config_of(overlay))}


# ── what counts ────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_wanted_changes_nothing() -> None:
    assert config_of({}) == config_of(None)
    assert changed({}) == {}


def test_what_is_at_work_laid_over_itself_changes_nothing() -> None:
    for text in (BASE, EXAMPLE):
        before = config_of(text=text)
        wish = unlocked(tree_of(before), yaml.safe_load(text))
        assert changes(before, config_of(wish, text)) == []


def test_a_value_of_a_named_thing_is_changed_and_the_rest_of_it_stays() -> None:
    pipeline = config_of({"pipelines": {"brain": {"deadline_s": 60, "select": {"slices_min": 9}}}}).pipelines[
        0
    ]
    assert pipeline.model_dump(include={"deadline_s", "select", "bundle"}) == {
        "bundle": "brain-mr",
        "select": {"modalities": ("MR",), "slices_min": 9, "spacing_max_mm": 1000.0},
        "deadline_s": 60.0,
    }


def test_a_list_is_replaced_as_a_whole() -> None:
    wish = {"pipelines": {"warm": {"regions": [{"name": "b", "corners": [[0, 0], [0.5, 0.5]]}]}}}
    dumped = config_of(wish).pipelines[2].model_dump()
    assert [region["name"] for region in dumped["regions"]] == ["b"]


def test_null_takes_a_pipeline_away_and_a_whole_one_may_be_added() -> None:
    added = {"kind": "imaging", "bundle": "lung", "select": {"modalities": ["CT"]}}
    wish = {"pipelines": {"warm": None, "zeta": added, "chest": added, "nobody": None}}
    assert [one.name for one in config_of(wish).pipelines] == ["brain", "scope", "chest", "zeta"]
    assert changed(wish) == {
        "pipelines.warm": "pipeline",
        "pipelines.chest": "pipeline",
        "pipelines.zeta": "pipeline",
    }


def test_a_section_that_becomes_one_of_another_kind_is_a_new_one() -> None:
    scale = {"kind": "radiance", "gain": 1, "offset": 0, "low_um": 8, "high_um": 12}
    wish = {"sources": {"thermo": {"calibration": {"scale": scale}}}}
    calibration = config_of(wish).model_dump()["sources"][2]["calibration"]
    assert (calibration["scale"]["kind"], calibration["emissivity"]) == ("radiance", 0.9)
    assert changed(wish) == {"sources.thermo.calibration.scale": "pipeline"}
    kept = config_of({"sources": {"thermo": {"calibration": {"scale": {"zero_kelvin": 2}}}}})
    assert kept.model_dump()["sources"][2]["calibration"]["scale"]["kelvin_per_count"] == 0.01


def test_a_pipeline_that_becomes_one_of_another_kind_keeps_nothing_but_its_name() -> None:
    wish = {"pipelines": {"brain": {"kind": "thermal", "sources": ["thermo"]}}}
    pipeline = config_of(wish).pipelines[0]
    assert (pipeline.kind, pipeline.name) == ("thermal", "brain")
    assert changed(wish) == {"pipelines.brain": "pipeline"}


@pytest.mark.parametrize(
    ("wish", "needed"),
    [
        ({"log_level": "DEBUG"}, {"log_level": "hot"}),
        ({"assembly": {"quiet_s": 6}}, {"assembly.quiet_s": "hot"}),
        ({"health": {"period_s": 3}, "drain_s": 5}, {"health.period_s": "hot", "drain_s": "hot"}),
        ({"drain_s": 20}, {}),
        ({"engine": {"threads": 2}}, {"engine.threads": "process"}),
        ({"outbox": {"workers": 2}}, {"outbox.workers": "process"}),
        ({"sources": {"or": {"quality": {"frozen_s": 3}}}}, {"sources.or.quality.frozen_s": "pipeline"}),
        ({"sources": {"or": {"enabled": False}}}, {"sources.or.enabled": "pipeline"}),
        ({"sources": {"door": {"pdu_bytes": 65536}}}, {"sources.door.pdu_bytes": "process"}),
        ({"pipelines": {"brain": {"bundle": "x"}}}, {"pipelines.brain.bundle": "pipeline"}),
    ],
)
def test_each_change_says_what_it_needs(wish: dict[str, Any], needed: dict[str, str]) -> None:
    assert changed(wish) == needed


def test_a_change_at_the_box_of_what_is_local_needs_the_process_begun_anew() -> None:
    other = config_of(text=BASE.replace("host: localhost", "host: elsewhere, tls: {}"))
    assert {change.path: change.restart for change in changes(config_of(), other)} == {
        "mqtt.host": "process",
        "mqtt.tls": "process",
    }


# ── what stays local ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wish", "path"),
    [
        ({"site": {"id": "x"}}, "site.id"),
        ({"mqtt": {}}, "mqtt"),
        ({"mqtt": {"tls": {"ca_file": "/x"}}}, "mqtt.tls.ca_file"),
        ({"bundles": {"allow_unsigned": True}}, "bundles.allow_unsigned"),
        ({"fleet": {"keys": []}}, "fleet.keys"),
        ({"sources": {"door": {"allow": []}}}, "sources.door.allow"),
        ({"sources": {"door": None}}, "sources.door"),
        ({"sources": {"new": {"kind": "dicom", "port": 1}}}, "sources.new.kind"),
        ({"sources": {"or": {"snapshots": "never"}}}, "sources.or.snapshots"),
        ({"pipelines": {"scope": {"gate": None}}}, "pipelines.scope.gate"),
        ({"pipelines": {"scope": {"gate": {"enter_ms": 1}}}}, "pipelines.scope.gate.enter_ms"),
        ({"pipelines": {"new": {"gate": {}}}}, "pipelines.new.gate"),
        ({"pipelines": {"brain": {"name": "brian"}}}, "pipelines.brain.name"),
    ],
)
def test_what_is_local_is_found_without_the_devices_own_file(wish: dict[str, Any], path: str) -> None:
    assert path in [written(one) for one in locked(wish)]
    assert config_of(wish) == config_of()


@pytest.mark.parametrize(
    ("wish", "path"),
    [
        ({"sources": {"new": {"settle_s": 3}}}, "sources.new.settle_s"),
        ({"pipelines": {"scope": None}}, "pipelines.scope"),
        ({"pipelines": {"scope": 3}}, "pipelines.scope"),
        ({"pipelines": {"scope": {"sources": ["or", "film"]}}}, "pipelines.scope.sources"),
        ({"pipelines": {"scope": {"kind": "imaging", "bundle": "x"}}}, "pipelines.scope"),
        ({"pipelines": {"scope": {"pace": {"gap_max_ms": 600_000}}}}, "pipelines.scope.pace.gap_max_ms"),
        ({"pipelines": {"scope": {"pace": {"age_max_ms": 60_000}}}}, "pipelines.scope.pace.age_max_ms"),
        ({"pipelines": {"scope": {"pace": None}}}, "pipelines.scope.pace"),
    ],
)
def test_what_the_devices_own_file_makes_local_is_found_with_it(wish: dict[str, Any], path: str) -> None:
    assert [written(one) for one in locked(wish, base=yaml.safe_load(BASE))] == [path]
    assert config_of(wish) == config_of()


def test_a_section_that_holds_something_local_cannot_become_one_of_another_kind() -> None:
    scale = {"kind": "radiance", "gain": 1, "offset": 0, "low_um": 8, "high_um": 12}
    wish = {"sources": {"thermo": {"calibration": {"scale": scale, "emissivity": 1}}}}
    kept = "sources.thermo.calibration.scale.zero_kelvin"
    assert locked(wish, [kept], base=yaml.safe_load(BASE)) == [("sources", "thermo", "calibration", "scale")]


def test_of_a_pipeline_with_a_gate_the_rest_can_be_set() -> None:
    wish = {"pipelines": {"scope": {"pace": {"settle_ms": 1}, "deadline_ms": 100, "bundle": "scope-gate-2"}}}
    assert locked(wish, base=yaml.safe_load(BASE)) == []


@pytest.mark.parametrize(
    ("local", "wish", "paths"),
    [
        ("pipelines.brain.deadline_s", {"brain": {"deadline_s": 1, "bundle": "x"}}, ["brain.deadline_s"]),
        ("pipelines.*.deadline_s", {"brain": {"deadline_s": 1, "bundle": "x"}}, ["brain.deadline_s"]),
        ("pipelines.brain", {"brain": {"bundle": "x"}, "warm": None}, ["brain.bundle"]),
        ("pipelines.brain.deadline_s", {"brain": None}, ["brain"]),
        ("pipelines.brain.select.modalities", {"brain": {"select": None}}, ["brain.select"]),
        ("pipelines.brain.select.modalities", {"brain": {"select": {}}}, []),
        ("pipelines.brain.deadline_s", {"brain": {"kind": "thermal", "sources": ["thermo"]}}, ["brain"]),
        ("pipelines.brain.deadline_s", {"brain": {"kind": "imaging"}}, []),
        ("pipelines.brains.deadline_s", {"brain": {"deadline_s": 1}}, []),
    ],
)
def test_a_site_may_keep_more_to_itself(local: str, wish: dict[str, Any], paths: list[str]) -> None:
    found = locked({"pipelines": wish}, [local], base=yaml.safe_load(BASE))
    assert [written(path).removeprefix("pipelines.") for path in found] == paths


FLEET = """
fleet:
  keys: [{name: k, public_key: "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}]
  local: [%s]
"""


def test_what_was_made_local_later_counts_and_the_rest_of_an_old_wish_goes_on() -> None:
    report = checked({"log_level": "DEBUG", "drain_s": 5}, BASE + FLEET % "drain_s")
    assert report.config is not None
    assert (report.config.log_level, report.config.drain_s) == ("DEBUG", 20)
    assert report.left_out == (("drain_s",),)


@pytest.mark.parametrize("path", ["drain", "pipelines.*.deadlin_s", "sources.door.allow[0]", "log_level.x"])
def test_a_slip_in_what_is_kept_local_is_an_error_and_not_an_open_door(path: str) -> None:
    report = check_text(BASE + FLEET % f'drain_s, "{path}"', folder=NOWHERE)
    assert [str(one).partition(": ")[2] for one in report.errors] == [
        f"fleet.local[1]: is '{path}', which is no option; wanted one such as pipelines.brain-mr.deadline_s"
    ]


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────


def test_everything_wrong_with_a_wish_is_said_at_once_and_by_name() -> None:
    assert said(
        {
            "drain_s": -1,
            "sourcs": {},
            "engine": 3,
            "health": None,
            "assembly": {"quiet_s": "long"},
            "pipelines": {
                "brain": {"deadline": 60, "select": {"modalities": ["mr"]}},
                "a b": {},
                "odd": {"kind": "vido"},
                "flat": 3,
                "warm": {"regions": [{"name": "a", "corners": [[0, 0], [0, 1]]}, {"nme": 3}]},
            },
        }
    ) == [
        "drain_s: is -1; allowed: a number from 0 to 3600",
        "sourcs: unknown key (did you mean 'sources'?); allowed: "
        "site, device, state, sources, assembly, pipelines, bundles, engine, mqtt, outbox, identity, health, "
        "retention, fleet, log_level, drain_s",
        "engine: is 3; allowed: a mapping with threads, live_burst_max, provider, memory_mb, keep_warm_s",
        "health: is empty; allowed: a mapping with period_s",
        "assembly.quiet_s: is 'long'; allowed: a number from 0.05 to 3600",
        "pipelines.brain.deadline: unknown key (did you mean 'deadline_s'?); allowed: "
        "kind, name, bundle, select, deadline_s, pictures_max, roles, roles_wait_s",
        "pipelines.brain.select.modalities[0]: is 'mr'; allowed: "
        "a DICOM modality in capitals, such as CT or MR",
        "pipelines.\"a b\": is called 'a b'; allowed: "
        "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        "pipelines.odd.kind: is 'vido'; allowed: "
        "imaging, video, thermal, hyperspectral, pixel-spectra, spectrum (did you mean 'video'?)",
        "pipelines.flat: is 3; wanted a mapping, or null to take it away",
        "pipelines.warm.regions[0]: the corners of 'a' lie on a line; wanted some that enclose an area",
        "pipelines.warm.regions[1].name: missing; wanted: text of 1 to 64 characters",
        "pipelines.warm.regions[1].corners: missing; wanted: a list of 2 to 64",
        "pipelines.warm.regions[1].nme: unknown key (did you mean 'name'?); allowed: name, corners",
    ]


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        (
            {"assembly": {"quiet_s": 700}},
            "line 16: assembly: quiet_s is 700, deadline_s 600; wanted quiet_s the smaller",
        ),
        (
            {"pipelines": {"new": {"kind": "video", "bundle": "x"}}},
            "pipelines.new.sources: missing; wanted: a list of 1 to 64",
        ),
        (
            {"pipelines": {"new": {"kind": "video", "bundle": "x", "sources": ["nobody"]}}},
            "pipelines.new.sources[0]: is 'nobody', which no source is called",
        ),
        (
            {"pipelines": {"warm": {"sources": ["or"]}}},
            "pipelines.warm.sources[0]: is 'or', a source of kind camera; wanted one of kind thermal",
        ),
        (
            {"pipelines": {"warm": {"spots_in": ["b"]}}},
            "line 14: pipelines.warm: no region is called 'b'; there are: a",
        ),
    ],
)
def test_what_does_not_fit_the_rest_of_the_device_is_said_by_name(wish: dict[str, Any], problem: str) -> None:
    assert check_partial(wish) == []
    assert said(wish) == [problem]


def test_what_is_wrong_in_the_file_keeps_its_line() -> None:
    text = BASE.replace("quiet_s: 5", "quiet_s: -5")
    report = check_text(
        text, folder=NOWHERE, overlay={"pipelines": {"brain": None, "warm": None}, "drain_s": 1}
    )
    assert [str(problem) for problem in report.errors] == [
        "line 17: assembly.quiet_s: is -5; allowed: a number from 0.05 to 3600"
    ]


def test_all_that_the_example_says_can_be_wanted_as_far_as_a_desk_can_tell() -> None:
    assert check_partial(tree_of(config_of(text=EXAMPLE))) == []


GARBAGE: list[Any] = [None, -1, 1e12, "", "no such word", [], [3], {}, {"x": 1}, True]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_desk_says_of_every_value_what_the_check_of_a_file_says(garbage: Any) -> None:
    example = yaml.safe_load(EXAMPLE)
    paths = [path for path, _ in leaves(unlocked(by_name(example), example)) if path[-1] != "kind"]
    wish: dict[str, Any] = {}
    for path in paths:
        wish = laid_over(wish, nested(path, garbage))
    desk = {problem.place: problem.what for problem in check_partial(wish)}
    spoilt = over(example, wish)
    report = check_text(json.dumps(spoilt), folder=NOWHERE)
    file = {written(named(problem.path, spoilt)): problem.what for problem in report.errors}
    assert {place: file.get(place) for place in desk} == desk


def nested(path: Sequence[str | int], value: Any) -> dict[str, Any]:
    for step in reversed(path):
        value = {step: value}
    return dict(value)


KEYS = st.sampled_from(
    [
        *Config.model_fields,
        "brain",
        "scope",
        "new",
        "or",
        "kind",
        "name",
        "deadline_s",
        "select",
        "gate",
        "pace",
        "x",
    ]
)
WISHES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, st.sampled_from(GARBAGE), max_size=3),
    lambda below: st.dictionaries(KEYS, st.sampled_from(GARBAGE) | below, max_size=3),
    max_leaves=12,
)


@UNHURRIED
@given(WISHES)
def test_no_wish_gets_an_exception_and_none_touches_what_is_local(wish: dict[str, Any]) -> None:
    check_partial(wish)
    report = checked(wish)
    after = report.config or config_of()
    assert [change for change in changes(config_of(), after) if restart_of(change.path) == "local"] == []


# ── from a file ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_loaded_with_a_wish_over_it(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(BASE)
    assert load(path, overlay={"drain_s": 3, "mqtt": {"port": 1}}).drain_s == 3
    with pytest.raises(ConfigurationError, match=r"drain_s: is -1; allowed: a number from 0 to 3600"):
        load(path, overlay={"drain_s": -1})
    with pytest.raises(ConfigurationError, match="pipelines: wanted a mapping by name"):
        load(path, overlay={"pipelines": []})


def test_a_file_that_cannot_be_used_is_not_mended_by_a_wish(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text("site: [")
    with pytest.raises(ConfigurationError, match="not YAML"):
        load(path, overlay={"drain_s": 3})


@pytest.mark.parametrize("section", ["sources", "pipelines"])
def test_what_has_names_is_never_replaced_as_a_whole(section: str) -> None:
    values: tuple[Any, ...] = ([], None, 3)
    for value in values:
        with pytest.raises(ConfigurationError, match=f"{section}: is no mapping by name"):
            over(yaml.safe_load(BASE), {section: value})
        assert said({section: value})[0].startswith(f"{section}: wanted a mapping by name")


def test_wishes_of_two_documents_laid_over_each_other_are_as_good_as_one_after_the_other() -> None:
    first = {"pipelines": {"brain": {"deadline_s": 60, "select": {"slices_min": 3}}}, "drain_s": 5}
    second = {"pipelines": {"brain": {"select": {"slices_min": 4}}, "warm": None}}
    base = yaml.safe_load(BASE)
    assert over(over(base, first), second) == over(base, laid_over(first, second))
