"""From the raw outputs of a network for pictures to what it says, in pixels of the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, isfinite, tanh
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_classification import PictureClassification, PictureOutput
from edge.bundles.picture_tasks import PictureManifest
from edge.domain.answer import Detections, Embedding, Estimates, Keypoints, PictureAnswer, PictureMask, Scores
from edge.domain.errors import InferenceError
from edge.domain.geometry import Geometry
from edge.inference.decoders.answers import answer
from edge.inference.decoders.raw import Outputs
from edge.inference.session import check_form

FEW = 64  # so many scores are quicker in plain Python: right after a network each call into NumPy costs 8 us
ROUNDING = 1e-3  # a probability may leave 0 to 1 by so much in low precision


Reading = Callable[[Outputs, Geometry], PictureAnswer]


def reading_of(manifest: PictureManifest) -> Reading:
    """Return what decodes the outputs of a graph, by name, to the answer of a manifest's task.

    What the manifest says is looked up once: code that runs right after a network finds the caches full of
    the network, and each step that it need not take counts tenfold.

    Returns:
        From outputs, and the way back from the network's input to the picture, to the answer in pixels of
        the picture; an `InferenceError` where the outputs are not what the manifest promises.
    """
    if not isinstance(manifest, PictureClassification):
        part = manifest.output
        return lambda outputs, geometry: answer(outputs, part, geometry=geometry)
    output, name = manifest.output, manifest.output.name
    names = tuple(one.name for one in output.classes)
    return lambda outputs, _: Scores(names=names, values=scores(outputs[name], output))


def with_account(
    answer: PictureAnswer, *, latency_ms: Mapping[str, float], statistics: Mapping[str, float]
) -> PictureAnswer:
    """Complete an answer that was made just now, and that nobody else has, by what it cost and rests on.

    `dataclasses.replace` would make it once more, and check it once more: 25 us, right after a network.
    """
    object.__setattr__(answer, "latency_ms", MappingProxyType(latency_ms))
    object.__setattr__(answer, "statistics", MappingProxyType(statistics))
    return answer


def as_array(answered: PictureAnswer) -> NDArray[Any]:
    """Lay an answer out as one array, as golden checks compare them.

    Returns:
        Scores: (classes,). Detections: (things, 6): left, top, right, bottom, class, score. Keypoints:
        (points, 3): x, y, score. Masks: (2, h, w): labels, things. Estimates: (quantities,). Embeddings:
        (features,).
    """
    match answered:
        case Scores():
            return answered.values
        case Detections():
            return np.column_stack([answered.boxes_px, answered.classes, answered.scores]).astype(np.float32)
        case Keypoints():
            return np.column_stack([answered.points_px, answered.scores])
        case PictureMask():
            return np.stack([answered.labels.astype(np.int32), answered.things])
        case Estimates():
            return np.asarray(answered.values[0])
        case Embedding():
            return answered.vector


def scores(raw: NDArray[Any], output: PictureOutput) -> NDArray[np.float32]:
    """Make scores, (classes,) float32, 0 to 1, of what a network said about one picture.

    Raises:
        InferenceError: It is not what the manifest promises.
    """
    if raw.dtype == np.float16:
        raw = raw.astype(np.float32)
    if raw.ndim > 2 and raw.shape[0] == 1 and raw.shape[1] == raw.size:
        raw = raw.reshape(raw.shape[:2])  # means over maps that kept their axes
    elif raw.ndim == 1:
        raw = raw[np.newaxis]
    shape = (1, len(output.classes))
    if shape[1] <= FEW and raw.shape == shape and raw.dtype == np.float32:
        few = _few(raw[0].tolist(), output)
        if few is not None:
            return few
    check_form(raw, shape=shape, dtype=np.float32, name=output.name)
    row = raw[0].astype(np.float64)
    if output.decoder == "softmax":
        powers = np.exp(row - row.max())
        return np.asarray(powers / powers.sum(), np.float32)
    if output.decoder == "sigmoid":  # the same as 1 / (1 + exp(-x)), and never overflows
        return np.asarray(0.5 * (1 + np.tanh(0.5 * row)), np.float32)
    if row.min() < -ROUNDING or row.max() > 1 + ROUNDING:
        raise InferenceError(
            f"output {output.name!r} holds {row.min():g} to {row.max():g}, wanted probabilities, 0 to 1"
        )
    return np.asarray(row.clip(0, 1), np.float32)


def _few(row: list[float], output: PictureOutput) -> NDArray[np.float32] | None:
    """Make a few scores without NumPy; None: there is something to complain about, which NumPy's way does."""
    if not all(map(isfinite, row)):
        return None
    if output.decoder == "softmax":
        highest = max(row)
        powers = [exp(one - highest) for one in row]
        total = sum(powers)
        return np.array([one / total for one in powers], np.float32)
    if output.decoder == "sigmoid":
        return np.array([0.5 * (1 + tanh(0.5 * one)) for one in row], np.float32)
    return np.array(row, np.float32) if min(row) >= 0 and max(row) <= 1 else None
