"""A still picture with what a model saw in it: boxes, outlines of masks, points, and what was said."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cli.overlay import FAINT, INK, PALETTE, PAPER
from edge.cli.rows import number
from edge.domain.answer import PictureMask
from edge.domain.finding import Observation

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

SIDE_MIN_PX, SIDE_MAX_PX = 560, 1400  # of the longer side of the picture as it is drawn
HEADER_PX = 84
MARGIN_PX = 28
ROW_PX = 24
TEXT_PX = 15
FILL_SHARE = 0.28
LABELLED_MAX = 60  # with more boxes than this their words would hide the picture
LINES_MAX = 24
_LABEL_ROOM_PX = TEXT_PX + 6


def draw(
    rgb: Picture,
    *,
    title: str,
    observations: Sequence[Observation] = (),
    mask: PictureMask | None = None,
    lines: Sequence[str] = (),
) -> Picture:
    """Draw a picture with what was said about it.

    Args:
        rgb: (height, width, 3): what was looked at.
        title: Stands above: the pipeline and its verdicts; never a patient.
        observations: Those with a place are drawn, the others are written below.
        mask: Is laid over the picture, each thing with its outline.
        lines: What else to say.

    Returns:
        (height, width, 3) RGB.
    """
    factor = _factor(rgb.shape[:2])
    size = max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor))
    panel = _sized(rgb, size)
    if mask is not None:
        panel = _marked(panel, mask, size)
    placed = [one for one in observations if one.box_px is not None]
    colours = _colours(observations, mask)
    if mask is None or len(placed) <= LABELLED_MAX:
        for one in reversed(placed):  # the surest last, so that it is on top
            panel = _boxed(panel, one, factor, colours[one.segment], has_words=len(placed) <= LABELLED_MAX)
    for one in observations:
        panel = _pointed(panel, one, factor, colours[one.segment])
    told = [_told(one) for one in observations if one.box_px is None]
    return _page(panel, title, f"{rgb.shape[1]} × {rgb.shape[0]} px", [*told, *lines])


def _factor(shape_px: tuple[int, ...]) -> float:
    """Return how much larger the picture is drawn: small ones several times, large ones less."""
    longest = max(shape_px)
    if longest < SIDE_MIN_PX:
        return float(-(-SIDE_MIN_PX // longest))
    return min(1.0, SIDE_MAX_PX / longest)


def _sized(picture: Picture, size: tuple[int, int]) -> Picture:
    is_larger = size[0] > picture.shape[1]
    how = cv2.INTER_NEAREST if is_larger else cv2.INTER_AREA
    return np.array(cv2.resize(picture, size, interpolation=how), np.uint8)


def _colours(observations: Sequence[Observation], mask: PictureMask | None) -> dict[str, Colour]:
    """Give each kind of thing its colour; those of a mask that of their label."""
    names = mask.names if mask is not None else ()
    segments = dict.fromkeys((*names, *(one.segment for one in observations if one.segment)))
    colours = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(segments)}
    return {**colours, "": PALETTE[0]}


def _marked(panel: Picture, mask: PictureMask, size: tuple[int, int]) -> Picture:
    """Lay labels over the picture, and draw a line where one thing ends."""
    labels = cv2.resize(mask.labels, size, interpolation=cv2.INTER_NEAREST)
    things = cv2.resize(mask.things.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    table = np.array([PAPER, *(PALETTE[place % len(PALETTE)] for place in range(255))], np.float32)
    inside = labels > 0
    drawn = panel.astype(np.float32)
    drawn[inside] = drawn[inside] * (1 - FILL_SHARE) + table[labels[inside]] * FILL_SHARE
    border = inside & (cv2.erode(things, np.ones((3, 3))) != cv2.dilate(things, np.ones((3, 3))))
    drawn[border] = table[labels[border]]
    return np.asarray(drawn.round(), np.uint8)


def _boxed(panel: Picture, one: Observation, factor: float, colour: Colour, *, has_words: bool) -> Picture:
    assert one.box_px is not None, "asked for with a box only"
    left, top, wide, high = (side * factor for side in one.box_px)
    start, end = (round(left), round(top)), (round(left + wide) - 1, round(top + high) - 1)
    if not one.outline_px:
        cv2.rectangle(panel, start, end, colour, 2)
    if not has_words:
        return panel
    words = one.segment or one.code.meaning
    words += "" if one.score is None else f" {one.score:.2f}"
    room = min(max(start[0], 2), max(2, panel.shape[1] - 8 * len(words)))
    above = start[1] - 6
    base = above if above >= TEXT_PX else min(end[1] + _LABEL_ROOM_PX, panel.shape[0] - 4)
    return _legible(panel, words, (room, base), colour)


def _pointed(panel: Picture, one: Observation, factor: float, colour: Colour) -> Picture:
    for point in one.points:
        place = round(point.x_px * factor - 0.5), round(point.y_px * factor - 0.5)
        cv2.circle(panel, place, 5, PAPER, -1, cv2.LINE_AA)
        cv2.circle(panel, place, 4, colour, -1, cv2.LINE_AA)
        if one.box_px is None:
            panel = _legible(panel, point.name, (place[0] + 8, place[1] + 5), colour)
    return panel


def _told(one: Observation) -> str:
    """Say an observation in one line: name, verdict, score, numbers, reason."""
    name = one.segment or one.code.meaning
    score = "" if one.score is None else f" {one.score:.2f}"
    numbers = ", ".join(
        f"{(each.of or each.code).meaning} {number(each.value)} {each.unit}".removesuffix(" 1")
        for each in one.measurements
    )
    return "; ".join(part for part in (f"{name}: {one.verdict.value}{score}", numbers, one.reason) if part)


def _page(panel: Picture, title: str, subtitle: str, lines: Sequence[str]) -> Picture:
    width = max(panel.shape[1] + 2 * MARGIN_PX, SIDE_MIN_PX)
    said = [part for line in lines for part in textwrap.wrap(line, width // 8)]
    if len(said) > LINES_MAX:
        said = [*said[: LINES_MAX - 1], f"… and {len(said) - LINES_MAX + 1} lines more"]
    below = HEADER_PX + panel.shape[0] + MARGIN_PX
    page = np.full((below + (len(said) + 1) * ROW_PX + MARGIN_PX // 2, width, 3), PAPER, np.uint8)
    page = _write(page, title, (MARGIN_PX, 40), INK, size_px=24, weight=600)
    page = _write(page, subtitle, (MARGIN_PX, 66), FAINT, size_px=TEXT_PX)
    page[HEADER_PX : HEADER_PX + panel.shape[0], MARGIN_PX : MARGIN_PX + panel.shape[1]] = panel
    for row, line in enumerate(said):
        page = _write(page, line, (MARGIN_PX, below + row * ROW_PX), INK, size_px=14)
    base = below + len(said) * ROW_PX
    return _write(page, "research use, not a medical device", (MARGIN_PX, base), FAINT, size_px=13)


def _legible(panel: Picture, text: str, place: tuple[int, int], colour: Colour) -> Picture:
    """Write on the picture so that it can be read on any colour."""
    for shift in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        shifted = place[0] + shift[0], place[1] + shift[1]
        panel = _write(panel, text, shifted, PAPER, size_px=TEXT_PX, weight=600)
    return _write(panel, text, place, colour, size_px=TEXT_PX, weight=600)


def _write(
    page: Picture, text: str, place: tuple[int, int], colour: Colour, *, size_px: int, weight: int = 400
) -> Picture:
    """Write text with its base line's left end at `place`."""
    cv2.putText(page, text, place, colour, cv2.FontFace("sans"), size_px, weight)
    return page
