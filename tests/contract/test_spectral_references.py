"""Steps on cubes give what the package `spectral` gives, on the corpus and on a built cube."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spectral
from spectral.io import envi

from edge.domain.spectral import Cube
from edge.formats.cube_files import read_cube
from edge.preprocess.cube_anomaly import rx
from edge.preprocess.cube_components import mnf, noise_of, pca
from edge.preprocess.cube_indices import normalised_difference
from edge.preprocess.cube_similarity import spectral_angles
from tests.builders.cubes import ramp, scene, write_envi

INDIAN_PINES_NM = np.linspace(400, 2500, 200)  # nominal: the file of the corpus names none


@pytest.fixture(params=["built", pytest.param("corpus", marks=pytest.mark.corpus)])
def seen(request: pytest.FixtureRequest, corpus: Path) -> Cube:
    """A scene of ours, or the AVIRIS cube."""
    return {
        "built": lambda: scene(noise=0.02)[0],
        "corpus": lambda: read_cube(
            corpus / "indian-pines" / "indian_pines.npz", wavelengths_nm=INDIAN_PINES_NM.tolist()
        ),
    }[request.param]()


# ── cubes, beside `spectral` ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_envi_cubes_are_those_that_spectral_loads(interleave: str, dtype: str, tmp_path: Path) -> None:
    header = write_envi(tmp_path, "a", (ramp() % 250).astype(dtype), interleave=interleave)
    image = envi.open(str(header))
    theirs = np.asarray(image.load())
    image.fid.close()
    assert np.array_equal(read_cube(header).values, theirs)


def test_principal_components(seen: Cube) -> None:
    theirs = spectral.principal_components(seen.values.astype(np.float64))
    ours = pca(seen.values, components=10)
    assert np.allclose(ours.strengths, theirs.eigenvalues[:10], rtol=1e-6)
    planes = ours.of(seen.values)
    other = theirs.transform(seen.values.astype(np.float64))[..., :3]
    signs = np.sign((planes[..., :3] * other).sum(axis=(0, 1)))
    assert np.allclose(planes[..., :3], other * signs, atol=1e-4 * np.abs(other).max())


def test_minimum_noise_fraction(seen: Cube) -> None:
    values = seen.values.astype(np.float64)
    theirs = spectral.mnf(spectral.calc_stats(values), spectral.noise_from_diffs(values))
    ours = mnf(seen.values, components=10)
    assert np.allclose(ours.strengths, np.real(theirs.napc.eigenvalues[:10]), rtol=1e-3)
    whole = np.ones(values.shape[:2], bool)
    assert np.allclose(noise_of(seen.values, whole).covariance, theirs.noise.cov, rtol=1e-4, atol=1e-8)


def test_rx(seen: Cube) -> None:
    theirs = spectral.rx(seen.values.astype(np.float64))
    assert np.allclose(rx(seen.values), theirs, rtol=1e-4)


def test_spectral_angles(seen: Cube) -> None:
    members = seen.values[[3, 20, 50], [5, 30, 60]].astype(np.float64)
    theirs = spectral.spectral_angles(seen.values.astype(np.float64), members)
    ours = spectral_angles(seen.values, members)
    assert np.allclose(ours[theirs > 1e-3], theirs[theirs > 1e-3], atol=5e-4)


def test_normalised_difference(seen: Cube) -> None:
    axis = seen.wavelengths_nm
    ours = normalised_difference(seen, first_nm=axis[14], second_nm=axis[6], width_nm=1e-6)
    theirs = spectral.ndvi(seen.values.astype(np.float64), 6, 14)
    assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.corpus
def test_rx_on_the_corpus_finds_what_a_map_shows(corpus: Path) -> None:
    """The 16th class of the map, stone and steel towers, is 93 pixels of 21025 and unlike all fields."""
    path = corpus / "indian-pines" / "indian_pines.npz"
    seen = read_cube(path, wavelengths_nm=INDIAN_PINES_NM.tolist())
    towers = np.load(path)["gt"] == 16
    scores = rx(mnf(seen.values, components=20).of(seen.values), trim_share=0.05)
    assert np.median(scores[towers]) > 5 * np.median(scores[~towers])
