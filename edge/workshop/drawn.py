"""Inputs that nobody has taken of anybody: smooth noise with blobs, for golden checks without samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.image import Volume

LEVELS: Final = {  # of what lies around, of a body, of a dense part of it; in the unit of the volume
    "hounsfield": (-1000.0, 40.0, 600.0),
    "suv_bw": (0.0, 1.0, 8.0),
}
OTHER_LEVELS: Final = (0.0, 400.0, 900.0)


def pictures(count: int, *, height_px: int, width_px: int) -> Iterator[DrawnPicture]:
    """Draw pictures: each a gradient, coarse noise, and some ellipses and boxes."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        cells = int(random.integers(2, 12))
        coarse = random.random((cells, cells, 3)).astype(np.float32)
        colours = cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC) * random.uniform(
            0.2, 1
        )
        canvas = np.ascontiguousarray((colours * 255).clip(0, 255).astype(np.uint8))
        for _ in range(int(random.integers(0, 5))):
            middle = (int(random.integers(0, width_px)), int(random.integers(0, height_px)))
            axes = (
                int(random.integers(2, max(3, width_px // 4))),
                int(random.integers(2, max(3, height_px // 4))),
            )
            colour = tuple(int(value) for value in random.integers(0, 256, 3))
            if random.random() < 0.5:
                cv2.ellipse(
                    canvas, middle, axes, float(random.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA
                )
            else:
                corner = (middle[0] + 2 * axes[0], middle[1] + 2 * axes[1])
                cv2.rectangle(canvas, middle, corner, colour, -1)
        yield DrawnPicture(canvas)


def volumes(
    manifest: VolumeSegmentation, count: int, *, shape: tuple[int, int, int]
) -> Iterator[list[Volume]]:
    """Draw volumes, one for each channel: a body with dense and dark parts in it, and noise."""
    spacing_mm = _spacing_mm(manifest)
    for seed in range(count):
        random = np.random.default_rng(seed)
        body = _ball(shape, random, radius=(0.3, 0.45))
        parts = [_ball(shape, random, radius=(0.06, 0.2)) for _ in range(4)]
        yield [
            _volume(body, parts, random, kind.modality, kind.unit, spacing_mm)
            for kind in (accepts[0] for accepts in manifest.input.accepted)
        ]


def spectra(manifest: SpectraRegression, count: int) -> NDArray[np.float32]:
    """Draw spectra, (count, bands): a level, a slope and some bumps, within the range that is looked at."""
    random = np.random.default_rng(0)
    given = manifest.input
    low, high = max(given.value_min, 0.0), min(given.value_max, 1.0)
    along = np.linspace(-1, 1, len(given.wavelengths_nm))
    level = random.uniform(0.1, 0.9, (count, 1)) + random.normal(0, 0.15, (count, 1)) * along
    for _ in range(3):
        place, width = random.uniform(-1, 1, (count, 1)), random.uniform(0.05, 0.6, (count, 1))
        level = level + random.normal(0, 0.12, (count, 1)) * np.exp(-0.5 * ((along - place) / width) ** 2)
    return (low + (high - low) * level.clip(0.01, 0.99)).astype(np.float32)


def _spacing_mm(manifest: VolumeSegmentation) -> float:
    """Return a spacing at which nothing is lost on the way to the network."""
    steps = [step.spacing_mm for step in manifest.preprocessing if step.step == "resample"]
    return float(steps[0]) if steps and isinstance(steps[0], float | int) else 1.0


def _ball(
    shape: tuple[int, ...], random: np.random.Generator, *, radius: tuple[float, float]
) -> NDArray[np.bool_]:
    place = np.stack(np.meshgrid(*(np.linspace(-0.5, 0.5, side) for side in shape), indexing="ij"))
    middle = random.uniform(-0.2, 0.2, 3)[:, None, None, None]
    axes = random.uniform(*radius, 3)[:, None, None, None]
    return np.asarray((((place - middle) / axes) ** 2).sum(axis=0) < 1)


def _volume(
    body: NDArray[np.bool_],
    parts: list[NDArray[np.bool_]],
    random: np.random.Generator,
    modality: str,
    unit: str,
    spacing_mm: float,
) -> Volume:
    around, inside, dense = LEVELS.get(unit, OTHER_LEVELS)
    voxels = np.where(body, inside, around)
    for part in parts:
        voxels[body & part] = random.uniform(min(around, inside), dense)
    voxels = ndimage.gaussian_filter(voxels, 0.7) + random.normal(0, 0.02 * (dense - around), voxels.shape)
    return Volume(
        voxels=voxels.astype(np.float32),
        unit=unit,
        spacing_mm=(spacing_mm,) * 3,
        patient_from_voxel=np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]),
        modality=modality,
    )


class DrawnPicture:
    """A `Picture` of (height, width, 3) uint8 RGB."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self._rgb = rgb

    @property
    def shape_px(self) -> tuple[int, int]:
        """(height, width)."""
        return self._rgb.shape[0], self._rgb.shape[1]

    def planes(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (3, height_px, width_px) uint8 planes, R, G, B."""
        scaled = cv2.resize(self._rgb, (width_px, height_px), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.uint8)

    def rgb(self) -> NDArray[np.uint8]:
        """Return (height, width, 3)."""
        return self._rgb.copy()

    def luma(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (height_px, width_px) uint8 brightness."""
        grey = cv2.cvtColor(self._rgb, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)
