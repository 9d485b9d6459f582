"""The studies the demo sends: real ones, from packages that carry some and from the corpus where it is."""

from __future__ import annotations

import gzip
import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.domain.errors import ConfigurationError, FormatError
from edge.formats import dicom
from edge.formats.nifti import read as read_nifti
from edge.simulate.series import write_series

MNI = ("nilearn", "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
SMALL = (("CT_small.dcm", "GE CT, one slice"), ("MR_small.dcm", "Toshiba MR, one slice"))
HEAD = "MNI152 head, T1"
FROM_CORPUS = (
    ("Siemens EPI, mosaic", "dcm_qa_siemens/In/Orientation/ax/axasc35/MR.*"),
    ("Canon DTI, enhanced", "dcm_qa_canon/In/enh/*"),
    ("Toshiba DTI", "dcm_qa_toshiba/In/Galan/*/*.dcm"),
    ("GE head CT, tilted", "dcm_qa_ct_ge/In/GE/*.dcm"),
    ("Philips phantom, enhanced", "dcm_qa_enh/In/Philips/*_fMAP.dcm"),
    ("PET, one slice", "orthanc-db/Database/2020-11-16-SalimKanounAnonymization.dcm"),
    ("Radiograph, JPEG", "orthanc-db/Database/Issue44/*.dcm"),
    ("Hitachi MR, four slices", "dicom2nifti/tests/data/hitachi/anatomical/001/*.dcm"),
    ("ALOKA ultrasound", "pydicom-data/data_store/data/gdcm-US-ALOKA-16.dcm"),
)


@dataclass(frozen=True, slots=True)
class Study:
    """One series to send.

    Attributes:
        name: For the table.
        series_uid: Its SeriesInstanceUID.
        files: In any order.
        is_head: The one that must come back PRESENT with a brain volume.
    """

    name: str
    series_uid: str
    files: tuple[Path, ...]
    is_head: bool = False


def studies(folder: Path, corpus: Path | None) -> list[Study]:
    """Return what to send, the head first.

    Args:
        folder: Where series are written that exist as volumes only.
        corpus: Folder of real data, or None.

    Raises:
        ConfigurationError: A package that carries a study is not installed.
    """
    head = read_nifti(_carried_by(*MNI)).volumes[0]
    files = write_series(head, folder / "mni", patient="DEMO^MNI152", description="MNI152 T1, stripped")
    found = list(_by_series(HEAD, files, is_head=True))
    for name, title in SMALL:
        found += _by_series(title, [_carried_by("pydicom", f"data/test_files/{name}")])
    if corpus is not None:
        found += _from_corpus(folder, corpus)
    return found


def _from_corpus(folder: Path, corpus: Path) -> Iterator[Study]:
    colin = corpus / "mricron-ch2" / "ch2.nii.gz"
    if colin.is_file():
        volume = read_nifti(colin).volumes[0]
        files = write_series(volume, folder / "colin", patient="DEMO^COLIN27", description="Colin27 T1")
        yield from _by_series("Colin27 head, T1", files)
    for name, pattern in FROM_CORPUS:
        yield from _by_series(name, [_unpacked(path, folder) for path in sorted(corpus.glob(pattern))])


def _by_series(name: str, files: list[Path], *, is_head: bool = False) -> Iterator[Study]:
    """Group files by what their headers say; a file that is no DICOM object is not sent."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        try:
            groups[dicom.index(path).series_uid].append(path)
        except FormatError:
            continue
    for number, (series_uid, members) in enumerate(sorted(groups.items()), start=1):
        title = name if len(groups) == 1 else f"{name} ({number})"
        yield Study(title, series_uid, tuple(members), is_head)


def _unpacked(path: Path, folder: Path) -> Path:
    if path.suffix != ".gz":
        return path
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / path.stem
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    return plain


def _carried_by(package: str, relative: str) -> Path:
    """Return a file of an installed package without importing it."""
    found = importlib.util.find_spec(package)
    for place in (found.submodule_search_locations if found else None) or []:
        if (Path(place) / relative).is_file():
            return Path(place) / relative
    raise ConfigurationError(
        f"the package {package} with its file {relative} is not installed: run `make run`"
    )
