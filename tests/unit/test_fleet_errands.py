"""The memory of commands: each id once, whatever happens to the file, the clock or the power."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.domain.errors import DocumentRefusedError, JournalError
from edge.fleet.commands import ARGS, args_of
from edge.fleet.errands import ERRANDS_MAX, FILE, RESULTS_MAX, Errand, Errands
from tests.fakes.clock import FakeClock


def errand(cmd: str, *, state: str = "executing", expires_ns: int = 2**62) -> Errand:
    result = None if state == "executing" else {"a": 1}
    document = {"state": state, "result": result}
    return Errand(cmd=cmd, state=state, expires_ns=expires_ns, document=document)


def test_what_was_taken_up_and_how_it_ended_outlives_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    with Errands(tmp_path / "fleet", clock) as errands:
        errands.take_up(errand("a/1"), issued_ns=0)
        errands.take_up(errand("a/2"), issued_ns=0)
        errands.settle(errand("a/2", state="failed"))
    with Errands(tmp_path / "fleet", clock) as errands:
        assert errands.known("a/1") == errand("a/1")
        assert errands.known("a/2") == errand("a/2", state="failed")
        assert errands.known("a/3") is None
        assert errands.interrupted() == [errand("a/1")]
        assert errands.untold() == [errand("a/2", state="failed")]
        errands.told("a/2")
        assert errands.untold() == []


def test_a_clock_that_goes_back_does_not_make_a_command_young_again(tmp_path: Path, clock: FakeClock) -> None:
    issued_ns = clock.utc_ns()
    with Errands(tmp_path, clock) as errands:
        errands.take_up(errand("a/1"), issued_ns=issued_ns)
    clock.jump_utc(-86_400)
    with Errands(tmp_path, clock) as errands:
        assert errands.now_ns() == issued_ns


def test_only_what_has_expired_is_forgotten_and_what_finds_no_room_is_refused(
    tmp_path: Path, clock: FakeClock
) -> None:
    expires_ns = clock.utc_ns() + 60 * 10**9
    with Errands(tmp_path, clock) as errands:
        with errands._at_once():
            for number in range(ERRANDS_MAX - 1):
                errands._write(errand(f"a/{number}", state="failed", expires_ns=expires_ns))
        assert errands.has_room()
        errands.take_up(errand("a/last", expires_ns=expires_ns), issued_ns=0)
        assert not errands.has_room()
        clock.advance(61)
        assert errands.has_room()
        assert errands.known("a/0") is None
        assert errands.known("a/last"), "it is being executed"


def test_of_old_commands_the_end_is_known_and_the_answer_is_not_kept(
    tmp_path: Path, clock: FakeClock
) -> None:
    with Errands(tmp_path, clock) as errands:
        for number in range(RESULTS_MAX + 5):
            errands.settle(errand(f"a/{number}", state="successful"))
            errands.told(f"a/{number}")
        kept = [errands.known(f"a/{number}") for number in range(RESULTS_MAX + 5)]
    results = [one.document["result"] for one in kept if one]
    assert results == [None] * 5 + [{"a": 1}] * RESULTS_MAX


def test_a_damaged_memory_is_set_aside_and_what_is_older_than_that_is_known_to_be_unknown(
    tmp_path: Path, clock: FakeClock
) -> None:
    with Errands(tmp_path, clock) as errands:
        errands.take_up(errand("a/1"), issued_ns=0)
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with Errands(tmp_path, clock) as errands:
        assert errands.known("a/1") is None
        assert errands.begun_ns == clock.utc_ns()
        errands.take_up(errand("a/2"), issued_ns=0)
    assert (tmp_path / f"{FILE}.damaged").exists()
    with Errands(tmp_path, clock) as errands:
        assert errands.known("a/2")


def test_a_memory_that_cannot_be_made_says_so(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(JournalError, match="wanted the memory of commands"),
        Errands(tmp_path / "file", clock),
    ):
        pass


def test_either_both_or_nothing_is_remembered(tmp_path: Path, clock: FakeClock) -> None:
    def half(errands: Errands) -> None:
        with errands._at_once():
            errands._write(errand("a/1"))
            errands._do("no SQL", ())

    with Errands(tmp_path, clock) as errands:
        with pytest.raises(JournalError):
            half(errands)
        assert errands.known("a/1") is None
        errands.take_up(errand("a/1"), issued_ns=0)


@pytest.mark.parametrize(
    ("kind", "args", "path"),
    [
        ("restart-pipeline", {}, "args.pipeline"),
        ("snapshot", {"source": "../a"}, "args.source"),
        ("selftest", {"probe": []}, "args.probe"),
        ("collect-logs", {"lines": 5000}, "args.lines"),
        ("retry-set-aside", {"queue": "a"}, "args.queue"),
        ("fetch", {"name": "a", "bundle": {}}, "args.bundle.version"),
        ("reboot", {}, ""),
    ],
)
def test_arguments_that_are_not_what_the_command_wants_are_named(
    kind: str, args: dict[str, object], path: str
) -> None:
    with pytest.raises(DocumentRefusedError) as refused:
        args_of(kind, args)
    assert refused.value.path == path


def test_what_is_left_out_of_the_arguments_is_filled_in() -> None:
    assert args_of("collect-logs", {}) == {"lines": 500, "level": "INFO"}
    assert set(ARGS) == {
        "fetch",
        "restart-pipeline",
        "snapshot",
        "selftest",
        "retry-set-aside",
        "collect-logs",
    }
