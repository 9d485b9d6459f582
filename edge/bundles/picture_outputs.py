"""What may come out of a network for pictures, for each task one family of decoders."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.detection_outputs import PointEntry, Stride, YoloV5Output, YoloV8Output, YoloxOutput
from edge.bundles.detection_priors import AnchorsOutput, BoxesOutput, CandidatesOutput, CentresOutput
from edge.bundles.instance_outputs import InstancesOutput
from edge.bundles.mask_outputs import LabelMapOutput, LogitsOutput, SigmoidOutput
from edge.bundles.parts import CodeEntry, Part, Share, Words, check_names_differ

# ── points of the one thing that a picture shows ───────────────────────────────────────────────────────────


class PlacesPoints(Part):
    """What all networks for points share."""

    points: tuple[PointEntry, ...] = Field(min_length=1, max_length=1024, description="In the graph's order.")
    score_min: Share = Field(default=0.0, description="A point that scores less scores 0: it is not there.")

    @check_all(mode="after")
    def _names_differ(self) -> PlacesPoints:
        check_names_differ([one.name for one in self.points], where="points")
        return self


class HeatmapsOutput(PlacesPoints):
    """One map for each point, highest where it is."""

    decoder: Literal["heatmaps"]
    name: Words = Field(description="Name of the graph's output.")
    layout: Literal["NCHW", "NHWC"] = Field(default="NCHW", description="Where the points stand.")
    stride_px: Stride = Field(default=4, description="Pixels of the input for each cell of the map.")
    activation: Literal["none", "sigmoid", "softmax"] = Field(
        default="none", description="Makes scores, 0 to 1, of the map; `softmax` over all its cells."
    )
    refine: Literal["none", "quarter", "parabola"] = Field(
        default="parabola",
        description="Between the cells: a quarter towards the higher neighbour, or the top of a parabola.",
    )
    cell_offset: Share = Field(
        default=0.5,
        description="Where in its cell a point lies: 0.5 the middle; 0.5 / stride_px where the training has "
        "taken the first pixel for the first cell.",
    )

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (self.name,)


class CoordinatesOutput(PlacesPoints):
    """Numbers for each point, whatever the axes they come in."""

    decoder: Literal["coordinates"]
    name: Words = Field(description="Name of the graph's output, points × numbers values.")
    numbers: tuple[Literal["x", "y", "score", "unread"], ...] = Field(
        default=("x", "y"), min_length=2, max_length=8, description="Of each point, in their order."
    )
    unit: Literal["px", "relative", "signed"] = Field(
        description="Pixels of the input, shares of its sides (0 to 1), or -1 to 1 across it."
    )
    scores_are: Literal["probabilities", "logits"] = Field(
        default="probabilities", description="Before or after the sigmoid, where there are scores."
    )

    @check_all(mode="after")
    def _has_both_axes(self) -> CoordinatesOutput:
        for name in ("x", "y", "score"):
            if self.numbers.count(name) not in ((0, 1) if name == "score" else (1,)):
                raise ValueError("numbers: wanted x and y once, score at most once")
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (self.name,)


class SimccOutput(PlacesPoints):
    """SimCC, RTMPose: for each point a distribution over columns and one over rows."""

    decoder: Literal["simcc"]
    columns: Words = Field(description="Name of the output (1, points, bins over the width).")
    rows: Words = Field(description="Name of the output (1, points, bins over the height).")
    bins_per_px: float = Field(default=2.0, gt=0, le=16, description="Bins for each pixel of the input.")
    activation: Literal["none", "softmax"] = Field(
        default="none", description="Makes scores, 0 to 1, of a distribution; the lower of both counts."
    )
    pixel_offset: Share = Field(
        default=0.5, description="Where bin 0 lies: 0.5 the middle of the first pixel, 0 its border."
    )

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (self.columns, self.rows)


# ── numbers about the whole picture ────────────────────────────────────────────────────────────────────────


class LinearQuantity(Part):
    """One number that is read out of a picture."""

    name: Words = Field(description="Short, as it appears in findings.")
    code: CodeEntry = Field(description="What it is in public terms.")
    unit: Words = Field(description="UCUM: `1`, `%`, `mm` …")
    scale: float = Field(default=1.0, description="The graph's number is multiplied by this, not 0.")
    offset: float = Field(default=0.0, description="… and this is added.")
    value_min: float = Field(description="A value below this is not one: not assessed.")
    value_max: float = Field(description="A value above this is not one: not assessed.")

    @check_all(mode="after")
    def _numbers_make_sense(self) -> LinearQuantity:
        if self.value_min >= self.value_max:
            raise ValueError(f"value_min {self.value_min:g} must be below value_max {self.value_max:g}")
        if self.scale == 0:
            raise ValueError("scale must not be 0")
        return self


class LinearOutput(Part):
    """Quantities, each a number times a factor plus another."""

    decoder: Literal["linear"]
    name: Words = Field(description="Name of the graph's output (1, quantities).")
    quantities: tuple[LinearQuantity, ...] = Field(
        min_length=1, max_length=256, description="In the graph's order."
    )

    @check_all(mode="after")
    def _names_differ(self) -> LinearOutput:
        check_names_differ([one.name for one in self.quantities], where="quantities")
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (self.name,)


class VectorOutput(Part):
    """Features of the whole picture."""

    decoder: Literal["vector"]
    name: Words = Field(description="Name of the graph's output (1, features), or with maps behind them.")
    features: int = Field(ge=1, le=65_536, description="Length of the vector.")
    layout: Literal["NC", "NCHW", "NHWC"] = Field(
        default="NC", description="`NCHW`, `NHWC`: maps, of each of which the mean is taken."
    )
    normalize: bool = Field(default=True, description="Whether the vector is brought to length 1.")

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (self.name,)


Detector = (
    YoloxOutput | YoloV8Output | YoloV5Output | AnchorsOutput | CentresOutput | CandidatesOutput | BoxesOutput
)
DetectionOutput = Annotated[Detector, Field(discriminator="decoder")]
MaskOutput = Annotated[
    LabelMapOutput | LogitsOutput | SigmoidOutput | InstancesOutput, Field(discriminator="decoder")
]
KeypointsOutput = Annotated[HeatmapsOutput | CoordinatesOutput | SimccOutput, Field(discriminator="decoder")]
OutputPart = (
    Detector
    | LabelMapOutput
    | LogitsOutput
    | SigmoidOutput
    | InstancesOutput
    | HeatmapsOutput
    | CoordinatesOutput
    | SimccOutput
    | LinearOutput
    | VectorOutput
)

__all__ = [
    "AnchorsOutput",
    "BoxesOutput",
    "CandidatesOutput",
    "CentresOutput",
    "CoordinatesOutput",
    "DetectionOutput",
    "Detector",
    "HeatmapsOutput",
    "InstancesOutput",
    "KeypointsOutput",
    "LabelMapOutput",
    "LinearOutput",
    "LinearQuantity",
    "LogitsOutput",
    "MaskOutput",
    "OutputPart",
    "PointEntry",
    "SigmoidOutput",
    "SimccOutput",
    "VectorOutput",
    "YoloV5Output",
    "YoloV8Output",
    "YoloxOutput",
]
