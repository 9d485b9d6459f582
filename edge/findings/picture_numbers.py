"""What may be said about numbers of a whole picture: quantities in their range; a vector says nothing."""

from __future__ import annotations

import math

from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_outputs import LinearQuantity
from edge.bundles.picture_regression import PictureRegression
from edge.domain.answer import Estimates
from edge.domain.finding import Measurement, Observation, Verdict

NO_STATEMENT = "a vector of features says where a picture lies among others, not what it shows"


def judge(estimates: Estimates, manifest: PictureRegression) -> tuple[Observation, ...]:
    """Read the quantities of a picture.

    Args:
        estimates: One row; NaN where the number left its range.
        manifest: Of the bundle that gave them.

    Returns:
        For each quantity PRESENT with its number, or NOT_ASSESSED. Never ABSENT: a quantity is not absent.
    """
    row = estimates.values[0].tolist()
    return tuple(
        _quantity(quantity, value) for quantity, value in zip(manifest.output.quantities, row, strict=True)
    )


def _quantity(quantity: LinearQuantity, value: float) -> Observation:
    code = quantity.code.code()
    if not math.isfinite(value):
        reason = (
            f"the estimate is not between {quantity.value_min:g} and {quantity.value_max:g} {quantity.unit}"
        )
        return Observation(code=code, verdict=Verdict.NOT_ASSESSED, reason=reason, segment=quantity.name)
    return Observation(
        code=code,
        verdict=Verdict.PRESENT,
        measurements=(Measurement(code, value, quantity.unit),),
        segment=quantity.name,
    )


def judge_vector(manifest: PictureEmbedding) -> Observation:
    """Say that nothing can be said."""
    return Observation(
        code=manifest.policy.looked_for.code(), verdict=Verdict.NOT_ASSESSED, reason=NO_STATEMENT
    )
