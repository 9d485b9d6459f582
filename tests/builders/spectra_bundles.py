"""A bundle for spectra whose network anybody can check by hand: two linear functions of a spectrum.

Its wavelengths are 700, 750, 800, 850 and 900 nm. The quantity `level` is the mean of the five values, known
from 0 to 1; `tilt` is the last less the first, known from -0.5 to 0.5. The uncertainty of both is how far
the middle value is from the mean of its neighbours; more than 0.1 is too much. A spectrum with a value
outside of 0 to 2 is not looked at. It takes at most 8 spectra in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.builders.bundles import about, npz, serialized, write_files

WAVELENGTHS_NM = (700.0, 750.0, 800.0, 850.0, 900.0)
LEVEL = np.full(5, 0.2, np.float32)
TILT = np.array([-1, 0, 0, 0, 1], np.float32)
KINK = np.array([0, -0.5, 1, -0.5, 0], np.float32)


def estimates_of(spectra: NDArray[np.float32], *, has_uncertainty: bool = True) -> NDArray[np.float32]:
    """What the model must say about (spectra, 5): (spectra, 2), NaN where it must not know."""
    values = spectra @ np.stack([LEVEL, TILT], axis=1)
    known = np.asarray((values >= (0, -0.5)) & (values <= (1, 0.5)))
    known &= np.abs(spectra @ KINK[:, None]) <= (0.1 if has_uncertainty else np.inf)
    known &= np.all((spectra >= 0) & (spectra <= 2), axis=1, keepdims=True)
    return np.where(known, values, np.nan).astype(np.float32)


def spectra_network(*, has_uncertainty: bool = True, level_offset: float = 0.0) -> bytes:
    """An ONNX file; with another `level_offset` it is a wrong one."""
    given = helper.make_tensor_value_info("spectra", TensorProto.FLOAT, ["n", 5])
    names = ["estimates", "spread"] if has_uncertainty else ["estimates"]
    answers = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in names]
    nodes = [
        helper.make_node("MatMul", ["spectra", "lines"], ["straight"]),
        helper.make_node("Add", ["straight", "offsets"], ["estimates"]),
        *[
            helper.make_node("MatMul", ["spectra", "kinks"], ["signed"]),
            helper.make_node("Abs", ["signed"], ["spread"]),
        ]
        * has_uncertainty,
    ]
    weights = {
        "lines": np.stack([LEVEL, TILT], axis=1),
        "offsets": np.array([level_offset, 0], np.float32),
        "kinks": np.stack([KINK, KINK], axis=1),
    }
    return serialized(nodes, given=given, answers=answers, weights=weights)


def golden_spectra(*, has_uncertainty: bool = True) -> bytes:
    """Forty spectra, some of which the model must not know."""
    rng = np.random.default_rng(0)
    spectra = (rng.uniform(0.2, 0.9, (40, 1)) + rng.normal(0, 0.08, (40, 5))).astype(np.float32)
    spectra[0] = 2.5
    return npz(spectra=spectra, estimates=estimates_of(spectra, has_uncertainty=has_uncertainty))


def spectra_document(*, name: str, has_uncertainty: bool = True) -> dict[str, Any]:
    """A manifest that is right, except for the hashes."""
    level = {"name": "level", "unit": "1", "value_min": 0, "value_max": 1}
    tilt = {"name": "tilt", "unit": "1", "value_min": -0.5, "value_max": 0.5}
    for one in (level, tilt):
        one["code"] = {
            "system": "99EDGE",
            "value": one["name"],
            "meaning": f"The {one['name']} of a spectrum",
        }
        one.update({"uncertainty_max": 0.1} if has_uncertainty else {})
    return {
        **about(name),
        "task": "spectra-regression",
        "input": {
            "name": "spectra",
            "layout": "NC",
            "unit": "reflectance",
            "wavelengths_nm": list(WAVELENGTHS_NM),
            "value_min": 0,
            "value_max": 2,
            "batch_spectra_max": 8,
        },
        "preprocessing": [],
        "output": {
            "name": "estimates",
            **({"uncertainty": "spread"} if has_uncertainty else {}),
            "quantities": [level, tilt],
        },
        "golden": {
            "file": "golden.npz",
            "sha256": "",
            "errors_max": {"level": 0.01, "tilt": 0.02},
            "same_validity_min": 0.95,
        },
        "policy": {
            "looked_for": {"system": "99EDGE", "value": "level", "meaning": "The level of a spectrum"},
            "valid_share_min": 0.5,
        },
    }


def write_spectra_bundle(
    root: Path,
    *,
    name: str = "levels",
    has_uncertainty: bool = True,
    networks: Mapping[str, bytes] | None = None,
    golden_npz: bytes | None = None,
    edit: Callable[[dict[str, Any]], None] = lambda document: None,
) -> Path:
    """Write a bundle with right hashes; `edit` changes the manifest after that."""
    return write_files(
        root / name,
        spectra_document(name=name, has_uncertainty=has_uncertainty),
        networks=networks or {"fp32": spectra_network(has_uncertainty=has_uncertainty)},
        golden_npz=golden_spectra(has_uncertainty=has_uncertainty) if golden_npz is None else golden_npz,
        edit=edit,
    )
