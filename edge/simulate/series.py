"""A volume written as a classic DICOM series, one MR instance a slice, as a scanner would send it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from edge.domain.image import Volume

STORED_MAX = 4095


def write_series(volume: Volume, folder: Path, *, patient: str, description: str) -> list[Path]:
    """Write one file a slice; the same volume and description give the same UIDs.

    Args:
        volume: Any orientation; values are scaled to 0..4095, as MR images have no unit.
        folder: Made if it is missing.
        patient: PatientName and PatientID, an invented one.
        description: SeriesDescription.

    Returns:
        The files, in slice order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study_uid = generate_uid(entropy_srcs=["edge demo study", patient])
    series_uid = generate_uid(entropy_srcs=["edge demo series", patient, description])
    scale = STORED_MAX / max(float(volume.voxels.max()), 1.0)
    stored = (volume.voxels.astype(np.float32).clip(0) * scale).round().astype(np.uint16)
    files = []
    for number, pixels in enumerate(stored, start=1):
        dataset = _slice(volume, pixels, number=number, slices=len(stored))
        dataset.PatientName = dataset.PatientID = patient
        dataset.SeriesDescription = description
        dataset.StudyInstanceUID = study_uid
        dataset.SeriesInstanceUID = series_uid
        dataset.SOPInstanceUID = f"{series_uid[:56]}.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = folder / f"{number:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


def _slice(volume: Volume, pixels: NDArray[np.uint16], *, number: int, slices: int) -> FileDataset:
    """Return the data set of slice `number` (from 1), without identity."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = MRImageStorage
    dataset.Modality = "MR"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.ImagesInAcquisition = slices
    per_i, per_j, per_k, origin = volume.patient_from_voxel[:3].T
    spacing_k, spacing_j, spacing_i = volume.spacing_mm
    dataset.ImageOrientationPatient = [*_decimals(per_i / spacing_i), *_decimals(per_j / spacing_j)]
    dataset.ImagePositionPatient = _decimals(origin + per_k * (number - 1))
    dataset.PixelSpacing = _decimals([spacing_j, spacing_i])
    dataset.SliceThickness, dataset.SpacingBetweenSlices = _decimals([spacing_k, spacing_k])
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    return dataset


def _decimals(numbers: ArrayLike) -> list[str]:
    """Write numbers as DICOM decimal strings, at most 16 characters each."""
    return [f"{number:.6f}".rstrip("0").rstrip(".") for number in np.asarray(numbers, dtype=float)]
