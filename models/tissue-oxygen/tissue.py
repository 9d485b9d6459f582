"""Spectra as a camera would measure them: tissue drawn at random, what is no tissue, a camera's faults."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from light import ANISOTROPY, Floats, diffuse_reflectance
from numpy.typing import NDArray

WAVELENGTHS_NM = np.arange(520.0, 901.0, 10.0)
FINE_NM = np.arange(490.0, 931.0, 1.0)  # bands are averages over these
NOISE_LEVELS = (0.002, 0.005, 0.01, 0.02, 0.05)

Spectra = NDArray[np.float32]


@dataclass(frozen=True)
class Optics:
    """The table, on `FINE_NM`, all in 1/cm; blood is whole blood of 150 g/L haemoglobin."""

    oxygenated: Floats
    deoxygenated: Floats
    water: Floats
    fat: Floats
    melanin: Floats
    scattering: dict[str, Floats]


def load_optics(table: Path) -> Optics:
    """Read tissue_optics.csv (origin and licence: CARD.md)."""
    columns = np.genfromtxt(table, delimiter=",", names=True)
    at = columns["wavelength_nm"]

    def column(name: str) -> Floats:
        return np.interp(FINE_NM, at, columns[name])

    return Optics(
        oxygenated=column("mua_hbo2_per_cm"),
        deoxygenated=column("mua_hb_per_cm"),
        water=column("mua_water_per_cm"),
        fat=column("mua_fat_per_cm"),
        melanin=column("mua_melanin_per_cm"),
        scattering={name: column(f"mus_{name}_per_cm") for name in ("background", "muscle", "fat")},
    )


def draw_tissue(
    count: int,
    optics: Optics,
    random: np.random.Generator,
    *,
    reflectance: Callable[[Floats], Floats] | None,
    scatterers: tuple[str, ...],
) -> tuple[Floats, Floats]:
    """Draw tissue.

    Args:
        count: How many spectra.
        optics: The table.
        random: Draws.
        reflectance: Of absorption / scattering, by Monte Carlo; None: diffusion theory.
        scatterers: Which scattering of the table; drawn among these.

    Returns:
        Oxygenation, (count,) 0 to 1, and reflectance on `FINE_NM`, (count, wavelengths).
    """
    share = random.random(count)
    blood = 10 ** random.uniform(-2.7, -0.8, (count, 1))  # 0.2 to 16 % of the volume
    haemoglobin = share[:, None] * optics.oxygenated + (1 - share[:, None]) * optics.deoxygenated
    radius_cm = 10 ** random.uniform(
        -3.7, -1.7, (count, 1)
    )  # vessels of 2 to 200 µm hide part of their blood
    packed = 2 * radius_cm * haemoglobin
    haemoglobin = haemoglobin * -np.expm1(-packed) / packed  # van Veen et al. 2002, Opt. Lett. 27, 246
    water = random.uniform(0.3, 0.9, (count, 1))
    fat = np.where(random.random((count, 1)) < 0.5, random.uniform(0, 0.6, (count, 1)), 0.0)
    absorption = blood * haemoglobin + water * optics.water + fat * optics.fat
    absorption = absorption + random.uniform(0, 0.15, (count, 1))  # whatever else absorbs, evenly
    kinds = np.stack([optics.scattering[name] for name in scatterers])
    scattering = kinds[random.integers(len(kinds), size=count)]
    tilt = random.normal(0, 0.5, (count, 1))
    scattering = scattering * 10 ** random.uniform(-0.4, 0.4, (count, 1)) * (FINE_NM / 700) ** tilt
    if reflectance is None:
        spectra = diffuse_reflectance(absorption, scattering * (1 - ANISOTROPY))
    else:
        spectra = reflectance(absorption / scattering)
    has_skin = random.random((count, 1)) < 0.3
    skin_cm = np.where(
        has_skin, random.uniform(0.0, 0.02, (count, 1)) * random.uniform(0, 0.1, (count, 1)), 0.0
    )
    return share, spectra * np.exp(-2.0 * skin_cm * optics.melanin)  # melanin is crossed twice


def draw_other(count: int, random: np.random.Generator) -> Floats:
    """Draw what is no tissue: grey, coloured, plant-like, metal, wavy; (count, wavelengths) on `FINE_NM`."""
    x = (FINE_NM - FINE_NM[0]) / np.ptp(FINE_NM)
    level = random.uniform(0.02, 1.0, (count, 1))
    slope = random.normal(0, 0.5, (count, 1)) * (x - 0.5)
    spectra = level * (1 + slope)
    dyes = random.integers(0, 5, count)
    for number in range(4):
        centre = random.uniform(440, 960, (count, 1))
        width = 10 ** random.uniform(0.9, 2.1, (count, 1))
        depth = random.uniform(0, 3, (count, 1)) * (dyes > number)[:, None]
        spectra = spectra * np.exp(-depth * np.exp(-0.5 * ((FINE_NM - centre) / width) ** 2))
    edge = 1 / (
        1 + np.exp(-(FINE_NM - random.uniform(540, 760, (count, 1))) / random.uniform(4, 40, (count, 1)))
    )
    has_edge = random.random((count, 1)) < 0.35
    spectra = np.where(has_edge, spectra * (random.uniform(0.03, 0.5, (count, 1)) + edge), spectra)
    waves = sum(
        random.normal(0, 0.12, (count, 1)) * np.sin(2 * np.pi * (k * x + random.random((count, 1))))
        for k in (1, 2, 3, 5)
    )
    has_waves = random.random((count, 1)) < 0.4
    return np.clip(np.where(has_waves, spectra * np.exp(waves), spectra), 1e-4, 1.2)


def measured(
    spectra: Floats, random: np.random.Generator, *, noise: float | None, is_shiny: bool = True
) -> Spectra:
    """Let a camera measure: its bands, the light's angle, a sheen, stray light, noise.

    Args:
        spectra: (count, wavelengths) on `FINE_NM`.
        random: Draws.
        noise: Standard deviation as a share of full scale; None: drawn between 0.1 and 3 %.
        is_shiny: Whether some of the light is mirrored at the wet surface.

    Returns:
        (count, bands) reflectance at `WAVELENGTHS_NM`.
    """
    count = len(spectra)
    width_nm = random.uniform(4.0, 20.0)  # one camera a batch
    distance = (FINE_NM[:, None] - WAVELENGTHS_NM) / (width_nm / 2.3548)
    response = np.exp(-0.5 * distance**2)
    banded = spectra @ (response / response.sum(axis=0))
    gain = np.exp(random.normal(0, 0.35, (count, 1)))
    sheen = np.where(random.random((count, 1)) < 0.4 * is_shiny, random.uniform(0, 0.05, (count, 1)), 0.0)
    tilt = 1 + random.normal(0, 0.03, (count, 1)) * np.linspace(-1, 1, len(WAVELENGTHS_NM))
    level = 10 ** random.uniform(-3, -1.5, (count, 1)) if noise is None else noise
    seen = gain * (banded * tilt + sheen) + level * random.normal(size=banded.shape)
    return seen.astype(np.float32)
