"""The simulated scanner against an archive that is not ours, and a refusal counted as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from edge.domain.errors import ConfigurationError, FormatError
from edge.simulate.head import head
from edge.simulate.patients import as_new_patient, studies_of
from edge.simulate.scanner import Scanner
from edge.simulate.scu import Outcome, Parcel, Peer
from edge.simulate.series import write_series
from tests.peers.archive import Archive

WHEEL = Path(pydicom.data.__file__).parent / "test_files"
MR = [(str(MRImageStorage), str(ExplicitVRLittleEndian))]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("head")
    return write_series(head(spacing_mm=25.0), folder, patient="SIM^HEAD", description="T1")


def peer(archive: Archive) -> Peer:
    return Peer(host="127.0.0.1", port=archive.port, called_ae="ARCHIVE", calling_ae="SCANNER")


def test_each_study_is_that_of_a_new_patient(series: list[Path]) -> None:
    with Archive(MR) as archive:
        with Scanner(peer(archive), [series], every_s=0.05, studies_max=3) as scanner:
            assert scanner.pace.wait(30)
        kept = [pydicom.dcmread(whole(body)) for body in archive.data_sets.values()]
    assert scanner.pace.trouble is None
    assert scanner.tally.stored == scanner.tally.instances == 3 * len(series) == len(kept)
    assert len({each.StudyInstanceUID for each in kept}) == 3
    assert len({each.SeriesInstanceUID for each in kept}) == 3
    assert {str(each.PatientID) for each in kept} == {f"SIM^{number:08d}" for number in (1, 2, 3)}


def whole(body: bytes) -> Any:
    """A data set as a file object that pydicom reads."""
    head = pydicom.filebase.DicomBytesIO()
    pydicom.filewriter.write_file_meta_info(head, meta())
    return pydicom.filebase.DicomBytesIO(b"\0" * 128 + b"DICM" + head.getvalue() + body)


def meta() -> pydicom.dataset.FileMetaDataset:
    said = pydicom.dataset.FileMetaDataset()
    said.MediaStorageSOPClassUID, said.MediaStorageSOPInstanceUID = MRImageStorage, pydicom.uid.UID("1.2.3")
    said.TransferSyntaxUID = ExplicitVRLittleEndian
    return said


def test_the_same_objects_come_again_when_they_are_asked_for(series: list[Path]) -> None:
    with Archive(MR) as archive:
        with Scanner(peer(archive), [series], every_s=0.05, studies_max=2, are_new=False) as scanner:
            assert scanner.pace.wait(30)
        assert len(archive.data_sets) == len(series)
    assert scanner.tally.stored == 2 * len(series)


def test_what_is_refused_is_counted_and_told(series: list[Path]) -> None:
    told: list[tuple[Parcel, Outcome]] = []
    with (
        Archive(MR, answer=lambda event: 0xA700) as archive,
        Scanner(
            peer(archive), [series], every_s=1, studies_max=1, report=lambda *about: told.append(about)
        ) as scanner,
    ):
        assert scanner.pace.wait(30)
    assert (scanner.tally.stored, scanner.tally.refused) == (0, len(series))
    assert [outcome.status for _, outcome in told] == [0xA700] * len(series)
    assert scanner.last_reason != ""


# pynetdicom leaves a socket unclosed that could not connect
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_is_not_there_fails_and_the_scanner_goes_on(series: list[Path]) -> None:
    nobody = Peer(host="127.0.0.1", port=1, called_ae="NOBODY", calling_ae="SCANNER")
    with Scanner(nobody, [series], every_s=0.01, studies_max=2) as scanner:
        assert scanner.pace.wait(30)
    assert scanner.tally.failed == 2 * len(series)
    assert "Connection refused" in scanner.last_reason


def test_a_scanner_with_nothing_to_send_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing to send"):
        Scanner(Peer(host="h", port=1, called_ae="A", calling_ae="B"), [[]], every_s=1)


def test_references_among_copies_stay_right(tmp_path: Path, series: list[Path]) -> None:
    datasets = [pydicom.dcmread(path) for path in series[:2]]
    for dataset, other in zip(datasets, reversed(datasets), strict=True):
        referenced = pydicom.Dataset()
        referenced.ReferencedSOPInstanceUID = other.SOPInstanceUID
        dataset.ReferencedImageSequence = [referenced]
        dataset.save_as(tmp_path / f"{dataset.InstanceNumber}.dcm", enforce_file_format=True)
    copies = as_new_patient(sorted(tmp_path.glob("*.dcm")), tmp_path / "new", patient="SIM^1")
    first, second = (pydicom.dcmread(path) for path in copies)
    assert first.ReferencedImageSequence[0].ReferencedSOPInstanceUID == second.SOPInstanceUID
    assert second.file_meta.MediaStorageSOPInstanceUID == second.SOPInstanceUID
    assert first.SOPInstanceUID != datasets[0].SOPInstanceUID
    assert first.SOPClassUID == datasets[0].SOPClassUID
    assert first.PixelData == datasets[0].PixelData


def test_files_are_sorted_into_studies(series: list[Path]) -> None:
    sorted_out = studies_of([series[0], WHEEL / "CT_small.dcm", *series[1:]])
    assert sorted_out == [series, [WHEEL / "CT_small.dcm"]]
    with pytest.raises(FormatError):
        studies_of([WHEEL / "README.txt"])


def test_a_made_up_head_has_the_size_of_one() -> None:
    made_up = head(spacing_mm=3.0)
    inside_ml = (made_up.voxels > 500).sum() * 0.027
    assert 1000 < inside_ml < 3500
    assert made_up.modality == "MR"
