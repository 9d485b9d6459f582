"""Scores of whole pictures: a few are made without NumPy, and nobody can tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundles.parts import CodeEntry
from edge.bundles.picture_classification import PictureOutput
from edge.bundles.pictures import PictureClass
from edge.domain.errors import InferenceError
from edge.inference.picture_answers import FEW, scores

CODE = CodeEntry(system="99EDGE", value="x", meaning="Something")
LOGITS = st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=5)


def output(decoder: Any, classes: int) -> PictureOutput:
    known = tuple(PictureClass(name=f"c{number}", code=CODE) for number in range(classes))
    return PictureOutput(name="scores", decoder=decoder, classes=known)


def made(row: list[float], decoder: str) -> NDArray[np.float32]:
    return scores(np.array([row], np.float32), output(decoder, len(row)))


@given(LOGITS)
def test_a_few_scores_are_those_that_many_would_be(row: list[float]) -> None:
    unsure = [-200.0] * FEW  # beside each of them these weigh nothing, and with them there are many
    assert np.allclose(made(row, "sigmoid"), made(row + unsure, "sigmoid")[: len(row)], atol=1e-7)
    surest = [*row, max(row) + 100]
    powers = np.exp(np.array(surest) - max(surest))
    assert np.allclose(made(surest, "softmax"), powers / powers.sum(), atol=1e-7)
    assert np.allclose(made(surest, "softmax"), made(unsure + surest, "softmax")[FEW:], atol=1e-7)


@pytest.mark.parametrize("classes", [2, FEW + 1])
@pytest.mark.parametrize("decoder", ["softmax", "sigmoid", "probabilities"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_however_many_there_are(
    number: float, decoder: str, classes: int
) -> None:
    with pytest.raises(InferenceError, match="output 'scores' holds NaN or infinity"):
        made([0.5] * (classes - 1) + [number], decoder)


@pytest.mark.parametrize("sides", [(-1,), (1, -1), (1, -1, 1, 1)])
@pytest.mark.parametrize("classes", [2, FEW + 1])
def test_a_batch_may_be_missing_and_sides_of_one_may_have_stayed(
    sides: tuple[int, ...], classes: int
) -> None:
    row = [0.25] * (classes - 1) + [0.75]
    raw = np.array(row, np.float32).reshape(sides)
    assert scores(raw, output("probabilities", classes)).tolist() == row


@pytest.mark.parametrize("classes", [2, FEW + 1])
def test_probabilities_may_leave_0_to_1_by_rounding_and_no_more(classes: int) -> None:
    rest = [0.25] * (classes - 2)
    assert made([-0.0005, 1.0005, *rest], "probabilities").tolist() == [0.0, 1.0, *rest]
    with pytest.raises(InferenceError, match=r"holds -0\.5 to 1, wanted probabilities, 0 to 1"):
        made([-0.5, 1.0, *rest], "probabilities")


@pytest.mark.parametrize("classes", [3, FEW + 1])
def test_scores_of_another_number_of_classes_are_refused(classes: int) -> None:
    with pytest.raises(InferenceError, match=rf"is float32 \(1, {classes}\), wanted float32 \(1, 2\)"):
        scores(np.zeros((1, classes), np.float32), output("softmax", 2))
