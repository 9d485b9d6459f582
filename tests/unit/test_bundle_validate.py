"""`edge bundle validate`: what a site's own labelled frames say, and what it refuses to judge by."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.bundles.store import load
from edge.cli import validate, validation
from edge.cli.app import app
from edge.cli.labelled_frames import Label
from edge.cli.validation import Judged, frames_needed, wilson_upper
from edge.config.cameras import LocalValidation
from edge.domain.errors import BundleRejectedError, FormatError, UnsupportedError
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.videos import write_video

BRIGHT, DARK = 230, 30


def asks_inside(document: dict[str, Any]) -> None:
    """The bundle that scores brightness, as if brightness meant inside."""
    document["output"]["classes"][0]["name"] = "outside"
    document["output"]["classes"][1]["name"] = "inside"
    document["policy"]["present_class"] = "inside"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    write_picture_bundle(folder, name="scope-gate", edit=asks_inside)
    write_picture_bundle(folder, name="brightness")
    return folder


def write_pictures(folder: Path, *, level: int, count: int, seed: int) -> None:
    """So many noisy pictures, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = (level + rng.integers(-20, 20, (36, 64, 3))).clip(0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{number:04}.png"), pixels)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """60 bright pictures from inside, 60 dark ones from outside."""
    write_pictures(tmp_path / "frames" / "inside", level=BRIGHT, count=60, seed=1)
    write_pictures(tmp_path / "frames" / "outside", level=DARK, count=60, seed=2)
    return tmp_path / "frames"


def ran(root: Path, frames: Path, out: Path, *, rate_max: float = 0.1, name: str = "scope-gate") -> int:
    return validate.run(name, frames, out=out, roots=[root], rate_max=rate_max, per_second=5)


def test_a_site_whose_frames_are_told_apart_gets_a_snippet_for_its_configuration(
    root: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(root, frames, tmp_path / "r.html") == validate.MAY_BE_DECLARED
    said = capsys.readouterr().out
    declared = yaml.safe_load(said[said.index("local_validation:") :])["local_validation"]
    assert declared["bundle_sha256"] == load(root / "scope-gate").digest
    assert declared["report_sha256"] == hashlib.sha256((tmp_path / "r.html").read_bytes()).hexdigest()
    assert declared["validated_by"] == ""
    assert LocalValidation(**{**declared, "validated_by": "A. Example"}).validated_by == "A. Example"


def test_a_bound_that_the_frames_do_not_carry_is_not_declared(
    root: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(root, frames, tmp_path / "r.html", rate_max=0.01) == validate.MUST_NOT
    said = capsys.readouterr().out
    assert "321 more frames from outside without a miss would be needed" in said
    assert "local_validation" not in said


def test_a_frame_from_outside_that_is_called_inside_is_named(
    root: Path, frames: Path, tmp_path: Path
) -> None:
    write_pictures(frames / "outside" / "lamp", level=BRIGHT, count=1, seed=3)
    out = tmp_path / "r.json"
    assert ran(root, frames, out) == validate.MAY_BE_DECLARED
    report = json.loads(out.read_text())
    assert report["worst_outside"][0]["frame"] == "outside/lamp/0000.png"
    assert report["staying"]["outside_called_inside"]["count"] == 1
    assert report["staying"]["outside_called_inside"]["of"] == 61


def test_the_page_holds_names_and_numbers_and_no_picture(root: Path, frames: Path, tmp_path: Path) -> None:
    ran(root, frames, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert re.search(r"outside/\d{4}\.png", page)
    assert not re.search(r"<img|<script|data:|https?://", page)


def test_of_a_video_so_many_frames_a_second_are_taken(root: Path, frames: Path, tmp_path: Path) -> None:
    write_video(frames / "outside" / "room.ts", frames=50)
    out = tmp_path / "r.json"
    ran(root, frames, out)
    assert json.loads(out.read_text())["staying"]["outside_called_inside"]["of"] == 60 + 10


def test_frames_without_the_two_folders_are_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with pytest.raises(FormatError, match="no folder outside"):
        ran(root, tmp_path, tmp_path / "r.html")


def test_an_empty_side_is_refused(root: Path, frames: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "half" / "inside", level=BRIGHT, count=2, seed=1)
    (tmp_path / "half" / "outside").mkdir()
    with pytest.raises(FormatError, match="nothing lies in outside"):
        ran(root, tmp_path / "half", tmp_path / "r.html")


def test_what_is_neither_picture_nor_video_is_refused(root: Path, frames: Path, tmp_path: Path) -> None:
    (frames / "inside" / "notes.txt").write_text("patient …")
    with pytest.raises(UnsupportedError, match=r"inside/notes\.txt"):
        ran(root, frames, tmp_path / "r.html")


def test_files_that_cannot_be_read_are_all_named_and_nothing_is_judged(
    root: Path, frames: Path, tmp_path: Path
) -> None:
    (frames / "inside" / "torn.png").write_bytes((frames / "inside" / "0000.png").read_bytes()[:60])
    (frames / "outside" / "empty.mp4").write_bytes(b"")
    with pytest.raises(FormatError, match=r"2 of 122 files(.|\n)*inside/torn\.png(.|\n)*outside/empty\.mp4"):
        ran(root, frames, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_a_picture_that_lies_on_both_sides_is_refused(root: Path, frames: Path, tmp_path: Path) -> None:
    (frames / "outside" / "copy.png").write_bytes((frames / "inside" / "0003.png").read_bytes())
    with pytest.raises(FormatError, match=r"outside/copy\.png shows the same as inside/0003\.png"):
        ran(root, frames, tmp_path / "r.html")


def test_too_few_or_unbalanced_frames_are_an_objection(root: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "f" / "inside", level=BRIGHT, count=2, seed=1)
    write_pictures(tmp_path / "f" / "outside", level=DARK, count=60, seed=2)
    out = tmp_path / "r.json"
    assert ran(root, tmp_path / "f", out) == validate.MUST_NOT
    objections = " ".join(json.loads(out.read_text())["verdict"]["objections"])
    assert "2 frames from inside are too few" in objections
    assert "wanted neither more than 20 times the other" in objections


def test_a_bundle_that_answers_another_question_is_refused(root: Path, frames: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleRejectedError, match="does not tell `inside` from outside"):
        ran(root, frames, tmp_path / "r.html", name="brightness")


def test_a_report_of_an_unknown_kind_is_refused(root: Path, frames: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"\.html or \.json"):
        ran(root, frames, tmp_path / "r.pdf")


def test_the_command_passes_its_options_on(root: Path, frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    words = ["bundle", "validate", "scope-gate", str(frames), "--out", str(out), "--bundles", str(root)]
    done = CliRunner().invoke(app, [*words, "--rate-max", "0.1", "--per-second", "2"])
    assert done.exit_code == validate.MAY_BE_DECLARED
    assert json.loads(out.read_text())["asked_rate_max"] == 0.1


def test_wilson_upper_agrees_with_published_values() -> None:
    # 0 of 10: 27.8 %; 1 of 20: 23.6 %; 81 of 263: 36.6 % (Newcombe 1998, table I, method 3)
    assert wilson_upper(0, 10) == pytest.approx(0.2775, abs=1e-4)
    assert wilson_upper(1, 20) == pytest.approx(0.2361, abs=1e-4)
    assert wilson_upper(81, 263) == pytest.approx(0.3662, abs=1e-4)
    assert wilson_upper(0, 0) == 1


@given(count=st.integers(0, 30), rate_max=st.floats(0.001, 0.2))
def test_as_many_frames_as_needed_carry_the_bound_and_one_less_does_not(count: int, rate_max: float) -> None:
    needed = frames_needed(count, rate_max)
    assert wilson_upper(count, needed) <= rate_max < wilson_upper(count, needed - 1)


def judged(label: Label, scores: list[float]) -> list[Judged]:
    return [
        Judged(name=f"{label}{n}", file=f"{label}{n}", label=label, score=s) for n, s in enumerate(scores)
    ]


def test_the_area_under_the_curve_counts_pairs_and_ties_half() -> None:
    frames = [*judged("outside", [0.1, 0.5, 0.6]), *judged("inside", [0.5, 0.9])]
    report = validation.judge(frames, enter=0.9, stay=0.7, rate_max=0.01)
    assert report.auc == pytest.approx((1 + 0.5 + 0 + 3) / 6)


def test_a_gate_that_would_hardly_ever_open_is_an_objection() -> None:
    frames = [*judged("outside", [0.1] * 60), *judged("inside", [0.5] * 60)]
    report = validation.judge(frames, enter=0.9, stay=0.7, rate_max=0.1)
    assert any("hardly ever open" in objection for objection in report.objections)
