"""Read the slices of a mosaic: one picture that shows all slices of a volume as tiles, Siemens' or UIH's."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from edge.domain.errors import FormatError, SeriesRejectedError, UnsupportedError
from edge.formats import dicom_tags as tags
from edge.formats.csa import read_csa
from edge.formats.dicom_dataset import TROUBLES, items_of, numbers_of, read_header
from edge.studies.classic import Header, image_type, tile_of
from edge.studies.slices import Plane, Slice, Vector, plane_of

_TILES_MAX = 1024


def is_mosaic(header: Header) -> bool:
    """Whether the picture of this object is a sheet of tiles."""
    elements = header.elements
    return "MOSAIC" in image_type(elements) or (
        "VFRAME" in image_type(elements) and bool(elements.text(tags.UIH_TILES))
    )


def slices_of(header: Header) -> list[Slice]:
    """Return the tiles of a mosaic as slices.

    Raises:
        SeriesRejectedError: The header does not say how many tiles there are or where they lie.
        FormatError: What it says does not fit the picture.
    """
    if "VFRAME" in image_type(header.elements):
        return _united_imaging(header)
    return _siemens(header)


def _siemens(header: Header) -> list[Slice]:
    """Place the tiles: the header gives the corner of the sheet as if it were one slice of that size."""
    elements, form = header.elements, header.source.format
    count, normal = _csa(header)
    sheet = plane_of(
        header.label,
        elements.floats(tags.POSITION),
        elements.floats(tags.ORIENTATION),
        elements.floats(tags.PIXEL_SPACING),
    )
    spacing = elements.floats(tags.SPACING_BETWEEN_SLICES)
    if len(spacing) != 1 or not 0 < spacing[0] < math.inf:
        raise SeriesRejectedError(f"{header.label}: a mosaic without SpacingBetweenSlices")
    side = math.ceil(math.sqrt(count))
    rows, columns = _tile_size(header, down=side, across=side)
    row, column = np.array(sheet.row), np.array(sheet.column)
    corner = (
        np.array(sheet.position_mm)
        + row * (sheet.spacing_mm[1] * (form.columns - columns) / 2)
        + column * (sheet.spacing_mm[0] * (form.rows - rows) / 2)
    )
    across_slices = np.cross(row, column)
    step = across_slices * math.copysign(spacing[0], float(across_slices @ np.array(normal)))
    positions = (corner + step * k for k in range(count))
    return _tiles(header, positions, sheet, rows=rows, columns=columns)


def _united_imaging(header: Header) -> list[Slice]:
    elements = header.elements
    orientation = elements.floats(tags.ORIENTATION)
    spacing = elements.floats(tags.PIXEL_SPACING)
    try:
        tiles = items_of(read_header(header.instance.path), tags.UIH_TILE_SEQUENCE)
        places = [numbers_of(tile.get("ImagePositionPatient")) for tile in tiles]
    except FormatError as trouble:
        raise FormatError(f"{header.label}: {trouble}") from trouble
    except TROUBLES as trouble:  # whose own words may quote a patient
        raise FormatError(f"{header.label}: positions of tiles: {type(trouble).__name__}") from trouble
    if len(places) != elements.integer(tags.UIH_TILES) or not 0 < len(places) <= _TILES_MAX:
        raise SeriesRejectedError(
            f"{header.label}: {len(places)} positions for {elements.text(tags.UIH_TILES)} tiles"
        )
    planes = [plane_of(header.label, place, orientation, spacing) for place in places]
    across = math.ceil(math.sqrt(len(planes)))
    rows, columns = _tile_size(header, down=math.ceil(len(planes) / across), across=across)
    positions = (np.array(plane.position_mm) for plane in planes)
    return _tiles(header, positions, planes[0], rows=rows, columns=columns)


def _tiles(
    header: Header, positions: Iterator[np.ndarray], like: Plane, *, rows: int, columns: int
) -> list[Slice]:
    across = header.source.format.columns // columns
    slices = []
    for k, position in enumerate(positions):
        x, y, z = position.tolist()
        plane = Plane(position_mm=(x, y, z), row=like.row, column=like.column, spacing_mm=like.spacing_mm)
        crop = (k // across * rows, k % across * columns)
        slices.append(tile_of(header, plane, frame=0, crop=crop, rows=rows, columns=columns))
    return slices


def _tile_size(header: Header, *, down: int, across: int) -> tuple[int, int]:
    form = header.source.format
    if form.rows % down or form.columns % across:
        raise FormatError(
            f"{header.label}: {down}x{across} tiles do not fit a sheet of {form.rows}x{form.columns}"
        )
    return form.rows // down, form.columns // across


def _csa(header: Header) -> tuple[int, Vector]:
    """Return how many tiles count, and which way the slices go, from Siemens' private header."""
    raw = header.elements.values.get(tags.CSA_IMAGE_HEADER, b"")
    if not raw or header.elements.text(tags.CSA_CREATOR) != "SIEMENS CSA HEADER":
        raise SeriesRejectedError(f"{header.label}: a mosaic without its CSA header: slices have no place")
    try:
        facts = read_csa(raw)
        count = int(facts["NumberOfImagesInMosaic"][0])
        x, y, z = (float(number) for number in facts["SliceNormalVector"])
    except (FormatError, KeyError, ValueError) as trouble:
        raise SeriesRejectedError(f"{header.label}: its CSA header gives no tiles: {trouble}") from trouble
    if not 0 < count <= _TILES_MAX:
        raise UnsupportedError(f"{header.label}: {count} tiles in a mosaic, wanted 1 to {_TILES_MAX}")
    return count, (x, y, z)
