"""Small DICOM pictures of every kind: radiographs, ultrasound, photographs, loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.builders.series import a_file, set_all

RADIOGRAPH = "1.2.840.10008.5.1.4.1.1.1"
DIGITAL = "1.2.840.10008.5.1.4.1.1.1.1"
ANGIOGRAM = "1.2.840.10008.5.1.4.1.1.12.1"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4"
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def write_picture(
    path: Path,
    stored: NDArray[Any],
    *,
    modality: str = "CR",
    sop_class: str = RADIOGRAPH,
    series_uid: str = "",
    number: int = 1,
    photometric: str = "",
    bits: int = 0,
    **also: Any,
) -> Path:
    """Write one object.

    Args:
        path: Of the file.
        stored: (rows, columns) grey or (rows, columns, 3) colour, with frames in an axis before them.
        modality: Of the object.
        sop_class: Likewise.
        series_uid: Likewise; "" for one of its own.
        number: InstanceNumber.
        photometric: MONOCHROME2 or RGB where it is not given.
        bits: Stored, all that are allocated where it is not given.
        also: Further attributes by keyword, or keywords to leave out with None.
    """
    is_colour = stored.shape[-1] == 3 and stored.ndim > 2
    frames = stored if stored.ndim == (4 if is_colour else 3) else stored[np.newaxis]
    allocated = stored.dtype.itemsize * 8
    dataset = a_file(sop_class, number)
    dataset.Modality, dataset.InstanceNumber = modality, number
    dataset.SeriesInstanceUID = series_uid or generate_uid()
    dataset.PatientName, dataset.PatientID = "TEST^SECRET", "SECRET-1"
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = photometric or ("RGB" if is_colour else "MONOCHROME2")
    dataset.BitsAllocated, dataset.BitsStored = allocated, bits or allocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    if is_colour:
        dataset.PlanarConfiguration = 0
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    content = frames.tobytes()
    dataset.PixelData = content + bytes(len(content) % 2)
    dataset["PixelData"].VR = "OW"
    set_all(dataset, also)
    dataset.save_as(path, enforce_file_format=True)
    return path


def item(**attributes: Any) -> Dataset:
    """One item of a sequence."""
    made = Dataset()
    set_all(made, attributes)
    return made


def table(entries: Sequence[int], *, first: int, bits: int) -> Dataset:
    """One item of a sequence of tables."""
    made = Dataset()
    made.add_new(0x00283002, "US", [len(entries), first, bits])
    made.add_new(0x00283006, "US", list(entries))
    return made


def region(box: tuple[int, int, int, int], *, row_cm: float, column_cm: float, units: int = 3) -> Dataset:
    """One ultrasound region: left, top, right, bottom of its pixels."""
    names = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    corners: Mapping[str, int] = {
        f"RegionLocation{name}": side for name, side in zip(names, box, strict=True)
    }
    return item(
        RegionSpatialFormat=1,
        PhysicalUnitsXDirection=units,
        PhysicalUnitsYDirection=units,
        PhysicalDeltaX=column_cm,
        PhysicalDeltaY=row_cm,
        **corners,
    )


def lit(shape_px: tuple[int, int], box: tuple[int, int, int, int], *, bright: int = 4000) -> NDArray[Any]:
    """(height, width) uint16, 0 but for a box: left, top, right, bottom."""
    stored = np.zeros(shape_px, np.uint16)
    stored[box[1] : box[3], box[0] : box[2]] = bright
    return stored
