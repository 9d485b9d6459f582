"""What may be said about a mask: how much of the picture each label takes, and where its things are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edge.bundles.picture_policies import AreaFinding
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.domain.answer import PictureMask
from edge.domain.finding import Code, Measurement, Observation, Verdict
from edge.findings.picture_things import MAY_MISS
from edge.findings.thermal import AREA, COUNT

IsPresent = Callable[[Code, str], bool]
AREA_SHARE = Code("99EDGE", "area-share", "Share of the picture's area")
OUTLINE_CORNERS_MAX = 64  # of one thing: a finding is no place for a mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing of a mask.

    Attributes:
        number: Of it in the mask's `things`.
        label: Which of the names, from 1 on.
        area_px: Its pixels.
        box_px: Left, top, width, height.
    """

    number: int
    label: int
    area_px: int
    box_px: tuple[float, float, float, float]


def judge(
    mask: PictureMask, manifest: PictureSegmentation, *, is_present: IsPresent
) -> tuple[Observation, ...]:
    """Read the mask of a picture.

    Args:
        mask: By the model.
        manifest: Of its bundle.
        is_present: Whether a label stands as PRESENT: then a smaller area is enough.

    Returns:
        For each label that is judged whether it is there, with its area and how many things have it; then the
        things of those that are, each with its box and outline, the largest first, up to as many as the
        policy wants said one by one.
    """
    policy = manifest.policy
    codes = {one.name: one.code.code() for one in manifest.output.labels}
    everything = things_of(mask)
    statements, told = [], []
    for finding in policy.findings:
        label = mask.names.index(finding.name) + 1
        mine = [one for one in everything if one.label == label]
        said = _statement(
            finding,
            codes[finding.name],
            area_px=int(np.count_nonzero(mask.labels == label)),
            picture_px=mask.labels.size,
            things=len(mine),
            is_present=is_present,
            nothing_found=Verdict(policy.nothing_found),
        )
        statements.append(said)
        told += mine if said.verdict is Verdict.PRESENT else []
    told.sort(key=lambda one: -one.area_px)
    left_out = Counter(mask.names[one.label - 1] for one in told[policy.things_said_max :])
    each = _things(mask, told[: policy.things_said_max], codes)
    more = "more " if policy.things_said_max else ""
    return (*(_with_rest(one, left_out[one.segment], more) for one in statements), *each)


def _with_rest(statement: Observation, count: int, more: str) -> Observation:
    return replace(statement, reason=f"{count} {more}are not told one by one") if count else statement


def _statement(
    finding: AreaFinding,
    code: Code,
    *,
    area_px: int,
    picture_px: int,
    things: int,
    is_present: IsPresent,
    nothing_found: Verdict,
) -> Observation:
    share = area_px / picture_px
    wanted = finding.stay_area_min if is_present(code, finding.name) else finding.enter_area_min
    verdict = Verdict.PRESENT if area_px and share >= wanted else nothing_found
    if verdict is Verdict.NOT_ASSESSED:
        return Observation(code=code, verdict=verdict, reason=MAY_MISS, segment=finding.name)
    measurements = (
        Measurement(AREA, float(area_px), "{pixel}"),
        Measurement(AREA_SHARE, 100 * share, "%"),
        Measurement(COUNT, float(things), "1"),
    )
    return Observation(code=code, verdict=verdict, measurements=measurements, segment=finding.name)


def _things(mask: PictureMask, told: Sequence[Thing], codes: dict[str, Code]) -> Iterator[Observation]:
    for one in told:
        name = mask.names[one.label - 1]
        yield Observation(
            code=codes[name],
            verdict=Verdict.PRESENT,
            measurements=(Measurement(AREA, float(one.area_px), "{pixel}"),),
            segment=name,
            box_px=one.box_px,
            outline_px=outline(mask, one),
        )


def things_of(mask: PictureMask) -> tuple[Thing, ...]:
    """List the things of a mask by their numbers; a Python loop over things, none over pixels."""
    found = enumerate(ndimage.find_objects(mask.things), start=1)
    return tuple(_thing(mask, number, (place[0], place[1])) for number, place in found if place is not None)


def _thing(mask: PictureMask, number: int, place: tuple[slice, slice]) -> Thing:
    rows, columns = place
    part = mask.things[place] == number
    return Thing(
        number=number,
        label=int(mask.labels[place].ravel()[part.argmax()]),
        area_px=int(np.count_nonzero(part)),
        box_px=(
            float(columns.start),
            float(rows.start),
            float(columns.stop - columns.start),
            float(rows.stop - rows.start),
        ),
    )


def outline(mask: PictureMask, thing: Thing) -> tuple[tuple[float, float], ...]:
    """Return the corners of a thing's outer border, of its largest piece, along the edges of its pixels.

    Returns:
        x and y of each in pixels of the picture; fewer than the border has where it has more than
        `OUTLINE_CORNERS_MAX`, and then up to some pixels beside it.
    """
    left, top, wide, high = (int(side) for side in thing.box_px)
    part = mask.things[top : top + high, left : left + wide] == thing.number
    # Twice as large, with a frame: so the border runs along the edges of pixels, not through their middles.
    framed = np.zeros((2 * high + 3, 2 * wide + 3), np.uint8)
    framed[1 : 2 * high + 2, 1 : 2 * wide + 2] = _grown(part)
    borders, _ = cv2.findContours(framed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    border = max(borders, key=cv2.contourArea)
    tolerance = 0.5
    corners = border
    while len(corners) > OUTLINE_CORNERS_MAX:
        tolerance *= 1.5
        corners = cv2.approxPolyDP(border, tolerance, True)
    places = (corners[:, 0, :].astype(np.float64) - 1) / 2 + (left, top)
    return tuple((float(x), float(y)) for x, y in places)


def _grown(part: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the corners and edges of pixels: (2 h + 1, 2 w + 1), 1 where a pixel touches."""
    high, wide = part.shape
    grown = np.zeros((2 * high + 1, 2 * wide + 1), np.uint8)
    for row in (0, 1, 2):
        for column in (0, 1, 2):
            rows, columns = slice(row, row + 2 * high - 1, 2), slice(column, column + 2 * wide - 1, 2)
            grown[rows, columns] |= part
    return grown
