"""Access units to pictures: the right colours, no guesses, and no frame held back."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame
from edge.kit.clock import SystemClock
from edge.simulate.encoding import AccessUnit, Codec, VideoForm, to_planes
from edge.simulate.footage import drawn, encoded
from edge.simulate.rtp import nal_units
from edge.sources.camera_decoder import FAILURES_MAX, WAITS_FOR_KEY, LiveDecoder
from edge.sources.camera_file import VideoFile
from edge.sources.camera_folder import FrameFolder
from edge.sources.camera_picture import Scaler, VideoPicture
from edge.sources.live_books import LiveBooks
from edge.sources.rtsp.access_unit import START
from tests.builders.videos import write_video

CLOCK = SystemClock()
FORM = VideoForm(height_px=144, width_px=256, key_interval_s=0.4)
ENCODINGS: dict[Codec, str] = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}
PARAMETER_SETS: dict[Codec, tuple[int, ...]] = {"h264": (7, 8), "h265": (32, 33, 34)}
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (90, 150, 60)]


class Bench:
    """A decoder with its books."""

    def __init__(self, encoding: str = "H264") -> None:
        self.books = LiveBooks("camera", clock=CLOCK)
        self.decoder = LiveDecoder.of(encoding, source="camera", books=self.books, scaler=Scaler())
        self._sequence = 0

    def decode(self, unit: AccessUnit) -> list[Frame]:
        self._sequence += 1
        given = self.decoder.decode(
            unit.content,
            is_key=unit.is_key,
            sequence=self._sequence,
            captured_at_ns=self._sequence,
            timed_by="arrival",
        )
        return list(given)


def units(form: VideoForm = FORM, *, frames: int = 12) -> list[AccessUnit]:
    return list(encoded(drawn("bars", form, frames=frames), form))


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_every_access_unit_gives_its_own_frame_at_once(codec: Codec) -> None:
    bench = Bench(ENCODINGS[codec])
    sequences = [
        [frame.sequence for frame in bench.decode(unit)]
        for unit in units(VideoForm(codec=codec, height_px=144, width_px=256))
    ]
    assert sequences == [[number] for number in range(1, 13)]
    assert bench.books.health().taken == 0


def test_nothing_is_decoded_before_a_key_frame_nor_after_a_loss_until_the_next() -> None:
    bench, given = Bench(), units(frames=25)
    keys = [number for number, unit in enumerate(given) if unit.is_key]
    assert keys == [0, 10, 20]
    seen = [frame.sequence for unit in given[3:14] for frame in bench.decode(unit)]
    assert seen == [8, 9, 10, 11]  # given[10:14]
    bench.decoder.skip("packets missing")
    seen = [frame.sequence for unit in given[15:25] for frame in bench.decode(unit)]
    assert seen == [17, 18, 19, 20, 21]  # given[20:25]
    assert bench.books.losses() == {WAITS_FOR_KEY: 12, "packets missing": 1}


def test_every_jpeg_stands_for_itself() -> None:
    bench = Bench("JPEG")
    bench.decoder.skip("packets missing")
    assert len(bench.decode(units(VideoForm(codec="mjpeg", height_px=144, width_px=256))[0])) == 1


def test_a_damaged_access_unit_is_set_aside_and_what_rests_on_it_is_not_shown() -> None:
    bench, given = Bench(), units(frames=25)
    bench.decode(given[0])
    middle = len(given[10].content) // 2
    torn = given[10].content[: middle - 20] + bytes(60) + given[10].content[middle + 40 :]
    damaged = AccessUnit(content=torn, is_key=True, frame_number=10)
    shown = [bench.decode(unit) for unit in (damaged, *given[11:20], given[20])]
    assert [len(frames) for frames in shown] == [0] * 10 + [1]
    health = bench.books.health()
    assert health.set_aside == 1
    assert health.dropped == {WAITS_FOR_KEY: 9}


def test_too_many_failures_in_a_row_lose_the_source() -> None:
    bench = Bench()
    garbage = AccessUnit(content=b"\x00\x00\x00\x01\x65" + bytes(range(200)), is_key=True, frame_number=0)
    for _ in range(FAILURES_MAX - 1):
        assert bench.decode(garbage) == []
    with pytest.raises(SourceLostError, match=f"{FAILURES_MAX} access units in a row"):
        bench.decode(garbage)


@settings(max_examples=50)
@given(st.binary(max_size=300), st.booleans())
def test_whatever_comes_is_decoded_or_counted(content: bytes, is_key: bool) -> None:
    bench = Bench()
    bench.decode(units(frames=1)[0])
    bench.decode(AccessUnit(content=b"\x00\x00\x01\x41" + content, is_key=is_key, frame_number=1))
    assert bench.books.health().balances


def test_the_size_may_change_with_a_key_frame() -> None:
    bench = Bench()
    other = VideoForm(height_px=240, width_px=320)
    shapes = [frame.content.shape_px for unit in (*units(), *units(other)) for frame in bench.decode(unit)]
    assert shapes == [(144, 256)] * 12 + [(240, 320)] * 12


def kind_of(unit: bytes, codec: Codec) -> int:
    return {"h264": unit[0] & 31, "h265": unit[0] >> 1}[codec]


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_announced_parameter_sets_serve_a_stream_without_its_own(codec: Codec, is_damaged: bool) -> None:
    given = units(VideoForm(codec=codec, height_px=144, width_px=256))
    pieces = nal_units(given[0].content)
    sets = [unit for unit in pieces if kind_of(unit, codec) in PARAMETER_SETS[codec]]
    described = [unit[:2] + b"junk" if is_damaged else unit for unit in sets]
    pictures = [unit for unit in pieces if unit not in sets]
    own = sets if is_damaged else []
    bench = Bench(ENCODINGS[codec])
    bench.decoder.announce(b"".join(START + unit for unit in described))
    first = AccessUnit(content=b"".join(START + unit for unit in own + pictures), is_key=True, frame_number=0)
    assert [len(bench.decode(unit)) for unit in (first, *given[1:4])] == [1, 1, 1, 1]
    assert bench.books.health().taken == 0


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_come_out_as_they_went_in(colour: tuple[int, int, int]) -> None:
    rgb = np.full((64, 64, 3), colour, np.uint8)
    frame = av.VideoFrame.from_ndarray(to_planes(rgb), format="yuv420p")
    picture = VideoPicture(frame, scaler=Scaler())
    assert np.abs(picture.rgb().astype(int) - rgb).max() <= 4
    planes = picture.planes(height_px=32, width_px=16)
    assert np.abs(planes.astype(int) - np.array(colour)[:, None, None]).max() <= 4
    expected = np.dot(colour, (0.299, 0.587, 0.114))
    assert np.abs(picture.luma(height_px=8, width_px=8).astype(int) - expected).max() <= 4


def test_what_names_no_matrix_is_read_as_everybody_reads_it() -> None:
    green = np.full((720, 64, 3), (0, 255, 0), np.uint8)
    rgb = av.VideoFrame.from_ndarray(green, format="rgb24")
    frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709")
    frame.colorspace = 2  # unspecified
    seen = VideoPicture(frame, scaler=Scaler()).rgb()
    assert np.abs(seen.astype(int) - green).max() <= 4


@pytest.mark.parametrize("width_px", [64, 70, 333])
def test_a_width_that_fills_no_line_is_no_trouble(width_px: int) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((50, 100, 3), 77, np.uint8), format="bgr24")
    picture = VideoPicture(frame, scaler=Scaler())
    assert np.all(picture.planes(height_px=51, width_px=width_px) == 77)


@pytest.mark.parametrize("colour", COLOURS[1:])
@pytest.mark.parametrize(
    ("from_px", "to_px"), [((150, 200), (96, 128)), ((540, 960), (180, 320)), ((90, 120), (180, 320))]
)
def test_scaling_moves_nothing(
    from_px: tuple[int, int], to_px: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    rgb = np.full((*from_px, 3), 115, np.uint8)
    rows, columns = (slice(int(0.4 * side), int(0.4 * side) + side // 5) for side in from_px)
    rgb[rows, columns] = colour
    picture = VideoPicture(av.VideoFrame.from_ndarray(rgb, format="rgb24"), scaler=Scaler())
    planes = picture.planes(height_px=to_px[0], width_px=to_px[1]).astype(float)
    share = np.abs(planes - 115).sum(axis=0)
    places = np.indices(to_px) + 0.5
    for axis, part in enumerate((rows, columns)):
        middle = (part.start + part.stop) / 2 * to_px[axis] / from_px[axis]
        assert float((share * places[axis]).sum() / share.sum()) == pytest.approx(middle, abs=0.15)


# ── files and folders ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["mpegts", "mp4", "matroska"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_file_gives_every_frame_in_the_order_it_is_shown(tmp_path: Path, kind: str, b_frames: int) -> None:
    path = tmp_path / "video"
    write_video(path, frames=20, kind=kind, form=VideoForm(height_px=144, width_px=256, b_frames=b_frames))
    source = VideoFile("file", path=path, is_live=False, clock=CLOCK, books=LiveBooks("file", clock=CLOCK))
    with source.frames() as frames:
        shown = list(frames)
    times_ms = [frame.captured_at_ns / 1e6 for frame in shown]
    numbers = [frame.sequence for frame in shown]
    assert len(shown) == 20
    assert numbers == sorted(set(numbers))
    assert np.diff(times_ms) == pytest.approx([40.0] * 19, abs=1.1)


def test_a_file_that_loops_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=5, kind="mp4")
    books = LiveBooks("file", clock=CLOCK)
    source = VideoFile("file", path=path, is_live=False, loop=True, clock=CLOCK, books=books)
    with source.frames() as frames:
        assert [next(frames).sequence for _ in range(12)] == list(range(1, 13))
    assert books.claimed_fps == 25.0


def test_a_file_in_which_nothing_can_be_decoded_does_not_go_round_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    write_video(path, frames=5)
    content = bytearray(path.read_bytes())
    for packet in range(3 * 188, len(content), 188):
        content[packet + 60 : packet + 188] = bytes(128)  # behind the heads
    path.write_bytes(content)
    books = LiveBooks("file", clock=CLOCK)
    source = VideoFile("file", path=path, is_live=False, loop=True, clock=CLOCK, books=books)
    with pytest.raises(SourceLostError), source.frames() as frames:
        list(islice(frames, 20))


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    source = VideoFile("file", path=path, clock=CLOCK, books=LiveBooks("file", clock=CLOCK))
    with pytest.raises(SourceLostError, match=r"notes.mp4: cannot be opened"), source.frames():
        pass


def test_a_folder_gives_finished_files_only(tmp_path: Path) -> None:
    books = LiveBooks("folder", clock=CLOCK)
    source = FrameFolder(
        "folder",
        path=tmp_path,
        takes_present=True,
        after="remove",
        settle_s=0.2,
        silence_s=2.0,
        clock=CLOCK,
        books=books,
    )
    _, jpeg = cv2.imencode(".jpg", np.full((32, 48, 3), 100, np.uint8))
    _, png = cv2.imencode(".png", np.full((32, 48, 3), 200, np.uint8))
    (tmp_path / "a.jpg").write_bytes(jpeg.tobytes())
    (tmp_path / "b.jpg").write_bytes(jpeg.tobytes()[:-10])  # still being written
    (tmp_path / "c.png").write_bytes(png.tobytes())
    (tmp_path / "notes.txt").write_text("not for us")
    with source.frames() as frames:
        seen = [next(frames), next(frames)]
        (tmp_path / "b.jpg").write_bytes(jpeg.tobytes())
        seen.append(next(frames))
    levels = [int(frame.content.luma(height_px=4, width_px=4)[0, 0]) for frame in seen]  # type: ignore[union-attr]  # pictures
    assert levels == pytest.approx([100, 200, 100], abs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert books.health().set_aside == 0


def test_a_file_that_is_never_finished_is_set_aside(tmp_path: Path) -> None:
    books = LiveBooks("folder", clock=CLOCK)
    _, jpeg = cv2.imencode(".jpg", np.full((32, 48, 3), 100, np.uint8))
    (tmp_path / "half.jpg").write_bytes(jpeg.tobytes()[:200])
    source = FrameFolder(
        "folder", path=tmp_path, takes_present=True, settle_s=0.05, silence_s=0.5, clock=CLOCK, books=books
    )
    with source.frames() as frames, pytest.raises(SourceLostError, match="no new picture"):
        next(frames)
    assert books.health().set_aside == 1


def test_a_picture_that_claims_to_be_enormous_is_set_aside(tmp_path: Path) -> None:
    books = LiveBooks("folder", clock=CLOCK)
    cv2.imwrite(str(tmp_path / "huge.png"), np.zeros((6000, 6000), np.uint8))
    source = FrameFolder("folder", path=tmp_path, takes_present=True, silence_s=0.2, clock=CLOCK, books=books)
    with source.frames() as frames, pytest.raises(SourceLostError, match="no new picture"):
        next(frames)
    assert books.health().set_aside == 1


def test_what_appears_while_nobody_looks_is_not_passed_over(tmp_path: Path) -> None:
    books = LiveBooks("folder", clock=CLOCK)
    source = FrameFolder("folder", path=tmp_path, silence_s=0.1, clock=CLOCK, books=books)
    with source.frames() as frames, pytest.raises(SourceLostError, match="no new picture"):
        next(frames)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((32, 48, 3), 100, np.uint8))
    with source.frames() as frames:
        assert next(frames).sequence == 1


def test_a_picture_may_be_looked_at_from_many_threads_at_once() -> None:
    green = np.full((720, 128, 3), (0, 200, 0), np.uint8)
    frame = av.VideoFrame.from_ndarray(to_planes(green), format="yuv420p")
    picture = VideoPicture(frame, scaler=Scaler())
    expected = picture.planes(height_px=90, width_px=160)
    seen: list[bool] = []

    def look() -> None:
        for _ in range(20):
            picture.luma(height_px=18, width_px=32)
            seen.append(np.array_equal(picture.planes(height_px=90, width_px=160), expected))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 80
