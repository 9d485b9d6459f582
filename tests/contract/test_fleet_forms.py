"""What is written on the wire fulfils the JSON Schemas that are published for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge.fleet.commands import Commands
from edge.fleet.errands import Errands
from edge.fleet.json_schema import FORMS, schema
from edge.fleet.memory import RamMemory
from edge.fleet.report import AtWork, BundleAtWork, reported
from tests.builders import fleet
from tests.builders.fleet_documents import bundle, desired, layer
from tests.fakes.clock import FakeClock


def fulfils(form: str, document: Any) -> bool:
    try:
        jsonschema.validate(document, schema(form), jsonschema.Draft202012Validator)
    except jsonschema.ValidationError:
        return False
    return True


def command(cmd: str, clock: FakeClock, **given: Any) -> dict[str, Any]:
    return {
        "schema": "edge.cmd/1",
        "state": "init",
        "device": fleet.DEVICE,
        "cmd": cmd,
        "issued": fleet.moment(clock, in_s=-1),
        "expires": fleet.moment(clock, in_s=60),
        "args": {"pipeline": "brain-mr"},
        **given,
    }


@pytest.mark.parametrize("form", FORMS)
def test_each_is_a_json_schema(form: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(form))
    assert schema(form)["$id"].startswith("urn:edge.")


def test_what_an_operator_writes_fulfils_it_and_what_is_no_document_does_not() -> None:
    apply = {"mode": "window", "window": "02:00-04:00", "probe": ["engine"]}
    whole = desired(apply=apply, bundles={"a": bundle()}, rollout={"id": "r", "ring": 0}, site="st-anna")
    assert fulfils("desired", whole)
    assert fulfils("group", layer(config={"drain_s": 3}))
    assert not fulfils("desired", layer())
    assert not fulfils("group", desired())
    assert not fulfils("desired", {**whole, "more": 1})
    assert not fulfils("desired", {**whole, "version": 0})
    assert not fulfils("desired", {**whole, "bundles": {"../a": bundle()}})


def test_a_command_and_everything_the_device_says_of_it_fulfil_it(tmp_path: Path, clock: FakeClock) -> None:
    said: list[Any] = []
    asked = [
        command("restart-pipeline/1", clock),
        command("restart-pipeline/2", clock, args={"no": 1}),
        command("restart-pipeline/3", clock, device="somebody"),
    ]
    with (
        Errands(tmp_path, clock) as errands,
        Commands(
            errands=errands,
            keys=fleet.key_ring(),
            device=fleet.DEVICE,
            executors={"restart-pipeline": dict},
            is_frozen=False,
            say=lambda _cmd, document, _is_kept, _for_s: said.append(json.loads(json.dumps(document))),
            wake=lambda: None,
            clock=clock,
        ) as commands,
    ):
        for one in asked:
            commands.hear(one["cmd"], fleet.signed(one))
            commands.turn()
    assert {one["state"] for one in said} >= {"executing", "failed"}
    assert [one for one in said if not fulfils("cmd", one)] == []
    assert fulfils("cmd", json.loads(fleet.signed(asked[0])))
    assert not fulfils("cmd", asked[0])


def test_what_a_device_reports_fulfils_it(clock: FakeClock) -> None:
    seen = AtWork(bundles={"a": BundleAtWork(version="1.0.0")}, drift_paths=["drain_s"])
    life = fleet.Life(RamMemory(), clock)
    for payload in (
        b"",
        fleet.desired(1),
        fleet.faulty(2, "probe"),
        fleet.desired(3, config={"x": float("1")}),
    ):
        life.offer(payload)
        life.run()
        told = reported(life.machine.snapshot(), seen, device=fleet.DEVICE, case="", utc_ns=clock.utc_ns())
        assert fulfils("reported", json.loads(json.dumps(told)))
