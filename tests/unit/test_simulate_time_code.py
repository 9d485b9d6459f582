"""The time code is read back from what a real encoder made of it, at other sizes too."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.simulate.encoding import Codec, Encoder, VideoForm, stamp, to_planes
from edge.simulate.time_code import (
    FRAME_NUMBER_MAX,
    TIME_US_MAX,
    TimeCode,
    draw_time_code,
    read_time_code,
)

Luma = NDArray[np.uint8]

codes = st.builds(
    TimeCode,
    frame_number=st.integers(0, FRAME_NUMBER_MAX),
    clock=st.sampled_from(["none", "monotonic", "utc"]),
    time_us=st.integers(0, TIME_US_MAX),
)


def noise(height_px: int, width_px: int) -> Luma:
    return np.random.default_rng(3).integers(0, 255, (height_px, width_px), dtype=np.uint8)


def scaled(luma: Luma, height_px: int, width_px: int, *, how: int = cv2.INTER_LINEAR) -> Luma:
    return np.asarray(cv2.resize(luma, (width_px, height_px), interpolation=how), dtype=np.uint8)


@given(codes, st.sampled_from([(144, 256), (360, 640), (480, 640), (576, 720), (720, 1280), (1080, 1920)]))
def test_what_was_drawn_is_read(code: TimeCode, shape_px: tuple[int, int]) -> None:
    luma = noise(*shape_px)
    draw_time_code(luma, code)
    assert read_time_code(luma) == code


@given(codes, st.integers(180, 1100), st.integers(320, 1930))
@settings(max_examples=40)
def test_it_survives_scaling_to_any_size(code: TimeCode, height_px: int, width_px: int) -> None:
    luma = noise(720, 1280)
    draw_time_code(luma, code)
    assert read_time_code(scaled(luma, height_px, width_px)) == code


@given(codes, st.floats(0.5, 1.0), st.integers(0, 60))
@settings(max_examples=40)
def test_it_survives_other_brightness_and_contrast(code: TimeCode, contrast: float, brightness: int) -> None:
    luma = noise(360, 640)
    draw_time_code(luma, code)
    seen = np.clip(luma * contrast + brightness, 0, 255).astype(np.uint8)
    assert read_time_code(seen) == code


@given(st.data())
@settings(max_examples=40)
def test_a_damaged_code_is_none_or_right(data: st.DataObject) -> None:
    code = data.draw(codes)
    luma = noise(360, 640)
    draw_time_code(luma, code)
    left, top = data.draw(st.integers(0, 600)), data.draw(st.integers(0, 15))
    luma[top : top + 8, left : left + 40] = data.draw(st.integers(0, 255))
    assert read_time_code(luma) in (None, code)


def test_a_picture_without_a_code_says_nothing() -> None:
    assert read_time_code(noise(360, 640)) is None
    assert read_time_code(np.zeros((360, 640), np.uint8)) is None
    assert read_time_code(np.zeros((2, 2), np.uint8)) is None


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
@pytest.mark.parametrize("bit_rate_kbps", [500, 3000])
def test_it_survives_an_encoder_and_scaling_to_360_lines(codec: Codec, bit_rate_kbps: int) -> None:
    form = VideoForm(codec=codec, bit_rate_kbps=bit_rate_kbps)
    encoder = Encoder(form)
    decoder = av.CodecContext.create({"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    picture = np.asarray(cv2.GaussianBlur(np.dstack([noise(720, 1280)] * 3), (0, 0), 3), dtype=np.uint8)
    written, packets = [], []
    for number in range(8):
        planes = to_planes(np.roll(picture, 16 * number, axis=1))
        time_us = 1_790_000_000_000_000 + 40_001 * number
        written.append(TimeCode(frame_number=number, clock="utc", time_us=time_us))
        stamp(planes, written[-1])
        packets += [av.Packet(unit.content) for unit in encoder.encode(planes, frame_number=number)]
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    assert [read_time_code(at_360_lines(frame)) for frame in frames] == written


def at_360_lines(frame: av.VideoFrame) -> Luma:
    rgb = frame.reformat(width=640, height=360, format="rgb24").to_ndarray()
    return np.asarray(rgb.transpose(2, 0, 1), dtype=np.uint8)
