"""The page about bringing one's own model is followed word by word, with networks built for it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge.cli.app import app
from edge.domain.image import Volume
from edge.formats import nifti
from edge.workshop import bench, layer_search
from tests.builders import bare_networks
from tests.builders.bundles import network as volume_network

pytestmark = pytest.mark.usefixtures("log_as_found")

PAGE = (Path(__file__).parents[2] / "docs" / "bring-your-own-model.md").read_text()
DIAMETER_MM, CORE_MM, SPACING_MM = 40.0, 20.0, 2.0


@pytest.fixture(autouse=True)
def _a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(bench, "ROUNDS_S", 0.02)  # what it says of speed is proven elsewhere
    monkeypatch.setattr(layer_search, "NARROW", (16,))
    monkeypatch.setattr(layer_search, "REACHES", ("layers",))


def follow(chapter: str) -> list[dict[str, Any]]:
    """Do what a chapter says, in its order; return the findings of its last command."""
    _, _, rest = PAGE.partition(f"\n## {chapter}\n")
    text = rest.partition("\n## ")[0]
    said = ""
    folder = Path()
    for kind, block in re.findall(r"```(console|diff)\n(.*?)```", text, re.DOTALL):
        if kind == "diff":
            edit(folder / "manifest.yaml", block)
            continue
        for line in block.splitlines():
            said = run(line)
            named = re.search(r"--name (\S+)", line)
            folder = Path("models", named[1]) if named else folder
    findings: list[dict[str, Any]] = json.loads(said)
    return findings


def run(line: str) -> str:
    """Run a command of the page; a search that finds nothing that pays here ends with 1."""
    prompt, program, *words = shlex.split(line)
    assert (prompt, program) == ("$", "edge")
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    allowed = (0, 1) if "quantize" in words else (0,)
    assert done.exit_code in allowed, f"{line}\n{done.output}"
    return done.stdout


def edit(manifest: Path, block: str) -> None:
    """Apply the edits of the page: each place that it takes away must stand there, just so."""
    text = manifest.read_text()
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", block, re.MULTILINE):
        before, after = (re.sub(r"^.", "", part, flags=re.MULTILINE) for part in (old, new))
        assert text.count(before) == 1, f"{manifest} has this {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    manifest.write_text(text)


def said(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What was found, and the verdict."""
    return [(one["code"]["meaning"], one["verdict"]) for one in findings]


def draw(folder: str, pictures: list[NDArray[np.uint8]]) -> None:
    Path(folder).mkdir()
    for number, rgb in enumerate(pictures):
        cv2.imwrite(f"{folder}/{number:02}.png", rgb[..., ::-1])


def test_a_classifier_tells_dark_from_bright() -> None:
    Path("lamp.onnx").write_bytes(bare_networks.classifier())
    random = np.random.default_rng(0)
    levels = np.linspace(10, 245, 12)
    draw("rooms", [random.normal(n, 20, (96, 128, 3)).clip(0, 255).astype(np.uint8) for n in levels])
    (bright,) = follow("A classifier")
    assert (bright["code"]["meaning"], bright["verdict"]) == ("Lamp on", "PRESENT")
    (dark,) = json.loads(run("$ edge analyze rooms/00.png --bundle lamp --bundles models --json"))
    assert dark["verdict"] == "ABSENT"


def test_a_detector_finds_marks_where_they_are() -> None:
    Path("marks.onnx").write_bytes(bare_networks.detector())
    table = np.zeros((128, 128, 3), np.uint8)
    table[16:32, 48:64] = bare_networks.RED  # a cell of 8 x 8 px of the input, twice as large here
    table[96:112, 0:16] = bare_networks.BLUE
    draw("tables", [np.roll(table, (16 * n, 32 * n), axis=(0, 1)) for n in range(8)])
    whole, *marks = follow("A detector")
    assert (whole["code"]["meaning"], whole["verdict"]) == ("Marks of any colour", "PRESENT")
    found = {one["code"]["meaning"]: one["box_px"] for one in marks}
    assert found["red"] == pytest.approx([48, 16, 16, 16], abs=1)  # left, top, width, height
    assert found["blue"] == pytest.approx([0, 96, 16, 16], abs=1)


def test_a_segmenter_marks_what_is_light() -> None:
    Path("light.onnx").write_bytes(bare_networks.segmenter())
    walls = []
    for number in range(8):
        wall = np.full((96, 128, 3), 20, np.uint8)
        wall[16:48, 32 : 64 + 8 * number] = 230
        walls.append(wall)
    draw("walls", walls)
    findings = follow("A segmenter of pictures")
    assert ("light", "PRESENT") in said(findings)
    measured = {one["code"]["value"]: one["value"] for one in findings[0]["measurements"]}
    assert measured["area-share"] == pytest.approx(100 * 32 * 32 / (96 * 128), abs=0.5)  # percent


def test_a_segmenter_of_volumes_measures_millilitres() -> None:
    Path("core.onnx").write_bytes(volume_network(decoder="logits", extra_convolutions=2))
    Path("balls").mkdir()
    for number in range(6):
        nifti.write(Path("balls", f"{number}.nii.gz"), ball(off_mm=2.0 * number))
    findings = follow("A segmenter of volumes")
    assert said(findings)[0] == ("Ball with a core", "PRESENT")
    of = [one["of"]["meaning"] if one["of"] else "all" for one in findings[0]["measurements"]]
    volumes = dict(zip(of, [one["value"] for one in findings[0]["measurements"]], strict=True))
    assert volumes["all"] == pytest.approx(np.pi / 6 * DIAMETER_MM**3 / 1000, rel=0.1)
    assert volumes["core"] == pytest.approx(np.pi / 6 * CORE_MM**3 / 1000, rel=0.15)


def ball(*, off_mm: float) -> Volume:
    """A ball of 500 with a core of 1000, in a room of 64 mm."""
    place = (np.indices((32, 32, 32)) - 15.5) * SPACING_MM
    place[0] -= off_mm
    away_mm = np.sqrt((place**2).sum(axis=0))
    voxels = np.select([away_mm < CORE_MM / 2, away_mm < DIAMETER_MM / 2], [1000.0, 500.0], 0.0)
    return Volume(
        voxels=voxels.astype(np.float32),
        unit="arbitrary",
        spacing_mm=(SPACING_MM,) * 3,
        patient_from_voxel=np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]),
        modality="MR",
    )
