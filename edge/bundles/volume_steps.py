"""Steps that prepare a volume: the parameters of each; what they do stands in `edge.preprocess`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag
from pydantic import model_validator as check_all

from edge.bundles.parts import Part, Share, Words

Modality = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,16}$")]
Axes = Annotated[str, AfterValidator(lambda letters: _check_axes(letters))]
Millimetres = Annotated[float, Field(ge=0.1, le=20)]
Voxels = Annotated[int, Field(ge=1, le=4096)]

BY_FORM: Final = Discriminator(lambda given: "list" if isinstance(given, list | tuple) else "number")
"""One number for all axes, or a list with one each; mistakes are told about the form that was meant."""

PLANES: Final = {"sagittal": "LR", "coronal": "AP", "axial": "SI"}
"""Slices of a kind lie behind each other along this axis of the patient."""


def _check_axes(letters: str) -> str:
    if sorted(next((n for n, pair in enumerate(PLANES.values()) if c in pair), -1) for c in letters) != [
        0,
        1,
        2,
    ]:
        raise ValueError("must be three letters, one each of L/R, A/P and S/I: where the axes run to")
    return letters


class When(Part):
    """Where a step applies; without it, everywhere."""

    modality: tuple[Modality, ...] = Field(
        default=(), description="The step is done for these only; none: for all."
    )
    role: tuple[Words, ...] = Field(
        default=(), description="The step is done for the channels of these roles only; none: for all."
    )

    @check_all(mode="after")
    def _limits_something(self) -> When:
        if not self.modality and not self.role:
            raise ValueError("must name a modality or a role")
        return self

    def holds(self, *, modality: str, role: str) -> bool:
        """Whether a step is done for a channel."""
        return (not self.modality or modality in self.modality) and (not self.role or role in self.role)


class Window(Part):
    """Clip intensities to a range."""

    step: Literal["window"]
    low: float = Field(description="Lowest value kept, in the volume's unit.")
    high: float = Field(description="Highest value kept, in the volume's unit.")
    when: When | None = None

    @check_all(mode="after")
    def _low_is_below_high(self) -> Window:
        _check_rising(self.low, self.high)
        return self


class Resample(Part):
    """Bring the axes to a spacing."""

    step: Literal["resample"]
    spacing_mm: Annotated[
        Annotated[Millimetres, Tag("number")]
        | Annotated[tuple[Millimetres | None, Millimetres | None, Millimetres | None], Tag("list")],
        BY_FORM,
    ] = Field(
        description="Edge of a voxel, in mm, 0.1 to 20; or three, for the axes of `orient`, null: as it is."
    )
    when: When | None = None


class Orient(Part):
    """Reorder and flip axes to the anatomical order that is nearest."""

    step: Literal["orient"]
    axes: Axes = Field(description="Where the first, second and third array axis run to: `RAS`, `SPL` …")
    when: When | None = None


class CropForeground(Part):
    """Leave out what lies around everything that is bright."""

    step: Literal["crop_foreground"]
    above: float = Field(default=0.0, description="What is brighter than this, in any channel, stays.")
    margin_voxels: int = Field(default=0, ge=0, le=256, description="So many voxels around it stay too.")
    when: When | None = None


class Fit(Part):
    """Resize the whole volume to a fixed shape."""

    step: Literal["fit"]
    shape_voxels: tuple[Voxels | None, Voxels | None, Voxels | None] = Field(
        description="Along the axes of `orient`; null: as many as there are."
    )
    when: When | None = None


class ScaleRange(Part):
    """Map one range of values to another, linearly."""

    step: Literal["scale_range"]
    low: float = Field(description="In the volume's unit; becomes `to_low`.")
    high: float = Field(description="In the volume's unit; becomes `to_high`.")
    to_low: float = Field(default=0.0, description="What `low` becomes.")
    to_high: float = Field(default=1.0, description="What `high` becomes.")
    clip: bool = Field(default=True, description="Whether values beyond become the nearest end.")
    when: When | None = None

    @check_all(mode="after")
    def _low_is_below_high(self) -> ScaleRange:
        _check_rising(self.low, self.high)
        _check_rising(self.to_low, self.to_high)
        return self


class ScalePercentiles(Part):
    """Map the range between two percentiles to another, linearly."""

    step: Literal["scale_percentiles"]
    low_percent: float = Field(ge=0, lt=100, description="Percentile that becomes `to_low`; 0: the minimum.")
    high_percent: float = Field(
        gt=0, le=100, description="Percentile that becomes `to_high`; 100: the maximum."
    )
    over: Literal["all", "nonzero"] = Field(default="all", description="Voxels that are counted.")
    to_low: float = Field(default=0.0, description="What the low percentile becomes.")
    to_high: float = Field(default=1.0, description="What the high percentile becomes.")
    clip: bool = Field(default=True, description="Whether values beyond become the nearest end.")
    when: When | None = None

    @check_all(mode="after")
    def _low_is_below_high(self) -> ScalePercentiles:
        _check_rising(self.low_percent, self.high_percent)
        _check_rising(self.to_low, self.to_high)
        return self


class ZScore(Part):
    """Subtract a mean and divide by a standard deviation: those of the volume, or given ones."""

    step: Literal["zscore"]
    over: Literal["all", "foreground", "nonzero"] | None = Field(
        default=None,
        description="Counted: all voxels; those above zero; those that are not zero (zeros stay).",
    )
    mean: float | None = Field(default=None, description="Instead of `over`: that of the training data.")
    std: float | None = Field(
        default=None, gt=0, description="Instead of `over`: standard deviation of the training data."
    )
    when: When | None = None

    @check_all(mode="after")
    def _knows_what_to_subtract(self) -> ZScore:
        given = (self.over is not None, self.mean is not None, self.std is not None)
        if given not in ((True, False, False), (False, True, True)):
            raise ValueError("wants either `over`, or both `mean` and `std`")
        return self


class Percentile(Part):
    """Scale so that a low percentile becomes 0 and a high one 1."""

    step: Literal["percentile"]
    low_percent: float = Field(ge=0, lt=50, description="Percentile of all voxels that becomes 0.")
    high_percent: float = Field(gt=50, le=100, description="Percentile of the foreground that becomes 1.")
    foreground_above: Share = Field(description="Foreground is above this share of the 99.99th percentile.")
    clip_high: float = Field(ge=1, le=10, description="Upper bound after scaling, 1 to 10; the lower is 0.")
    when: When | None = None


class N4(Part):
    """Even out slow changes of brightness (N4)."""

    step: Literal["n4"]
    shrink: int = Field(ge=1, le=8, description="Estimate on every n-th voxel, 1 to 8; 4 is 60 times faster.")
    iterations: tuple[Annotated[int, Field(ge=1, le=50)], ...] = Field(
        min_length=1, max_length=4, description="At most so many per level, 1 to 50 each."
    )
    when: When | None = None


Step = Annotated[
    Window
    | Resample
    | Orient
    | CropForeground
    | Fit
    | ScaleRange
    | ScalePercentiles
    | ZScore
    | Percentile
    | N4,
    Field(discriminator="step"),
]

MOVING: Final = (Resample, Orient, CropForeground, Fit)
"""Steps that change the grid: every channel has to go through them alike."""


def check_steps(steps: tuple[Step, ...], *, roles: tuple[str, ...]) -> None:
    """Refuse steps that do not go together.

    Args:
        steps: In their order.
        roles: Of the channels, in the network's order.

    Raises:
        ValueError: No or two `orient`, axes that nobody knows yet, or channels that would part.
    """
    oriented = [number for number, step in enumerate(steps) if isinstance(step, Orient)]
    if len(oriented) != 1:
        raise ValueError("preprocessing needs exactly one `orient`: the network has an anatomical order")
    for number, step in enumerate(steps):
        by_axis = isinstance(step, Fit) or (isinstance(step, Resample) and isinstance(step.spacing_mm, tuple))
        if by_axis and number < oriented[0]:
            raise ValueError(f"preprocessing.{number}: {step.step} by axis must come after `orient`")
        if step.when is None:
            continue
        if isinstance(step, MOVING) and (len(roles) > 1 or step.when.role):
            raise ValueError(f"preprocessing.{number}: {step.step} must be done for all channels alike")
        for role in set(step.when.role) - set(roles):
            raise ValueError(f"preprocessing.{number}: role {role!r} is not one of input.channels")


def _check_rising(low: float, high: float) -> None:
    if low >= high:
        raise ValueError(f"low {low:g} must be below high {high:g}")
