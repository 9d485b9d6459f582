"""`edge analyze` on videos: every frame counts, events have their times, and no pixel leaves unasked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.builders.bundles import write_bundle
from tests.builders.grey_video import write_grey_video
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.videos import write_video
from tests.peers.analyzed import Analyzed, analyzed

DARK, BRIGHT = [20] * 30, [235] * 30
EVENTS = [
    ("begin", "ABSENT"),
    ("end", "ABSENT"),
    ("begin", "PRESENT"),
    ("end", "PRESENT"),
    ("begin", "ABSENT"),
    ("end", "ABSENT"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that tells bright from dark, and videos of both."""
    folder = tmp_path_factory.mktemp("videos")
    write_picture_bundle(folder / "bundles")
    write_grey_video(folder / "light.mkv", DARK + BRIGHT + DARK)
    write_grey_video(folder / "flash.mp4", BRIGHT[:3])
    for kind, name in (("mp4", "bars.mp4"), ("mpegts", "bars.ts"), ("avi", "bars.avi"), ("mpeg", "bars.mpg")):
        write_video(folder / name, frames=30, kind=kind)
    return folder


def run(place: Path, *words: object) -> Analyzed:
    return analyzed(*words, bundles=place / "bundles")


def test_every_frame_is_looked_at_and_what_changes_is_an_event(place: Path, tmp_path: Path) -> None:
    done = run(place, place / "light.mkv", "--out", tmp_path / "plain")
    assert done.code == 0
    assert done.told("brightness") == EVENTS
    ends = [one["stream"] for one in done.findings if one["stream"]["phase"] == "end"]
    assert sum(end["frames"] for end in ends) == 90
    assert {(end["source"], end["timed_by"]) for end in ends} == {("light", "stream")}
    assert all(end["lost"] == {} for end in ends)
    assert done.findings[2]["notes"] == ["1.52 s into the recording"]  # it had to last for 0.3 s
    assert done.findings[2]["stream"]["began_at"] < done.findings[2]["observed_at"]
    assert "light: 90 frames, " in done.said
    asked = run(place, place / "light.mkv", "--out", tmp_path / "asked", "--frames")
    assert asked.told("brightness") == EVENTS
    plain, shown = (cv2.imread(str(tmp_path / name / "light.brightness.png")) for name in ("plain", "asked"))
    assert plain is not None
    assert shown is not None
    assert shown.shape[0] > plain.shape[0] + 200  # three small pictures, and only where they were asked for


def test_containers_are_told_apart_by_their_content(place: Path, tmp_path: Path) -> None:
    names = ("bars.mp4", "bars.ts", "bars.avi", "bars.mpg", "flash.mp4")
    for number, name in enumerate(names):
        (tmp_path / f"{number}.bin").write_bytes((place / name).read_bytes())
    done = run(place, *(tmp_path / f"{number}.bin" for number in range(len(names))))
    assert done.code == 0
    by_source = {one["stream"]["source"]: one["stream"]["frames"] for one in done.findings}
    assert by_source == {"0": 30, "1": 30, "2": 30, "3": 30, "4": 3}
    assert done.told("brightness")[-2:] == [("begin", "PRESENT"), ("end", "PRESENT")]  # short: said at once
    assert {one["notes"][-1] for one in done.findings[1:8:2]} == {"1.16 s into the recording"}


def test_videos_that_are_cut_off_or_damaged_are_2_and_named(place: Path, tmp_path: Path) -> None:
    whole = {path.name: path.read_bytes() for path in place.glob("*.*") if path.is_file()}
    noise = np.random.default_rng(1)
    hole = noise.bytes(1500)
    broken = {
        "cut.mp4": (whole["bars.mp4"][:-4000], "no video that can be opened"),
        "cut.mkv": (whole["light.mkv"][: len(whole["light.mkv"]) // 2], "cut off after "),
        "cut.avi": (whole["bars.avi"][: len(whole["bars.avi"]) // 2], "it announces 30"),
        "holed.ts": (whole["bars.ts"][:9000] + hole + whole["bars.ts"][10_500:], "could not be decoded"),
        "noise.mov": (noise.bytes(5000), "no video that can be opened"),
        "empty.mp4": (b"", "no video that can be opened"),
        "program.ts": (b"export const x = 1;\n" * 50, "not recognised: "),
    }
    for name, (content, _) in broken.items():
        (tmp_path / name).write_bytes(content)
    done = run(place, *(tmp_path / name for name in broken), place / "flash.mp4")
    assert done.code == 2
    assert sorted(line.partition(": ")[0] for line in done.unreadable) == sorted(
        str(tmp_path / name) for name in broken
    )
    wrong = [line for line in done.unreadable if broken[Path(line.partition(": ")[0]).name][1] not in line]
    assert wrong == []
    sources = {one["stream"]["source"] for one in done.findings}
    assert {"flash", "holed"} <= sources  # what can be seen is seen


def test_without_a_bundle_for_pictures_a_video_is_not_assessed(place: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundles")
    done = analyzed(place / "flash.mp4", bundles=tmp_path / "bundles")
    assert done.code == 3
    assert [(one["verdict"], one["stream"]["frames"]) for one in done.findings] == [("NOT_ASSESSED", 0)]
    assert "no bundle for pictures, there is tiny (volume-segmentation)" in done.findings[0]["reason"]


def test_a_bundle_that_is_refused_does_not_keep_others_from_looking(place: Path, tmp_path: Path) -> None:
    write_picture_bundle(tmp_path / "bundles")
    (tmp_path / "bundles" / "broken").mkdir()
    (tmp_path / "bundles" / "broken" / "manifest.yaml").write_text("format: nothing\n")
    done = analyzed(place / "flash.mp4", place / "flash.mp4", bundles=tmp_path / "bundles")
    assert done.code == 0
    assert done.pipelines == {"brightness"}
    assert len(done.findings) == 2  # begin and end: the same file twice is one recording
    assert "not used: " in done.said
