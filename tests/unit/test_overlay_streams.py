"""Pictures of a video over time and of a quantity over a cube; what is not known is grey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bundles.parts import CodeEntry
from edge.bundles.spectra_regression import Quantity
from edge.cli import overlay_map, overlay_timeline
from edge.cli.overlay_timeline import COLOURS, Moment, Span, Still
from edge.cli.rows import cells
from edge.domain.finding import Verdict

STO2 = Quantity(
    name="oxygenation",
    code=CodeEntry(system="99EDGE", value="sto2", meaning="Oxygen saturation"),
    unit="%",
    value_min=-0.5,
    value_max=100.5,
)

seconds = st.floats(0, 20_000)
moments = st.lists(st.builds(Moment, seconds, st.none() | st.floats(0, 1)), max_size=30)
spans = st.lists(st.builds(Span, seconds, seconds, st.sampled_from(Verdict)), max_size=8)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(moments, spans, seconds, st.integers(0, 9))
def test_any_recording_can_be_drawn(
    seen: list[Moment], said: list[Span], length_s: float, stills: int
) -> None:
    page = overlay_timeline.draw(
        sorted(seen, key=lambda one: one.at_s),
        said,
        title="gate: PRESENT",
        subtitle="9 frames",
        length_s=length_s,
        limits=(0.6, 0.4),
        stills=[Still(1.0, Verdict.PRESENT, np.zeros((40, 220, 3), np.uint8))] * stills,
        lines=["why " * 200],
    )
    assert page.dtype == np.uint8
    assert page.shape[1] == overlay_timeline.WIDTH_PX


def test_verdicts_are_coloured_where_they_stood() -> None:
    page = overlay_timeline.draw(
        [Moment(0.0, 0.1), Moment(9.0, 0.9)],
        [Span(0.0, 5.0, Verdict.ABSENT), Span(5.0, 10.0, Verdict.PRESENT)],
        title="gate",
        subtitle="2 frames",
        length_s=10.0,
    )
    row = page[overlay_timeline.HEADER_PX + overlay_timeline.PLOT_PX + 30]
    middle = overlay_timeline.WIDTH_PX // 2
    assert tuple(row[middle - 100]) == COLOURS[Verdict.ABSENT]
    assert tuple(row[middle + 200]) == COLOURS[Verdict.PRESENT]


def test_what_is_not_known_is_grey_and_the_ends_of_the_scale_are_those_of_the_quantity() -> None:
    values = np.array([[-0.5, 100.5], [np.nan, 50.0]], np.float32)
    page = overlay_map.draw(values, STO2, title="sto2: PRESENT", lines=["median 50 %"])
    top, left, half = overlay_map.HEADER_PX, overlay_map.MARGIN_PX, overlay_map.SIDE_PX // 2
    low, high, unknown = (page[top + y, left + x] for y, x in ((50, 50), (50, half + 50), (half + 50, 50)))
    assert tuple(unknown) == overlay_map.UNKNOWN
    bar = left + overlay_map.SIDE_PX + 20
    assert tuple(high) == tuple(page[top, bar])
    assert tuple(low) == tuple(page[top + overlay_map.SIDE_PX - 1, bar])


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (300, 2)])
def test_a_map_of_any_shape_can_be_drawn(shape: tuple[int, int]) -> None:
    page = overlay_map.draw(np.full(shape, np.nan, np.float32), STO2, title="sto2: NOT_ASSESSED")
    assert page.shape[1] >= 560


def test_several_numbers_of_one_thing_are_told_apart_in_a_row() -> None:
    sto2 = {"system": "99EDGE", "value": "sto2", "meaning": "Oxygen saturation"}
    mean, middle = (
        {"system": "99EDGE", "value": name, "meaning": name} for name in ("Mean", "Percentile 50")
    )
    finding = {
        "pipeline": "tissue-oxygen",
        "verdict": "PRESENT",
        "code": sto2,
        "reason": "",
        "notes": [],
        "measurements": [
            {"code": mean, "of": sto2, "value": 67.5, "unit": "%"},
            {"code": middle, "of": sto2, "value": 71.5, "unit": "%"},
        ],
    }
    assert cells(finding)[2].plain == "Oxygen saturation: Mean 67.5 %, Percentile 50 71.5 %"
    finding["measurements"] = [{"code": mean, "of": sto2, "value": 4, "unit": "1"}]
    assert cells(finding)[2].plain == "Oxygen saturation: Oxygen saturation 4"
