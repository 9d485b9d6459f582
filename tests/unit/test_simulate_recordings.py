"""Recordings come back from their files frame by frame, also from files that others made."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edge.domain.errors import ConfigurationError, FormatError, UnsupportedError
from edge.simulate.encoding import Codec, Encoder, VideoForm
from edge.simulate.faults import failing
from edge.simulate.footage import LiveFootage, Recording, drawn, plain, still
from edge.simulate.recordings import load, prepare, prepared
from edge.simulate.time_code import read_time_code

SMALL = VideoForm(height_px=144, width_px=256, fps=25, key_interval_s=0.2, bit_rate_kbps=300)


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
@pytest.mark.parametrize("fps", [25.0, 30.0])
def test_a_prepared_file_holds_every_frame_and_its_rate(tmp_path: Path, codec: Codec, fps: float) -> None:
    form = VideoForm(codec=codec, height_px=144, width_px=256, fps=fps, key_interval_s=0.2)
    path = prepared(tmp_path, scene_name="bars", form=form, duration_s=0.6)
    recording = load(path)
    wanted = list(range(round(0.6 * fps)))
    assert [unit.frame_number for unit in recording.units] == wanted
    assert [unit.shown_after_s for unit in recording.units] == [0.0] * len(wanted)
    assert recording.units[0].is_key
    assert (recording.form.codec, recording.form.fps) == (codec, fps)
    assert read_time_code(recording.present()[:144]) is not None


def test_b_frames_are_sent_in_one_order_and_shown_in_another(tmp_path: Path) -> None:
    form = VideoForm(height_px=144, width_px=256, key_interval_s=1.0, b_frames=2)
    recording = load(prepare(tmp_path / "b.ts", scene_name="bars", form=form, duration_s=0.6))
    sent = [unit.frame_number for unit in recording.units]
    assert sorted(sent) == list(range(15))
    assert sent != sorted(sent)
    shown = [number / 25 + unit.shown_after_s for number, unit in enumerate(recording.units)]
    assert np.argsort(shown).tolist() == np.argsort(sent).tolist()


def test_a_prepared_file_may_do_without_a_time_code(tmp_path: Path) -> None:
    path = prepared(tmp_path, scene_name="bars", form=SMALL, duration_s=0.2, has_time_code=False)
    assert read_time_code(load(path).present()[:144]) is None
    assert path != prepared(tmp_path, scene_name="bars", form=SMALL, duration_s=0.2)


def test_a_prepared_file_is_made_once(tmp_path: Path) -> None:
    first = prepared(tmp_path, scene_name="bars", form=SMALL, duration_s=0.2)
    made_ns = first.stat().st_mtime_ns
    assert prepared(tmp_path, scene_name="bars", form=SMALL, duration_s=0.2) == first
    assert first.stat().st_mtime_ns == made_ns
    assert prepared(tmp_path, scene_name="bars", form=SMALL, duration_s=0.2, seed=2) != first
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
def test_a_file_of_another_maker_is_looped_too(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(25), options={"bf": "0", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 250, 150, "yuv420p"
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((150, 250), level * 20, np.uint8), format="gray")
            container.mux(video.encode(frame.reformat(format="yuv420p")))
        container.mux(video.encode(None))
    recording = load(path)
    assert [unit.frame_number for unit in recording.units] == list(range(10))
    assert recording.units[0].content.startswith((b"\0\0\0\1", b"\0\0\1"))
    assert (recording.form.height_px, recording.form.width_px) == (150, 250)


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.ts"
    path.write_bytes(b"no video at all" * 50)
    with pytest.raises(FormatError, match=r"noise\.ts"):
        load(path)
    with pytest.raises(FormatError, match=r"absent\.ts: cannot be read"):
        load(tmp_path / "absent.ts")


def test_a_codec_that_no_camera_sends_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lossless.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=Fraction(25))
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(video.encode(None))
    with pytest.raises(UnsupportedError, match=r"lossless\.mkv: its video is ffv1"):
        load(path)


def test_the_name_of_a_file_has_to_fit_the_codec(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"end with \.ts"):
        prepare(tmp_path / "case.mp4", scene_name="bars", form=SMALL)


@pytest.mark.parametrize(
    "form",
    [
        VideoForm(height_px=721),
        VideoForm(width_px=1284),
        VideoForm(height_px=64),
        VideoForm(width_px=8000),
        VideoForm(fps=0),
        VideoForm(fps=500),
        VideoForm(codec="mjpeg", height_px=2160, width_px=3840),
    ],
)
def test_what_cannot_be_encoded_is_refused(form: VideoForm) -> None:
    with pytest.raises(ConfigurationError):
        Encoder(form)


def test_a_recording_shows_what_it_sent_last() -> None:
    recording = Recording.of(drawn("bars", SMALL, frames=8), SMALL)
    for _ in range(11):
        recording.take(as_key=False)
    code = read_time_code(recording.present()[:144])
    assert code is not None
    assert code.frame_number == 10 % 8


def test_a_recording_goes_on_to_a_key_frame_when_it_is_asked_to() -> None:
    recording = Recording.of(drawn("bars", SMALL, frames=10), SMALL)
    recording.take(as_key=False)
    assert recording.take(as_key=True).unit.frame_number == 5


def test_a_still_is_the_same_picture_all_the_time() -> None:
    shots = still(plain(120, SMALL), SMALL).units
    assert len({unit.frame_number for unit in shots}) == len(shots)
    assert sum(len(unit.content) for unit in shots[1:5]) < 400


def test_a_recording_cannot_be_blurred_while_it_is_sent() -> None:
    recording = still(plain(120, SMALL), SMALL)
    with pytest.raises(ConfigurationError, match="blurred"):
        failing("blurred", recording)
    with pytest.raises(ConfigurationError, match="resized"):
        failing("resized", recording)


def test_a_resized_camera_has_another_size_that_can_be_encoded() -> None:
    other = failing("resized", LiveFootage("bars", VideoForm())).form
    assert (other.height_px, other.width_px) == (540, 848)
    other.check()
