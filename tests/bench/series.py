"""A CT series of 400 slices on disk to a volume in Hounsfield units, beside SimpleITK, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  # the name everybody knows it by
from numpy.typing import NDArray

from edge.domain.study import Series
from edge.studies.pixels import build
from tests.bench.rows import Row
from tests.builders.series import stack, written

SLICES, SIDE = 400, 512
ROUNDS = 5


def run() -> list[Row]:
    """Return how many times faster ours is; files are in the page cache for both, results equal."""
    with tempfile.TemporaryDirectory() as folder:
        series = _series(Path(folder))
        assert np.array_equal(_ours(series), sitk.GetArrayFromImage(_simpleitk(folder)))
        times = [(_ms(lambda: _ours(series)), _ms(lambda: _simpleitk(folder))) for _ in range(ROUNDS)]
    ratio = float(np.median([peer / ours for ours, peer in times]))
    ours, peer = np.median(times, axis=0)
    return [Row(f"{SLICES} CT slices to HU beside SimpleITK", float(ours), float(peer), "ms", ratio)]


def _ours(series: Series) -> NDArray[np.int16] | NDArray[np.float32]:
    """Whole numbers, as preprocessing takes them."""
    (scan,) = build(series)
    return scan.volumes[0].voxels


def _series(folder: Path) -> Series:
    noise = np.random.default_rng(0).integers(0, 2**12, (8, SIDE, SIDE)).astype("<u2")
    pictures = [np.roll(noise[k % 8], k, axis=0) for k in range(SLICES)]
    return written(
        stack(pictures, spacing_mm=1.25),
        folder,
        pixel_spacing_mm=(0.75, 0.75),
        BitsStored=12,
        HighBit=11,
        RescaleIntercept=-1024,
    )


def _simpleitk(folder: str) -> Any:
    """Read a series as the documentation of SimpleITK says; its image is not copied to an array."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder))
    return reader.Execute()


def _ms(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return (time.perf_counter() - started) * 1000
