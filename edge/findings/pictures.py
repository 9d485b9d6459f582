"""What may be said about the scores of a picture: PRESENT or ABSENT, with hysteresis between the two."""

from __future__ import annotations

from edge.bundles.picture_classification import PicturePolicy
from edge.domain.answer import Scores
from edge.domain.finding import Observation, Verdict


def judge(scores: Scores, policy: PicturePolicy, *, is_present: bool) -> Observation:
    """Read a model's answer.

    Args:
        scores: Of one picture.
        policy: Of the bundle that gave them.
        is_present: What is looked for stands as PRESENT: it takes a lower score to stay than to become so.

    Returns:
        PRESENT or ABSENT with the score of the class that is judged. A score is the model's own sureness; it
        is no probability unless the bundle's card says that it was calibrated.
    """
    score = scores.of(policy.present_class)
    wanted = policy.stay_score_min if is_present else policy.enter_score_min
    return Observation(
        code=policy.looked_for.code(),
        verdict=Verdict.PRESENT if score >= wanted else Verdict.ABSENT,
        score=min(max(score, 0.0), 1.0),
    )
