"""Read the slices of objects that hold one picture each, with the tag scanner instead of a whole parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.study import Instance
from edge.formats import dicom_tags as tags
from edge.formats.dicom_elements import Elements
from edge.formats.dicom_pixels import HALVED, PixelFormat, PixelSource
from edge.formats.dicom_pixels import check as check_grey
from edge.formats.dicom_scan import FLOAT_PIXEL_DATA, PIXEL_DATA, UNDEFINED, scan_file
from edge.formats.dicom_uids import is_made_from_pictures, name_of
from edge.studies.slices import (
    Moments,
    Plane,
    Scaling,
    Slice,
    label_of,
    milliseconds,
    plane_of,
    scaling_of,
)

Check = Callable[[PixelSource, int], None]


class Header(NamedTuple):
    """An instance and what the scanner found in it.

    Attributes:
        label: Names the instance in messages.
        instance: Where it came from.
        elements: Its top-level elements.
        source: Where its pixels are.
    """

    label: str
    instance: Instance
    elements: Elements
    source: PixelSource


def read_header(instance: Instance, *, check: Check = check_grey) -> Header:
    """Scan one instance and check that it holds pictures.

    Args:
        instance: Its file.
        check: Of what kind; grey ones unless somebody says otherwise.

    Raises:
        FormatError: It is damaged.
        UnsupportedError: It holds no picture, or none of that kind.
    """
    label = label_of(None, instance.sop_uid)
    try:
        elements = scan_file(instance.path, tags.OF_A_SLICE, last=PIXEL_DATA)
    except FormatError as trouble:
        raise FormatError(f"{label}: {trouble}") from trouble
    label = label_of(elements.integer(tags.INSTANCE_NUMBER), instance.sop_uid)
    sop_class = elements.text(tags.SOP_CLASS) or instance.sop_class_uid
    if is_made_from_pictures(sop_class):
        raise UnsupportedError(f"{label}: {name_of(sop_class)} is made from pictures, it is none")
    if elements.pixels_offset is None:
        if elements.is_truncated:
            raise FormatError(f"{label}: the file ends before its pixels")
        raise UnsupportedError(f"{label}: {name_of(sop_class)} holds no picture")
    source = _pixel_source(label, instance, elements, elements.pixels_offset)
    check(source, instance.path.stat().st_size)
    return Header(label, instance, elements, source)


def slice_of(header: Header) -> Slice:
    """Return the one picture of a classic object.

    Raises:
        SeriesRejectedError: It does not say where it lies.
        FormatError: What it says cannot be.
    """
    elements = header.elements
    plane = plane_of(
        header.label,
        elements.floats(tags.POSITION),
        elements.floats(tags.ORIENTATION),
        elements.floats(tags.PIXEL_SPACING),
    )
    form = header.source.format
    return tile_of(header, plane, frame=0, crop=None, rows=form.rows, columns=form.columns)


def tile_of(
    header: Header, plane: Plane, *, frame: int, crop: tuple[int, int] | None, rows: int, columns: int
) -> Slice:
    """Return one picture out of an object whose other attributes stand on the top level."""
    elements = header.elements
    return Slice(
        label=header.label,
        sop_uid=header.instance.sop_uid,
        number=elements.integer(tags.INSTANCE_NUMBER) or 0,
        modality=elements.text(tags.MODALITY),
        source=header.source,
        frame=frame,
        crop=crop,
        rows=rows,
        columns=columns,
        plane=plane,
        thickness_mm=_first(elements.floats(tags.SLICE_THICKNESS)),
        scaling=_scaling(elements),
        kind="/".join(image_type(elements)[2:]),
        echo_ms=_first(elements.floats(tags.ECHO_TIME)),
        moments=_moments(elements),
        is_lossy=elements.text(tags.IS_LOSSY) == "01",
    )


def image_type(elements: Elements) -> list[str]:
    """Return the values of ImageType."""
    return [value.strip() for value in elements.text(tags.IMAGE_TYPE).split("\\")]


def _pixel_source(label: str, instance: Instance, elements: Elements, offset: int) -> PixelSource:
    def number(tag: int, otherwise: int) -> int:
        values = elements.binary(tag, "H")
        return int(values[0]) if values else otherwise

    allocated = number(tags.BITS_ALLOCATED, 0)
    stored = number(tags.BITS_STORED, allocated)
    rows, columns, frames = number(tags.ROWS, 0), number(tags.COLUMNS, 0), elements.integer(tags.FRAMES) or 1
    photometric = elements.text(tags.PHOTOMETRIC)
    if photometric == HALVED and elements.pixels_bytes != UNDEFINED:
        # Some write this and store the colour of each pixel.
        is_halved = elements.pixels_bytes < 3 * rows * columns * frames
        photometric = HALVED if is_halved else "YBR_FULL"
    return PixelSource(
        label=label,
        path=instance.path,
        format=PixelFormat(
            rows=rows,
            columns=columns,
            samples=number(tags.SAMPLES, 1),
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=number(tags.HIGH_BIT, stored - 1),
            is_signed=number(tags.IS_SIGNED, 0) == 1,
            is_float=elements.pixels_tag in (FLOAT_PIXEL_DATA, FLOAT_PIXEL_DATA + 1),
            photometric=photometric,
            is_planar=number(tags.PLANAR, 0) == 1,
        ),
        transfer_syntax_uid=elements.transfer_syntax_uid,
        data_set_offset=elements.data_set_offset,
        offset=offset,
        length=elements.pixels_bytes,
        frames=frames,
        is_big_endian=elements.encoding.is_big_endian,
    )


def _scaling(elements: Elements) -> Scaling:
    philips = None
    if elements.text(tags.PHILIPS_CREATOR).startswith("Philips MR Imaging DD"):
        philips = _first(elements.binary(tags.PHILIPS_SCALE, "f"))
    return scaling_of(
        elements.text(tags.MODALITY),
        _first(elements.floats(tags.RESCALE_SLOPE)),
        _first(elements.floats(tags.RESCALE_INTERCEPT)),
        rescale_type=elements.text(tags.RESCALE_TYPE),
        pet_units=elements.text(tags.PET_UNITS),
        philips_scale=philips,
    )


def _moments(elements: Elements) -> Moments:
    acquired = elements.text(tags.ACQUIRED_DATE_TIME) or elements.text(tags.ACQUIRED_TIME)
    return Moments(
        temporal_position=elements.integer(tags.TEMPORAL_POSITION),
        b_value=_first(elements.binary(tags.B_VALUE, "d")),
        acquisition_number=elements.integer(tags.ACQUISITION_NUMBER),
        acquired_ms=milliseconds(acquired),
        trigger_ms=_first(elements.floats(tags.TRIGGER_TIME)),
        content_ms=milliseconds(elements.text(tags.CONTENT_TIME)),
    )


def _first(values: Sequence[float]) -> float | None:
    return values[0] if values else None
