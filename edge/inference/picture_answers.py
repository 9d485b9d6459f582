"""From the raw outputs of a network for pictures to what it says, in pixels of the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_classification import PictureClassification, PictureOutput
from edge.bundles.picture_detection import PictureDetection
from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.bundles.picture_outputs import (
    AnchorsOutput,
    BoxesOutput,
    CandidatesOutput,
    CentresOutput,
    CoordinatesOutput,
    Detector,
    HeatmapsOutput,
    SimccOutput,
    YoloV5Output,
    YoloV8Output,
    YoloxOutput,
)
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.bundles.picture_tasks import PictureManifest
from edge.domain.answer import Detections, Embedding, Estimates, Keypoints, PictureAnswer, PictureMask, Scores
from edge.domain.errors import InferenceError
from edge.domain.geometry import Geometry
from edge.inference.decoders import anchored, boxes, centres, grids, masks, numbers, points, priors
from edge.inference.decoders.raw import Outputs, RawThings
from edge.inference.session import check_form

Pointer = HeatmapsOutput | CoordinatesOutput | SimccOutput

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
    match manifest:
        case PictureClassification(output=classes):
            names = tuple(one.name for one in classes.classes)
            return Scores(names=names, values=scores(outputs[classes.name], classes))
        case PictureDetection(output=detector):
            return _detections(outputs, detector, geometry)
        case PictureSegmentation(output=marker):
            mask = masks.decode_mask(outputs, marker, geometry=geometry)
            names = tuple(one.name for one in marker.labels)
            return PictureMask(names=names, labels=mask.labels, things=mask.things)
        case PictureKeypoints(output=pointer):
            return _keypoints(outputs, pointer, geometry)
        case PictureRegression(output=linear):
            return Estimates(
                names=tuple(one.name for one in linear.quantities),
                units=tuple(one.unit for one in linear.quantities),
                values=numbers.decode_linear(outputs, linear),
            )
        case PictureEmbedding(output=vector):
            return Embedding(vector=numbers.decode_vector(outputs, vector))


def as_array(answer: PictureAnswer) -> NDArray[Any]:
    """Lay an answer out as one array, as golden checks compare them.

    Returns:
        Scores: (classes,). Detections: (things, 6): left, top, right, bottom, class, score. Keypoints:
        (points, 3): x, y, score. Masks: (2, h, w): labels, things. Estimates: (quantities,). Embeddings:
        (features,).
    """
    match answer:
        case Scores():
            return answer.values
        case Detections():
            return np.column_stack([answer.boxes_px, answer.classes, answer.scores]).astype(np.float32)
        case Keypoints():
            return np.column_stack([answer.points_px, answer.scores])
        case PictureMask():
            return np.stack([answer.labels.astype(np.int32), answer.things])
        case Estimates():
            return np.asarray(answer.values[0])
        case Embedding():
            return answer.vector


def scores(raw: NDArray[Any], output: PictureOutput) -> NDArray[np.float32]:
    """Make scores, (classes,) float32, 0 to 1, of what a network said about one picture.

    Raises:
        InferenceError: It is not what the manifest promises.
    """
    if raw.dtype == np.float16:
        raw = raw.astype(np.float32)
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


def _detections(outputs: Outputs, detector: Detector, geometry: Geometry) -> Detections:
    """Carry things back, cut them off at the border of the picture, and leave out those beyond it."""
    raw = _things(outputs, detector, geometry.input_shape_px)
    height, width = geometry.source_shape_px
    edges = geometry.to_source(raw.boxes).clip(0, [width, height, width, height])
    is_inside = (edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])
    return Detections(
        names=tuple(one.name for one in detector.classes),
        boxes_px=edges[is_inside].astype(np.float32),
        classes=raw.classes[is_inside],
        scores=raw.scores[is_inside],
        point_names=tuple(one.name for one in detector.points),
        points_px=geometry.points_to_source(raw.points)[is_inside].astype(np.float32),
    )


def _keypoints(outputs: Outputs, pointer: Pointer, geometry: Geometry) -> Keypoints:
    shape_px = geometry.input_shape_px
    match pointer:
        case HeatmapsOutput():
            raw = points.decode_heatmaps(outputs, pointer, input_shape_px=shape_px)
        case CoordinatesOutput():
            raw = points.decode_coordinates(outputs, pointer, input_shape_px=shape_px)
        case SimccOutput():
            raw = points.decode_simcc(outputs, pointer, input_shape_px=shape_px)
    return Keypoints(
        names=tuple(one.name for one in pointer.points),
        points_px=geometry.points_to_source(raw.points).astype(np.float32),
        scores=np.array(raw.scores),
    )


def _things(outputs: Outputs, detector: Detector, shape_px: tuple[int, int]) -> RawThings:
    match detector:
        case YoloxOutput():
            return grids.decode_yolox(outputs, detector, input_shape_px=shape_px)
        case YoloV8Output():
            return grids.decode_yolov8(outputs, detector, input_shape_px=shape_px)
        case YoloV5Output():
            return anchored.decode_yolov5(outputs, detector, input_shape_px=shape_px)
        case AnchorsOutput():
            return priors.decode_anchors(outputs, detector, input_shape_px=shape_px)
        case CentresOutput():
            return centres.decode_centres(outputs, detector, input_shape_px=shape_px)
        case CandidatesOutput():
            return boxes.decode_candidates(outputs, detector, input_shape_px=shape_px)
        case BoxesOutput():
            return boxes.decode_boxes(outputs, detector, input_shape_px=shape_px)
