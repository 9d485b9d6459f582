"""The door's look at an object: fast, right, and never surprised."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from edge.domain.errors import FormatError
from edge.formats.dicom import DicomIndex, index

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def an_object(**extra: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.Modality = "CT"
    referenced = Dataset()
    referenced.ReferencedSOPInstanceUID = "9.9.9"
    referenced.add_new(0x00091010, "UN", b"odd")
    dataset.ReferencedStudySequence = Sequence([referenced])
    dataset["ReferencedStudySequence"].is_undefined_length = True
    referenced.is_undefined_length_sequence_item = True
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.1"
    dataset.PatientName = "Doe^Jane"
    for keyword, value in extra.items():
        setattr(dataset, keyword, value)
    return dataset


def as_file(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_way_to_write_a_data_set_gives_the_same_index(syntax: str) -> None:
    seen = index(as_file(an_object(ImagesInAcquisition="12"), syntax))
    assert seen == DicomIndex(
        sop_uid="1.2.3.4",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid=syntax,
        series_uid="1.2.3.1",
        study_uid="1.2.3",
        modality="CT",
        announced_instances=12,
        data_set_offset=seen.data_set_offset,
    )


def test_the_count_of_the_series_is_better_evidence_than_that_of_an_acquisition() -> None:
    dataset = an_object(ImagesInAcquisition="12", NumberOfSeriesRelatedInstances="36")
    assert index(as_file(dataset)).announced_instances == 36


@pytest.mark.parametrize("count", ["0", "-4", "", "99999999"])
def test_a_count_that_cannot_be_is_no_count(count: str) -> None:
    assert index(as_file(an_object(ImagesInAcquisition=count))).announced_instances is None


def test_a_bare_data_set_is_taken_as_it_is() -> None:
    whole = as_file(an_object())
    bare = whole[index(whole).data_set_offset :]
    assert index(bare).series_uid == "1.2.3.1"
    assert index(bare).data_set_offset == 0


def test_a_header_longer_than_the_first_read_is_followed_to_its_end(tmp_path: Path) -> None:
    dataset = an_object()
    dataset.add_new(0x00091001, "OB", bytes(300_000))
    path = tmp_path / "long.dcm"
    path.write_bytes(as_file(dataset))
    assert index(path).series_uid == "1.2.3.1"


def test_what_a_cut_file_still_says_is_kept(tmp_path: Path) -> None:
    whole = as_file(an_object())
    path = tmp_path / "cut.dcm"
    path.write_bytes(whole[: whole.index(b"1.2.3.1")])
    seen = index(path)
    assert (seen.sop_uid, seen.study_uid, seen.series_uid) == ("1.2.3.4", "1.2.3", "")


@pytest.mark.parametrize(
    "junk", [b"", b"\x89PNG\r\n\x1a\n" + bytes(200), b"MZ" * 500, bytes(4096), b"DICM", bytes(128) + b"DICO"]
)
def test_what_is_no_dicom_is_refused_with_words(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk"
    path.write_bytes(junk)
    with pytest.raises(FormatError, match=r"junk: .*wanted `DICM`"):
        index(path)


def test_a_folder_is_refused_with_words(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        index(tmp_path)


def test_a_damaged_deflated_data_set_is_refused() -> None:
    whole = as_file(an_object(), DeflatedExplicitVRLittleEndian)
    offset = index(whole).data_set_offset
    with pytest.raises(FormatError, match="damaged"):
        index(whole[:offset] + b"\xff" * 40)


def test_sequences_without_end_are_refused() -> None:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    nest = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF) + item
    with pytest.raises(FormatError, match="nested"):
        index(bytes(128) + b"DICM" + nest * 100)


@given(st.binary(max_size=400))
def test_no_bytes_whatever_surprise_the_index(tail: bytes) -> None:
    start = bytes(128) + b"DICM"
    with contextlib.suppress(FormatError):
        index(start + tail)


@given(st.data())
def test_no_altered_object_surprises_the_index(data: st.DataObject) -> None:
    whole = bytearray(as_file(an_object(), data.draw(st.sampled_from(SYNTAXES))))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        index(bytes(whole))


def test_zlib_is_what_deflated_means() -> None:
    whole = as_file(an_object(), DeflatedExplicitVRLittleEndian)
    body = zlib.decompress(whole[index(whole).data_set_offset :], -zlib.MAX_WBITS)
    assert b"1.2.3.1" in body
