"""Resampling of 400 CT slices to 1 mm, beside SciPy's splines and SimpleITK, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk  # noqa: N813  # the name everybody knows it by
from numpy.typing import NDArray
from scipy import ndimage

from edge.domain.image import Volume
from edge.preprocess.resample import resample
from tests.bench.rows import Row

SHAPE = (400, 512, 512)
SPACING_MM = (1.25, 0.75, 0.75)


def run() -> list[Row]:
    """Return how many times faster ours is."""
    voxels = np.random.default_rng(0).integers(-1000, 2000, SHAPE).astype(np.int16)
    whole, exact = _volume(voxels), _volume(voxels.astype(np.float32))
    linear = _median_ms(lambda: _simpleitk(exact))
    spline = _median_ms(lambda: ndimage.zoom(exact.voxels, SPACING_MM, order=3), times=1)
    ours = _median_ms(lambda: resample(exact, spacing_mm=1.0))
    ours_int16 = _median_ms(lambda: resample(whole, spacing_mm=1.0))
    return [
        Row("resample float32 beside SimpleITK linear", ours, linear, "ms", linear / ours),
        Row("resample float32 beside scipy zoom order 3", ours, spline, "ms", spline / ours),
        Row("resample int16 beside SimpleITK linear float32", ours_int16, linear, "ms", linear / ours_int16),
    ]


def _volume(voxels: NDArray[np.int16] | NDArray[np.float32]) -> Volume:
    placed = np.diag([*SPACING_MM[::-1], 1.0])
    return Volume(
        voxels=voxels, unit="hounsfield", spacing_mm=SPACING_MM, patient_from_voxel=placed, modality="CT"
    )


def _simpleitk(volume: Volume) -> None:
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing(volume.spacing_mm[::-1])
    size = [round(n * s) for n, s in zip(volume.voxels.shape[::-1], volume.spacing_mm[::-1], strict=True)]
    sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), (1.0, 1.0, 1.0))


def _median_ms(work: Callable[[], object], *, times: int = 3) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return 1e3 * sorted(taken)[len(taken) // 2]
