"""What may be said about things with boxes, and about points: which count, how many, and what none means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.bundles.picture_detection import PictureDetection
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.domain.answer import Detections, Keypoints
from edge.domain.finding import Code, Measurement, Observation, Point, Verdict
from edge.findings.thermal import COUNT

IsPresent = Callable[[Code, str], bool]
MAY_MISS = "nothing was found, which does not mean with this bundle that nothing is there"


def judge(found: Detections, manifest: PictureDetection, *, is_present: IsPresent) -> tuple[Observation, ...]:
    """Read the things of a picture.

    Args:
        found: By the model.
        manifest: Of its bundle.
        is_present: Whether things of a class are being followed: then a lower score is enough.

    Returns:
        Whether there are any, with how many of each class; then each with its box, the surest first, up to
        as many as the policy wants said one by one.
    """
    policy = manifest.policy
    codes = {one.name: one.code.code() for one in manifest.output.classes}
    counted, kept = [], []
    for finding in policy.findings:
        code = codes[finding.name]
        wanted = finding.stay_score_min if is_present(code, finding.name) else finding.enter_score_min
        is_it = (found.classes == found.names.index(finding.name)) & (found.scores >= wanted)
        rows = np.flatnonzero(is_it)
        kept += rows.tolist()
        counted.append(Measurement(COUNT, float(len(rows)), "1", of=code))
    kept.sort(key=lambda row: -float(found.scores[row]))
    verdict = Verdict.PRESENT if kept else Verdict(policy.nothing_found)
    is_assessed = verdict is not Verdict.NOT_ASSESSED
    more = len(kept) - policy.things_said_max
    whole = Observation(
        code=policy.looked_for.code(),
        verdict=verdict,
        score=float(found.scores[kept[0]]) if kept else None,
        measurements=tuple(counted) if is_assessed else (),
        reason=(f"{more} more are not told one by one" if more > 0 else "") if is_assessed else MAY_MISS,
    )
    said = [_thing(found, row, codes) for row in kept[: policy.things_said_max]]
    return (whole, *said)


def _thing(found: Detections, row: int, codes: dict[str, Code]) -> Observation:
    name = found.names[int(found.classes[row])]
    left, top, right, bottom = found.boxes_px[row].tolist()
    places = zip(found.point_names, found.points_px[row].tolist(), strict=True)
    return Observation(
        code=codes[name],
        verdict=Verdict.PRESENT,
        score=float(found.scores[row]),
        segment=name,
        box_px=(left, top, right - left, bottom - top),
        points=tuple(Point(name=named, x_px=x, y_px=y) for named, (x, y) in places),
    )


def judge_points(found: Keypoints, manifest: PictureKeypoints, *, is_present: IsPresent) -> Observation:
    """Read the points of a picture; those that score less than the output's `score_min` are not there.

    Returns:
        PRESENT with the points that are there, where they are enough; else what nothing means.
    """
    policy, code = manifest.policy, manifest.policy.looked_for.code()
    is_there = np.isfinite(found.points_px).all(axis=1) & (found.scores >= manifest.output.score_min)
    wanted = policy.stay_points_min if is_present(code, "") else policy.enter_points_min
    rows = np.flatnonzero(is_there).tolist()
    seen = f"{len(rows)} of {len(found.names)} points are there, wanted at least {wanted}"
    if len(rows) < wanted:
        verdict = Verdict(policy.nothing_found)
        return Observation(code=code, verdict=verdict, reason=seen)
    points = tuple(
        Point(
            name=found.names[row],
            x_px=float(found.points_px[row, 0]),
            y_px=float(found.points_px[row, 1]),
            score=float(found.scores[row]),
        )
        for row in rows
    )
    return Observation(
        code=code,
        verdict=Verdict.PRESENT,
        score=float(found.scores[rows].mean()),
        measurements=(Measurement(COUNT, float(len(rows)), "1"),),
        points=points,
    )
