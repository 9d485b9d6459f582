"""PTW files: built ones, and those of pyradi against what pyradi reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.thermal import LinearScale, RawThermogram
from edge.formats.ptw import read_header
from edge.formats.thermal_files import read
from edge.preprocess.thermal import thermogram
from edge.preprocess.thermal_site import SiteCalibration
from tests.builders.thermal import ptw, ramp


def reading(folder: Path, content: bytes) -> list[RawThermogram]:
    path = folder / "recording.ptw"
    path.write_bytes(content)
    return list(read(path))


def test_frames_come_with_their_times_across_midnight(tmp_path: Path) -> None:
    frames = [ramp(low=5_000 + number, high=9_000) for number in range(3)]
    pictures = reading(tmp_path, ptw(frames, times_s=[86_399.985, 86_399.995, 0.005]))
    assert [(one.counts == frame).all() for one, frame in zip(pictures, frames, strict=True)] == [True] * 3
    times_s = np.array([picture.recorded_at_s for picture in pictures], np.float64)
    assert np.diff(times_s) == pytest.approx([0.01, 0.01], abs=1e-6)
    assert pictures[0].saturated_counts == (0, 16_383)
    assert pictures[0].camera == "Jade"


def test_digital_levels_need_a_scale_from_the_site(tmp_path: Path) -> None:
    [picture] = reading(tmp_path, ptw([ramp()], times_s=[1.0]))
    with pytest.raises(UnsupportedError, match="counts of Jade without a calibration"):
        thermogram(picture, SiteCalibration())
    scale = LinearScale(kelvin_per_count=0.02, zero_kelvin=273.15)
    [low] = reading(tmp_path, ptw([ramp(low=1000, high=2000)], times_s=[1.0]))
    seen = thermogram(low, SiteCalibration(scale=scale))
    assert float(seen.celsius[0, 0]) == pytest.approx(20.0, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (ptw([ramp()], times_s=[0.0])[:300], FormatError, "a PTW header ends after 300 bytes"),
        (ptw([ramp()] * 2, times_s=[0.0, 1.0])[:-1], FormatError, "frame 2 of 2 of a PTW ends after 1399"),
        (ptw([ramp()], times_s=[0.0], bits=24), FormatError, "a PTW of 24 bits, wanted 8 to 16"),
        (ptw([ramp()], times_s=[0.0], special=1), UnsupportedError, "a scale of its own, wanted counts"),
        (b"CED" + bytes(500), FormatError, "a PTW header of 0 bytes"),
        (b"AIO" + bytes(500), UnsupportedError, "an Agema PTW, wanted one of Cedip or FLIR"),
    ],
)
def test_what_cannot_be_read_says_why(
    tmp_path: Path, content: bytes, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        reading(tmp_path, content)


def test_lock_in_results_are_refused(tmp_path: Path) -> None:
    frame = ramp()
    frame[0, :4] = (1220, 3907, 1204, 2382)
    with pytest.raises(UnsupportedError, match="a PTW of lock-in results"):
        reading(tmp_path, ptw([frame], times_s=[0.0]))


NAMES = ["PyradiSampleLWIR", "PyradiSampleMWIR", "LWIR-BBref-150C-150us"]


@pytest.mark.corpus
@pytest.mark.parametrize("name", NAMES)
def test_first_and_last_frame_are_those_that_pyradi_reads(corpus: Path, name: str) -> None:
    pictures = list(read(corpus / "pyradi-ptw" / "pyradi" / "data" / f"{name}.ptw"))
    wanted = np.load(corpus / "pyradi-reference" / f"{name}.npz")
    assert (pictures[0].counts == wanted["first"]).all()
    assert (pictures[-1].counts == wanted["last"]).all()


@pytest.mark.corpus
@pytest.mark.parametrize("name", NAMES)
def test_the_header_is_the_one_that_pyradi_reads(corpus: Path, name: str) -> None:
    told = json.loads((corpus / "pyradi-reference" / "ptw_headers.json").read_text())[f"{name}.ptw"]
    path = corpus / "pyradi-ptw" / "pyradi" / "data" / f"{name}.ptw"
    with path.open("rb") as file:
        header = read_header(file)
    assert header.header_bytes == told["h_MainHeaderSize"]
    assert header.frame_header_bytes == told["h_FrameHeaderSize"]
    assert header.frame_bytes == told["h_FrameSize"]
    assert header.frames == told["h_NumberOfFieldInFile"]
    assert (header.height, header.width) == (told["h_Rows"], told["h_Cols"])
    assert header.bits == told["h_ADDynamic"]
    assert header.camera == told["h_CameraName"]
    last = list(read(path))[-1]
    seconds = told["h_frameHour"] * 3600 + told["h_frameMinute"] * 60 + told["h_frameSecond"]
    assert last.recorded_at_s == pytest.approx(seconds, abs=1e-6)
