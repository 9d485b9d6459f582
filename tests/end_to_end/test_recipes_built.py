"""Each recipe is followed with the real package; its bundle says of a picture or a scan what it should."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.domain.errors import BundleRejectedError
from edge.workshop import recipe
from tests.tidy.sources import ROOT

MODELS = ROOT / "models"
STATE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edge", "recipes")
DEEPBET_ML = 1545.6  # deepbet 1.0.2 itself says so of chris_t1
Findings = list[dict[str, Any]]
Seen = Callable[..., Findings]


def edge(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """Builds a bundle and asks it; what cannot be fetched here is skipped."""

    def look(name: str, given: Path, *options: str) -> Findings:
        try:
            recipe.fetched(recipe.load(MODELS / name), STATE)
        except BundleRejectedError as trouble:
            pytest.skip(str(trouble))
        built = edge("bundle", "build", name, "--out", tmp_path, "--state", STATE, "--no-quantize")
        assert built.returncode == 0, built.stdout + built.stderr
        asked = edge("analyze", given, "--bundle", name, "--bundles", tmp_path, "--json", *options)
        assert asked.returncode == 0, asked.stderr
        findings: Findings = json.loads(asked.stdout)
        assert {finding["verdict"] for finding in findings} == {"PRESENT"}
        return findings

    return look


def drawn(name: str, module: str, seed: int, into: Path) -> Path:
    rgb = runpy.run_path(str(MODELS / name / module))["draw"](seed)
    assert cv2.imwrite(str(into / "drawn.png"), rgb[:, :, ::-1])
    return into / "drawn.png"


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_deface_finds_the_faces_that_were_drawn(tmp_path: Path, seen: Seen) -> None:
    findings = seen("deface", drawn("deface", "faces.py", 3, tmp_path))
    faces = [finding for finding in findings if finding["box_px"]]
    assert len(faces) == 3
    assert all(len(face["points"]) == 5 for face in faces)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_rapidocr_covers_the_words_that_were_drawn(tmp_path: Path, seen: Seen) -> None:
    canvas = np.full((640, 960, 3), 60, np.uint8)
    cv2.putText(canvas, "DOE^JANE 1961", (100, 200), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 3)
    y, x = np.nonzero(canvas[:, :, 0] > 200)
    assert cv2.imwrite(str(tmp_path / "words.png"), canvas)
    boxes = [finding["box_px"] for finding in seen("rapidocr", tmp_path / "words.png") if finding["box_px"]]
    covered = np.zeros(canvas.shape[:2], np.bool_)
    for left, top, width, height in np.round(boxes).astype(int):
        covered[top : top + height, left : left + width] = True
    assert covered[y, x].mean() > 0.99
    assert covered.mean() < 0.15


@pytest.mark.proof
@pytest.mark.corpus
@pytest.mark.timeout(1800)
def test_deepbet_measures_what_deepbet_itself_does(corpus: Path, seen: Seen) -> None:
    findings = seen("deepbet", corpus / "niivue-images" / "chris_t1.nii.gz", "--modality", "MR")
    volumes = [one["value"] for finding in findings for one in finding["measurements"] if one["unit"] == "mL"]
    assert volumes == [pytest.approx(DEEPBET_ML, rel=0.003)]
