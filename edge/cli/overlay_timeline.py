"""A picture of a video over time, without the video: the score, its limits, and what was said when."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cli.overlay import FAINT, INK, PALETTE, PAPER, Colour, Picture
from edge.domain.finding import Verdict

WIDTH_PX = 1200
PLOT_PX = 240
BAR_PX = 34
AXIS_PX = 64
MARGIN_PX = 28
HEADER_PX = 90
ROW_PX = 26
GRID: Colour = (40, 46, 53)
LIMIT: Colour = (120, 128, 136)
COLOURS: dict[Verdict, Colour] = {
    Verdict.PRESENT: (0, 190, 140),
    Verdict.ABSENT: (86, 180, 233),
    Verdict.NOT_ASSESSED: (230, 120, 60),
}
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
_TICKS_MAX = 12
_LABEL_PX = 110


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame that was assessed.

    Attributes:
        at_s: Into the recording.
        score: 0 to 1, or None.
    """

    at_s: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """What was said from when to when.

    Attributes:
        begin_s: Into the recording.
        end_s: The same.
        verdict: What it is.
    """

    begin_s: float
    end_s: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Still:
    """A small picture of the video, where the operator asked for it.

    Attributes:
        at_s: Into the recording.
        verdict: What began there.
        rgb: (height, width, 3).
    """

    at_s: float
    verdict: Verdict
    rgb: NDArray[np.uint8]


def draw(
    moments: Sequence[Moment],
    spans: Sequence[Span],
    *,
    title: str,
    subtitle: str,
    length_s: float,
    limits: Sequence[float] = (),
    stills: Sequence[Still] = (),
    lines: Sequence[str] = (),
) -> Picture:
    """Draw what was said of a video over its time.

    Args:
        moments: Every frame that was assessed, in order.
        spans: Every event.
        title: Stands above: the pipeline and what it says; never a patient.
        subtitle: Below it: how much was looked at.
        length_s: Of the video.
        limits: Scores at which the verdict changes, 0 to 1.
        stills: () where no frame may be shown.
        lines: What else to say, below.

    Returns:
        (height, width, 3) RGB.
    """
    said = [_shares(spans), *(part for line in lines for part in textwrap.wrap(line, WIDTH_PX // 8))]
    across = max(1, (WIDTH_PX - 2 * MARGIN_PX) // (stills[0].rgb.shape[1] + 12)) if stills else 1
    still_px = max((one.rgb.shape[0] for one in stills), default=0) + ROW_PX if stills else 0
    plot_end = HEADER_PX + PLOT_PX + BAR_PX + 44
    below = plot_end + -(-len(stills) // across) * still_px + MARGIN_PX
    height = below + (len(said) + 1) * ROW_PX
    page = np.full((height, WIDTH_PX, 3), PAPER, np.uint8)
    page = _write(page, title, (MARGIN_PX, 42), INK, size_px=24, weight=600)
    page = _write(page, subtitle, (MARGIN_PX, 68), FAINT, size_px=15)
    track = _Track(max(length_s, 1e-3))
    page = _grid(page, track, limits)
    _curve(page, track, moments)
    page = _bars(page, track, spans)
    for number, still in enumerate(stills):
        row, column = divmod(number, across)
        corner = (MARGIN_PX + column * (still.rgb.shape[1] + 12), plot_end + row * still_px)
        page = _pasted(page, still, corner)
    for line in said:
        page = _write(page, line, (MARGIN_PX, below), INK, size_px=15)
        below += ROW_PX
    return _write(page, "research use, not a medical device", (MARGIN_PX, below), FAINT, size_px=13)


class _Track:
    """Where on the page a time and a score are."""

    def __init__(self, length_s: float) -> None:
        self.length_s = length_s
        self.left, self.width = AXIS_PX, WIDTH_PX - AXIS_PX - MARGIN_PX

    def x(self, at_s: float) -> int:
        """Return the column of a time."""
        return self.left + round(min(max(at_s / self.length_s, 0.0), 1.0) * (self.width - 1))

    def y(self, score: float) -> int:
        """Return the row of a score."""
        return HEADER_PX + round((1 - min(max(score, 0.0), 1.0)) * (PLOT_PX - 1))


def _grid(page: Picture, track: _Track, limits: Sequence[float]) -> Picture:
    bottom = HEADER_PX + PLOT_PX + BAR_PX + 8
    step_s = next((step for step in _STEPS_S if track.length_s / step <= _TICKS_MAX), _STEPS_S[-1])
    for number in range(int(track.length_s / step_s) + 1):
        column = track.x(number * step_s)
        cv2.line(page, (column, HEADER_PX), (column, bottom), GRID, 1)
        page = _write(page, _clock(number * step_s, step_s), (column - 12, bottom + 18), FAINT, size_px=13)
    for score in (0.0, 0.5, 1.0):
        cv2.line(page, (track.left, track.y(score)), (track.left + track.width, track.y(score)), GRID, 1)
        page = _write(page, f"{score:g}", (MARGIN_PX, track.y(score) + 5), FAINT, size_px=13)
    for limit in dict.fromkeys(limits):
        for column in range(track.left, track.left + track.width - 6, 14):
            cv2.line(page, (column, track.y(limit)), (column + 6, track.y(limit)), LIMIT, 1)
        place = (track.left + track.width - 34, track.y(limit) - 2)  # not among the numbers of the axis
        page = _write(page, f"{limit:g}", place, LIMIT, size_px=11)
    return page


def _curve(page: Picture, track: _Track, moments: Sequence[Moment]) -> None:
    """Draw the score; where several frames share a column, from the lowest to the highest of them."""
    spread: dict[int, tuple[float, float]] = {}
    for one in moments:
        if one.score is None:
            continue
        column = track.x(one.at_s)
        low, high = spread.get(column, (one.score, one.score))
        spread[column] = min(low, one.score), max(high, one.score)
    points = [(column, track.y((low + high) / 2)) for column, (low, high) in spread.items()]
    for column, (low, high) in spread.items():
        cv2.line(page, (column, track.y(low)), (column, track.y(high)), PALETTE[1], 1)
    if len(points) == 1:
        cv2.circle(page, points[0], 3, PALETTE[1], -1, cv2.LINE_AA)
    cv2.polylines(page, [np.array(points, np.int32).reshape(-1, 1, 2)], False, PALETTE[1], 1, cv2.LINE_AA)


def _bars(page: Picture, track: _Track, spans: Sequence[Span]) -> Picture:
    """Draw what was said, below the score."""
    top = HEADER_PX + PLOT_PX + 8
    for one in spans:
        left, right = track.x(one.begin_s), max(track.x(one.end_s), track.x(one.begin_s) + 2)
        cv2.rectangle(page, (left, top), (right - 1, top + BAR_PX - 8), COLOURS[one.verdict], -1)
        if right - left > _LABEL_PX:
            page = _write(page, one.verdict.value, (left + 8, top + 18), PAPER, size_px=13, weight=600)
    return page


def _pasted(page: Picture, still: Still, corner: tuple[int, int]) -> Picture:
    left, top = corner
    height, width = still.rgb.shape[:2]
    page[top : top + height, left : left + width] = still.rgb
    cv2.rectangle(page, (left, top), (left + width - 1, top + height - 1), COLOURS[still.verdict], 2)
    text = f"{still.at_s:.1f} s: {still.verdict.value}"
    return _write(page, text, (left, top + height + 18), FAINT, size_px=13)


def _shares(spans: Sequence[Span]) -> str:
    """Say for how long each verdict stood, and how often."""
    parts = []
    for verdict in COLOURS:
        mine = [one for one in spans if one.verdict is verdict]
        if mine:
            lasted_s = sum(one.end_s - one.begin_s for one in mine)
            parts.append(f"{verdict.value} {lasted_s:.1f} s in {len(mine)} event{'s' * (len(mine) > 1)}")
    return "; ".join(parts) or "nothing was said"


def _clock(at_s: float, step_s: float) -> str:
    if step_s < 1:
        return f"{at_s:.1f} s"
    minutes, seconds = divmod(round(at_s), 60)
    return f"{minutes}:{seconds:02d}" if minutes or step_s >= 60 else f"{seconds} s"


def _write(
    page: Picture, text: str, place: tuple[int, int], colour: Colour, *, size_px: int, weight: int = 400
) -> Picture:
    cv2.putText(page, text, place, colour, cv2.FontFace("sans"), size_px, weight)
    return page
