"""The real CT of the corpus that the card speaks of, and balls that are put into it for nodules."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy import ndimage

from edge.domain.image import Volume
from edge.formats import nifti

VOXEL_MM = 1.5
BODY = "totalsegmentator/tests/reference_files/example_ct.nii.gz"
LOBES = "totalsegmentator/tests/reference_files/example_seg_fast_force_split.nii.gz"  # on its grid
LOBES_OF_LUNGS = range(10, 15)
WAIST = "totalsegmentator/tests/reference_files/example_ct_dicom/CT.*"  # 20 slices; no lung in its reference
HEAD = "niivue-images/CT_AVM.nii.gz"
# Slices with lung in them that no other slice lies beside: each stands for a prism of this height, mm.
SLABS = {
    "wado-transfer-syntaxes/testImages/CT1_J2KR": 100.0,
    "dcmqi/data/segmentations/ct-3slice/02.dcm": 48.0,
}
AIRY_HU = -500.0  # in a slab, what is airier than that, within the body and over 5 mL is lung
PIECE_MIN_ML = 5.0
BALLS_MM, BALLS_MAX, BALL_HU = (5.0, 7.0, 10.0, 15.0), 14, 40.0


def ct_of(path: Path) -> Volume:
    """A file that does not say that it is CT."""
    return replace(nifti.read(path).volumes[0], modality="CT", unit="hounsfield")


def lungs_of(corpus: Path) -> NDArray[np.bool_]:
    """What of `BODY` is lung, by its reference."""
    return np.isin(nifti.read(corpus / LOBES).volumes[0].voxels, LOBES_OF_LUNGS)


def stacked(paths: Sequence[Path], *, gap_mm: float = 0.0) -> Volume:
    """Axial slices as they lie; `gap_mm` where there is one."""
    headers = sorted(
        (pydicom.dcmread(path) for path in paths), key=lambda one: float(one.ImagePositionPatient[2])
    )
    hu = [one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in headers]
    heights = [float(one.ImagePositionPatient[2]) for one in headers]
    step_mm = gap_mm or (heights[-1] - heights[0]) / (len(heights) - 1)
    row_mm, column_mm = (float(side) for side in headers[0].PixelSpacing)
    placed = np.diag([column_mm, row_mm, step_mm, 1.0])
    placed[:3, 3] = headers[0].ImagePositionPatient
    return Volume(
        voxels=np.maximum(np.stack(hu), -1024).astype(np.int16),
        unit="hounsfield",
        spacing_mm=(step_mm, row_mm, column_mm),
        patient_from_voxel=placed,
        modality="CT",
    )


def slab_of(path: Path, height_mm: float) -> Volume:
    """One slice, repeated each 1.5 mm."""
    one = stacked([path], gap_mm=VOXEL_MM)
    return replace(one, voxels=np.repeat(one.voxels, round(height_mm / VOXEL_MM), axis=0))


def airy(slab: Volume) -> NDArray[np.bool_]:
    """What a slab holds of air that does not reach the rim of the picture; the gullet's is too little."""
    pieces, count = ndimage.label(slab.voxels[0] < AIRY_HU)
    rim = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    sizes_ml = (
        np.bincount(pieces.ravel(), minlength=count + 1)
        * slab.voxels.shape[0]
        * np.prod(slab.spacing_mm)
        / 1000
    )
    inner = [n for n in range(1, count + 1) if n not in rim and sizes_ml[n] > PIECE_MIN_ML]
    return np.broadcast_to(np.isin(pieces, inner), slab.voxels.shape)


def plant(
    volume: Volume, lungs: NDArray[np.bool_], diameter_mm: float
) -> tuple[Volume, list[NDArray[np.int64]]]:
    """Put soft, round balls into real lungs, apart from each other and from the pleura.

    Returns:
        The volume with them, and their middles.
    """
    spacing_mm = np.array(volume.spacing_mm)
    depth_mm = ndimage.distance_transform_edt(np.pad(lungs, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    free = np.argwhere(depth_mm > diameter_mm / 2 + 1)
    np.random.default_rng(5).shuffle(free)
    middles: list[NDArray[np.int64]] = []
    hu = volume.voxels.astype(np.float32)
    for place in free:
        if all(np.linalg.norm((place - one) * spacing_mm) > diameter_mm + 12 for one in middles):
            middles.append(place)
            firsts = np.maximum(place - np.ceil(diameter_mm / spacing_mm).astype(int), 0)
            lasts = place + np.ceil(diameter_mm / spacing_mm).astype(int) + 1
            window = tuple(slice(first, last) for first, last in zip(firsts, lasts, strict=True))
            at = np.stack(np.indices(hu[window].shape), -1) + firsts
            gap_mm = np.linalg.norm((at - place) * spacing_mm, axis=-1)
            share = np.clip((diameter_mm / 2 - gap_mm) / VOXEL_MM + 0.5, 0, 1)
            hu[window] += share * (BALL_HU - hu[window])
        if len(middles) == BALLS_MAX:
            break
    return replace(volume, voxels=hu.astype(np.int16)), middles
