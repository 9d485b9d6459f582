"""What a file of the command line is: told by its content, then by its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge.cli.kinds import Kind, is_meant, kind_of
from edge.domain.errors import FormatError, UnsupportedError

TS = (b"\x47" + bytes(187)) * 4
HEADS: dict[str, tuple[bytes, Kind | None]] = {
    "a.bin": (bytes(128) + b"DICM" + bytes(20), "dicom"),
    "photo-and-dicom.tif": (b"II*\0" + bytes(124) + b"DICM", "dicom"),
    "a.dcm": (b"garbage", "dicom"),
    "head.nii.gz": (b"\x1f\x8b", "nifti"),
    "a.dat": (b"\0\0\0 ftypisom", "video"),
    "b.dat": (b"\x1aE\xdf\xa3" + bytes(30), "video"),
    "c.dat": (TS, "video"),
    "d.dat": (b"RIFF\0\0\0\0AVI LIST", "video"),
    "sound.wav": (b"RIFF\0\0\0\0WAVEfmt ", None),
    "photo.heic": (b"\0\0\0 ftypheic", None),
    "program.ts": (b"export const x = 1", None),
    "garbage.mp4": (b"garbage", "video"),
    "camera.mjpeg": (b"\xff\xd8\xff\xe0", "video"),
    "picture": (b"\xff\xd8\xff\xe0", "picture"),
    "warm": (b"\xff\xd8\xff\xe1\x20\0FLIR\0", "thermal"),
    "colour.png": (b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x08\x02", "picture"),
    "counts.png": (b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x10\x00", "thermal"),
    "still": (b"RIFF\0\0\0\0WEBPVP8 ", "picture"),
    "old.bmp": (b"BM" + bytes(30), "picture"),
    "sequence": (b"FFF\0" + bytes(60), "thermal"),
    "old.img": (b"AFF\0" + bytes(60), "thermal"),
    "pages.tif": (b"II*\0" + bytes(60), "thermal"),
    "garbage.seq": (b"garbage", "thermal"),
    "liver.hdr": (b"ENVI\nsamples = 3", "cube"),
    "spectrum": (b"##TITLE= tissue\n", "spectrum"),
    "commented": (b"## two columns\n1 2\n", None),
    "tissue.csv": (b"1,2\n", "spectrum"),
    "readme": (b"words", None),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_file_is_what_its_content_says_then_what_its_name_says(tmp_path: Path, name: str) -> None:
    head, kind = HEADS[name]
    assert kind_of(tmp_path / name, head) == kind


def test_a_stack_with_a_list_of_wavelengths_is_a_cube(tmp_path: Path) -> None:
    (tmp_path / "liver.wavelengths.txt").write_text("500\n510\n")
    assert kind_of(tmp_path / "liver.tif", b"II*\0") == "cube"


def test_an_archive_is_a_cube_by_what_is_in_it(tmp_path: Path) -> None:
    cube, weights, office = (tmp_path / name for name in ("cube.zip", "weights.npz", "letter.docx"))
    np.savez(tmp_path / "cube.npz", values=np.zeros((2, 3, 4)), wavelengths_nm=np.arange(4.0))
    (tmp_path / "cube.npz").rename(cube)
    np.savez(weights, kernel=np.zeros((2, 3, 4)))
    with zipfile.ZipFile(office, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    kinds = [kind_of(path, path.read_bytes()) for path in (cube, weights, office)]
    assert kinds == ["cube", "cube", None]
    assert not is_meant(weights, "cube", weights.read_bytes(), FormatError("no wavelengths"))


MEANT = [
    ("scan.dcm", "dicom", b"", True),
    ("movie.mp4", "video", b"", True),
    ("sound.m4a", "video", b"\0\0\0 ftypM4A ", False),
    ("photo.png", "thermal", b"\x89PNG", False),
    ("photo.jpg", "picture", b"\xff\xd8\xff\xe0", True),
    ("flir.jpg", "thermal", b"\xff\xd8\xff\xe1\x20\x00FLIR\0\x01", True),
    ("table.csv", "spectrum", b"a,b,c", False),
    ("tissue", "spectrum", b"##TITLE=x", True),
    ("readme", None, b"words", False),
]


@pytest.mark.parametrize(("name", "kind", "head", "is_told"), MEANT)
def test_what_came_with_its_folder_is_told_of_only_where_it_claims_to_be_something(
    tmp_path: Path, name: str, kind: Kind | None, head: bytes, is_told: bool
) -> None:
    assert is_meant(tmp_path / name, kind, head, UnsupportedError("not this")) is is_told
