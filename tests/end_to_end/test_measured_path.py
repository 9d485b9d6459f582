"""Cubes and spectra become findings, and none is lost: the real daemon, real files, a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.simulate.spectral import TissueScene, write_cube, write_raman
from tests.builders.bundles import write_bundle
from tests.builders.cubes import ramp, write_envi
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.receiver import Receiver
from tests.fulfils import assert_fulfils_schema
from tests.waiting import until

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def box(tmp_path: Path, receiver: Receiver) -> Iterator[Appliance]:
    write_bundle(tmp_path / "bundles", name="tiny")
    appliance = Appliance(
        tmp_path / "box", broker_port=receiver.port, bundles=tmp_path / "bundles", bundle="tiny"
    )
    roots = [str(tmp_path / "bundles"), str(MODELS)]
    appliance.document["bundles"] = {"roots": roots, "allow_unsigned": True}
    for kind, pipelines in (
        ("hyperspectral", [{"kind": "pixel-spectra", "bundle": "tissue-oxygen"}, {"kind": "hyperspectral"}]),
        ("spectrum", [{"kind": "spectrum"}]),
    ):
        source = {"kind": kind, "name": kind, "path": str(tmp_path / kind), "settle_s": 0.1}
        appliance.add(source=source)
        for pipeline in pipelines:
            listed = appliance.document["pipelines"]
            assert isinstance(listed, list)
            listed.append({"name": f"of {pipeline['kind']}".replace(" ", "-"), "sources": [kind], **pipeline})
    with appliance as running:
        yield running


def of(receiver: Receiver, pipeline: str, count: int = 1) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [finding for finding in receiver.findings() if finding["pipeline"] == pipeline]

    until(lambda: len(found()) >= count, within_s=60, what=f"{count} findings of {pipeline}")
    for finding in found():
        assert_fulfils_schema(finding)
    return found()


def test_a_cube_is_measured_and_read_by_a_model(tmp_path: Path, box: Appliance, receiver: Receiver) -> None:
    write_cube(tmp_path / "hyperspectral", "tissue", TissueScene(height_px=40, width_px=60).cube())
    (oxygen,) = of(receiver, "of-pixel-spectra")
    assert oxygen["verdict"] == "PRESENT"
    assert oxygen["model"]["id"] == "tissue-oxygen"
    assert oxygen["series"] == {
        "modality": "HSI",
        "instances": 1,
        "closed_because": "count",
        "roles": [],
        "roles_more": 0,
    }
    assert 0 <= oxygen["measurements"][0]["value"] <= 100
    measured = of(receiver, "of-hyperspectral", 2)
    assert {finding["model"] is None for finding in measured} == {True}


def test_a_cube_without_a_reference_is_not_assessed(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    write_envi(tmp_path / "hyperspectral", "raw", ramp())
    (oxygen,) = of(receiver, "of-pixel-spectra")
    assert oxygen["verdict"] == "NOT_ASSESSED"
    assert "counts" in oxygen["reason"]


def test_a_spectrum_has_its_peaks_told(tmp_path: Path, box: Appliance, receiver: Receiver) -> None:
    write_raman(tmp_path / "spectrum", "bone", rng=np.random.default_rng(1))
    findings = of(receiver, "of-spectrum", 3)
    assert {finding["verdict"] for finding in findings} == {"PRESENT"}
    assert findings[0]["series"]["modality"] == "SPECTRUM"


def test_noise_is_not_assessed_and_the_next_one_is(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    noise = np.random.default_rng(1).normal(10.0, 1.0, 600)
    points = "\n".join(f"{600 + 2 * number}\t{value:.3f}" for number, value in enumerate(noise))
    (tmp_path / "spectrum" / "noise.txt").write_text(points)
    write_raman(tmp_path / "spectrum", "good", rng=np.random.default_rng(1))
    until(
        lambda: {finding["verdict"] for finding in receiver.findings()} == {"PRESENT", "NOT_ASSESSED"},
        within_s=60,
        what="both verdicts",
    )
    of(receiver, "of-spectrum", 4)
