"""Read and write NIfTI-1 and NIfTI-2 files; LPS inside this house, RAS in the files."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.image import Matrix, Scan, Segmentation, Volume

VOXEL_BYTES_MAX = 4 << 30
AXES_SKEW_MAX = 0.01  # cosine between axes; a registration may leave a shear that no scanner makes

_MM_PER_UNIT = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
_MS_PER_UNIT = {"sec": 1000.0, "msec": 1.0, "usec": 0.001}
_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TROUBLES = (
    ImageFileError,
    HeaderDataError,
    EOFError,
    KeyError,
    OSError,
    OverflowError,
    ValueError,
    zlib.error,
)


def read(path: Path) -> Scan:
    """Read a NIfTI file.

    Args:
        path: `.nii` or `.nii.gz`.

    Returns:
        One volume, or one for each time point. A NIfTI file does not say what it shows: the modality is ""
        and the unit `arbitrary`.

    Raises:
        FormatError: It is damaged, has no place in the patient, or is larger than 4 GiB in memory.
        UnsupportedError: It holds colours, complex numbers or more than four dimensions.
    """
    try:
        image: Any = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):  # NIfTI-2 and pairs are subclasses
            raise UnsupportedError(f"{type(image).__name__}, wanted NIfTI-1 or NIfTI-2")
        _check_shape(image)
        affine, notes = _patient_from_voxel(image)
        voxels, more = _voxels(image)
    except _TROUBLES as trouble:
        raise FormatError(f"no readable NIfTI file: {type(trouble).__name__}") from trouble
    i_mm, j_mm, k_mm = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
    volumes = tuple(
        Volume(
            voxels=voxels[..., t].T,
            unit="arbitrary",
            spacing_mm=(k_mm, j_mm, i_mm),
            patient_from_voxel=affine,
            modality="",
        )
        for t in range(voxels.shape[3])
    )
    return Scan(volumes=volumes, times_ms=_times_ms(image, len(volumes)), notes=(*notes, *more))


def write(path: Path, volume: Volume) -> None:
    """Write a volume in its own grid, compressed if the name ends in `.gz`."""
    _save(path, volume.voxels, volume.patient_from_voxel)


def write_labels(path: Path, segmentation: Segmentation) -> None:
    """Write label numbers in the grid of the volume they were made for."""
    _save(path, segmentation.labels, segmentation.volume.patient_from_voxel)


def _save(path: Path, voxels: NDArray[Any], patient_from_voxel: Matrix) -> None:
    make: Any = nibabel.Nifti1Image  # nibabel has no types here
    image = make(np.ascontiguousarray(voxels.T), _RAS_FROM_LPS @ patient_from_voxel)
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, code="scanner")
    image.set_qform(image.affine, code="scanner")
    nibabel.save(image, path)


def _check_shape(image: Any) -> None:
    shape, dtype = image.shape, image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise UnsupportedError(f"voxels are {dtype}, wanted whole or real numbers")
    if not 3 <= len(shape) <= 4 or min(shape) < 1:
        raise UnsupportedError(f"shape {shape}, wanted three or four dimensions")
    if math.prod(shape) * 4 > VOXEL_BYTES_MAX:
        raise FormatError(
            f"{shape} voxels take {math.prod(shape) * 4 >> 20} MiB, "
            f"at most {VOXEL_BYTES_MAX >> 20} MiB are allowed"
        )


def _patient_from_voxel(image: Any) -> tuple[Matrix, tuple[str, ...]]:
    header = image.header
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        raise FormatError("sform and qform codes are 0, so left and right are unknown")
    space, _ = header.get_xyzt_units()
    affine = _RAS_FROM_LPS @ np.asarray(image.affine, dtype=np.float64)
    affine[:3] *= _MM_PER_UNIT[space]
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (lengths > 0).all():
        raise FormatError(f"the affine is not one: {affine.tolist()}")
    axes = affine[:3, :3] / lengths
    skew = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if skew > AXES_SKEW_MAX:
        raise FormatError(f"axes are sheared by {skew:.3f}, wanted perpendicular ones")
    return affine, ("the file names no unit of length: taken as mm",) if space == "unknown" else ()


def _voxels(image: Any) -> tuple[NDArray[np.int16] | NDArray[np.float32], tuple[str, ...]]:
    """Return (i, j, k, t): int16 where the numbers are whole and fit, float32 otherwise."""
    proxy = image.dataobj
    stored = np.asanyarray(proxy.get_unscaled())
    stored = stored.reshape(*stored.shape, *(1,) * (4 - stored.ndim))
    is_scaled = proxy.slope != 1.0 or proxy.inter != 0.0
    if stored.dtype.kind in "iu" and not is_scaled:
        lowest, highest = int(stored.min()), int(stored.max())
        if lowest >= -32768 and highest <= 32767:
            return stored.astype(np.int16), ()
    values = stored.astype(np.float32)
    if is_scaled:
        values = values * np.float32(proxy.slope) + np.float32(proxy.inter)
    finite = np.isfinite(values)
    if finite.all():
        return values, ()
    values[~finite] = 0.0
    return values, (f"{int((~finite).sum())} voxels that are no number were set to 0",)


def _times_ms(image: Any, volumes: int) -> tuple[float, ...]:
    if volumes == 1:
        return ()
    _, time = image.header.get_xyzt_units()
    step = float(image.header["pixdim"][4]) * _MS_PER_UNIT.get(time, 0.0)
    return tuple(step * t for t in range(volumes)) if step > 0 and math.isfinite(step) else ()
