"""Who computes baselines and peak fits: our own code, or rampy where a site has it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import ConfigurationError
from edge.domain.spectral import Spectrum
from edge.preprocess import baseline, peaks, spectrum_rampy
from edge.preprocess.baseline import Baseline
from edge.preprocess.peaks import FitsGroup


@dataclass(frozen=True, slots=True)
class Backend:
    """What does the work.

    Attributes:
        name: `own` or `rampy`.
        baseline: Finds what lies under the peaks.
        fit_group: Fits peaks that lie together.
    """

    name: Literal["own", "rampy"]
    baseline: Callable[[Spectrum, Baseline], NDArray[np.float64]]
    fit_group: FitsGroup


OWN = Backend("own", baseline.baseline, peaks.fit_own)


def backend(name: Literal["own", "rampy"]) -> Backend:
    """Return what a site asks for; rampy itself is imported when the first spectrum comes.

    Raises:
        ConfigurationError: rampy is not installed.
    """
    if name == "own":
        return OWN
    if importlib.util.find_spec("rampy") is None:
        raise ConfigurationError("rampy is not installed, wanted for spectra: pip install edge[raman]")
    return Backend("rampy", spectrum_rampy.baseline, spectrum_rampy.fit_group)
