"""What an operator types for a roll-out, and what is shown of one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import typer
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from edge.cli.app import app
from edge.cli.fleet_rollout import share, span_s, stop_at
from edge.cli.fleet_rollout_table import Watcher, list_of, plan_of, table_of
from edge.fleet.operator.rollout_plan import parse_ring, plan
from edge.fleet.operator.rollout_runner import Runner
from tests.builders.fleet_rollouts import begun, boxes, file, run, run_while, terms, told
from tests.fakes.fleet_world import World


def drawn(shown: RenderableType) -> str:
    """Return what stands on a wide piece of paper."""
    paper = io.StringIO()
    Console(file=paper, width=160, highlight=False).print(shown)
    return paper.getvalue()


@pytest.mark.parametrize(
    ("text", "wanted_s"), [("0", 0), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("2d", 172_800)]
)
def test_times_are_read_as_people_write_them(text: str, wanted_s: float) -> None:
    assert span_s(text) == wanted_s


@pytest.mark.parametrize("text", ["", "10", "m", "-1s", "10 m", "1w"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="wanted a time"):
        span_s(text)


def test_a_stop_is_a_number_or_a_share() -> None:
    assert stop_at("2") == (2, None)
    assert stop_at("5%") == (1, 0.05)
    assert share("99.5%") == 0.995


@pytest.mark.parametrize("text", ["0", "0%", "101%", "two", "-1", ""])
def test_what_is_no_stop_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="wanted"):
        stop_at(text)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["pause"], "pause which one?"),
        (["file.yaml", "r-1"], "behind a file nothing else is wanted"),
        (["file.yaml", "--success", "high"], "wanted a share"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_done(
    words: list[str], why: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = tmp_path_factory.mktemp("operator") / "fleet.yaml"
    settings.write_text("broker: {host: nowhere.invalid, tls: false}\n")
    ended = CliRunner().invoke(app, ["fleet", "rollout", *words, "--fleet", str(settings)])
    assert ended.exit_code == 2
    assert why in " ".join(ended.output.replace("│", " ").split())


def test_an_override_that_is_no_option_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    settings, file = tmp_path / "fleet.yaml", tmp_path / "rollout.yaml"
    settings.write_text("broker: {host: nowhere.invalid, tls: false}\n")
    file.write_text(
        "select: {devices: ['*']}\nwithout: [log_level, pipelines.a, pipelines.a.deadline_s, log_levels, "
        "pipelines.a.deadlin_s, log_level.x, engine.thread]\n"
    )
    ended = CliRunner().invoke(app, ["fleet", "rollout", str(file), "--fleet", str(settings)])
    told = str(ended.exception)
    for slip in ("log_levels", "pipelines.a.deadlin_s", "engine.thread"):
        assert f"without: {slip}: unknown key (did you mean" in told
    assert "without: log_level: is a mapping" in told
    assert told.count("without: ") == 4


def test_a_plan_says_who_gets_it_when_and_who_does_not() -> None:
    world = World(*boxes(8))
    world.boxes["anna/or-3"].reported = None
    made = plan(
        "r-1",
        by="anna",
        file=file(),
        rings=[parse_ring("canary=1"), parse_ring("100%")],
        terms=terms(needs_approval=True, freeze=("07:00-18:00",), zone="Europe/Zurich", soak_s=600.0),
        views=world.devices(),
        now_ms=0,
    )
    said = drawn(plan_of(made))
    assert "7 devices, forward at 98% well for 10 min, held at 2 failed, 10 min for each" in said
    assert "with approval between rings, frozen 07:00-18:00 (Europe/Zurich)" in said
    assert "and 3 more" in said
    assert "not part of it: anna/or-3: has never reported" in said


def test_a_table_says_how_far_it_is_and_whom_a_person_must_look_at() -> None:
    world = World(*boxes(12, rooms=4))
    world.boxes["anna/or-5"].refuses = bool
    rollout = begun(world, success_share=0.5, freeze=("22:00-23:00",))
    said = drawn(
        table_of(rollout, world.devices(), now_ms=world.now_ms, trouble="the line\x1b broke", holder="berta")
    )
    assert "frozen until" in said
    assert "the line· broke" in said
    assert "run by berta" in said
    over = run(world, begun(world, success_share=0.5))
    said = drawn(table_of(over, world.devices(), now_ms=world.now_ms))
    assert "anna/or-5" in said
    assert "rolled_back: probe" in said
    back = run(world, told(world, over, "abort"))
    assert "1 of 1" in drawn(table_of(back, world.devices(), now_ms=world.now_ms))
    assert "aborted" in drawn(list_of([back, rollout]))
    assert "there are no roll-outs" in drawn(list_of([]))


def test_in_a_pipe_each_change_is_a_line() -> None:
    world, paper = World(*boxes(4)), io.StringIO()
    rollout = run_while(world, begun(world), lambda state: state.ring == 0)
    with Watcher(Console(file=paper, width=80), world) as watcher:
        runner = Runner(world, None, rollout, holder="anna")  # type: ignore[arg-type]  # nothing is written down
        for _ in range(3):
            watcher.show(runner)
    assert paper.getvalue().count("\n") == 1
    assert paper.getvalue().startswith("r-1: running; ring 100% is open; ")
