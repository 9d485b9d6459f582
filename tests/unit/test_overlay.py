"""The picture of what a model saw: the right side up, true to millimetres, for any volume."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cli.overlay import HEADER_PX, PALETTE, PANEL_PX, draw, save
from edge.domain.errors import StorageFullError
from edge.domain.image import Segmentation
from tests.builders.volumes import volume


def segmented(
    shape: tuple[int, int, int], *, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0), labels: int = 1
) -> Segmentation:
    """A dark volume with one labelled corner: the patient's right, anterior and lower eighth."""
    grid = volume(np.zeros(shape, np.int16), spacing_mm=spacing_mm)
    seen = np.zeros(shape, np.uint8)
    seen[: -(-shape[0] // 2), : -(-shape[1] // 2), : -(-shape[2] // 2)] = labels
    return Segmentation(
        labels=seen,
        names=tuple(f"structure {number}" for number in range(1, labels + 1)),
        volume=grid,
        raw_ml=1.0,
        largest_ml=1.0,
        touched_faces=frozenset(),
        extent_mm=(1.0, 1.0, 1.0),
    )


sides = st.integers(1, 40)
lengths_mm = st.floats(0.2, 30)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(sides, sides, sides), st.tuples(lengths_mm, lengths_mm, lengths_mm), st.integers(1, 40))
def test_any_volume_can_be_drawn(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], labels: int
) -> None:
    picture = draw(
        segmented(shape, spacing_mm=spacing_mm, labels=labels), title="tiny: PRESENT", lines=["x" * 900]
    )
    assert picture.dtype == np.uint8
    assert picture.shape[0] > HEADER_PX + PANEL_PX
    assert picture.shape[1] < 3 * PANEL_PX * 2


def test_right_is_left_and_anterior_is_up_in_the_axial_cut() -> None:
    picture = draw(segmented((60, 60, 60)), title="tiny: PRESENT")
    axial = picture[HEADER_PX : HEADER_PX + PANEL_PX, 28 : 28 + PANEL_PX].astype(int)
    is_coloured = (axial[..., 2] - axial[..., 0]) > 20  # the first colour of the palette is blue
    assert PALETTE[0][2] > PALETTE[0][0]
    upper_left = is_coloured[60 : PANEL_PX // 2 - 20, 60 : PANEL_PX // 2 - 20]
    assert upper_left.mean() > 0.95
    assert is_coloured[PANEL_PX // 2 + 20 :, PANEL_PX // 2 + 20 :].mean() < 0.01


def test_a_picture_is_a_png_that_others_can_read(tmp_path: Path) -> None:
    picture = draw(segmented((8, 8, 8)), title="tiny: PRESENT")
    save(picture, tmp_path / "seen.png")
    read = cv2.imread(str(tmp_path / "seen.png"))
    assert read is not None
    assert (cv2.cvtColor(read, cv2.COLOR_BGR2RGB) == picture).all()
    with pytest.raises(StorageFullError, match="cannot be written"):
        save(picture, tmp_path / "absent" / "seen.png")
