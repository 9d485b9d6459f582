"""What is asked of a spectrum: which peaks, how they are found, and how good it has to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge.domain.errors import ConfigurationError
from edge.preprocess.baseline import Baseline
from edge.preprocess.peaks import PeakRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPeak:
    """A peak that a site wants to hear of, there or not.

    Attributes:
        name: What it stands for: `phenylalanine`. Unique among those of a policy.
        position: In units of the axis.
        window: It may lie so far to either side, more than 0.
        height_share_min: Of the highest peak, 0 to 1: lower than this it does not count. None: whatever is
            above the limit of detection counts.
    """

    name: str
    position: float
    window: float
    height_share_min: float | None = None

    def __post_init__(self) -> None:
        """Refuse what has no place.

        Raises:
            ConfigurationError: The window is empty.
        """
        if not self.window > 0:
            raise ConfigurationError(f"expected peak {self.name}: window {self.window}, wanted more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumPolicy:
    """What a pipeline for spectra says.

    Attributes:
        axis_unit: In which positions and widths are meant.
        kind: What is looked at; None: whatever comes.
        baseline: How the baseline is found.
        peaks: What counts as a peak.
        expected: Peaks that are told of, there or not.
        remove_spikes: Whether to take cosmic rays out; meant for Raman.
        snr_min: Highest value above the baseline over noise, 3 to 10 000: with less nothing is said of peaks.
        sigmas_min: A peak counts when its height is so many of its own uncertainties, 2 to 100.
        peaks_told_max: The highest ones are told, 1 to 100.
    """

    axis_unit: Literal["nm", "cm-1"] = "cm-1"
    kind: Literal["infrared", "raman", "reflectance"] | None = None
    baseline: Baseline = field(default_factory=Baseline)
    peaks: PeakRules = field(default_factory=PeakRules)
    expected: tuple[ExpectedPeak, ...] = ()
    remove_spikes: bool = True
    snr_min: float = 10.0
    sigmas_min: float = 5.0
    peaks_told_max: int = 16

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigurationError: Two expected peaks have one name.
        """
        names = [peak.name for peak in self.expected]
        if len(names) != len(set(names)):
            raise ConfigurationError(f"expected peaks {names}, wanted each with a name of its own")
