"""Small DICOM series as scanners would write them, and as they should not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

from edge.domain.study import Series
from tests.builders.files import series_of_files

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))

Groups = Mapping[str, Mapping[str, Any]]
Frame = tuple[Sequence[float] | NDArray[np.float64], NDArray[Any], Groups]


@dataclass(kw_only=True)
class Shot:
    """One picture to be written.

    Attributes:
        position_mm: ImagePositionPatient.
        stored: (rows, columns) of what goes into the pixel data; its type gives BitsAllocated and sign.
        also: Further attributes by keyword, or keywords to leave out with None.
    """

    position_mm: Sequence[float] | NDArray[np.float64]
    stored: NDArray[Any]
    also: dict[str, Any] = field(default_factory=dict)


def pictures(count: int, *, rows: int = 6, columns: int = 5, kind: str = "<i2") -> list[NDArray[Any]]:
    """Different pictures, reproducible: no two slices look alike."""
    numbers = np.random.default_rng(7).integers(0, 2000, (count, rows, columns))
    return list(numbers.astype(kind))


def stack(
    pictures: Sequence[NDArray[Any]],
    *,
    orientation: Sequence[Sequence[float]] = AXIAL,
    origin_mm: Sequence[float] = (-10.0, -20.0, 30.0),
    step_mm: Sequence[float] | None = None,
    spacing_mm: float = 3.0,
) -> list[Shot]:
    """Pictures one behind the other along their normal, or along `step_mm`, as for a tilted gantry."""
    row, column = np.asarray(orientation, dtype=float)
    normal = np.cross(row, column)
    step = normal * spacing_mm if step_mm is None else np.asarray(step_mm)
    return [
        Shot(position_mm=np.asarray(origin_mm) + step * k, stored=stored, also={"InstanceNumber": k + 1})
        for k, stored in enumerate(pictures)
    ]


def written(
    shots: Sequence[Shot],
    folder: Path,
    *,
    orientation: Sequence[Sequence[float]] = AXIAL,
    pixel_spacing_mm: Sequence[float] = (0.7, 0.5),
    **common: Any,
) -> Series:
    """Write each shot as a CT slice and return the series that they make up."""
    series_uid = generate_uid()
    paths = []
    for n, shot in enumerate(shots):
        dataset = a_file(CTImageStorage, n)
        dataset.Modality = "CT"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesInstanceUID = series_uid
        dataset.InstanceNumber = n + 1
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in shot.position_mm]
        dataset.ImageOrientationPatient = [f"{value:.8f}" for value in np.ravel(orientation)]
        dataset.PixelSpacing = list(pixel_spacing_mm)
        dataset.SliceThickness = 3.0
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        add_pixels(dataset, shot.stored)
        set_all(dataset, {**common, **shot.also})
        path = folder / f"{n:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return series_of_files(paths)


def written_enhanced(
    frames: Sequence[Frame],
    folder: Path,
    *,
    orientation: Sequence[Sequence[float]] = AXIAL,
) -> Series:
    """Write one enhanced MR object: each frame is its position, its picture and further functional groups."""
    dataset = a_file(EnhancedMRImageStorage, 0)
    dataset.Modality = "MR"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.InstanceNumber = 1
    add_pixels(dataset, frames[0][1])
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = b"".join(stored.tobytes() for _, stored, _ in frames)
    measures = {"PixelSpacing": [2.0, 2.0], "SliceThickness": 3.0}
    shared: Groups = {
        "PixelMeasuresSequence": measures,
        "PlaneOrientationSequence": {"ImageOrientationPatient": [float(x) for x in np.ravel(orientation)]},
    }
    dataset.SharedFunctionalGroupsSequence = [groups(shared)]
    dataset.PerFrameFunctionalGroupsSequence = [
        groups({"PlanePositionSequence": {"ImagePositionPatient": list(map(float, position))}, **more})
        for position, _, more in frames
    ]
    path = folder / "enhanced.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return series_of_files([path])


def a_file(sop_class: str, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = UID(f"{generate_uid()[:50]}.{number}")
    dataset.StudyInstanceUID = generate_uid()
    return dataset


def add_pixels(dataset: Dataset, stored: NDArray[Any]) -> None:
    bits = stored.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"


def groups(items: Groups) -> Dataset:
    """Functional groups: keyword of the sequence to the attributes of its one item."""
    holder = Dataset()
    for keyword, attributes in items.items():
        item = Dataset()
        set_all(item, attributes)
        setattr(holder, keyword, [item])
    return holder


def set_all(dataset: Dataset, attributes: Mapping[str, Any]) -> None:
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
