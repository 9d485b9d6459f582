"""What an object says about itself at the door: who it is, which series it belongs to, how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.domain.errors import FormatError
from edge.formats.dicom_elements import Elements
from edge.formats.dicom_scan import scan_bytes, scan_file

_SOP_CLASS, _SOP_UID, _MODALITY = 0x00080016, 0x00080018, 0x00080060
_STUDY_UID, _SERIES_UID = 0x0020000D, 0x0020000E
_IMAGES_IN_ACQUISITION, _SERIES_INSTANCES = 0x00201002, 0x00201209
_WANTED = frozenset(
    (_SOP_CLASS, _SOP_UID, _MODALITY, _STUDY_UID, _SERIES_UID, _IMAGES_IN_ACQUISITION, _SERIES_INSTANCES)
)
_INSTANCES_MAX = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomIndex:
    """The few attributes that decide where an object goes; "" where the object does not say.

    Attributes:
        sop_uid: SOPInstanceUID.
        sop_class_uid: SOPClassUID.
        transfer_syntax_uid: Of the data set.
        series_uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        modality: Modality.
        announced_instances: NumberOfSeriesRelatedInstances, else ImagesInAcquisition, else None. The latter
            counts an acquisition, of which a series may have several: evidence, not proof.
        data_set_offset: Where the data set begins in the file, behind preamble and meta information.
    """

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_uid: str
    study_uid: str
    modality: str
    announced_instances: int | None
    data_set_offset: int


def index(source: Path | bytes) -> DicomIndex:
    """Read the index of a DICOM object; what is missing or cut off comes back empty.

    Args:
        source: A Part 10 file or a bare data set, on disk or whole in memory.

    Raises:
        FormatError: The bytes are no DICOM at all, or the file cannot be read.
    """
    if isinstance(source, bytes):
        return _index(scan_bytes(source, _WANTED, last=_SERIES_INSTANCES))
    try:
        return _index(scan_file(source, _WANTED, last=_SERIES_INSTANCES))
    except FormatError as trouble:
        raise FormatError(f"{source.name}: {trouble}") from trouble


def _index(elements: Elements) -> DicomIndex:
    announced = elements.integer(_SERIES_INSTANCES) or elements.integer(_IMAGES_IN_ACQUISITION)
    return DicomIndex(
        sop_uid=elements.text(_SOP_UID) or elements.media_sop_uid,
        sop_class_uid=elements.text(_SOP_CLASS) or elements.media_sop_class_uid,
        transfer_syntax_uid=elements.transfer_syntax_uid,
        series_uid=elements.text(_SERIES_UID),
        study_uid=elements.text(_STUDY_UID),
        modality=elements.text(_MODALITY),
        announced_instances=announced if announced and 0 < announced <= _INSTANCES_MAX else None,
        data_set_offset=elements.data_set_offset,
    )
