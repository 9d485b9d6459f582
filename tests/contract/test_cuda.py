"""What a network on an NVIDIA GPU promises beside the CPU; runs where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.store import find
from edge.domain.errors import DeadlineExceededError
from edge.inference.cuda import RECORDINGS_MAX
from edge.inference.deadline import Deadline
from edge.inference.device import has_cuda
from edge.inference.forms import Form, open_session
from edge.inference.session import Session
from edge.kit.clock import SystemClock

pytestmark = pytest.mark.skipif(not has_cuda(), reason="no NVIDIA GPU is here")
BUNDLE = find("brain-mr", [Path(__file__).parents[2] / "models"])
PRECISIONS = {"fp32": 0.9999, "tf32": 0.999, "fp16": 0.999}  # the share of voxels that keep their label


@pytest.fixture(scope="module")
def reference() -> Iterator[Session]:
    """fp32 on the CPU."""
    session = open_session(BUNDLE, Form("fp32", "onnxruntime", "cpu"), threads=4)
    yield session
    session.close()


@pytest.fixture(params=PRECISIONS)
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
