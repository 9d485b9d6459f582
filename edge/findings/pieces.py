"""What is said of each connected piece of a segmentation: how large it is, and where in the patient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from edge.bundles.volume_policy import Components, Sensitivity, SizeClasses
from edge.domain.finding import Code, Measurement, Observation, Verdict
from edge.domain.image import Piece, Pieces

VOLUME = Code("SCT", "118565006", "Volume")
LONG_AXIS = Code("SCT", "103339001", "Long axis")  # across the piece within one slice
DIAMETER = Code("SCT", "81827009", "Diameter")  # of the ball that has its volume
SPACING_SLACK_MM = 0.005  # 1.5 mm may come as 1.5000001
# DICOM has "Center" (DCM 111010) for the point itself, and no concept for one of its coordinates.
CENTRE = tuple(
    Code("99EDGE", f"centre-{axis}", f"Centre, {words} (LPS)")
    for axis, words in (("x", "to the left"), ("y", "to the back"), ("z", "to the head"))
)


def tell_pieces(pieces: Pieces, wanted: Components, *, spacing_mm: float) -> Iterator[Observation]:
    """Say what each piece measures; what is more than may be told one by one is summed.

    Args:
        pieces: As they were measured, the largest first.
        wanted: Of the policy.
        spacing_mm: Of the series: the largest distance of neighbouring voxels along an axis.

    Yields:
        PRESENT for each piece: volume, longest line within a slice, diameter of a ball of that volume, and
        the centre in the patient; without any of it where the field of view may cut the piece. After it the
        piece's class of size, where the policy has some. Where there is no piece, what that means.
    """
    code = wanted.code.code()
    count = len(pieces.largest) + pieces.others
    if not count:
        yield tell_nothing(code, wanted.nothing_marked, wanted.sensitivity)
    for number, piece in enumerate(pieces.largest, start=1):
        cut = "reaches the edge of the field of view: size and centre not assessed"
        yield Observation(
            code=code,
            verdict=Verdict.PRESENT,
            measurements=() if piece.is_cut else _measurements(piece),
            reason=cut if piece.is_cut else "",
            segment=f"piece {number} of {count}",
        )
        if wanted.sizes:
            yield _size(piece, wanted.sizes, spacing_mm, segment=f"piece {number} of {count}")
    if pieces.others:
        least = len(pieces.largest) + 1
        yield Observation(
            code=code,
            verdict=Verdict.PRESENT,
            measurements=(Measurement(VOLUME, pieces.others_ml, "mL"),),
            reason=f"{pieces.others} more, smaller, not told one by one: their volume is summed",
            segment=f"pieces {least} to {count} of {count}",
        )


def tell_nothing(
    code: Code, means: Literal["NOT_ASSESSED", "ABSENT"], sensitivity: Sensitivity | None
) -> Observation:
    """Say that nothing is marked, and what that is worth."""
    if means == "ABSENT" and sensitivity:
        share, data = sensitivity.value, sensitivity.data
        reason = f"nothing marked in the field of view; the network finds {share:.0%} of {data}"
        return Observation(code=code, verdict=Verdict.ABSENT, reason=reason)
    return Observation(code=code, verdict=Verdict.NOT_ASSESSED, reason=f"no {code.meaning} recognised")


def _size(piece: Piece, sizes: SizeClasses, spacing_mm: float, *, segment: str) -> Observation:
    """Say into which class a piece falls, or why that cannot be told."""
    code, reason = sizes.code.code(), ""
    if spacing_mm > sizes.spacing_max_mm + SPACING_SLACK_MM:
        reason = f"voxels {spacing_mm:.2f} mm apart, wanted at most {sizes.spacing_max_mm:g} mm"
    if piece.is_cut:
        reason = "reaches the edge of the field of view"
    if reason:
        return Observation(code=code, verdict=Verdict.NOT_ASSESSED, reason=reason, segment=segment)
    size_mm = _ball_mm(piece) if sizes.diameter == "ball" else piece.diameter_mm
    own = [one for one in sizes.classes if one.from_mm <= size_mm][-1]
    return Observation(code=own.code.code(), verdict=Verdict.PRESENT, segment=segment)


def _ball_mm(piece: Piece) -> float:
    """Return the diameter of the ball that has the piece's volume."""
    return float((6000 * piece.volume_ml / math.pi) ** (1 / 3))


def _measurements(piece: Piece) -> tuple[Measurement, ...]:
    places = zip(CENTRE, piece.centroid_mm, strict=True)
    return (
        Measurement(VOLUME, piece.volume_ml, "mL"),
        Measurement(LONG_AXIS, piece.diameter_mm, "mm"),
        Measurement(DIAMETER, _ball_mm(piece), "mm"),
        *(Measurement(code, place_mm, "mm") for code, place_mm in places),
    )
