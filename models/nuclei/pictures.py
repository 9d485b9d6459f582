"""Pictures of nuclei as two kinds of microscope show them: glowing on black, and stained on bright ground."""

import cv2
import numpy as np
from chance import Chance, Field, noise
from numpy.typing import NDArray
from shapes import Things

Pixels = NDArray[np.uint8]  # (height, width, 3) RGB

# Optical density of hematoxylin and eosin in R, G, B: Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 2001.
HEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)
EOSIN = np.array([0.07, 0.99, 0.11], np.float32)


def fluorescence(chance: Chance, things: Things, radius_px: float) -> Pixels:
    """Nuclei glow on a dark ground: each by itself bright, textured, blurred, with haze and shot noise."""
    light = _per_thing(chance, things, spread=chance.uniform(0.05, 0.7))
    light *= 1 + _texture(chance, things, radius_px)
    if chance.happens(0.15):
        light *= _crescents(chance, things)
    if chance.happens(0.4):  # what glows without being a nucleus is much fainter and out of focus
        light += chance.uniform(0.02, 0.12) * _blobs(chance, things.shape, radius_px)
    haze = cv2.GaussianBlur(light, (0, 0), 2.0 * radius_px)
    light = cv2.GaussianBlur(light, (0, 0), chance.log_uniform(0.4, max(0.5, 0.16 * radius_px)))
    light += chance.uniform(0, 0.35) * haze
    light *= 1 + chance.uniform(0, 0.4) * noise(chance, light.shape, blob_px=200, octaves=1)
    light += chance.log_uniform(0.002, 0.12) * (1 + 0.5 * noise(chance, light.shape, blob_px=120, octaves=2))
    peak = max(float(np.quantile(light, 0.999)), 1e-3)
    photons = chance.log_uniform(40, 4000)
    seen = chance.numbers.poisson(np.clip(light / peak, 0, 4) * photons) / photons
    seen = seen + chance.numbers.normal(0, chance.log_uniform(0.001, 0.02), seen.shape)
    grey = np.clip(seen, 0, None) * chance.log_uniform(14, 255) + chance.uniform(0, 6)
    tint = np.ones(3) if chance.happens(0.85) else chance.numbers.uniform(0.05, 1, 3)
    return _bytes(grey[..., None] * (tint / tint.max()))


def stained(chance: Chance, things: Things, radius_px: float) -> Pixels:
    """Nuclei take up a dark stain and the rest a pale one, in white or tinted light (Beer and Lambert)."""
    blue = _per_thing(chance, things, spread=chance.uniform(0.1, 0.5)) * chance.uniform(0.7, 1.8)
    blue *= 1 + _texture(chance, things, radius_px)
    inside = (things > 0).astype(np.float32)
    cytoplasm = cv2.GaussianBlur(inside, (0, 0), chance.uniform(0.5, 1.5) * radius_px)
    pink = chance.uniform(0, 0.5) * cytoplasm
    fibres = noise(chance, things.shape, blob_px=chance.log_uniform(6, 80), octaves=4)
    pink = pink + np.clip(chance.uniform(0.0, 0.35) * (fibres + chance.uniform(-0.3, 0.8)), 0, None)
    blue += chance.uniform(0, 0.3) * cytoplasm
    if chance.happens(0.5):
        blue += chance.uniform(0.05, 0.35) * _blobs(chance, things.shape, radius_px)
    blur = chance.log_uniform(0.4, max(0.5, 0.14 * radius_px))
    blue, pink = (cv2.GaussianBlur(np.asarray(one, np.float32), (0, 0), blur) for one in (blue, pink))
    density = blue[..., None] * _near(chance, HEMATOXYLIN) + pink[..., None] * _near(chance, EOSIN)
    ground = np.array([chance.uniform(0.72, 1), chance.uniform(0.62, 1), chance.uniform(0.72, 1)])
    shade = 1 + 0.06 * noise(chance, things.shape, blob_px=250, octaves=1)
    light = ground * np.exp(-density) * shade[..., None] * chance.uniform(0.7, 1.0)
    light += chance.numbers.normal(0, chance.log_uniform(0.002, 0.02), light.shape)
    if chance.happens(0.15):
        light[:] = light.mean(axis=2, keepdims=True)
    return _bytes(255 * light)


def _per_thing(chance: Chance, things: Things, *, spread: float) -> Field:
    """One brightness for each nucleus, 0 for the ground."""
    levels = np.exp(chance.numbers.normal(0, spread, int(things.max()) + 1)).astype(np.float32)
    levels[0] = 0
    return levels[things]


def _texture(chance: Chance, things: Things, radius_px: float) -> Field:
    """Chromatin: fine noise, and now and then dark or bright bodies in it."""
    fine = noise(chance, things.shape, blob_px=max(2.0, radius_px * chance.uniform(0.2, 0.8)), octaves=2)
    made = chance.uniform(0, 0.5) * fine
    if chance.happens(0.35):
        spots = noise(chance, things.shape, blob_px=max(2.0, 0.5 * radius_px), octaves=1) > 0.45
        made = made + chance.uniform(-0.5, 0.6) * cv2.GaussianBlur(spots.astype(np.float32), (0, 0), 0.8)
    return np.clip(made, -0.8, 2).astype(np.float32)


def _crescents(chance: Chance, things: Things) -> Field:
    """A slope over each nucleus: one side bright, the other nearly dark."""
    rows, columns = np.mgrid[: things.shape[0], : things.shape[1]].astype(np.float32)
    count = int(things.max()) + 1
    area = np.maximum(np.bincount(things.ravel(), minlength=count), 1)
    x, y = (
        (np.bincount(things.ravel(), weights=along.ravel(), minlength=count) / area)[things]
        for along in (columns, rows)
    )
    way = chance.numbers.uniform(0, 2 * np.pi, count)[things]
    size = np.sqrt(area / np.pi)[things]
    slope = ((columns - x) * np.cos(way) + (rows - y) * np.sin(way)) / size
    return np.clip(0.55 + 0.5 * slope, 0.08, 1.3).astype(np.float32)


def _blobs(chance: Chance, shape: tuple[int, int], radius_px: float) -> Field:
    """Soft stains that are no nuclei."""
    soft = noise(chance, shape, blob_px=radius_px * chance.uniform(2, 6), octaves=2)
    return np.clip(soft - 0.25, 0, None).astype(np.float32) * 2


def _near(chance: Chance, density: NDArray[np.float32]) -> NDArray[np.float32]:
    """A stain of another maker."""
    return np.clip(density + chance.numbers.normal(0, 0.1, 3), 0.02, 1.2).astype(np.float32)


def _bytes(light: NDArray[np.floating]) -> Pixels:
    return np.clip(np.round(light), 0, 255).astype(np.uint8)
