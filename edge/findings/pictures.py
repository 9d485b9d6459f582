"""What may be said about a model's answer to one picture: PRESENT, ABSENT, or why neither."""

from __future__ import annotations

from collections.abc import Callable

from edge.bundles.picture_classification import PictureClassification, PictureOutput, PicturePolicy
from edge.bundles.picture_detection import PictureDetection
from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.bundles.picture_policies import ScoreFinding
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.bundles.picture_tasks import PictureManifest
from edge.bundles.pictures import Crop
from edge.domain.answer import Detections, Embedding, Estimates, Keypoints, PictureAnswer, PictureMask, Scores
from edge.domain.errors import InferenceError
from edge.domain.finding import Code, Observation, Verdict
from edge.findings import picture_masks, picture_numbers, picture_things
from edge.preprocess.pictures import placing

IsPresent = Callable[[Code, str], bool]
NOT_MEASURED = "accuracy NOT_ASSESSED: nobody has measured it"


def judge(
    answer: PictureAnswer, manifest: PictureManifest, *, is_present: IsPresent
) -> tuple[Observation, ...]:
    """Read a model's answer.

    Args:
        answer: Of one picture, in its pixels.
        manifest: Of the bundle that gave it.
        is_present: Whether something, by its code and segment, stands as PRESENT so far: it takes less to
            stay than to become so.

    Returns:
        Every statement that the policy asks for, whatever was seen, and then things, each with its box.

    Raises:
        InferenceError: The model has answered another question than its manifest asks.
    """
    match manifest, answer:
        case PictureClassification(), Scores():
            return classes(answer, manifest.policy, manifest.output, is_present=is_present)
        case PictureDetection(), Detections():
            return picture_things.judge(answer, manifest, is_present=is_present)
        case PictureSegmentation(), PictureMask():
            return picture_masks.judge(answer, manifest, is_present=is_present)
        case PictureKeypoints(), Keypoints():
            return (picture_things.judge_points(answer, manifest, is_present=is_present),)
        case PictureRegression(), Estimates():
            return picture_numbers.judge(answer, manifest)
        case PictureEmbedding(), Embedding():
            return (picture_numbers.judge_vector(manifest),)
    raise InferenceError(f"{manifest.name}: {type(answer).__name__} is no answer of {manifest.task}")


def classes(
    scores: Scores, policy: PicturePolicy, output: PictureOutput, *, is_present: IsPresent
) -> tuple[Observation, ...]:
    """Judge the scores of a picture: of one class, or of several, each by itself.

    Returns:
        PRESENT or ABSENT for each class that is judged, with its score: the model's own sureness, which is no
        probability unless the bundle's card says that it was calibrated.
    """
    one = policy.one_class
    if one is not None:
        return (_by_score(scores, one, policy.looked_for.code(), "", is_present),)
    codes = {each.name: each.code.code() for each in output.classes}
    return tuple(
        _by_score(scores, finding, codes[finding.name], finding.name, is_present)
        for finding in policy.findings
    )


def _by_score(
    scores: Scores, finding: ScoreFinding, code: Code, segment: str, is_present: IsPresent
) -> Observation:
    score = scores.of(finding.name)
    wanted = finding.stay_score_min if is_present(code, segment) else finding.enter_score_min
    return Observation(
        code=code,
        verdict=Verdict.PRESENT if score >= wanted else Verdict.ABSENT,
        score=min(max(score, 0.0), 1.0),
        segment=segment,
    )


def notes(manifest: PictureManifest, *, shape_px: tuple[int, int]) -> tuple[str, ...]:
    """Say what a reader must know of how a picture, (height, width), was looked at, and by whom."""
    said = []
    fitting = manifest.preprocessing[0]
    if isinstance(fitting, Crop):
        place = placing(fitting, manifest.input)(shape_px)
        rows, columns = place.taken
        seen = (rows.stop - rows.start) * (columns.stop - columns.start) / (place.height_px * place.width_px)
        if seen < 1:
            said.append(f"the network sees the middle of the picture, {seen:.0%} of its area")
    if all(one.value is None for one in manifest.accuracy):
        said.append(NOT_MEASURED)
    return tuple(said)
