"""Slices in any order become the volume they are; what is no volume is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.domain.errors import EdgeError, FormatError, SeriesRejectedError, UnsupportedError
from edge.domain.image import Volume
from edge.domain.study import Series
from edge.studies.pixels import build
from tests.builders.series import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Frame,
    Shot,
    pictures,
    stack,
    written,
    written_enhanced,
)

OBLIQUE = ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))
MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def the_volume(series: Series) -> Volume:
    (scan,) = build(series)
    (volume,) = scan.volumes
    return volume


def refusal(series: Series) -> str:
    with pytest.raises(EdgeError) as refused:
        build(series)
    return str(refused.value)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE])
def test_slices_are_ordered_by_their_place_whatever_their_numbers_say(
    orientation: Any, tmp_path: Path
) -> None:
    shots = stack(pictures(5), orientation=orientation)
    for number, shot in zip((3, 5, 1, 2, 4), shots, strict=True):
        shot.also["InstanceNumber"] = number
    shuffled = [shots[n] for n in (2, 0, 4, 1, 3)]
    volume = the_volume(written(shuffled, tmp_path, orientation=orientation))
    assert np.array_equal(volume.voxels, pictures(5))
    assert volume.spacing_mm == pytest.approx((3.0, 0.7, 0.5))
    assert volume.patient_from_voxel[:3, 3] == pytest.approx([-10.0, -20.0, 30.0])
    row, column = np.array(orientation)
    assert volume.patient_from_voxel[:3, 0] == pytest.approx(row * 0.5)
    assert volume.patient_from_voxel[:3, 1] == pytest.approx(column * 0.7)
    assert volume.patient_from_voxel[:3, 2] == pytest.approx(np.cross(row, column) * 3.0)


@MANY
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    spacing_mm=st.floats(0.3, 9.0),
    order=st.permutations(range(6)),
)
def test_any_orientation_spacing_and_order_give_the_place_of_every_voxel(
    angles: tuple[float, float, float], spacing_mm: float, order: list[int], tmp_path: Path
) -> None:
    a, b, c = angles
    turn = (
        np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    )
    orientation = (turn[:, 0].tolist(), turn[:, 1].tolist())
    shots = stack(pictures(6), orientation=orientation, spacing_mm=spacing_mm)
    volume = the_volume(written([shots[n] for n in order], tmp_path, orientation=orientation))
    assert np.array_equal(volume.voxels, pictures(6))
    for k, shot in enumerate(shots):
        place = volume.patient_from_voxel @ [0, 0, k, 1]
        assert np.allclose(place[:3], shot.position_mm, atol=1e-3)


def test_a_leaning_stack_is_straightened_and_every_point_stays_in_its_place(tmp_path: Path) -> None:
    """Pixels hold a linear function of their place in the patient, which survives linear interpolation."""
    lean = np.radians(15.0)
    orientation = ((1.0, 0.0, 0.0), (0.0, np.cos(lean), -np.sin(lean)))
    shots = stack(pictures(12), orientation=orientation, step_mm=(0.0, 0.0, 2.0))
    row, column = np.array(orientation)
    j, i = np.mgrid[0:40, 0:30]
    for shot in shots:
        places = np.asarray(shot.position_mm) + i[..., None] * row * 0.5 + j[..., None] * column * 0.7
        shot.stored = (places @ [10.0, 20.0, 30.0] + 3000).round().astype("<i2")
    (scan,) = build(written(shots, tmp_path, orientation=orientation))
    (volume,) = scan.volumes
    assert scan.notes == ("gantry tilt of 15.0° corrected",)
    k, j, i = np.argwhere(volume.voxels > 0).T
    places = (volume.patient_from_voxel @ np.stack([i, j, k, np.ones_like(i)]))[:3]
    wanted = np.array([10.0, 20.0, 30.0]) @ places + 3000
    right = np.abs(volume.voxels[k, j, i] - wanted) <= 2
    assert right.mean() > 0.9, "all but the rim, where the air outside is blended in"


def test_two_blocks_of_slice_distances_become_one_even_grid(tmp_path: Path) -> None:
    heights = np.concatenate([np.arange(6) * 2.0, 10.0 + 1.5 + np.arange(5) * 5.0])
    shots = [
        Shot(
            position_mm=(0.0, 0.0, height),
            stored=np.full((4, 4), round(height * 10), "<i2"),
            also={"SliceThickness": 2.0 if height <= 10 else 5.0},
        )
        for height in heights
    ]
    (scan,) = build(written(shots, tmp_path))
    (volume,) = scan.volumes
    assert volume.spacing_mm[0] == pytest.approx(2.0)
    assert scan.notes == ("slices 1.50 to 5.00 mm apart resampled to 2.00 mm",)
    assert np.allclose(volume.voxels[:, 1, 1], np.arange(len(volume.voxels)) * 20, atol=1)


def test_a_missing_slice_is_named_by_its_neighbours(tmp_path: Path) -> None:
    shots = stack(pictures(8))
    del shots[4]
    words = refusal(written(shots, tmp_path))
    assert "6.00 mm from instance 4 " in words
    assert "to instance 6 " in words
    assert "elsewhere 3.00 mm, 1 missing" in words


def test_every_other_slice_missing_in_one_half_is_no_second_block(tmp_path: Path) -> None:
    shots = stack(pictures(13))
    assert "uneven distances" in refusal(written([*shots[:5], *shots[6::2]], tmp_path))


def test_a_doubled_slice_is_refused_and_named(tmp_path: Path) -> None:
    shots = stack(pictures(6))
    again = Shot(position_mm=shots[2].position_mm, stored=shots[2].stored + 1, also={"InstanceNumber": 7})
    words = refusal(written([*shots, again], tmp_path))
    assert "7 slices at 6 places" in words
    assert "instance 3 " in words
    assert "instance 7 " in words


def test_mixed_orientations_are_refused_and_the_odd_one_named(tmp_path: Path) -> None:
    shots = stack(pictures(5))
    shots[3].also["ImageOrientationPatient"] = [1, 0, 0, 0, 0, -1]
    words = refusal(written(shots, tmp_path))
    assert "mixed orientations" in words
    assert "in 4 of 5 slices, but [1 0 0 0 0 -1] in instance 4 " in words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Modality": "MR"}, "mixed modalities: CT in 4 of 5 slices, but MR in instance 2 "),
        ({"BitsStored": 12, "HighBit": 11}, "12 bit signed in instance 2 "),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "6x5 MONOCHROME1 16 bit signed in instance 2 "),
        ({"PixelSpacing": [0.9, 0.9]}, "mixed pixel spacings: 0.7x0.5 mm in 4 of 5 slices, but 0.9x0.9 mm"),
        ({"RescaleType": "US"}, "mixed units: hounsfield in 4 of 5 slices, but arbitrary in instance 2 "),
    ],
)
def test_mixed_pictures_are_refused_and_the_odd_one_named(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    shots = stack(pictures(5))
    shots[1].also.update(change)
    assert words in refusal(written(shots, tmp_path))


def test_slices_that_do_not_lie_behind_each_other_are_refused(tmp_path: Path) -> None:
    shots = stack(pictures(6))
    shots[2].position_mm = np.add(shots[2].position_mm, (8.0, 0.0, 0.0))
    assert "do not lie behind each other: instance 3 " in refusal(written(shots, tmp_path))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"ImagePositionPatient": None}, SeriesRejectedError, "no ImagePositionPatient"),
        ({"PixelSpacing": [0.0, 0.5]}, FormatError, "no place in a patient"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, FormatError, "perpendicular"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, UnsupportedError, "a PALETTE COLOR picture"),
        ({"Rows": 60_000}, FormatError, "the header promises"),
        ({"NumberOfFrames": 2}, FormatError, "the header promises"),
        ({"BitsAllocated": 64}, UnsupportedError, "64 bits allocated"),
        ({"BitsStored": 0}, FormatError, "0 bits stored"),
        ({"PixelData": None}, UnsupportedError, "CT Image Storage holds no picture"),
    ],
)
def test_what_is_no_slice_is_refused_and_named(
    change: dict[str, Any], kind: type[EdgeError], words: str, tmp_path: Path
) -> None:
    shots = stack(pictures(3))
    shots[1].also.update(change)
    with pytest.raises(kind, match=rf"instance 2 \(….*{words}"):
        build(written(shots, tmp_path))


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    assert "one slice is no volume, wanted at least 2" in refusal(written(stack(pictures(1)), tmp_path))


@pytest.mark.parametrize(
    "times",
    [
        [{"TemporalPositionIdentifier": t + 1} for t in range(3)],
        [{"AcquisitionNumber": t + 4} for t in range(3)],
        [{"AcquisitionTime": f"1200{t:02d}.5"} for t in range(3)],
        [{} for _ in range(3)],
    ],
)
def test_several_slices_at_each_place_are_time_points(times: list[dict[str, Any]], tmp_path: Path) -> None:
    whole = pictures(12)
    shots = [
        Shot(position_mm=shot.position_mm, stored=shot.stored, also={**time, "InstanceNumber": 4 * t + k + 1})
        for t, time in enumerate(times)
        for k, shot in enumerate(stack(whole[4 * t : 4 * t + 4]))
    ]
    (scan,) = build(written(shots[::-1], tmp_path))
    assert np.array_equal([volume.voxels for volume in scan.volumes], np.reshape(whole, (3, 4, 6, 5)))


def test_a_missing_slice_within_a_time_series_is_refused(tmp_path: Path) -> None:
    shots = [
        Shot(position_mm=shot.position_mm, stored=shot.stored, also={"TemporalPositionIdentifier": t})
        for t in range(3)
        for shot in stack(pictures(4))
    ]
    del shots[5]
    words = refusal(written(shots, tmp_path))
    assert "11 slices at 4 places" in words


def test_a_time_series_that_was_stopped_gives_its_complete_volumes_and_says_so(tmp_path: Path) -> None:
    shots = [
        Shot(position_mm=shot.position_mm, stored=shot.stored, also={"TemporalPositionIdentifier": t})
        for t in range(3)
        for shot in stack(pictures(4))
    ]
    (scan,) = build(written(shots[:-1], tmp_path))
    assert len(scan.volumes) == 2
    assert scan.notes[0].startswith("an unfinished last volume was left out: 3 of 4 slices")


def test_times_are_counted_from_the_first_volume(tmp_path: Path) -> None:
    shots = [
        Shot(
            position_mm=shot.position_mm, stored=shot.stored, also={"AcquisitionTime": f"1200{t * 2:02d}.25"}
        )
        for t in range(3)
        for shot in stack(pictures(2))
    ]
    (scan,) = build(written(shots, tmp_path))
    assert scan.times_ms == (0.0, 2000.0, 4000.0)


def test_echoes_and_phases_are_scans_of_their_own_and_magnitudes_come_first(tmp_path: Path) -> None:
    whole = pictures(9)
    frames: list[Frame] = [
        (
            shot.position_mm,
            shot.stored.astype("<u2"),
            {
                "MREchoSequence": {"EffectiveEchoTime": echo},
                "MRImageFrameTypeSequence": {
                    "FrameType": ["ORIGINAL", "PRIMARY", "T1", "NONE"],
                    "ComplexImageComponent": part,
                },
            },
        )
        for n, (echo, part) in enumerate([(2.0, "PHASE"), (2.0, "MAGNITUDE"), (7.0, "MAGNITUDE")])
        for shot in stack(whole[3 * n : 3 * n + 3])
    ]
    scans = build(written_enhanced(frames, tmp_path))
    assert [scan.name for scan in scans] == ["e1 magnitude t1", "e2 magnitude t1", "e1 phase t1"]
    assert np.array_equal(scans[0].volumes[0].voxels, whole[3:6])
    assert np.array_equal(scans[2].volumes[0].voxels, whole[:3])


def test_frames_of_an_enhanced_object_are_ordered_by_place_and_time(tmp_path: Path) -> None:
    whole = pictures(6)
    frames: list[Frame] = [
        (
            shot.position_mm,
            shot.stored.astype("<u2"),
            {"FrameContentSequence": {"TemporalPositionIndex": t + 1}},
        )
        for t in range(2)
        for shot in stack(whole[3 * t : 3 * t + 3])
    ]
    (scan,) = build(written_enhanced([frames[n] for n in (5, 0, 3, 1, 4, 2)], tmp_path))
    assert np.array_equal([volume.voxels for volume in scan.volumes], np.reshape(whole, (2, 3, 6, 5)))


def test_an_enhanced_object_that_does_not_describe_its_frames_is_refused(tmp_path: Path) -> None:
    frame: Frame = (stack(pictures(1))[0].position_mm, pictures(1)[0].astype("<u2"), {})
    series = written_enhanced([frame, frame], tmp_path)
    path = series.instances[0].path
    frames = b"\x28\x00\x08\x00IS\x02\x00"
    path.write_bytes(path.read_bytes().replace(frames + b"2 ", frames + b"1 "))
    assert "1 frames, of which 2 are described" in refusal(series)
