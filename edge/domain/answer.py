"""What models answer that is no segmentation: scores of classes, and estimated quantities."""

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
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)

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
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: NDArray[np.float32]
    latency_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.values.ndim == 2, "a row for each spectrum"
        assert self.values.shape[1] == len(self.names) == len(self.units), "each quantity has name and unit"
        self.values.flags.writeable = False
