"""TIFF and PNG of 16 bits, telling files apart, and what any file may do: be read, or be refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.domain.errors import EdgeError, FormatError, UnsupportedError
from edge.domain.thermal import RawThermogram
from edge.formats.thermal_files import is_thermal, read
from tests.builders.thermal import flir_file, jpeg_ls, png, ptw, radiometric_jpeg, ramp, tiff

HELD_MAX_BYTES = 96 << 20


def reading(folder: Path, content: bytes) -> list[RawThermogram]:
    path = folder / "picture"
    path.write_bytes(content)
    return list(read(path))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 5, 8, 32946])
def test_every_page_of_a_tiff_is_read(tmp_path: Path, order: str, compression: int) -> None:
    pages = [ramp(), ramp(5, 7), ramp(1, 1)]
    seen = reading(tmp_path, tiff(pages, order=order, compression=compression))
    assert [(one.counts == page).all() for one, page in zip(seen, pages, strict=True)] == [True] * 3
    assert seen[0].scale is None


@pytest.mark.parametrize(
    "options",
    [[], [cv2.IMWRITE_TIFF_COMPRESSION, 1], [cv2.IMWRITE_TIFF_COMPRESSION, 5]],
    ids=["by default", "plain", "LZW"],
)
def test_a_tiff_of_another_program_is_read(tmp_path: Path, options: list[int]) -> None:
    """LZW comes with differences (predictor 2) from libtiff; large enough for several strips."""
    picture = ramp(480, 640)
    path = tmp_path / "picture.tiff"
    assert cv2.imwrite(str(path), picture, options)
    [seen] = read(path)
    assert (seen.counts == picture).all()


def test_a_png_of_another_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    assert cv2.imwrite(str(path), ramp())
    [seen] = read(path)
    assert (seen.counts == ramp()).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({258: 8}, r"bits \(8,\), wanted one of \(16,\)"),
        ({277: 3}, "channels"),
        ({339: 3}, "sample format"),
        ({262: 0}, "photometric interpretation"),
        ({259: 7}, "compression"),
        ({317: 3}, "predictor"),
        ({324: 8}, "a TIFF in tiles, wanted strips"),
    ],
)
def test_what_a_tiff_may_not_be_is_refused_by_name(
    tmp_path: Path, changes: dict[int, int], said: str
) -> None:
    with pytest.raises(UnsupportedError, match=said):
        reading(tmp_path, tiff([ramp()], changes=changes))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (tiff([ramp()])[:-1], "a TIFF strip ends after 383 bytes, wanted 384"),
        (tiff([ramp()], changes={256: 0}), "a TIFF of 0 × 12 pixels"),
        (tiff([ramp()], changes={256: 60_000, 257: 60_000}), "a TIFF of 60000 × 60000 pixels"),
        (tiff([ramp()], changes={256: 40}), "a TIFF of 40 × 12 pixels in 384 bytes, wanted 960"),
        (tiff([ramp()], changes={279: 1 << 31}), "a TIFF strip of 2147483648 bytes, wanted 0 to"),
        (png(ramp())[:-20], "a PNG of .* bytes, wanted at least"),
        (png(ramp())[:60] + b"\0" * 20 + png(ramp())[80:], "a PNG with a wrong check sum at byte 33"),
    ],
)
def test_what_is_damaged_says_what_was_seen_and_wanted(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        reading(tmp_path, content)


def test_pages_that_go_in_a_circle_end(tmp_path: Path) -> None:
    content = bytearray(tiff([ramp()]))
    content[8 + 2 + 12 * 9 : 8 + 2 + 12 * 9 + 4] = b"\x08\0\0\0"
    with pytest.raises(FormatError, match="whose pages lead back to byte 8"):
        reading(tmp_path, bytes(content))


def test_a_coloured_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "colour.png"
    assert cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UnsupportedError, match="a PNG of 8 bits and colour type 2, wanted 16 bits of grey"):
        list(read(path))


def test_a_file_that_is_not_there_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"absent\.seq: No such file"):
        list(read(tmp_path / "absent.seq"))


def test_only_what_may_be_thermal_is_offered() -> None:
    assert is_thermal(flir_file(ramp())[:16])
    assert is_thermal(tiff([ramp()], order=">")[:16])
    assert not is_thermal(b"DICM" + bytes(12))


WHOLE = {
    "FFF": flir_file(ramp(), order=">"),
    "SEQ": flir_file(ramp()) * 3,
    "CSQ": flir_file(ramp(), packed=jpeg_ls(ramp())) * 2,
    "FFF with PNG": flir_file(ramp(), packed=png(ramp())),
    "JPEG": radiometric_jpeg(flir_file(ramp()), part_bytes=700),
    "PTW": ptw([ramp()] * 2, times_s=[0.0, 0.1]),
    "TIFF": tiff([ramp(), ramp()]),
    "TIFF deflated": tiff([ramp()], compression=8),
    "TIFF LZW": tiff([ramp()], compression=5),
    "PNG": png(ramp()),
}


def read_or_refused(path: Path) -> str:
    """Read a file to its end; return what it said where it was refused."""
    tracemalloc.start()
    try:
        for picture in read(path):
            assert picture.counts.dtype == np.uint16
        return ""
    except EdgeError as trouble:
        return str(trouble)
    finally:
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < HELD_MAX_BYTES


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_file_that_ends_anywhere_is_read_or_refused(tmp_path: Path, name: str, data: st.DataObject) -> None:
    whole = WHOLE[name]
    path = tmp_path / "cut"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    read_or_refused(path)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_file_with_wrong_bytes_is_read_or_refused(tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[name])
    ends = [min(len(content), limit) for limit in (600, len(content))]  # headers are where lies do harm
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(4, data.draw(st.sampled_from(ends)) - 1))
        content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    path = tmp_path / "wrong"
    path.write_bytes(content)
    read_or_refused(path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([b"FFF\0", b"\xff\xd8\xff", b"CED", b"II*\0", b"MM\0*", b"\x89PNG\r\n\x1a\n", b""]),
    st.binary(max_size=700),
)
def test_garbage_behind_any_beginning_is_refused(tmp_path: Path, begin: bytes, rest: bytes) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(begin + rest)
    assert read_or_refused(path) != ""
