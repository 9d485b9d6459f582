"""What is said of each connected piece of a segmentation: how large it is, and where in the patient."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge.bundles.volume_policy import Components
from edge.domain.finding import Code, Measurement, Observation, Verdict
from edge.domain.image import Piece, Pieces

VOLUME = Code("SCT", "118565006", "Volume")
LONG_AXIS = Code("SCT", "103339001", "Long axis")  # across the piece within one slice
DIAMETER = Code("SCT", "81827009", "Diameter")  # of the ball that has its volume
# DICOM has "Center" (DCM 111010) for the point itself, and no concept for one of its coordinates.
CENTRE = tuple(
    Code("99EDGE", f"centre-{axis}", f"Centre, {words} (LPS)")
    for axis, words in (("x", "to the left"), ("y", "to the back"), ("z", "to the head"))
)


def tell_pieces(pieces: Pieces, wanted: Components) -> Iterator[Observation]:
    """Say what each piece measures; what is more than may be told one by one is summed.

    Args:
        pieces: As they were measured, the largest first.
        wanted: Of the policy.

    Yields:
        PRESENT for each piece: volume, longest line within a slice, diameter of a ball of that volume, and
        the centre in the patient; without any of it where the field of view may cut the piece.
    """
    code = wanted.code.code()
    count = len(pieces.largest) + pieces.others
    for number, piece in enumerate(pieces.largest, start=1):
        cut = "reaches the edge of the field of view: size and centre not assessed"
        yield Observation(
            code=code,
            verdict=Verdict.PRESENT,
            measurements=() if piece.is_cut else _measurements(piece),
            reason=cut if piece.is_cut else "",
            segment=f"piece {number} of {count}",
        )
    if pieces.others:
        least = len(pieces.largest) + 1
        yield Observation(
            code=code,
            verdict=Verdict.PRESENT,
            measurements=(Measurement(VOLUME, pieces.others_ml, "mL"),),
            reason=f"{pieces.others} more, smaller, not told one by one: their volume is summed",
            segment=f"pieces {least} to {count} of {count}",
        )


def _measurements(piece: Piece) -> tuple[Measurement, ...]:
    ball_mm = (6000 * piece.volume_ml / math.pi) ** (1 / 3)
    places = zip(CENTRE, piece.centroid_mm, strict=True)
    return (
        Measurement(VOLUME, piece.volume_ml, "mL"),
        Measurement(LONG_AXIS, piece.diameter_mm, "mm"),
        Measurement(DIAMETER, ball_mm, "mm"),
        *(Measurement(code, place_mm, "mm") for code, place_mm in places),
    )
