"""What decoders read and what they answer: checked outputs, and things and points in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import InferenceError

Outputs = Mapping[str, NDArray[Any]]
Numbers = NDArray[np.float32]
Rows = NDArray[np.intp]

ROUNDING = 1e-2  # a probability may leave 0 to 1 by so much in low precision
EXPONENT_MAX = 16.0  # a side of more than e to that, in cells or given boxes, is none


@dataclass(frozen=True, slots=True, eq=False)
class RawThings:
    """Things in pixels of the network's input, or of the source once they are carried there.

    Attributes:
        boxes: (things, 4) float32, read-only: left, top, right, bottom along the edges of pixels.
        classes: (things,) int64, read-only.
        scores: (things,) float32, read-only, 0 to 1, falling.
        points: (things, points, 2) float32, read-only: x and y.
        rows: (things,) intp, read-only: in which row of the output each was found.
    """

    boxes: Numbers
    classes: NDArray[np.int64]
    scores: Numbers
    points: Numbers
    rows: Rows

    def __post_init__(self) -> None:
        assert self.boxes.shape == (len(self.scores), 4), "each thing has a box"
        assert self.classes.shape == self.scores.shape, "each thing has a class"
        assert self.points.shape[::2] == (len(self.scores), 2), "each thing has its points"
        assert self.rows.shape == self.scores.shape, "each thing has a row"
        for array in (self.boxes, self.classes, self.scores, self.points, self.rows):
            array.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class RawPoints:
    """Points of one thing, in pixels of the network's input, or of the source once they are carried there.

    Attributes:
        points: (points, 2) float32, read-only: x and y along the edges of pixels.
        scores: (points,) float32, read-only, 0 to 1.
    """

    points: Numbers
    scores: Numbers

    def __post_init__(self) -> None:
        assert self.points.shape == (len(self.scores), 2), "each point has a score"
        self.points.flags.writeable = False
        self.scores.flags.writeable = False


def numbers_of(outputs: Outputs, name: str) -> Numbers:
    """Return one output as float32.

    Raises:
        InferenceError: It is not there, holds no floating-point numbers, none at all, or NaN or infinity.
    """
    array = array_of(outputs, name)
    if array.dtype.kind != "f":
        raise InferenceError(f"output {name!r} is {array.dtype} {array.shape}, wanted floating-point numbers")
    numbers: Numbers = np.asarray(array, np.float32)
    if numbers.size and not (math.isfinite(numbers.min()) and math.isfinite(numbers.max())):
        raise InferenceError(f"output {name!r} holds NaN or infinity, wanted numbers")
    return numbers


def array_of(outputs: Outputs, name: str) -> NDArray[Any]:
    """Return one output.

    Raises:
        InferenceError: It is not there.
    """
    if name not in outputs:
        raise InferenceError(f"output {name!r} is missing, seen {', '.join(outputs) or 'none'}")
    return outputs[name]


def one_of_batch(array: NDArray[Any], *, axes: int, name: str, wanted: str) -> NDArray[Any]:
    """Return an output without its batch axis of 1, which some graphs leave out.

    Args:
        array: Of the graph.
        axes: How many there are beside the batch.
        name: Of the output.
        wanted: What the manifest promises, for people.

    Raises:
        InferenceError: It has other axes, or a batch of more than one.
    """
    if array.ndim == axes + 1 and array.shape[0] == 1:
        return np.asarray(array[0])
    if array.ndim == axes:
        return array
    raise wrong_shape(array, name=name, wanted=wanted)


def wrong_shape(array: NDArray[Any], *, name: str, wanted: str) -> InferenceError:
    """Return the error for an output that has not the shape the manifest promises."""
    return InferenceError(f"output {name!r} is {array.dtype} {array.shape}, wanted {wanted}")


def check_probabilities(scores: Numbers, *, name: str) -> None:
    """Refuse scores that are none, as logits are that a manifest calls probabilities.

    Raises:
        InferenceError: One is below 0 or above 1 by more than rounding.
    """
    if scores.size and (scores.min() < -ROUNDING or scores.max() > 1 + ROUNDING):
        raise InferenceError(
            f"output {name!r} holds {scores.min():g} to {scores.max():g}, wanted probabilities, 0 to 1"
        )


def sigmoid(values: Numbers) -> Numbers:
    """Return 1 / (1 + exp(-x)), written so that it never overflows."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), np.float32)


def softmax(values: Numbers) -> Numbers:
    """Return shares of one along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def logit(share: float) -> float:
    """Return what the sigmoid makes a share of; the rounding of float32 aside."""
    if share <= 0:
        return -math.inf
    return math.inf if share >= 1 else math.log(share / (1 - share))


def bounded_exp(values: Numbers) -> Numbers:
    """Return exp(x) of what may be any number, without overflow."""
    return np.asarray(np.exp(np.minimum(values, EXPONENT_MAX)), np.float32)


def corners(centres: Numbers, sides: Numbers) -> Numbers:
    """Return boxes, (n, 4) left, top, right, bottom, from (n, 2) cx, cy and (n, 2) w, h."""
    half = sides / 2
    return np.concatenate([centres - half, centres + half], axis=1)
