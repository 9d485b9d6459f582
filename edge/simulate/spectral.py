"""A hyperspectral camera and a spectrometer that are not there: cubes and spectra as files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.simulate.textures import Map, blurred, clouds

WAVELENGTHS_NM: Final = tuple(float(nm) for nm in range(500, 951, 10))
TISSUE_OXYGENATION, PATCH_OXYGENATION = 0.75, 0.3
NOISE = 0.004  # of reflectance
CubeKind = Literal["envi", "npz"]

# Logarithms (base 10) of the absorption of whole blood, 150 g/L haemoglobin, in 1/cm: a cubic in
# (λ - 700 nm) / 100 nm and Gaussians (height, middle, width) on it. Fitted from 500 to 950 nm to the spectral
# library of SIMPA, which cites S. Prahl and S. Jacques: oxygenated within 16 %, deoxygenated within 11 %.
_OXYGENATED = (
    (0.223, 0.312, 0.155, -0.079),
    ((-0.278, -1.843, 0.137), (2.0, -1.553, 0.67), (0.714, -1.192, 0.135)),
)
_DEOXYGENATED = (
    (0.778, -0.16, -0.006, -0.034),
    ((1.461, -1.25, 0.879), (0.223, 0.634, 0.191), (0.71, 2.6, 0.887), (-0.494, -0.805, 0.389)),
)
_SCATTERING_AT_700, _SCATTERING_POWER = (
    14.1,
    -0.864,
)  # reduced, in 1/cm; the same library's background, g = 0.9
_REFRACTION_K = 3.25  # of the formula below, for a refraction index of 1.4

# Shift in 1/cm, height, half width: what soft tissue shows in Raman spectra, roughly.
_RAMAN_BANDS = (
    (852, 0.18, 9),
    (937, 0.16, 10),
    (1003, 0.45, 5),
    (1080, 0.22, 18),
    (1265, 0.35, 22),
    (1302, 0.4, 14),
    (1445, 0.9, 13),
    (1656, 1.0, 17),
)

Values = NDArray[np.float64]


def blood_absorption(wavelengths_nm: ArrayLike, oxygenation: ArrayLike) -> Values:
    """Return the absorption of whole blood in 1/cm, for 500 to 950 nm and oxygenations from 0 to 1."""
    at = (np.asarray(wavelengths_nm, np.float64) - 700) / 100
    share = np.asarray(oxygenation, np.float64)
    return share * 10 ** _curve(at, *_OXYGENATED) + (1 - share) * 10 ** _curve(at, *_DEOXYGENATED)


def reflectance(wavelengths_nm: ArrayLike, oxygenation: ArrayLike, blood: ArrayLike) -> Values:
    """Return the diffuse reflectance of thick tissue.

    By diffusion theory: Flock et al. 1989, IEEE Trans. Biomed. Eng. 36, 1162.

    Args:
        wavelengths_nm: 500 to 950.
        oxygenation: 0 to 1.
        blood: Share of the volume, 0 to 1.
    """
    absorption = np.asarray(blood) * blood_absorption(wavelengths_nm, oxygenation) + 0.03
    scattering = _SCATTERING_AT_700 * (np.asarray(wavelengths_nm, np.float64) / 700) ** _SCATTERING_POWER
    albedo = scattering / (scattering + absorption)
    k = _REFRACTION_K
    return np.asarray(albedo / (1 + 2 * k * (1 - albedo) + (1 + 2 * k / 3) * np.sqrt(3 * (1 - albedo))))


class TissueScene:
    """Tissue with vessels' worth of variation, and a patch in it that lacks oxygen."""

    def __init__(self, *, height_px: int = 80, width_px: int = 100, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        shape_px = height_px, width_px
        patch = np.zeros(shape_px, np.float32)
        axes = round(width_px * 0.16), round(height_px * 0.2)
        cv2.ellipse(patch, (round(width_px * 0.62), round(height_px * 0.45)), axes, 20, 0, 360, 1.0, -1)
        uneven = clouds(shape_px, cell_px=height_px / 4, octaves=3, rng=self._rng)
        share = TISSUE_OXYGENATION + (PATCH_OXYGENATION - TISSUE_OXYGENATION) * blurred(patch, 1.5)
        self.oxygenation: Map = np.asarray(share + 0.06 * (uneven - 0.5), dtype=np.float32)
        self._blood = 0.02 + 0.02 * clouds(shape_px, cell_px=height_px / 3, octaves=2, rng=self._rng)

    def cube(self) -> NDArray[np.float32]:
        """Return (height, width, bands) reflectance at `WAVELENGTHS_NM`, with noise; new noise each time."""
        nm = np.asarray(WAVELENGTHS_NM)
        clean = reflectance(nm, self.oxygenation[..., None], self._blood[..., None])
        return np.asarray(clean + self._rng.normal(0, NOISE, clean.shape), dtype=np.float32)


def write_cube(folder: Path, name: str, values: NDArray[np.float32], *, kind: CubeKind = "envi") -> Path:
    """Write a cube of reflectance; return the file that is read first.

    An ENVI cube appears as its binary, then its header: who sees a header sees all of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "npz":
        path = folder / f"{name}.npz"
        unfinished = folder / f".{name}.tmp.npz"
        np.savez_compressed(
            unfinished, values=values, wavelengths_nm=np.asarray(WAVELENGTHS_NM), unit="reflectance"
        )
        unfinished.replace(path)
        return path
    _appear(folder / f"{name}.raw", np.ascontiguousarray(values.transpose(0, 2, 1), "<f4").tobytes())
    header = folder / f"{name}.hdr"
    _appear(header, _envi_header(values.shape).encode())
    return header


def write_raman(folder: Path, name: str, *, rng: np.random.Generator) -> Path:
    """Write a Raman spectrum as two columns of text: tissue bands on a fluorescence that falls."""
    folder.mkdir(parents=True, exist_ok=True)
    shift = np.arange(600.0, 1801.0, 2.0)
    bands = sum(height / (1 + ((shift - at) / half) ** 2) for at, height, half in _RAMAN_BANDS)
    fluorescence = 6.0 * np.exp(-(shift - 600) / 900) + 1.5
    counts = 1000 * (np.asarray(bands) * rng.uniform(0.8, 1.2) + fluorescence)
    counts = rng.poisson(counts * 20) / 20
    lines = ["# Raman spectrum, simulated tissue", "# Raman shift (cm-1)\tintensity (counts)"]
    lines += [f"{x:.1f}\t{y:.2f}" for x, y in zip(shift, counts, strict=True)]
    path = folder / f"{name}.txt"
    _appear(path, ("\n".join(lines) + "\n").encode())
    return path


def _curve(at: Values, cubic: tuple[float, ...], gaussians: tuple[tuple[float, float, float], ...]) -> Values:
    smooth = sum(factor * at**power for power, factor in enumerate(cubic))
    bumps = sum(height * np.exp(-(((at - middle) / width) ** 2)) for height, middle, width in gaussians)
    return np.asarray(smooth + bumps)


def _envi_header(shape: tuple[int, ...]) -> str:
    height_px, width_px, bands = shape
    fields = {
        "description": "{simulated tissue}",
        "samples": width_px,
        "lines": height_px,
        "bands": bands,
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": 4,
        "interleave": "bil",
        "byte order": 0,
        "reflectance scale factor": 1,
        "wavelength units": "nm",
        "wavelength": "{" + ", ".join(f"{nm:g}" for nm in WAVELENGTHS_NM) + "}",
    }
    return "\n".join(["ENVI", *(f"{key} = {value}" for key, value in fields.items()), ""])


def _appear(path: Path, content: bytes) -> None:
    """Write a file so that nobody sees half of it."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_bytes(content)
    unfinished.replace(path)
