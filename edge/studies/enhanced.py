"""Read the slices of enhanced multi-frame objects, which describe each frame in functional groups."""

from __future__ import annotations

from pydicom.dataset import Dataset

from edge.domain.errors import FormatError, SeriesRejectedError
from edge.formats import dicom_tags as tags
from edge.formats.dicom_dataset import TROUBLES, items_of, number_of, numbers_of, read_header
from edge.studies.classic import Header
from edge.studies.functional_groups import Groups
from edge.studies.slices import Moments, Scaling, Slice, label_of, milliseconds, plane_of, scaling_of

_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")


def slices_of(header: Header) -> list[Slice]:
    """Return every frame of a multi-frame object as a slice.

    Raises:
        SeriesRejectedError: Its frames have no functional groups, or a frame has no place.
        FormatError: The header is damaged.
    """
    try:
        dataset = read_header(header.instance.path)
        shared = items_of(dataset, "SharedFunctionalGroupsSequence")
        per_frame = items_of(dataset, "PerFrameFunctionalGroupsSequence")
        if len(per_frame) != header.source.frames:
            raise SeriesRejectedError(
                f"{header.label}: {header.source.frames} frames, of which {len(per_frame)} are described"
            )
        common = shared[0] if shared else Dataset()
        return [_slice(header, dataset, Groups(own, common), n) for n, own in enumerate(per_frame)]
    except FormatError as trouble:
        raise FormatError(f"{header.label}: {trouble}") from trouble
    except TROUBLES as trouble:  # whose own words may quote a patient
        raise FormatError(f"{header.label}: functional groups: {type(trouble).__name__}") from trouble


def _slice(header: Header, dataset: Dataset, groups: Groups, frame: int) -> Slice:
    content = groups.item("FrameContentSequence")
    frame_type = groups.item(*_FRAME_TYPES)
    number = header.elements.integer(tags.INSTANCE_NUMBER)
    label = label_of(number, header.instance.sop_uid, frame=frame)
    measures = groups.item("PixelMeasuresSequence")
    form = header.source.format
    kind = [str(value) for value in frame_type.get("FrameType") or dataset.get("ImageType") or ()][2:]
    return Slice(
        label=label,
        sop_uid=header.instance.sop_uid,
        number=(number or 0) * 1_000_000 + frame,
        modality=str(dataset.get("Modality", "")),
        source=header.source,
        frame=frame,
        rows=form.rows,
        columns=form.columns,
        plane=plane_of(
            label,
            numbers_of(groups.item("PlanePositionSequence").get("ImagePositionPatient")),
            numbers_of(groups.item("PlaneOrientationSequence").get("ImageOrientationPatient")),
            numbers_of(measures.get("PixelSpacing")),
        ),
        thickness_mm=number_of(measures.get("SliceThickness")),
        scaling=_scaling(dataset, groups),
        kind="/".join([str(frame_type.get("ComplexImageComponent") or ""), *kind]),
        echo_ms=number_of(groups.item("MREchoSequence").get("EffectiveEchoTime")),
        moments=_moments(groups, content),
        is_lossy=str(dataset.get("LossyImageCompression", "")) == "01",
    )


def _scaling(dataset: Dataset, groups: Groups) -> Scaling:
    values = groups.item("PixelValueTransformationSequence")
    return scaling_of(
        str(dataset.get("Modality", "")),
        number_of(values.get("RescaleSlope")),
        number_of(values.get("RescaleIntercept")),
        rescale_type=str(values.get("RescaleType") or ""),
        philips_scale=number_of(groups.item(tags.PHILIPS_FRAME).get(tags.PHILIPS_SCALE)),
    )


def _moments(groups: Groups, content: Dataset) -> Moments:
    return Moments(
        temporal_position=number_of(content.get("TemporalPositionIndex")),
        b_value=number_of(groups.item("MRDiffusionSequence").get("DiffusionBValue")),
        acquisition_number=number_of(content.get("FrameAcquisitionNumber")),
        acquired_ms=milliseconds(str(content.get("FrameAcquisitionDateTime") or "")),
        trigger_ms=number_of(
            groups.item("CardiacSynchronizationSequence").get("NominalCardiacTriggerDelayTime")
        ),
    )
