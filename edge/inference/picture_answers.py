"""From the raw outputs of a network for pictures to what it says, in pixels of the picture."""

from __future__ import annotations

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

ROUNDING = 1e-3  # a probability may leave 0 to 1 by so much in low precision


def answer_of(outputs: Outputs, manifest: PictureManifest, geometry: Geometry) -> PictureAnswer:
    """Decode what a network said about one picture.

    Args:
        outputs: Of the graph, by name.
        manifest: Says how they are read.
        geometry: The way back from the network's input to the picture.

    Returns:
        The answer of the manifest's task, in pixels of the picture.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    if not isinstance(manifest, PictureClassification):
        return answer(outputs, manifest.output, geometry=geometry)
    output = manifest.output
    names = tuple(one.name for one in output.classes)
    return Scores(names=names, values=scores(outputs[output.name], output))


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
    check_form(raw, shape=(1, len(output.classes)), dtype=np.float32, name=output.name)
    row = raw[0].astype(np.float64)
    if output.decoder == "softmax":
        powers = np.exp(row - row.max())
        row = powers / powers.sum()
    elif output.decoder == "sigmoid":
        row = 0.5 * (1 + np.tanh(0.5 * row))  # the same as 1 / (1 + exp(-x)), and never overflows
    elif row.min() < -ROUNDING or row.max() > 1 + ROUNDING:
        raise InferenceError(
            f"output {output.name!r} holds {row.min():g} to {row.max():g}, wanted probabilities, 0 to 1"
        )
    return np.asarray(row.clip(0, 1), np.float32)
