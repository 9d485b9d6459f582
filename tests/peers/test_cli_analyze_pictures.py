"""`edge analyze` on still pictures: every task, every kind of file, and the same answer as for a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.formats import nifti
from tests.builders import thermal
from tests.builders.picture_tasks import TASKS, Form, write_task_bundle
from tests.builders.volumes import volume
from tests.peers.analyzed import Analyzed, analyzed

BOX = (64, 32, 96, 64)


def shown() -> NDArray[np.uint8]:
    """One red square on black, (128, 128, 3) RGB; a cell of the networks is 32 px here."""
    rgb = np.zeros((128, 128, 3), np.uint8)
    rgb[BOX[1] : BOX[3], BOX[0] : BOX[2], 0] = 255
    return rgb


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of all picture tasks, a picture, and a lossless video of it."""
    folder = tmp_path_factory.mktemp("pictures")
    for task in TASKS:
        write_task_bundle(folder / "bundles", task, Form(), name=task)
    cv2.imwrite(str(folder / "square.png"), cv2.cvtColor(shown(), cv2.COLOR_RGB2BGR))
    with av.open(str(folder / "square.avi"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 128, "bgr0"
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(shown(), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return folder


def run(place: Path, *words: object) -> Analyzed:
    return analyzed(*words, bundles=place / "bundles")


def test_every_model_for_pictures_looks_at_a_picture_that_is_named(place: Path, tmp_path: Path) -> None:
    done = run(place, place / "square.png", "--out", tmp_path)
    assert done.code == 0
    assert done.pipelines == set(TASKS)
    assert {one["stream"]["phase"] for one in done.findings} == {"begin"}
    thing = next(one for one in done.findings if one["pipeline"] == "picture-detection" and one["box_px"])
    assert thing["box_px"] == pytest.approx([64, 32, 32, 32], abs=0.1)
    assert (thing["verdict"], thing["segment"], thing["score"]) == (
        "PRESENT",
        "red",
        pytest.approx(1, abs=0.05),
    )
    marked = [one for one in done.findings if one["pipeline"] == "picture-segmentation"]
    assert marked[0]["measurements"][0]["value"] == pytest.approx(1024, rel=0.05)
    assert np.ptp(marked[1]["outline_px"], axis=0) == pytest.approx([32, 32], abs=2)
    point = next(one for one in done.findings if one["pipeline"] == "picture-keypoints")["points"][0]
    assert point["name"] == "tip"
    assert BOX[0] < point["x_px"] < BOX[2]
    assert BOX[1] < point["y_px"] < BOX[3]
    assert done.told("picture-embedding") == [("begin", "NOT_ASSESSED")]
    assert done.told("picture-classification") == [("begin", "ABSENT"), ("begin", "PRESENT")]
    labels, things = (
        cv2.imread(str(tmp_path / f"square.picture-segmentation.{name}.png"), cv2.IMREAD_UNCHANGED)
        for name in ("labels", "things")
    )
    assert labels is not None
    assert things is not None
    assert [str(one.dtype) for one in (labels, things)] == ["uint8", "uint16"]
    assert labels.shape == things.shape == (128, 128)
    assert int((labels == 1).sum()) == int((things == 1).sum()) == int(marked[0]["measurements"][0]["value"])
    assert np.load(tmp_path / "square.picture-embedding.npy").shape == (16,)
    assert len(list(tmp_path.iterdir())) == len(TASKS) + 3


def test_a_picture_gets_the_answer_that_the_same_frame_of_a_video_gets(place: Path) -> None:
    done = run(place, place / "square.png", place / "square.avi")
    assert done.code == 0
    said: dict[tuple[str, str], list[object]] = {}
    for one in done.findings:
        is_film = bool(one["notes"])
        answer = [one[key] for key in ("verdict", "score", "box_px", "outline_px", "points", "measurements")]
        key = ("film" if is_film else "still", f"{one['pipeline']} {one['segment']} {bool(one['box_px'])}")
        said.setdefault(key, []).append(answer)
    stills = {key: answers[0] for (kind, key), answers in said.items() if kind == "still"}
    films = {key: answers[0] for (kind, key), answers in said.items() if kind == "film"}
    assert stills == films
    assert len(stills) == len(TASKS) + 3  # two classes, and two tasks tell of a thing, too


def test_every_kind_of_file_is_looked_at_the_right_way_up_and_what_is_broken_is_named(
    place: Path, tmp_path: Path
) -> None:
    bgr = np.ascontiguousarray(shown()[:, :, ::-1])
    for end in ("png", "bmp", "tif", "webp"):
        cv2.imwrite(str(tmp_path / f"{end}.{end}"), bgr)
    cv2.imwrite(str(tmp_path / "deep.png"), bgr.astype(np.uint16) * 16)
    cv2.imwrite(str(tmp_path / "clear.png"), np.dstack([bgr, np.full((128, 128), 255, np.uint8)]))
    jpeg = cv2.imencode(".jpg", np.rot90(bgr), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    (tmp_path / "turned.jpg").write_bytes(turned(jpeg))
    whole = {path.stem for path in tmp_path.iterdir()}
    square = (place / "square.png").read_bytes()
    broken = {
        "cut.png": (square[:40], "a PNG that cannot be decoded"),
        "bomb.png": (square[:16] + (60_000).to_bytes(4, "big") * 2 + square[24:], "60000 x 60000 px, wanted"),
        "pages.tif": (thermal.tiff([np.zeros((20, 30), np.uint16)] * 2), "several pictures, wanted one"),
        "head.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF", "ends in its header"),
    }
    for name, (content, _) in broken.items():
        (tmp_path / name).write_bytes(content)
    done = run(place, *sorted(tmp_path.iterdir()), "--bundle", "picture-detection")
    assert done.code == 2
    boxes = {one["stream"]["source"]: one["box_px"] for one in done.findings if one["box_px"]}
    assert set(boxes) == whole
    for box in boxes.values():
        assert box == pytest.approx([64, 32, 32, 32], abs=0.1)
    noted = {note for one in done.findings for note in one["notes"]}
    assert noted == {"of 16 bits the picture uses 12, of which the upper 8 were looked at"}
    reasons = {Path(line.partition(": ")[0]).name: line for line in done.unreadable}
    assert set(reasons) == set(broken)
    assert [part for name, (_, part) in broken.items() if part not in reasons[name]] == []
    verdicts = {one["stream"]["source"]: one["verdict"] for one in done.findings if not one["box_px"]}
    assert verdicts == {**dict.fromkeys(whole, "PRESENT"), "cut": "NOT_ASSESSED"}


def test_each_bundle_sees_16_bits_in_the_range_that_it_states(tmp_path: Path) -> None:
    for name, high in (("narrow", 1023), ("wide", 65_535)):

        def state(document: dict[str, Any], *, high: int = high) -> None:
            document["input"]["range_16_bits"] = [0, high]

        write_task_bundle(tmp_path / "bundles", "picture-regression", name=name, edit=state)
    bgr = np.zeros((64, 64, 3), np.uint16)
    bgr[:, :, 2] = 512
    cv2.imwrite(str(tmp_path / "red.png"), bgr)
    done = run(tmp_path, tmp_path / "red.png")
    assert done.code == 0
    seen = {one["pipeline"]: (one["measurements"][0]["value"], one["notes"]) for one in done.findings}
    assert seen == {
        "narrow": (pytest.approx(50, abs=1), ["of 16 bits 0 to 1023 were looked at, as the bundle says"]),
        "wide": (pytest.approx(1, abs=1), ["of 16 bits 0 to 65535 were looked at, as the bundle says"]),
    }


def turned(jpeg: bytes) -> bytes:
    """Say in a JPEG that it is shown turned by a quarter, clockwise."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


def test_a_volume_in_a_file_is_told_what_the_bundles_for_pictures_take(tmp_path: Path) -> None:
    nifti.write(tmp_path / "ball.nii.gz", volume(np.ones((8, 8, 8), np.int16)))
    only = write_task_bundle(tmp_path / "bundles", "picture-detection", Form(), name="marks").parent
    words = (tmp_path / "ball.nii.gz", "--modality", "MR")
    for done in (
        analyzed(*words, bundles=only),
        analyzed(*words, "--bundle", "marks", bundles=only),
    ):
        assert done.code == 3
        (finding,) = done.findings
        assert finding["verdict"] == "NOT_ASSESSED"
        assert finding["reason"] == (
            "this is a volume, and marks is for pictures (picture-detection): it takes PNG, JPEG, TIFF, BMP "
            "and WebP files, videos, and DICOM objects of one picture (CR, DX, US …)"
        )
