"""What a network on an NVIDIA GPU promises beside the CPU; most of it runs where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from edge.bundles.graph import read_network
from edge.bundles.store import find
from edge.domain.errors import DeadlineExceededError
from edge.inference.cuda import RECORDINGS_MAX, is_recordable
from edge.inference.deadline import Deadline
from edge.inference.device import has_cuda
from edge.inference.forms import Form, open_session
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.session import Answers, Session, Wiring
from edge.kit.clock import SystemClock
from tests.builders.bundles import serialized

GPU = pytest.mark.skipif(not has_cuda(), reason="no NVIDIA GPU is here")
BUNDLE = find("brain-mr", [Path(__file__).parents[2] / "models"])
PRECISIONS = {"fp32": 0.9999, "tf32": 0.999, "fp16": 0.999}  # the share of voxels that keep their label


@pytest.fixture(scope="module")
def reference() -> Iterator[Session]:
    """fp32 on the CPU."""
    session = open_session(BUNDLE, Form("fp32", "onnxruntime", "cpu"), threads=4)
    yield session
    session.close()


@pytest.fixture(params=[pytest.param(precision, marks=GPU) for precision in PRECISIONS])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Each precision on the GPU."""
    opened = open_session(BUNDLE, Form(request.param, "onnxruntime", "cuda"), threads=1)
    yield opened
    opened.close()


def soon() -> Deadline:
    return Deadline(SystemClock(), 60)


def picture(seed: int, *sides: int) -> NDArray[np.float32]:
    """Soft blobs, so that labels have borders."""
    rough = np.random.default_rng(seed).random([-(-side // 8) for side in sides], np.float32)
    wide = rough.repeat(8, 0).repeat(8, 1).repeat(8, 2)
    return np.ascontiguousarray(wide[None, None, : sides[0], : sides[1], : sides[2]])


def agreement(session: Session, reference: Session, given: NDArray[np.float32]) -> float:
    name = BUNDLE.manifest.output.name  # type: ignore[union-attr]  # brain-mr has one output
    return float((session.run(given, soon())[name] == reference.run(given, soon())[name]).mean())


def test_each_input_gets_its_own_answer_also_of_a_recorded_run(
    session: Session, reference: Session, request: pytest.FixtureRequest
) -> None:
    wanted = PRECISIONS[request.node.callspec.params["session"]]
    assert session.provider == "CUDAExecutionProvider"
    for seed in range(5):
        assert agreement(session, reference, picture(seed, 32, 48, 64)) >= wanted


def test_shapes_may_come_in_any_order_and_more_of_them_than_are_recorded(
    session: Session, reference: Session, request: pytest.FixtureRequest
) -> None:
    wanted = PRECISIONS[request.node.callspec.params["session"]]
    shapes = [(16 * (2 + number), 32, 48) for number in range(RECORDINGS_MAX + 3)]
    for turn in range(3):
        for number, shape in enumerate(shapes[turn:] + shapes[:turn]):
            assert agreement(session, reference, picture(10 * turn + number, *shape)) >= wanted


def test_an_answer_is_the_callers_own(session: Session) -> None:
    name = BUNDLE.manifest.output.name  # type: ignore[union-attr]  # brain-mr has one output
    first = session.run(picture(1, 32, 32, 32), soon())[name]
    before = first.copy()
    session.run(picture(2, 32, 32, 32), soon())
    assert np.array_equal(first, before)


def test_a_session_that_was_late_answers_again(session: Session, reference: Session) -> None:
    given = picture(3, 64, 64, 64)
    with pytest.raises(DeadlineExceededError):
        session.run(given, Deadline(SystemClock(), -1))
    assert agreement(session, reference, given) >= 0.999


def test_what_was_looked_at_is_recorded_and_no_more_shapes_than_allowed(session: Session) -> None:
    assert isinstance(session, OnnxRuntimeSession)
    assert session.bound is not None
    shapes = [(16 * (2 + number), 32, 32) for number in range(RECORDINGS_MAX + 2)]
    for shape in (*shapes, *shapes):
        session.run(picture(1, *shape), soon())
    assert session.bound.shapes == {(1, 1, *shape) for shape in shapes[:RECORDINGS_MAX]}


# ── networks whose work depends on what they see, not only on how large it is ────────────────────────

ROWS = 12  # of the input: the corners of a box, and a score
HITS = ((5, 0, 7), (), (11, 2, 3, 4, 8, 9, 6), (1, 10, 5), (), (5, 0, 7))
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@dataclass(frozen=True, slots=True)
class Case:
    """A network, what it is to answer, how far off that may be, and the operators that bar a recording."""

    network: bytes
    answers: tuple[str, ...]
    wanted: Callable[[NDArray[np.float32]], Answers]
    operators: frozenset[str] = frozenset()
    off_max: float = 1e-6


def rows(hits: tuple[int, ...]) -> NDArray[np.float32]:
    """Boxes that do not touch; rows that are hits have scores above a half, falling in their order."""
    given = np.zeros((1, ROWS, 5), np.float32)
    given[0, :, :2] = np.arange(ROWS)[:, None] * 10
    given[0, :, 2:4] = given[0, :, :2] + 5
    given[0, list(hits), 4] = 0.9 - 0.02 * np.arange(len(hits), dtype=np.float32)
    return given


def network(nodes: list[NodeProto], answers: Mapping[str, tuple[int, list[int | str | None]]]) -> bytes:
    """A graph over `boxes` (1, rows, 4), `scores` (1, rows, 1) and whether each is `bright`."""
    numbers = {"from": [0], "four": [4], "five": [5], "along": [1], "across": [2], "all": [-1], "many": [100]}
    weights = {name: np.array(value, np.int64) for name, value in numbers.items()}
    cut = [
        helper.make_node("Slice", ["image", "from", "four", "across"], ["boxes"]),
        helper.make_node("Slice", ["image", "four", "five", "across"], ["scores"]),
        helper.make_node("Greater", ["scores", "half"], ["bright"]),
    ]
    return serialized(
        [*cut, *nodes],
        given=helper.make_tensor_value_info("image", FLOAT, [1, "rows", 5]),
        answers=[helper.make_tensor_value_info(name, *form) for name, form in answers.items()],
        weights={**weights, "half": np.array([0.5], np.float32), "none": np.zeros((1, 1, 1), np.float32)},
    )


def places() -> Case:
    """Where a score is high, and how often: one answer that grows with it, and one that does not."""
    nodes = [
        helper.make_node("NonZero", ["bright"], ["places"]),
        helper.make_node("Shape", ["places"], ["count"], start=1),
    ]
    made = network(nodes, {"places": (INT64, [3, "n"]), "count": (INT64, [1])})

    def wanted(given: NDArray[np.float32]) -> Answers:
        found = np.stack(np.nonzero(given[..., 4:] > 0.5))
        return {"places": found, "count": np.array(found.shape[1:])}

    return Case(made, ("places", "count"), wanted, frozenset({"NonZero"}))


def kept() -> Case:
    """Batch, class and row of each box that is kept, the highest score first."""
    nodes = [
        helper.make_node("Transpose", ["scores"], ["by_class"], perm=[0, 2, 1]),
        helper.make_node("NonMaxSuppression", ["boxes", "by_class", "many", "half", "half"], ["kept"]),
    ]

    def wanted(given: NDArray[np.float32]) -> Answers:
        found = [row for row in np.argsort(-given[0, :, 4]) if given[0, row, 4] > 0.5]
        return {"kept": np.array([[0, 0, row] for row in found], np.int64).reshape(-1, 3)}

    return Case(
        network(nodes, {"kept": (INT64, ["n", 3])}), ("kept",), wanted, frozenset({"NonMaxSuppression"})
    )


def total() -> Case:
    """The sum of the scores that are high: no answer shows that their number was counted."""
    nodes = [
        helper.make_node("Reshape", ["bright", "all"], ["chosen"]),
        helper.make_node("Compress", ["scores", "chosen"], ["high"], axis=1),
        helper.make_node("Concat", ["none", "high"], ["some"], axis=1),
        helper.make_node("ReduceSum", ["some", "along"], ["total"]),
    ]

    def wanted(given: NDArray[np.float32]) -> Answers:
        scores = given[..., 4:]
        return {"total": scores.sum(where=scores > 0.5, axis=1, keepdims=True)}

    return Case(network(nodes, {"total": (FLOAT, [1, 1, 1])}), ("total",), wanted, frozenset({"Compress"}))


def requantized() -> Case:
    """Its first node has to run on the CPU, whatever the device."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["image"], ["steps", "step", "offset"]),
        helper.make_node("DequantizeLinear", ["steps", "step", "offset"], ["again"]),
    ]
    half_a_step = 0.5 * ROWS * 10 / 255
    made = network(nodes, {"again": (FLOAT, [1, "rows", 5])})
    return Case(made, ("again",), lambda given: {"again": given}, off_max=half_a_step)


CASES = {one.__name__: one() for one in (places, kept, total, requantized)}


@pytest.mark.parametrize("provider", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_answer_is_of_its_own_input_however_much_there_is_to_say(case: Case, provider: str) -> None:
    addressed = Wiring("image", "float32", case.answers)
    opened = OnnxRuntimeSession(case.network, name="tiny", wiring=addressed, provider=provider, threads=1)
    for hits in HITS:
        given = rows(hits)
        seen, wanted = opened.run(given, soon()), case.wanted(given)
        assert list(seen) == list(wanted)
        for name, answer in wanted.items():
            assert seen[name].shape == answer.shape
            assert np.allclose(seen[name], answer, rtol=0, atol=case.off_max)
    assert opened.bound is None, "what it does for one input must not be played for another"
    opened.close()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_network_whose_work_depends_on_what_it_sees_is_not_recorded(case: Case) -> None:
    operators = read_network(case.network, origin="tiny").operators
    assert is_recordable(operators) == (not case.operators)
    assert is_recordable(operators.keys() - case.operators)


def test_networks_of_one_size_for_each_input_may_be_recorded() -> None:
    for variant in BUNDLE.manifest.variants:
        read = read_network(BUNDLE.network(variant), origin=variant.file)
        assert is_recordable(read.operators)
