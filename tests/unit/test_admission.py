"""Which form is used is decided by what was measured, and not by a busy moment or by the name int8."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.store import Bundle, load
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.inference.admission import Admission, Exams, Progress
from edge.inference.forms import REFERENCE, Form
from edge.inference.ranking import choose
from edge.inference.session import Session
from edge.inference.trials import Trial
from tests.builders.picture_bundles import picture_network, write_picture_bundle
from tests.fakes.clock import FakeClock
from tests.fakes.session import FakeExam, FakeSession

INT8 = Form("int8", "openvino", "cpu")
FP32 = Form("fp32", "openvino", "cpu")
SLOW_MS = 50.0  # of all forms that a test does not speak of
Speed = Callable[[float], float]


def bundle_in(root: Path) -> Bundle:
    network = picture_network()
    return load(write_picture_bundle(root, networks={"int8": network, "fp32": network}))


class Machine:
    """A device on which each form takes as long as the test says."""

    def __init__(
        self,
        root: Path,
        run_ms: Mapping[Form, Speed],
        *,
        offset: Mapping[Form, float] | None = None,
        threads: int = 1,
    ) -> None:
        self.clock = FakeClock()
        self.opened: list[FakeSession] = []
        self._run_ms = run_ms
        self._offset = offset or {}
        self.admission = Admission(
            opening=self._open,
            turns=lambda session, _form: session,
            threads=threads,
            providers=["cpu"],
            state_dir=root / "state",
            clock=self.clock,
        )

    def _open(self, _bundle: Bundle, form: Form) -> Session:
        self.clock.advance(0.1)
        session = FakeSession(
            self.clock,
            run_ms=self._run_ms.get(form, lambda _now_ms: SLOW_MS),
            offset=self._offset.get(form, 0.0),
        )
        self.opened.append(session)
        return session

    @property
    def left_open(self) -> int:
        return sum(not session.is_closed for session in self.opened)


def steady(ms: float) -> Speed:
    return lambda _now_ms: ms


def failing_after(runs: int) -> Speed:
    """Quick, until it fails for good."""
    left = iter([1.0] * runs)

    def run_ms(_now_ms: float) -> float:
        try:
            return next(left)
        except StopIteration as over:
            raise InferenceError("the runtime failed") from over

    return run_ms


def trial_of(trials: tuple[Trial, ...], form: Form) -> Trial:
    return next(trial for trial in trials if trial.form == form)


def test_what_is_clearly_faster_is_used_and_only_its_session_stays_open(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {INT8: steady(4), REFERENCE: steady(8), FP32: steady(6)})
    admitted = machine.admission.measure(bundle_in(tmp_path), Exams(FakeExam()))
    assert admitted.form == admitted.trials[0].form == INT8
    assert machine.left_open == 1
    assert trial_of(admitted.trials, REFERENCE).beaten == f"2.00 × the time of {INT8}"
    chosen = admitted.trials[0]
    assert (chosen.p50_ms, chosen.p99_ms, chosen.cold_ms) == pytest.approx((4, 4, 104))


@pytest.mark.parametrize("int8_ms", [7.8, 8.0, 9.0])
def test_int8_that_is_slower_or_hardly_faster_loses_to_fp32(tmp_path: Path, int8_ms: float) -> None:
    machine = Machine(tmp_path, {INT8: steady(int8_ms), REFERENCE: steady(8)})
    admitted = machine.admission.measure(bundle_in(tmp_path), Exams(FakeExam()))
    assert admitted.form == REFERENCE
    assert trial_of(admitted.trials, INT8).beaten


def test_a_busy_minute_that_falls_on_the_better_form_does_not_decide(tmp_path: Path) -> None:
    def disturbed(ms: float) -> Speed:
        """Every other stretch of 90 ms something else wants the core."""
        return lambda now_ms: ms * (2.2 if int(now_ms / 90) % 2 else 1.0)

    machine = Machine(tmp_path, {INT8: disturbed(5), REFERENCE: disturbed(8), FP32: disturbed(7.5)})
    assert machine.admission.measure(bundle_in(tmp_path), Exams(FakeExam())).form == INT8


def test_a_form_that_is_wrong_is_refused_however_fast_it_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {INT8: steady(1), REFERENCE: steady(8)}, offset={INT8: 0.5})
    admitted = machine.admission.measure(bundle_in(tmp_path), Exams(FakeExam()))
    assert admitted.form == REFERENCE
    assert trial_of(admitted.trials, INT8).refused == "golden check: off by 0.50"


def test_a_form_is_compared_with_fp32_of_this_device_on_calibration_samples_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {INT8: steady(1), REFERENCE: steady(8)}, offset={INT8: 0.08})
    exams = Exams(FakeExam(), FakeExam(5.0, tolerance=0.05))
    admitted = machine.admission.measure(bundle_in(tmp_path), exams)
    refused = trial_of(admitted.trials, INT8)
    assert refused.refused == f"against {REFERENCE} here: golden check: off by 0.08"
    assert refused.agreement_here == pytest.approx({"score_error": 0.08})


def test_where_nothing_is_right_the_bundle_is_refused_with_what_each_did(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    machine = Machine(tmp_path, {})
    with pytest.raises(BundleRejectedError, match=r"nothing passes .*fp32 with onnxruntime .*off by 6"):
        machine.admission.measure(bundle, Exams(FakeExam(right=7.0)))
    assert machine.left_open == 0


def test_measuring_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[Progress] = []
    Machine(tmp_path, {}).admission.measure(bundle_in(tmp_path), Exams(FakeExam()), tell=told.append)
    assert [one.done for one in told] == list(range(told[-1].steps + 1))
    assert told[0].doing == str(REFERENCE)


def test_what_was_measured_is_remembered_for_this_bundle_and_these_threads(tmp_path: Path) -> None:
    bundle, exams = bundle_in(tmp_path), Exams(FakeExam())
    speeds = {INT8: steady(4), REFERENCE: steady(8)}
    assert Machine(tmp_path, speeds).admission.remembered(bundle, exams) is None
    Machine(tmp_path, speeds).admission.measure(bundle, exams)
    again = Machine(tmp_path, speeds)
    known = again.admission.remembered(bundle, exams)
    assert known is not None
    assert (known.form, len(again.opened)) == (INT8, 1)
    assert Machine(tmp_path, speeds, threads=2).admission.remembered(bundle, exams) is None
    other = load(write_picture_bundle(tmp_path / "other", decoder="softmax"))
    assert Machine(tmp_path, speeds).admission.remembered(other, exams) is None


def test_another_driver_or_runtime_means_to_measure_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, exams = bundle_in(tmp_path), Exams(FakeExam())
    Machine(tmp_path, {}).admission.measure(bundle, exams)
    monkeypatch.setattr("edge.inference.device.describe", lambda: "the same, with another driver")
    assert Machine(tmp_path, {}).admission.remembered(bundle, exams) is None


def test_a_form_that_was_right_and_is_not_today_is_not_used(tmp_path: Path) -> None:
    bundle, exams = bundle_in(tmp_path), Exams(FakeExam())
    Machine(tmp_path, {INT8: steady(4)}).admission.measure(bundle, exams)
    today = Machine(tmp_path, {INT8: steady(4)}, offset={INT8: 1.0})
    assert today.admission.remembered(bundle, exams) is None
    assert today.left_open == 0


def changed(table: Any, **first: Any) -> str:
    table["trials"][0].update(first)
    return json.dumps(table)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _table: "[" * 200_000,
        lambda _table: "[]",
        lambda table: json.dumps({**table, "trials": {"a": 1}}),
        lambda table: json.dumps({**table, "trials": []}),
        lambda table: changed(table, memory_mb="much"),
        lambda table: changed(table, agreement=None),
        lambda table: changed(table, form={"precision": ["fp32"], "runtime": "onnxruntime", "device": "cpu"}),
        lambda table: changed(table, form={"precision": "fp32", "runtime": "onnxruntime", "device": "moon"}),
        lambda table: changed(table, refused="too slow"),
    ],
    ids=["deep", "list", "names", "empty", "memory", "agreement", "precision", "device", "refused"],
)
def test_a_damaged_table_is_none(tmp_path: Path, damage: Callable[[Any], str]) -> None:
    bundle, exams = bundle_in(tmp_path), Exams(FakeExam())
    Machine(tmp_path, {}).admission.measure(bundle, exams)
    (table,) = (tmp_path / "state").rglob("*.json")
    table.write_text(damage(json.loads(table.read_text())))
    again = Machine(tmp_path, {})
    assert again.admission.remembered(bundle, exams) is None
    assert again.admission.measure(bundle, exams).form == REFERENCE


def test_a_form_that_fails_in_the_race_does_not_take_those_with_it_that_it_left_behind(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path, {INT8: failing_after(15), REFERENCE: steady(8)})
    admitted = machine.admission.measure(bundle_in(tmp_path), Exams(FakeExam()))
    assert (admitted.form, machine.left_open) == (REFERENCE, 1)
    assert trial_of(admitted.trials, INT8).refused == "the runtime failed"
    assert len({trial.form for trial in admitted.trials}) == len(admitted.trials)


def test_who_stops_the_measuring_finds_nothing_left_open(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {})
    breaths = iter([None] * 8)

    def breathe(_took_s: float) -> None:
        try:
            next(breaths)
        except StopIteration as over:
            raise CancelledError from over

    with pytest.raises(CancelledError):
        machine.admission.measure(bundle_in(tmp_path), Exams(FakeExam()), breathe=breathe)
    assert machine.left_open == 0


def test_a_form_that_takes_the_process_with_it_twice_is_not_tried_again(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path, networks={one: picture_network() for one in ("int8", "fp32")})
    script = """
import os, sys
from pathlib import Path
from edge.bundles.store import load
from edge.inference.admission import Exams
from tests.fakes.session import FakeExam
from tests.unit.test_admission import INT8, Machine
root = Path(sys.argv[1])
machine = Machine(root, {INT8: lambda _now_ms: os._exit(139)})
print(machine.admission.measure(load(root / "brightness"), Exams(FakeExam())).trials)
"""

    def start() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert [start().returncode for _ in range(2)] == [139, 139]
    survived = start()
    assert survived.returncode == 0
    assert "the process ended 2 times while it was on trial" in survived.stdout
    assert len(list((tmp_path / "state").rglob("*"))) == 2  # a folder with the table in it


def test_without_a_table_the_reference_serves_unless_the_likely_form_is_far_faster(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    near = Machine(tmp_path, {INT8: steady(40)})
    admitted = near.admission.first_best(bundle, Exams(FakeExam()))
    assert (admitted.form, len(near.opened), near.left_open) == (REFERENCE, 2, 1)
    far = Machine(tmp_path, {INT8: steady(10)})
    admitted = far.admission.first_best(bundle, Exams(FakeExam()))
    assert (admitted.form, len(far.opened), far.left_open) == (INT8, 2, 1)
    failing = Machine(tmp_path, {INT8: failing_after(2)})
    assert failing.admission.first_best(bundle, Exams(FakeExam())).form == REFERENCE
    assert failing.left_open == 1


def test_a_form_that_answers_otherwise_never_serves_first(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {INT8: steady(1)}, offset={INT8: 1.0})
    assert machine.admission.first_best(bundle_in(tmp_path), Exams(FakeExam())).form == REFERENCE
    wrong = Machine(tmp_path, {}, offset={REFERENCE: 1.0})
    assert wrong.admission.first_best(bundle_in(tmp_path / "b"), Exams(FakeExam())).form == FP32
    assert wrong.left_open == machine.left_open == 1


def test_of_forms_as_fast_as_each_other_the_most_careful_is_chosen() -> None:
    bf16 = Form("bf16", "openvino", "cpu")
    rounds = [[10.0, 9.9, 9.8], [10.1, 10.0, 10.2], [9.9, 10.2, 9.8]]
    assert choose([FP32, bf16, INT8], rounds) == FP32
    assert choose([bf16, INT8], [[10.0, 9.0], [10.0, 12.0], [10.0, 9.0], [10.0, 13.0]]) == bf16
    assert choose([FP32, bf16, INT8], [[20.0, 10.1, 10.0]] * 5) == bf16
    assert choose([INT8], [[3.0]]) == INT8
