"""What arrives: instances, and the series they make up."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


def uid_of_content(sha256: str) -> str:
    """Return the UID of a file that has none: the same content is the same object wherever it came in.

    Args:
        sha256: Of the file's content, 64 hex digits.

    Returns:
        A UID of the kind that is made from a UUID (DICOM PS3.5, B.2): `2.25.` and the first 128 bits.
    """
    return f"2.25.{int(sha256[:32], 16)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One object that a source has received but nobody has promised anything about yet.

    Attributes:
        sop_uid: SOPInstanceUID; for a file that has none, `uid_of_content`.
        sop_class_uid: SOPClassUID, or "" where the format has none.
        transfer_syntax_uid: Of the data set, or "" where the format has none.
        series_uid: SeriesInstanceUID; "" where the object names none.
        study_uid: StudyInstanceUID; "" where the object names none.
        modality: Modality as the object says (`CT`, `MR`, …), or ""; `HSI` and `SPECTRUM` are words of ours.
        format: `dicom`, `nifti`, `cube` or `spectrum`.
        received_path: The file as the source wrote it, on the file system of the intake folder, closed.
        size_bytes: Of that file.
        sha256: Hex digest of the *data set* (DICOM) or of the file (other formats).
        announced_instances: How many instances the headers say this series has, or None.
        source: Name of the source in the configuration.
        calling_ae: Who sent it: the calling AE title, or the folder's name.
        association: Identifies the association or hand-over it came in with.
    """

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_uid: str
    study_uid: str
    modality: str
    format: str
    received_path: Path
    size_bytes: int
    sha256: str
    announced_instances: int | None
    source: str
    calling_ae: str
    association: str


class Kept(enum.Enum):
    """What became of an arrival; each of the three is a success for the sender."""

    NEW = "new"
    SAME = "same"  # the very same bytes are here already; no second row, no second file
    BESIDE = "beside"  # the same SOP Instance UID with other bytes; kept beside the first, flagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One object we answer for: its file is durable and journaled before this object exists.

    The attributes are those of `Arrival`, except:

    Attributes:
        path: Where the file lies now.
        received_at_ns: UTC.
        is_beside: The same SOP Instance UID had arrived before with other bytes.
    """

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_uid: str
    study_uid: str
    modality: str
    format: str
    path: Path
    size_bytes: int
    sha256: str
    announced_instances: int | None
    source: str
    calling_ae: str
    association: str
    received_at_ns: int
    is_beside: bool = False


class ClosedBecause(enum.Enum):
    """Why a series was thought complete, the best evidence first."""

    COUNT = "count"  # as many instances as the headers announced
    QUIET = "quiet"  # its associations closed, then nothing for the quiet time
    DEADLINE = "deadline"  # it went on for longer than the deadline allows
    ASKED = "asked"  # an operator handed over exactly these files


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series that was closed; it never grows, late instances make a new revision.

    Attributes:
        series_uid: SeriesInstanceUID, or a name made from the single object without one.
        study_uid: StudyInstanceUID, or "".
        modality: Of its instances; mixed ones are joined with `+`.
        instances: In order of arrival; slice order is the business of whoever stacks them.
        closed_because: The evidence.
        revision: 1 for the first time, one more each time it is closed again with late instances.
        let_go: How many more instances an earlier revision had that were let go since: it is not the whole.
    """

    series_uid: str
    study_uid: str
    modality: str
    instances: tuple[Instance, ...]
    closed_because: ClosedBecause
    revision: int = 1
    let_go: int = 0
