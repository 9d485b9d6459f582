"""Every option has its class, on purpose: what a change of it needs, and whether the fleet may make it."""

from __future__ import annotations

import re

import pytest

from edge.config import classes
from edge.config.classes import restart_of
from edge.config.partial import is_option
from edge.config.schema import Config
from edge.fleet.words import RESTARTS
from edge.kit.trees import written
from tests.tidy.sources import ROOT
from tests.tidy.test_documents import options

ROW = re.compile(r"^\| (?!\||--)[^|]+ \| ([^|]+) \|$", re.MULTILINE)


def test_every_option_has_a_class() -> None:
    tree = Config.model_json_schema()
    every = set(options(tree, tree))
    sections = {path[:length] for path in every for length in range(1, len(path))}
    known = {restart_of(path) for path in every - sections}
    assert known == {*RESTARTS, "local"}


def test_every_class_is_that_of_an_option_there_is() -> None:
    assert [written(path) for path in classes.TABLE if not is_option(path)] == []


def test_an_option_of_a_source_that_nobody_thought_of_has_none() -> None:
    with pytest.raises(ValueError, match=r"sources\.door\.new_option: no class is known"):
        restart_of("sources.door.new_option")


def test_operations_says_of_every_option_what_a_change_of_it_needs() -> None:
    table = (ROOT / "docs" / "operations.md").read_text().partition("**What a change needs**")[2]
    rows = dict(zip(("hot", "pipeline", "process", "local"), ROW.findall(table), strict=True))
    said = {name: set(re.findall(r"`([^`]+)`", row)) for name, row in rows.items()}
    wanted = {path: {path[-1], written(path), f"{path[0]}.*"} for path in classes.TABLE}
    assert [written(path) for path, name in classes.TABLE.items() if not wanted[path] & said[name]] == []


def test_what_guards_the_site_can_never_be_set_from_afar() -> None:
    guarding = [
        *("site.id", "device.id", "device.room", "state.folder", "state.reserve_mb", "identity.key"),
        *("mqtt.host", "mqtt.tls.ca_file", "mqtt.password", "mqtt.root", "mqtt.will_delay_s"),
        *("fleet", "fleet.keys", "fleet.frozen", "fleet.local", "fleet.groups", "fleet.case_quiet_min"),
        *("bundles.roots", "bundles.trust", "bundles.allow_unsigned"),
        *("sources", "sources.new", "sources.door.kind", "sources.door.host", "sources.door.port"),
        *(
            "sources.door.ae_title",
            "sources.door.only_own_title",
            "sources.door.allow",
            "sources.door.tls.key",
        ),
        *("sources.drop.path", "sources.or.url", "sources.or.device", "sources.or.username"),
        *("sources.or.password.file", "sources.or.snapshots", "sources.or.snapshot_blur"),
        *("sources.thermo.folder", "sources.thermo.recording"),
        *("pipelines.scope.gate", "pipelines.scope.gate.enter_ms", "pipelines.scope.gate.local_validation"),
    ]
    assert [path for path in guarding if restart_of(path) != "local"] == []
