"""The picture of a thermogram: any can be drawn, what is unknown looks like nothing on the scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edge.cli.overlay import save
from edge.cli.overlay_thermal import HATCH, HEADER_PX, MARGIN_PX, SIDE_PX, draw
from edge.findings.thermal import judge
from edge.findings.thermal_policy import Region, ThermalPolicy
from edge.formats.thermal_files import read
from edge.preprocess.thermal import thermogram as to_degrees
from edge.preprocess.thermal_site import SiteCalibration
from tests.builders.thermal import thermogram

LEFT = Region(name="left", corners=((0.0, 0.0), (0.5, 1.0)))
POLICY = ThermalPolicy(regions=(LEFT,), spot_enter_celsius=38.0, limit_enter_celsius=38.0)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 30), st.integers(1, 30)),
        elements=st.one_of(st.just(float("nan")), st.floats(-100, 500, width=32)),
    )
)
def test_any_thermogram_can_be_drawn(celsius: NDArray[np.float32]) -> None:
    seen = thermogram(celsius)
    said = judge(seen, POLICY, is_present=lambda code, segment: False)
    picture = draw(seen, title="skin", regions=[LEFT], observations=said, lines=["x" * 900])
    assert picture.dtype == np.uint8
    assert picture.shape[0] > HEADER_PX
    assert max(picture.shape) < 8000


def test_what_was_not_measured_is_hatched_and_nothing_else_is() -> None:
    celsius = np.full((60, 80), 30.0, np.float32)
    celsius[:, 40:] = np.nan
    celsius[0, 0] = 36.0
    panel = draw(thermogram(celsius), title="skin")[
        HEADER_PX : HEADER_PX + 540, MARGIN_PX : MARGIN_PX + SIDE_PX
    ]
    is_hatch = np.zeros(panel.shape[:2], bool)
    for colour in HATCH:
        is_hatch |= (panel == np.array(colour)).all(axis=2)
    assert is_hatch[:, SIDE_PX // 2 :].all()
    assert not is_hatch[:, : SIDE_PX // 2].any()


def test_warmer_is_lighter() -> None:
    celsius = np.linspace(20.0, 40.0, 80, dtype=np.float32)[None, :].repeat(60, axis=0)
    page = draw(thermogram(celsius), title="skin").astype(int).sum(axis=2)
    row = page[HEADER_PX + 270, MARGIN_PX : MARGIN_PX + SIDE_PX - 20]
    assert (np.diff(row[::9]) >= 0).mean() > 0.9


@pytest.mark.corpus
def test_real_ones_become_pictures(corpus: Path, tmp_path: Path) -> None:
    for name in ("inst/extdata/IR_2412.jpg", "inst/extdata/SampleSEQ.seq", "inst/extdata/SampleCSQ.csq"):
        raw = next(read(corpus / "thermimage-flir" / name))
        seen = to_degrees(raw, SiteCalibration())
        said = judge(seen, POLICY, is_present=lambda code, segment: False)
        save(draw(seen, title=name, regions=POLICY.regions, observations=said), tmp_path / "seen.png")
        assert (tmp_path / "seen.png").stat().st_size > 100_000
