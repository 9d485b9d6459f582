"""What planes say about the stack they make: even, in blocks, leaning, or none of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import FormatError, SeriesRejectedError
from edge.studies.geometry import blocks_mm, even_spacing_mm, stacked, tilt_degrees
from edge.studies.slices import Plane, milliseconds, plane_of
from edge.studies.straighten import straightened


def planes(positions: list[tuple[float, float, float]]) -> list[Plane]:
    return [
        Plane(position_mm=position, row=(1.0, 0.0, 0.0), column=(0.0, 1.0, 0.0), spacing_mm=(1.0, 1.0))
        for position in positions
    ]


def test_positions_that_were_rounded_are_even() -> None:
    rounded = np.round(np.arange(300) * 0.625, 1)
    assert even_spacing_mm(rounded) == pytest.approx(0.625, abs=1e-3)


@given(spacing=st.floats(0.3, 10.0), count=st.integers(3, 200), missing=st.integers(1, 198))
def test_a_gap_is_never_even(spacing: float, count: int, missing: int) -> None:
    distances = np.delete(np.arange(count + 2) * spacing, 1 + missing % count)
    assert even_spacing_mm(distances) is None
    assert blocks_mm(np.diff(distances)) is None


def test_planes_that_all_stand_at_one_place_have_no_spacing() -> None:
    assert even_spacing_mm(np.zeros(4)) is None


@given(
    first=st.floats(0.5, 10.0),
    ratio=st.floats(1.2, 3.0),
    counts=st.tuples(st.integers(3, 30), st.integers(3, 30)),
)
def test_blocks_are_found_in_either_order(first: float, ratio: float, counts: tuple[int, int]) -> None:
    gaps = np.repeat([first, first * ratio], counts)
    found = blocks_mm(gaps)
    assert found is not None
    assert [(start, end) for start, end, _ in found] == [(0, counts[0] - 1), (counts[0], sum(counts) - 1)]
    assert [gap for *_, gap in found] == pytest.approx([first, first * ratio])
    assert blocks_mm(gaps[::-1]) is not None


def test_strewn_planes_are_no_blocks() -> None:
    assert blocks_mm(np.array([1.0, 2.0, 1.3, 4.0, 2.2, 1.0])) is None


@given(st.floats(-40.0, 40.0).filter(lambda angle: abs(angle) > 1.0))
def test_the_angle_of_a_leaning_stack_is_found(degrees: float) -> None:
    step = np.tan(np.radians(degrees)) * 2.0
    stack = stacked(planes([(0.0, k * step, 2.0 * k) for k in range(20)]))
    assert tilt_degrees(stack) == pytest.approx(abs(degrees))


def test_a_stack_that_drifts_by_a_hair_is_upright() -> None:
    assert tilt_degrees(stacked(planes([(0.0, k * 0.001, 2.0 * k) for k in range(20)]))) == 0.0


def test_planes_that_wander_are_no_stack() -> None:
    positions = [(0.0, 3.0 * (-1) ** k, 2.0 * k) for k in range(20)]
    assert tilt_degrees(stacked(planes(positions))) is None


def test_an_even_upright_stack_is_straight_already() -> None:
    voxels = np.random.default_rng(1).integers(0, 100, (4, 5, 6)).astype(np.int16)
    stack = stacked(planes([(1.0, 2.0, 3.0 + 2.0 * k) for k in range(4)]))
    result, origin = straightened(voxels, stack, slice_spacing_mm=2.0, outside=-7)
    assert np.array_equal(result[:, :5, :6], voxels)
    assert origin == pytest.approx([1.0, 2.0, 3.0])


def test_a_lean_either_way_keeps_every_pixel() -> None:
    voxels = np.ones((6, 5, 5), np.float32)
    for direction in (-1.0, 1.0):
        stack = stacked(planes([(direction * k, 0.5 * direction * k, 2.0 * k) for k in range(6)]))
        result, _ = straightened(voxels, stack, slice_spacing_mm=2.0, outside=0.0)
        assert result.sum() == pytest.approx(voxels.sum())


@pytest.mark.parametrize(
    ("moment", "ms"),
    [
        ("000001", 1000.0),
        ("120000.25", 43_200_250.0),
        ("12:00:00.5", 43_200_500.0),
        ("00010101000001.5+0100", 86_401_500.0),
        ("", None),
        ("noon", None),
        ("1200", None),
        ("20261301000000", None),
    ],
)
def test_moments_are_milliseconds_or_nothing(moment: str, ms: float | None) -> None:
    assert milliseconds(moment) == ms


def test_a_plane_without_a_place_names_what_is_absent() -> None:
    with pytest.raises(SeriesRejectedError, match="no ImagePositionPatient and no PixelSpacing"):
        plane_of("instance 1", (), (1, 0, 0, 0, 1, 0), ())


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_a_place_that_is_no_number_is_refused(spoilt: float) -> None:
    with pytest.raises(FormatError, match="no place in a patient"):
        plane_of("instance 1", (0, 0, spoilt), (1, 0, 0, 0, 1, 0), (1, 1))
