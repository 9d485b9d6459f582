"""What models answer beside segmentations of volumes: scores, boxes, masks, points, quantities, vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """How sure a model is of each of its classes.

    Attributes:
        names: Of the classes.
        values: (classes,) float32, 0 to 1, read-only.
        latency_ms: Time per stage, in the order of the path: `preprocess`, `infer`, `decode`.
        statistics: What the network was given and said, as numbers by which drift is noticed.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.names),), "each class has one score"
        self.values.flags.writeable = False

    def of(self, name: str) -> float:
        """Return the score of one class."""
        return float(self.values[self.names.index(name)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimates:
    """Quantities that a model read out of spectra, one row for each spectrum it was asked about.

    Attributes:
        names: Of the quantities.
        units: UCUM, one for each.
        values: (spectra, quantities) float32, read-only; NaN where the model does not know.
        latency_ms: Time per stage, in the order of the path: `preprocess`, `infer`, `decode`.
        statistics: What the network was given and said, as numbers by which drift is noticed.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: NDArray[np.float32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.values.ndim == 2, "a row for each spectrum"
        assert self.values.shape[1] == len(self.names) == len(self.units), "each quantity has name and unit"
        self.values.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """Things that a model found in a picture, each with its box; none is an answer too.

    Attributes:
        names: Of the classes.
        boxes_px: (things, 4) float32, read-only: left, top, right, bottom in pixels of the source, along the
            edges of pixels; inside the picture.
        classes: (things,) int64, read-only: which of `names`.
        scores: (things,) float32, read-only, 0 to 1, falling.
        point_names: Of the points that every thing has, in their order; () where it has none.
        points_px: (things, points, 2) float32, read-only: x and y in pixels of the source.
        latency_ms: Time per stage, in the order of the path: `preprocess`, `infer`, `decode`.
        statistics: What the network was given and said, as numbers by which drift is noticed.
    """

    names: tuple[str, ...]
    boxes_px: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    point_names: tuple[str, ...] = ()
    points_px: NDArray[np.float32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        things = len(self.scores)
        assert self.boxes_px.shape == (things, 4), "each thing has a box"
        assert self.classes.shape == (things,), "each thing has a class"
        assert self.points_px.shape == (things, len(self.point_names), 2), "each thing has all points"
        for array in (self.boxes_px, self.classes, self.scores, self.points_px):
            array.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keypoints:
    """Points of one thing that the whole picture shows.

    Attributes:
        names: Of the points.
        points_px: (points, 2) float32, read-only: x and y in pixels of the source.
        scores: (points,) float32, read-only, 0 to 1.
        latency_ms: Time per stage, in the order of the path: `preprocess`, `infer`, `decode`.
        statistics: What the network was given and said, as numbers by which drift is noticed.
    """

    names: tuple[str, ...]
    points_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.points_px.shape == (len(self.names), 2), "each name has a point"
        assert self.scores.shape == (len(self.names),), "each point has a score"
        self.points_px.flags.writeable = False
        self.scores.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureMask:
    """Which pixel of a picture is what, and which of them belong together.

    Attributes:
        names: Of the labels from 1 on; 0 is background.
        labels: (height, width) uint8, read-only, at the size of the source.
        things: (height, width) int32, read-only: number of the thing a pixel belongs to, from 1 on, 0 for
            background; each thing has one label.
        latency_ms: Time per stage, in the order of the path: `preprocess`, `infer`, `decode`.
        statistics: What the network was given and said, as numbers by which drift is noticed.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    things: NDArray[np.int32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.labels.ndim == 2, f"a picture has 2 axes, this one {self.labels.ndim}"
        assert self.things.shape == self.labels.shape, "things lie on the grid of the labels"
        self.labels.flags.writeable = False
        self.things.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding:
    """Where a picture lies in the space of a network's features.

    Attributes:
        vector: (features,) float32, read-only.
        latency_ms: Time per stage, in the order of the path: `preprocess`, `infer`, `decode`.
        statistics: What the network was given and said, as numbers by which drift is noticed.
    """

    vector: NDArray[np.float32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.vector.ndim == 1, f"a vector has 1 axis, this one {self.vector.ndim}"
        self.vector.flags.writeable = False


PictureAnswer = Scores | Detections | Keypoints | PictureMask | Estimates | Embedding
