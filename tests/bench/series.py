"""A CT series of 400 slices on disk to a volume in Hounsfield units, beside SimpleITK, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  # the name everybody knows it by

from edge.domain.study import Series
from edge.studies.pixels import build
from tests.bench.rows import Row
from tests.builders.series import stack, written

SLICES, SIDE = 400, 512
ROUNDS = 5


def run() -> list[Row]:
    """Return how many times faster ours is; files are in the page cache for both."""
    with tempfile.TemporaryDirectory() as folder:
        series = _series(Path(folder))
        _read_by_simpleitk(folder)
        build(series)
        ours, peer, ratios = [], [], []
        for _ in range(ROUNDS):
            ours.append(_ms(lambda: build(series)))
            peer.append(_ms(lambda: _read_by_simpleitk(folder)))
            ratios.append(peer[-1] / ours[-1])
    name = f"series of {SLICES} CT slices to a volume beside SimpleITK"
    return [Row(name, float(np.median(ours)), float(np.median(peer)), "ms", float(np.median(ratios)))]


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


def _read_by_simpleitk(folder: str) -> None:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder))
    sitk.GetArrayViewFromImage(reader.Execute())


def _ms(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return (time.perf_counter() - started) * 1000
