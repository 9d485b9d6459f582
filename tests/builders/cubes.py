"""Hyperspectral cubes with a truth, and the files they come in: ENVI, npz, TIFF, written by us."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from spectral.io import envi

from edge.domain.spectral import Cube

WAVELENGTHS_NM = np.linspace(500.0, 1000.0, 26)


def ramp(shape: tuple[int, int, int] = (4, 5, 26), dtype: Any = np.uint16) -> NDArray[Any]:
    """A cube in which every value is another."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def cube(
    values: NDArray[Any],
    wavelengths_nm: NDArray[np.float64] | None = None,
    unit: Literal["reflectance", "radiance", "counts"] = "reflectance",
) -> Cube:
    """A cube of any numbers; wavelengths evenly from 500 to 1000 nm unless given."""
    axis = np.linspace(500.0, 1000.0, values.shape[2]) if wavelengths_nm is None else wavelengths_nm
    return Cube(values=values.astype(np.float32), wavelengths_nm=axis.astype(np.float64), unit=unit)


def scene(
    *, height: int = 60, width: int = 80, bands: int = 24, noise: float = 0.01, seed: int = 0
) -> tuple[Cube, NDArray[np.uint8], NDArray[np.float64]]:
    """A reflectance scene of three materials with known spectra.

    Returns:
        The cube, (height, width) which material is where (0 to 2), and (3, bands) their spectra.
    """
    axis = np.linspace(500.0, 1000.0, bands)
    dips = [0.3 + 0.5 * (1 - np.exp(-(((axis - at) / 70) ** 2))) for at in (560.0, 700.0, 860.0)]
    spectra = np.stack(dips)
    places = np.add.outer(np.arange(height) // 7, np.arange(width) // 9) % 3
    light = np.random.default_rng(seed).uniform(0.7, 1.3, (height, width, 1))
    values = spectra[places] * light
    values += np.random.default_rng(seed + 1).normal(0, noise, values.shape)
    return cube(values, axis), places.astype(np.uint8), spectra


def write_envi(
    folder: Path,
    name: str,
    values: NDArray[Any],
    *,
    header: Mapping[str, object] | None = None,
    **options: Any,
) -> Path:
    """Write an ENVI cube with the package `spectral`; return its header."""
    path = folder / f"{name}.hdr"
    metadata: dict[str, object] = {
        "wavelength": list(WAVELENGTHS_NM[: values.shape[2]]),
        "wavelength units": "Nanometers",
    }
    metadata |= dict(header or {})
    envi.save_image(str(path), values, metadata=metadata, ext=".raw", force=True, **options)
    return path


def write_header(folder: Path, name: str, fields: Mapping[str, object], binary: bytes | None) -> Path:
    """Write an ENVI header by hand, with its binary where there is one; return the header."""
    path = folder / f"{name}.hdr"
    lines = ["ENVI", *(f"{key} = {value}" for key, value in fields.items())]
    path.write_text("\n".join(lines) + "\n")
    if binary is not None:
        (folder / f"{name}.raw").write_bytes(binary)
    return path


def fields_of(values: NDArray[Any], **changes: object) -> dict[str, object]:
    """The fields of a header for (height, width, bands) values in bip order."""
    data_type = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12, "u4": 13, "i8": 14, "u8": 15}
    fields: dict[str, object] = {
        "lines": values.shape[0],
        "samples": values.shape[1],
        "bands": values.shape[2],
        "data type": data_type[values.dtype.str[1:]],
        "interleave": "bip",
        "byte order": 0,
        "wavelength": listed(WAVELENGTHS_NM[: values.shape[2]]),
        "wavelength units": "nm",
    }
    fields |= {name.replace("_", " "): value for name, value in changes.items()}
    return {name: value for name, value in fields.items() if value is not None}


def listed(numbers: Sequence[float] | NDArray[Any]) -> str:
    """Numbers as a list of an ENVI header."""
    return "{" + ", ".join(f"{number:g}" for number in numbers) + "}"


def write_tiff(path: Path, values: NDArray[Any]) -> Path:
    """Write a TIFF stack with a page for each band, little-endian, one strip a page."""
    height, width, bands = values.shape
    bits, form = values.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    content = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for band in range(bands):
        strip = len(content)
        content += np.ascontiguousarray(values[..., band]).astype(values.dtype.newbyteorder("<")).tobytes()
        content += b"\0" * (len(content) % 2)
        struct.pack_into("<I", content, link, len(content))
        tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, strip), (277, 1)]
        tags += [(278, height), (279, height * width * bits // 8), (339, form)]
        content += struct.pack("<H", len(tags))
        for tag, value in tags:
            content += struct.pack("<HHII", tag, 4, 1, value)
        link = len(content)
        content += b"\0\0\0\0"
    path.write_bytes(content)
    assert imagecodecs.tiff_decode(bytes(content), index=0).shape == (height, width)
    return path
