"""The one match from an output part of a manifest to its decoder, and to an answer about the source."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from edge.bundles.picture_outputs import (
    AnchorsOutput,
    BoxesOutput,
    CandidatesOutput,
    CentresOutput,
    CoordinatesOutput,
    Detector,
    HeatmapsOutput,
    InstancesOutput,
    LabelMapOutput,
    LinearOutput,
    LogitsOutput,
    OutputPart,
    SigmoidOutput,
    SimccOutput,
    VectorOutput,
    YoloV5Output,
    YoloV8Output,
    YoloxOutput,
)
from edge.domain.answer import Detections, Embedding, Estimates, Keypoints, PictureMask
from edge.domain.geometry import Geometry
from edge.inference.decoders.anchored import decode_yolov5
from edge.inference.decoders.boxes import decode_boxes, decode_candidates
from edge.inference.decoders.centres import decode_centres
from edge.inference.decoders.grids import decode_yolov8, decode_yolox
from edge.inference.decoders.instances import decode_instances
from edge.inference.decoders.masks import MaskPart, RawMask, decode_mask
from edge.inference.decoders.numbers import decode_linear, decode_vector
from edge.inference.decoders.points import decode_coordinates, decode_heatmaps, decode_simcc
from edge.inference.decoders.priors import decode_anchors
from edge.inference.decoders.raw import Outputs, RawPoints, RawThings
from edge.inference.decoders.source import points_in_source, things_in_source
from edge.inference.decoders.tables import Shape

Answer = Detections | PictureMask | Keypoints | Estimates | Embedding
PointsPart = HeatmapsOutput | CoordinatesOutput | SimccOutput


def answer(outputs: Outputs, part: OutputPart, *, geometry: Geometry) -> Answer:
    """Decode what a network said about one picture.

    Args:
        outputs: Of the graph, by name; those that the part does not name are not looked at.
        part: `output` of the manifest.
        geometry: Where the picture lies in what the graph was given.

    Returns:
        The answer in pixels of the source; times per stage are left to the caller.

    Raises:
        InferenceError: The outputs are not what the manifest promises; names output, seen and wanted.
    """
    match part:
        case LabelMapOutput() | LogitsOutput() | SigmoidOutput():
            return _mask(decode_mask(outputs, part, geometry=geometry), part)
        case InstancesOutput():
            return _mask(decode_instances(outputs, part, geometry=geometry), part)
        case HeatmapsOutput() | CoordinatesOutput() | SimccOutput():
            return _keypoints(outputs, part, geometry)
        case LinearOutput(quantities=quantities):
            names, units = zip(*((one.name, one.unit) for one in quantities), strict=True)
            return Estimates(names=names, units=units, values=decode_linear(outputs, part))
        case VectorOutput():
            return Embedding(vector=decode_vector(outputs, part))
        case _:
            return _detections(outputs, part, geometry)


def things(outputs: Outputs, part: Detector, *, input_shape_px: Shape) -> RawThings:
    """Decode the outputs of a detector to things in pixels of the input.

    Raises:
        InferenceError: They are not what the manifest promises.
    """
    match part:
        case YoloxOutput():
            return decode_yolox(outputs, part, input_shape_px=input_shape_px)
        case YoloV8Output():
            return decode_yolov8(outputs, part, input_shape_px=input_shape_px)
        case YoloV5Output():
            return decode_yolov5(outputs, part, input_shape_px=input_shape_px)
        case AnchorsOutput():
            return decode_anchors(outputs, part, input_shape_px=input_shape_px)
        case CentresOutput():
            return decode_centres(outputs, part, input_shape_px=input_shape_px)
        case CandidatesOutput():
            return decode_candidates(outputs, part, input_shape_px=input_shape_px)
        case BoxesOutput():
            return decode_boxes(outputs, part, input_shape_px=input_shape_px)
        case _:
            assert_never(part)


def points(outputs: Outputs, part: PointsPart, *, input_shape_px: Shape) -> RawPoints:
    """Decode points of the whole picture, in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    match part:
        case HeatmapsOutput():
            return decode_heatmaps(outputs, part, input_shape_px=input_shape_px)
        case CoordinatesOutput():
            return decode_coordinates(outputs, part, input_shape_px=input_shape_px)
        case SimccOutput():
            return decode_simcc(outputs, part, input_shape_px=input_shape_px)
        case _:
            assert_never(part)


def _detections(outputs: Outputs, part: Detector, geometry: Geometry) -> Detections:
    found = things_in_source(things(outputs, part, input_shape_px=geometry.input_shape_px), geometry)
    return Detections(
        names=tuple(one.name for one in part.classes),
        boxes_px=found.boxes,
        classes=found.classes,
        scores=found.scores,
        point_names=tuple(one.name for one in part.points),
        points_px=found.points,
    )


def _keypoints(outputs: Outputs, part: PointsPart, geometry: Geometry) -> Keypoints:
    found = points_in_source(points(outputs, part, input_shape_px=geometry.input_shape_px), geometry)
    return Keypoints(
        names=tuple(one.name for one in part.points),
        points_px=found.points,
        scores=np.where(found.scores >= part.score_min, found.scores, 0).astype(np.float32),
    )


def _mask(mask: RawMask, part: MaskPart | InstancesOutput) -> PictureMask:
    names = tuple(one.name for one in part.labels)
    return PictureMask(names=names, labels=mask.labels, things=mask.things)
