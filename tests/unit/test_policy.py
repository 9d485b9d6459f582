"""What may be said about a segmentation."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundles.volume_policy import Policy
from edge.domain.finding import Code, Verdict
from edge.domain.image import Piece, Pieces, Segmentation, Volume
from edge.findings.policy import judge, told_apart

NAMES = ("cortex", "white matter", "ventricles")
BRAIN = {"system": "SCT", "value": "12738006", "meaning": "Brain structure"}
VENTRICLES = {"system": "SCT", "value": "35764002", "meaning": "Brain ventricle structure"}
CORTEX = {"system": "SCT", "value": "40146001", "meaning": "Cerebral cortex structure"}
POLICY = Policy.model_validate_json(
    json.dumps(
        {
            "looked_for": BRAIN,
            "gates": {
                "largest_fraction_min": 0.95,
                "whole_field_mm": [140, 160, 130],
                "whole_min_ml": 600,
                "part_min_ml": 50,
                "max_ml": 2500,
            },
            "cutting_faces": ["S", "L", "R", "A", "P"],
            "measurements": [
                {"name": "brain", "code": BRAIN, "labels": NAMES, "modalities": ["MR", "CT"]},
                {
                    "name": "ventricles",
                    "code": VENTRICLES,
                    "labels": ["ventricles"],
                    "modalities": ["MR", "CT"],
                },
                {"name": "cortex", "code": CORTEX, "labels": ["cortex"], "modalities": ["MR"]},
            ],
            "notes": [{"modality": "CT", "note": "tissue borders are not assessed in CT"}],
        }
    )
)


def answer(
    *,
    ml: tuple[float, ...] = (500, 450, 50),
    modality: str = "MR",
    fraction: float = 0.99,
    touched: str = "",
    extent_mm: tuple[float, float, float] = (180, 220, 180),
) -> Segmentation:
    """A segmentation with so many mL of each label, in voxels of 1 mL."""
    labels = np.zeros((10, 20, 20), dtype=np.uint8)
    flat = labels.reshape(-1)
    end = 0
    for number, volume_ml in enumerate(ml, start=1):
        flat[end : end + int(volume_ml)] = number
        end += int(volume_ml)
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    volume = Volume(
        voxels=np.zeros(labels.shape, np.int16),
        unit="arbitrary",
        spacing_mm=(10, 10, 10),
        patient_from_voxel=affine,
        modality=modality,
    )
    return Segmentation(
        labels=labels,
        names=NAMES,
        volume=volume,
        raw_ml=sum(ml) / fraction,
        largest_ml=sum(ml),
        touched_faces=frozenset(touched),
        extent_mm=extent_mm,
    )


def test_a_whole_brain_is_present_with_every_volume_that_is_declared() -> None:
    (observation,) = judge(answer(), POLICY)
    assert observation.verdict is Verdict.PRESENT
    assert observation.code == Code(**BRAIN)
    assert observation.reason == ""
    assert [(m.of and m.of.value, round(m.value, 6), m.unit) for m in observation.measurements] == [
        (None, 1000.0, "mL"),
        (VENTRICLES["value"], 50.0, "mL"),
        (CORTEX["value"], 500.0, "mL"),
    ]
    assert {m.code for m in observation.measurements} == {Code("SCT", "118565006", "Volume")}


def test_ct_gives_brain_and_ventricles_and_says_why_no_tissue() -> None:
    (observation,) = judge(answer(modality="CT"), POLICY)
    assert observation.verdict is Verdict.PRESENT
    assert [m.of and m.of.value for m in observation.measurements] == [None, VENTRICLES["value"]]
    assert observation.reason == "tissue borders are not assessed in CT"


@pytest.mark.parametrize(
    ("given_answer", "reason"),
    [
        (answer(ml=(0, 0, 0)), "no Brain structure recognised"),
        (answer(fraction=0.5), "the largest connected piece is 50% of what was marked, wanted at least 95%"),
        (answer(ml=(300, 200, 0)), "500 mL in a field of view of 180 × 220 × 180 mm, wanted 600 to 2500 mL"),
        (answer(ml=(20, 10, 0), extent_mm=(180, 220, 40)), "30 mL in a field of view of 180 × 220 × 40 mm"),
        (answer(ml=(3000, 0, 0)), "3000 mL"),
    ],
    ids=["nothing", "scattered", "too little for a whole field", "too little for a part", "too much"],
)
def test_what_is_no_brain_is_not_assessed_and_says_why(given_answer: Segmentation, reason: str) -> None:
    (observation,) = judge(given_answer, POLICY)
    assert observation.verdict is Verdict.NOT_ASSESSED
    assert observation.measurements == ()
    assert reason in observation.reason


@pytest.mark.parametrize(
    ("touched", "edges"),
    [("S", "upper edge"), ("SL", "upper and left edges"), ("IP", "back edge")],
)
def test_a_brain_that_is_cut_is_present_without_a_volume(touched: str, edges: str) -> None:
    (observation,) = judge(answer(touched=touched, extent_mm=(180, 220, 90)), POLICY)
    assert observation.verdict is Verdict.PRESENT
    assert observation.measurements == ()
    assert (
        observation.reason
        == f"Brain structure reaches the {edges} of the field of view: total volume not assessed"
    )


def test_a_bundle_that_claims_no_volume_tells_none_and_says_so() -> None:
    (observation,) = judge(answer(), POLICY.model_copy(update={"measurements": ()}))
    assert (observation.verdict, observation.measurements) == (Verdict.PRESENT, ())
    assert observation.reason == "total volume not assessed: this bundle is not known to measure it"


def gated(**changes: Any) -> Policy:
    """The policy of above with other gates."""
    written = json.loads(POLICY.model_dump_json())
    return Policy.model_validate_json(json.dumps({**written, "gates": {**written["gates"], **changes}}))


def test_a_large_field_that_cuts_an_organ_holds_a_part_of_it_where_the_bundle_says_so() -> None:
    bases = answer(ml=(60, 40, 0), touched="S", extent_mm=(366, 303, 336))
    (part,) = judge(bases, gated(cut_field_is_part=True))
    assert (part.verdict, part.measurements) == (Verdict.PRESENT, ())
    assert "reaches the upper edge of the field of view: total volume not assessed" in part.reason
    (as_ever,) = judge(bases, POLICY)
    assert as_ever.verdict is Verdict.NOT_ASSESSED
    assert "100 mL in a field of view of 366 × 303 × 336 mm, wanted 600 to 2500 mL" in as_ever.reason


@pytest.mark.parametrize(
    ("bases", "wanted"),
    [
        (answer(ml=(60, 40, 0)), "100 mL in a field of view of 180 × 220 × 180 mm, wanted 600 to 2500 mL"),
        (answer(ml=(60, 40, 0), touched="I"), "wanted 600 to 2500 mL"),  # not a face that cuts
        (answer(ml=(20, 10, 0), touched="S"), "30 mL in a field of view of 180 × 220 × 180 mm, wanted 50 to"),
        (answer(ml=(60, 40, 0), touched="S", fraction=0.5), "largest connected piece is 50%"),
        (answer(ml=(3000, 0, 0), touched="S"), "wanted 50 to 2500 mL"),
    ],
    ids=["not cut", "leaves by nature", "too little for a part", "scattered", "too much"],
)
def test_a_field_that_cuts_waives_no_other_gate(bases: Segmentation, wanted: str) -> None:
    (observation,) = judge(bases, gated(cut_field_is_part=True))
    assert observation.verdict is Verdict.NOT_ASSESSED
    assert wanted in observation.reason


def test_a_field_that_nothing_can_cut_is_never_a_part() -> None:
    written = json.loads(gated(cut_field_is_part=True).model_dump_json())
    with pytest.raises(ValueError, match="`cut_field_is_part` wants `cutting_faces`"):
        Policy.model_validate_json(json.dumps({**written, "cutting_faces": []}))


def test_pieces_in_a_part_that_a_large_field_cuts_are_told() -> None:
    found = Pieces(largest=(piece(0.3),), others=0, others_ml=0.0)
    bases = replace(answer(ml=(60, 40, 0), touched="S"), pieces=found)
    written = json.loads(gated(cut_field_is_part=True).model_dump_json())
    looking = Policy.model_validate_json(json.dumps({**written, "components": LESIONS["components"]}))
    whole, lesion = judge(bases, looking)
    assert (whole.verdict, whole.measurements) == (Verdict.PRESENT, ())
    assert (lesion.verdict, lesion.segment) == (Verdict.PRESENT, "piece 1 of 1")
    assert lesion.measurements[0].value == 0.3


def test_a_face_where_the_structure_may_leave_the_picture_does_not_count() -> None:
    (observation,) = judge(answer(touched="I"), POLICY)
    assert len(observation.measurements) == 3


@given(
    ml=st.tuples(*[st.integers(0, 1300)] * 3),
    fraction=st.floats(0.01, 1.0),
    touched=st.text(alphabet="LRAPSI", max_size=3),
    modality=st.sampled_from(["MR", "CT"]),
    extent_mm=st.tuples(*[st.floats(1, 400)] * 3),
)
def test_whatever_the_answer_no_number_comes_without_support(**drawn: Any) -> None:
    segmentation = answer(**drawn)
    (observation,) = judge(segmentation, POLICY)
    assert observation.verdict is not Verdict.ABSENT
    assert (observation.measurements == ()) <= (observation.reason != ""), "no numbers: there is a reason"
    assert (observation.verdict is Verdict.PRESENT) or observation.measurements == ()
    assert all(0 <= m.value <= segmentation.raw_ml + 1 for m in observation.measurements)


def test_borders_that_ct_does_not_show_are_taken_back() -> None:
    shown = told_apart(answer(modality="CT"), POLICY)
    assert shown.names == ("brain structure, undivided", "white matter", "ventricles")
    assert shown.volume_ml(1) == pytest.approx(500)
    assert shown.volume_ml(3) == pytest.approx(50)
    assert int((shown.labels > 0).sum()) == int((answer().labels > 0).sum())


def test_every_border_of_mr_stays() -> None:
    whole = answer()
    assert told_apart(whole, POLICY) is whole


# ── things that count one by one ─────────────────────────────────────────────────────────────────────

LESION = {"system": "SCT", "value": "52988006", "meaning": "Lesion"}
LESIONS: dict[str, Any] = {
    "looked_for": LESION,
    "cutting_faces": [],
    "measurements": [{"name": "all", "code": LESION, "labels": ["cortex"], "modalities": ["MR"]}],
    "components": {"code": LESION, "labels": ["cortex"], "components_max": 2},
}


def policy(**changes: Any) -> Policy:
    return Policy.model_validate_json(json.dumps({**LESIONS, **changes}))


def piece(volume_ml: float, *, is_cut: bool = False) -> Piece:
    return Piece(volume_ml=volume_ml, diameter_mm=12.0, centroid_mm=(1.0, -2.0, 3.0), is_cut=is_cut)


def lesions(*pieces: Piece, others: int = 0, others_ml: float = 0.0, ml: float = 9.0) -> Segmentation:
    found = Pieces(largest=pieces, others=others, others_ml=others_ml)
    return replace(answer(ml=(ml, 0, 0), fraction=0.1), pieces=found)


def test_each_piece_is_a_finding_with_its_size_and_its_place() -> None:
    whole, first, second = judge(lesions(piece(6.0), piece(3.0)), policy())
    assert [m.value for m in whole.measurements] == pytest.approx([9.0])
    assert (first.verdict, first.segment, first.reason) == (Verdict.PRESENT, "piece 1 of 2", "")
    assert second.segment == "piece 2 of 2"
    assert [(m.code.value, m.unit) for m in first.measurements] == [
        ("118565006", "mL"),
        ("103339001", "mm"),
        ("81827009", "mm"),
        ("centre-x", "mm"),
        ("centre-y", "mm"),
        ("centre-z", "mm"),
    ]
    volume_ml, long_mm, ball_mm, *centre_mm = (m.value for m in first.measurements)
    assert (volume_ml, long_mm, centre_mm) == (6.0, 12.0, [1.0, -2.0, 3.0])
    assert math.pi / 6 * ball_mm**3 / 1000 == pytest.approx(6.0)


def test_a_piece_that_is_cut_is_told_without_numbers() -> None:
    _, first = judge(lesions(piece(6.0, is_cut=True)), policy())
    assert first.measurements == ()
    assert first.reason == "reaches the edge of the field of view: size and centre not assessed"


def test_more_pieces_than_are_told_are_summed_and_said() -> None:
    told = judge(lesions(piece(6.0), piece(3.0), others=40, others_ml=2.5), policy())
    assert [one.segment for one in told] == ["", "piece 1 of 42", "piece 2 of 42", "pieces 3 to 42 of 42"]
    assert [m.value for m in told[-1].measurements] == [2.5]
    assert told[-1].reason == "40 more, smaller, not told one by one: their volume is summed"


def test_scattered_pieces_need_no_gates_and_a_policy_without_components_tells_the_whole() -> None:
    assert len(judge(lesions(piece(6.0)), policy(components=None))) == 1


def test_a_piece_that_the_voxels_of_the_series_miss_is_told_all_the_same() -> None:
    whole, first = judge(lesions(piece(0.01), ml=0.0), policy())
    assert (whole.verdict, whole.measurements) == (Verdict.PRESENT, ())
    assert whole.reason == "smaller than the voxels of the series: volume told of each piece only"
    assert first.measurements[0].value == 0.01


def test_nothing_marked_is_absent_only_where_it_was_measured_what_that_is_worth() -> None:
    (unknown,) = judge(lesions(ml=0.0), policy())
    assert (unknown.verdict, unknown.reason) == (Verdict.NOT_ASSESSED, "no Lesion recognised")
    measured = {"value": 0.93, "data": "lesions above 0.1 mL in 40 held-out scans"}
    (absent,) = judge(lesions(ml=0.0), policy(nothing_marked="ABSENT", sensitivity=measured))
    assert absent.verdict is Verdict.ABSENT
    assert absent.reason == (
        "nothing marked in the field of view; "
        "the network finds 93% of lesions above 0.1 mL in 40 held-out scans"
    )


SIZES: dict[str, Any] = {
    "code": {"system": "99EDGE", "value": "size-class", "meaning": "Class of size"},
    "diameter": "ball",
    "spacing_max_mm": 1.5,
    "classes": [
        {"code": {"system": "99EDGE", "value": name, "meaning": name}, "from_mm": from_mm}
        for name, from_mm in (("small", 0), ("middling", 6), ("large", 8))
    ],
}


def sized(*pieces: Piece, slices_mm: float = 1.5, diameter: str = "ball") -> list[tuple[str, Verdict, str]]:
    """Code, verdict and reason of each class of size that is told."""
    seen = lesions(*pieces)
    seen = replace(seen, volume=replace(seen.volume, spacing_mm=(slices_mm, 0.8, 0.8)))
    classes = {**LESIONS["components"], "sizes": {**SIZES, "diameter": diameter}}
    told = [one for one in judge(seen, policy(components=classes)) if one.code.system == "99EDGE"]
    return [(one.code.value, one.verdict, one.reason) for one in told]


@pytest.mark.parametrize(
    ("across_mm", "name"),
    [(3.0, "small"), (5.99, "small"), (6.01, "middling"), (8.01, "large"), (40.0, "large")],
)
def test_each_piece_falls_into_one_class_of_size(across_mm: float, name: str) -> None:
    ball = piece(math.pi / 6 * across_mm**3 / 1000)
    assert sized(ball) == [(name, Verdict.PRESENT, "")]
    assert sized(ball, diameter="long_axis") == [("large", Verdict.PRESENT, "")]  # 12 mm


def test_thick_slices_and_cut_pieces_have_no_class_of_size() -> None:
    thick, cut = sized(piece(0.3), slices_mm=3.0), sized(piece(0.3, is_cut=True))
    assert thick == [("size-class", Verdict.NOT_ASSESSED, "voxels 3.00 mm apart, wanted at most 1.5 mm")]
    assert cut == [("size-class", Verdict.NOT_ASSESSED, "reaches the edge of the field of view")]


def test_an_organ_without_any_piece_in_it_says_what_that_is_worth() -> None:
    measured = {"value": 0.8, "data": "nodules of 6 mm and more in 40 synthetic chests"}
    worth = {**LESIONS["components"], "nothing_marked": "ABSENT", "sensitivity": measured}
    (_, unknown), (_, absent) = judge(lesions(), policy()), judge(lesions(), policy(components=worth))
    assert (unknown.verdict, unknown.reason) == (Verdict.NOT_ASSESSED, "no Lesion recognised")
    assert absent.verdict is Verdict.ABSENT
    assert "finds 80% of nodules of 6 mm and more" in absent.reason


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"nothing_marked": "ABSENT"}, "ABSENT wants `sensitivity`"),
        ({"sizes": {**SIZES, "classes": SIZES["classes"][1:]}}, "must rise from 0, seen 6, 8"),
    ],
)
def test_pieces_that_claim_too_much_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        policy(components={**LESIONS["components"], **changes})
