"""Several series for one model: each in the role that somebody names, and only where they belong together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge.cli.app import app
from edge.domain.errors import SeriesRejectedError
from edge.studies.apart import refuse_apart
from tests.builders.pair import FRAME, axial, coronal
from tests.builders.series import stack, written
from tests.builders.volume_bundles import write_pair

pytestmark = pytest.mark.usefixtures("log_as_found")


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A bundle of two channels: where both together are bright is a lesion."""
    write_pair(tmp_path / "bundles")
    return tmp_path / "bundles"


def analyzed(roots: Path, *words: object) -> Result:
    arguments = ["analyze", *map(str, words), "--bundles", str(roots), "--json"]
    return CliRunner().invoke(app, arguments, env={"XDG_CACHE_HOME": str(roots.parent / "cache")})


def test_two_series_in_their_roles_give_one_answer_on_the_grid_of_the_first(
    roots: Path, tmp_path: Path
) -> None:
    first, second = axial(tmp_path / "a"), coronal(tmp_path / "c")
    out = tmp_path / "out"
    done = analyzed(
        roots, "--series", f"FLAIR={second}", "--series", f"T1={first}", "--bundle", "pair", "--out", out
    )
    assert done.exit_code == 0, done.output
    whole, lesion = json.loads(done.stdout)
    assert (whole["verdict"], whole["notes"][0]) == ("PRESENT", "looked at together: T1, FLAIR")
    named = [(one["role"], one["instances"]) for one in whole["series"]["roles"]]
    assert sorted(named) == [("FLAIR", 20), ("T1", 12)]
    assert whole["measurements"][0]["value"] == pytest.approx(12 * 10 * 8 / 1000, rel=0.15)
    values = {one["code"]["value"]: one["value"] for one in lesion["measurements"]}
    assert [values[f"centre-{axis}"] for axis in "xyz"] == pytest.approx([0.0, 0.0, 12.0], abs=0.6)
    assert values["103339001"] == pytest.approx(np.hypot(12, 10), abs=1.0)
    assert sorted(path.name for path in out.iterdir()) == ["a.pair.nii.gz", "a.pair.png"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"FrameOfReferenceUID": "1.2.3.5"}, "T1 and FLAIR have another frame of reference"),
        ({"PatientPosition": "FFS"}, "T1 and FLAIR have another patient position"),
        ({"PatientID": "another"}, "T1 and FLAIR have another patient"),
    ],
)
def test_series_that_do_not_belong_together_are_not_assessed(
    roots: Path, tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    first, second = axial(tmp_path / "a"), coronal(tmp_path / "c", **changes)
    done = analyzed(roots, "--series", f"T1={first}", "--series", f"FLAIR={second}", "--bundle", "pair")
    (finding,) = json.loads(done.stdout)
    assert (done.exit_code, finding["verdict"]) == (3, "NOT_ASSESSED")
    assert reason in finding["reason"]
    assert "another" not in json.dumps(finding).replace("have another", ""), "no identity"


def test_a_missing_role_is_not_assessed_and_says_what_was_wanted(roots: Path, tmp_path: Path) -> None:
    done = analyzed(roots, "--series", f"T1={axial(tmp_path / 'a')}", "--bundle", "pair")
    (finding,) = json.loads(done.stdout)
    assert done.exit_code == 3
    assert finding["reason"] == "pair takes T1, FLAIR; given: T1"


def test_a_single_series_for_such_a_bundle_is_not_assessed(roots: Path, tmp_path: Path) -> None:
    done = analyzed(roots, axial(tmp_path / "a"), "--bundle", "pair")
    (finding,) = json.loads(done.stdout)
    assert (finding["verdict"], finding["reason"]) == ("NOT_ASSESSED", "pair takes T1, FLAIR; given: T1")


def test_without_a_name_such_a_bundle_is_left_out_and_that_is_said(roots: Path, tmp_path: Path) -> None:
    done = analyzed(roots, axial(tmp_path / "a"))
    (finding,) = json.loads(done.stdout)
    assert (finding["pipeline"], finding["verdict"]) == ("intake", "NOT_ASSESSED")
    assert "not used: pair takes several series, T1, FLAIR; --series T1=DIR" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--series", "T1"], "wanted ROLE=PATH"),
        (["--series", "T1=a", "--series", "T1=b"], "the role T1 was given before"),
        (["--series", "T1=both"], "holds 2 series, wanted one for its role"),
        (["--series", "T1=nowhere"], "there is no such file or folder"),
    ],
)
def test_words_that_cannot_be_understood_are_an_error(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    axial(tmp_path / "both" / "a")
    coronal(tmp_path / "both" / "c")
    monkeypatch.chdir(tmp_path)
    done = analyzed(roots, *words, "--bundle", "pair")
    assert message in str(done.exception)


def test_what_a_series_does_not_say_is_not_compared(tmp_path: Path) -> None:
    first = written(stack([np.ones((4, 4), np.int16)] * 3), made(tmp_path / "a"), **FRAME)
    silent = written(stack([np.ones((4, 4), np.int16)] * 3), made(tmp_path / "b"))
    refuse_apart({"T1": first, "T2": silent})
    other = written(stack([np.ones((4, 4), np.int16)] * 3), made(tmp_path / "c"), FrameOfReferenceUID="9.9")
    with pytest.raises(SeriesRejectedError, match="series of roles T1 and T2c have another frame"):
        refuse_apart({"T1": first, "T2": silent, "T2c": other})


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
