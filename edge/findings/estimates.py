"""What may be said about quantities read out of many spectra: their spread, where enough are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.bundles.spectra_regression import Quantity, SpectraOutput, SpectraPolicy
from edge.domain.answer import Estimates
from edge.domain.finding import Code, Measurement, Observation, Verdict

MEAN = Code("SCT", "373098007", "Mean")
PERCENTILES = {percent: Code("99EDGE", f"p{percent}", f"Percentile {percent}") for percent in (5, 50, 95)}


def judge(estimates: Estimates, policy: SpectraPolicy, output: SpectraOutput) -> Observation:
    """Read a model's answer about the spectra of one picture.

    Args:
        estimates: A row for each spectrum; NaN where the model does not know.
        policy: Of the bundle that gave them.
        output: Of the same bundle: what the quantities are.

    Returns:
        PRESENT with mean and percentiles over the spectra whose quantity is known, and with how many are not;
        or NOT_ASSESSED where they are too few. Never ABSENT: a quantity is not absent.
    """
    code = policy.looked_for.code()
    known = np.isfinite(estimates.values)
    shares = known.mean(axis=0) if len(known) else np.zeros(len(output.quantities))
    too_few = [
        f"{quantity.name} is known for {share:.0%} of {len(known)} spectra"
        for quantity, share in zip(output.quantities, shares, strict=True)
        if share < policy.valid_share_min or share == 0
    ]
    if too_few:
        reason = f"{'; '.join(too_few)}, wanted at least {policy.valid_share_min:.0%}"
        return Observation(code=code, verdict=Verdict.NOT_ASSESSED, reason=reason)
    measurements = [
        measurement
        for column, quantity in enumerate(output.quantities)
        for measurement in _spread(quantity, estimates.values[known[:, column], column])
    ]
    unknown = [
        f"{quantity.name} is not known for {1 - share:.1%} of the spectra"
        for quantity, share in zip(output.quantities, shares, strict=True)
        if share < 1
    ]
    return Observation(
        code=code, verdict=Verdict.PRESENT, measurements=tuple(measurements), reason="; ".join(unknown)
    )


def _spread(quantity: Quantity, values: NDArray[np.float32]) -> Iterator[Measurement]:
    of = quantity.code.code()
    yield Measurement(MEAN, float(values.mean(dtype=np.float64)), quantity.unit, of=of)
    for percent, code in PERCENTILES.items():
        yield Measurement(code, float(np.percentile(values, percent)), quantity.unit, of=of)
