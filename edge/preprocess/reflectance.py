"""Steps for reflectance spectra on their way into a network: a row for each spectrum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.spectra_regression import SpectraStep

Spectra = NDArray[np.float32]


def log(spectra: Spectra, *, floor: float) -> Spectra:
    """Take the natural logarithm of (spectra, bands); values below `floor` count as `floor`."""
    return np.asarray(np.log(np.maximum(spectra, np.float32(floor))), np.float32)


def snv(spectra: Spectra) -> Spectra:
    """Bring each row of (spectra, bands) to mean 0 and standard deviation 1; one without contrast is NaN."""
    centred: Spectra = spectra - spectra.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    out = np.full_like(centred, np.nan)
    np.divide(centred, spread, out=out, where=spread > 0)
    return out


STEPS: Final[Mapping[str, Callable[..., Spectra]]] = {"log": log, "snv": snv}


def prepare(spectra: Spectra, steps: Sequence[SpectraStep]) -> Spectra:
    """Do the steps of a manifest, in order; a spectrum that a step cannot work on becomes NaN."""
    for step in steps:
        spectra = STEPS[step.step](spectra, **step.model_dump(exclude={"step"}))
    return spectra
