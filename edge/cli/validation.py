"""What a site's labelled frames say about a bundle that tells inside from outside: numbers, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.cli.labelled_frames import Label

Z_95 = 1.959964  # of the normal distribution, for a two-sided interval of 95 %
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
FRAMES_MIN = 50
RECORDINGS_MIN = 3
RATIO_MAX = 20.0
INSIDE_RATE_MIN = 0.5
WORST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One labelled frame and what the network said.

    Attributes:
        name: Of the frame.
        file: That it is from; frames of one file are alike.
        label: What the site says.
        score: How sure the network is of `inside`, 0 to 1.
    """

    name: str
    file: str
    label: Label
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many of so many.

    Attributes:
        count: That were called inside.
        total: That there were.
    """

    count: int
    total: int

    @property
    def share(self) -> float:
        """0 to 1; 0 where there were none."""
        return self.count / self.total if self.total else 0.0

    @property
    def upper(self) -> float:
        """Upper end of the 95 % Wilson interval."""
        return wilson_upper(self.count, self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a threshold would do.

    Attributes:
        score_min: From here on a frame is called inside.
        outside: Frames from outside that are called inside: each is a breach.
        inside: Frames from inside that are called inside: what is of use.
    """

    score_min: float
    outside: Rate
    inside: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is said to the site.

    Attributes:
        entering: At the score that opens the gate.
        staying: At the score that keeps it open: the worst that the gate can do for long.
        outside_files: Files from outside with at least one frame at or above the score to stay.
        table: Thresholds, ascending.
        auc: Chance that a frame from inside scores higher than one from outside.
        worst_outside: Names and scores, highest first.
        worst_inside: Names and scores, lowest first.
        rate_max: What the site wants to claim.
        frames_needed: From outside, for that claim, if no further frame is called inside.
        objections: Why it must not be declared; empty where it may be.
    """

    entering: Point
    staying: Point
    outside_files: Rate
    table: tuple[Point, ...]
    auc: float
    worst_outside: tuple[Judged, ...]
    worst_inside: tuple[Judged, ...]
    rate_max: float
    frames_needed: int
    objections: tuple[str, ...]


def wilson_upper(count: int, total: int) -> float:
    """Upper end of the 95 % interval for a share (Wilson 1927); 1 where nothing was counted."""
    if total == 0:
        return 1.0
    share, z2 = count / total, Z_95**2
    middle = share + z2 / (2 * total)
    spread = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return min(1.0, (middle + spread) / (1 + z2 / total))


def frames_needed(count: int, rate_max: float) -> int:
    """How many frames bring the upper bound down to a rate, if `count` of them are called inside."""
    high = max(1, math.ceil(count / rate_max))
    while wilson_upper(count, high) > rate_max:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if wilson_upper(count, middle) <= rate_max else (middle, high)
    return high


def judge(frames: Sequence[Judged], *, enter: float, stay: float, rate_max: float) -> Report:
    """Count, and say whether the site may declare that it has validated the bundle.

    Args:
        frames: Of both sides.
        enter: Score that opens the gate.
        stay: Score that keeps it open.
        rate_max: Share of frames from outside called inside that the site is ready to accept, above 0.
    """
    outside = sorted((f for f in frames if f.label == "outside"), key=lambda f: -f.score)
    inside = sorted((f for f in frames if f.label == "inside"), key=lambda f: f.score)
    staying = _point(outside, inside, stay)
    files = {f.file for f in outside}
    let_through = {f.file for f in outside if f.score >= stay}
    scores = sorted({*THRESHOLDS, enter, stay})
    report = Report(
        entering=_point(outside, inside, enter),
        staying=staying,
        outside_files=Rate(count=len(let_through), total=len(files)),
        table=tuple(_point(outside, inside, score) for score in scores),
        auc=_auc([f.score for f in outside], [f.score for f in inside]),
        worst_outside=tuple(outside[:WORST]),
        worst_inside=tuple(inside[:WORST]),
        rate_max=rate_max,
        frames_needed=frames_needed(staying.outside.count, rate_max),
        objections=(),
    )
    return _with_objections(report, inside_files=len({f.file for f in inside}))


def _with_objections(report: Report, *, inside_files: int) -> Report:
    """Say everything that stands against a declaration."""
    outside, inside = report.staying.outside, report.staying.inside
    said = []
    for side, rate, files in (
        ("outside", outside, report.outside_files.total),
        ("inside", inside, inside_files),
    ):
        if rate.total < FRAMES_MIN:
            said.append(f"{rate.total} frames from {side} are too few to say anything; wanted {FRAMES_MIN}")
        if files < RECORDINGS_MIN:
            said.append(f"frames from {side} come from {files} files; wanted {RECORDINGS_MIN} or more")
    if max(outside.total, inside.total) > RATIO_MAX * min(outside.total, inside.total):
        said.append(
            f"{inside.total} frames from inside against {outside.total} from outside; wanted neither more "
            f"than {RATIO_MAX:g} times the other"
        )
    if outside.upper > report.rate_max:
        more = report.frames_needed - outside.total
        cure = f"{more} more frames from outside without a miss would be needed" if more > 0 else ""
        said.append(
            f"up to {outside.upper:.2%} of frames from outside may be called inside (95 % bound), wanted at "
            f"most {report.rate_max:.2%}{'; ' if cure else ''}{cure}"
        )
    if report.entering.inside.share < INSIDE_RATE_MIN:
        said.append(
            f"only {report.entering.inside.share:.0%} of frames from inside reach the score that opens the "
            f"gate, wanted {INSIDE_RATE_MIN:.0%}: it would hardly ever open"
        )
    return replace(report, objections=tuple(said))


def _point(outside: Sequence[Judged], inside: Sequence[Judged], score_min: float) -> Point:
    return Point(
        score_min=score_min,
        outside=Rate(count=sum(f.score >= score_min for f in outside), total=len(outside)),
        inside=Rate(count=sum(f.score >= score_min for f in inside), total=len(inside)),
    )


def _auc(outside: Sequence[float], inside: Sequence[float]) -> float:
    """Area under the ROC curve; ties count half."""
    low = np.sort(np.asarray(outside))
    below = np.searchsorted(low, inside, side="left") + np.searchsorted(low, inside, side="right")
    return float(below.sum() / (2 * len(outside) * len(inside)))
