"""`kill -9` in each state of a version, before, within and after each write: the device begins, and works."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

COURSE = ("received", "verified", "planned", "staged", "waiting", "applying", "probing", "committed")
CUTS = [f"{place} {state}" for state in COURSE for place in ("before", "within", "after")]
CALLS = ["during plan", "during stage", "during apply", "during probe"]
IN_A_TRIAL = ["after applying", "during apply", "before probing", "within probing", "after probing"]
IN_A_TRIAL += ["during probe", "before committed", "within committed"]
KILLED = {"killed": True}


class Lives:
    """Processes of one device after the other, each on the state that the one before left."""

    def __init__(self, forker: subprocess.Popen[str], folder: Path) -> None:
        self._forker = forker
        self._folder = folder

    def live(self, *offers: int, cut: str = "", kill_after_ms: float = 0) -> Mapping[str, Any]:
        """Live once; what that life saw, or that it was killed."""
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        asked = {"folder": str(self._folder), "offers": offers, "cut": cut, "kill_after_ms": kill_after_ms}
        print(json.dumps(asked), file=self._forker.stdin, flush=True)
        seen: Mapping[str, Any] = json.loads(self._forker.stdout.readline())
        return seen


@pytest.fixture(scope="module")
def forker() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported everything and forks a device for each life."""
    command = [sys.executable, "-m", "tests.faults.fleet_process"]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def proven(forker: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a device on which version 1 was proven."""
    folder = tmp_path_factory.mktemp("proven") / "fleet"
    assert Lives(forker, folder).live(1)["ends"] == [[1, "committed"]]
    return folder


@pytest.fixture
def lives(forker: subprocess.Popen[str], proven: Path, tmp_path: Path) -> Lives:
    return Lives(forker, shutil.copytree(proven, tmp_path / "fleet"))


@pytest.mark.parametrize("cut", [*CUTS, "unmirrored verified", *CALLS])
def test_after_a_cut_a_device_works_and_ends_what_it_began(lives: Lives, cut: str) -> None:
    assert lives.live(2, cut=cut) == KILLED
    after = lives.live(2)
    assert after["is_trial"] == (cut in IN_A_TRIAL)
    assert (after["at_work"], after["applied"]) == ({"device": 2}, 2)


@pytest.mark.parametrize("cut", IN_A_TRIAL)
@pytest.mark.parametrize(
    ("again", "end", "version"),
    [("counting before", "committed", 2), ("counting after", "rolled_back", 1)],
)
def test_a_second_cut_in_a_trial_gives_back_what_was_proven_once_it_was_counted(
    lives: Lives, cut: str, again: str, end: str, version: int
) -> None:
    assert lives.live(2, cut=cut) == KILLED
    assert lives.live(cut=again) == KILLED
    after = lives.live(2)
    assert after["ends"] == [[2, end]]
    assert (after["at_work"], after["applied"]) == ({"device": version}, version)


def test_a_cut_while_it_goes_back_leaves_what_was_proven(lives: Lives) -> None:
    assert lives.live(2, cut="after probing") == KILLED
    assert lives.live(cut="counting after") == KILLED
    for place in ("before", "within"):
        assert lives.live(cut=f"{place} rolled_back") == KILLED
    after = lives.live(3)
    assert after["ends"] == [[2, "rolled_back"], [3, "committed"]]


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_after_cuts_at_any_moment_a_device_works(lives: Lives) -> None:
    moments = random.Random(5)
    seen = []
    for version in range(2, 120):
        lives.live(version, kill_after_ms=moments.uniform(1, 300))
        after = lives.live()
        assert after["at_work"] == {"device": after["applied"]}
        seen.append(after["applied"])
    assert seen == sorted(seen)
    assert len(set(seen)) > 20
