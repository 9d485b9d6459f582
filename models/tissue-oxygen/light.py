"""How much light a thick piece of tissue gives back: Monte Carlo, and diffusion theory to test against.

The total diffuse reflectance of a homogeneous half-space that is lit evenly depends on one number only: the
ratio of absorption to scattering. So one "white" Monte Carlo run without absorption gives the paths of all
photons, and every absorption follows from them: R(q) = mean(exp(-q * path)), q = absorption / scattering,
path in mean free paths of scattering (Kienle and Patterson 1996, Phys. Med. Biol. 41, 2221).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ANISOTROPY = 0.9  # as the table says; its scattering is the unreduced one
REFRACTION = 1.4  # soft tissue against air
PATH_MAX = 30_000.0  # mean free paths; a photon that is still inside then counts as absorbed


def walk(photons: int, *, anisotropy: float, refraction: float, seed: int) -> Floats:
    """Follow photons through a half-space that only scatters, lit straight from above.

    Args:
        photons: How many.
        anisotropy: Mean cosine of scattering (Henyey and Greenstein 1941), 0 to below 1.
        refraction: Index inside; outside it is 1.
        seed: Of the draws.

    Returns:
        (photons,) path inside until the photon left through the surface, in mean free paths; infinite where
        it did not leave within `PATH_MAX`.
    """
    random = np.random.default_rng(seed)
    depth = np.zeros(photons)
    downwards = np.ones(photons)  # cosine with the inward normal
    path = np.zeros(photons)
    paths = np.full(photons, np.inf)
    who = np.arange(photons)
    while len(who):
        step = random.exponential(size=len(who))
        to_surface = np.where(downwards < 0, -depth / np.minimum(downwards, -1e-12), np.inf)
        hits = step >= to_surface
        leaves = hits & (random.random(len(who)) >= fresnel(-downwards, refraction))
        travelled = np.where(hits, to_surface, step)
        path += travelled
        depth += travelled * downwards
        depth[hits] = 0.0
        downwards = np.where(
            hits, -downwards, downwards
        )  # reflected inside; those that leave are dropped below
        paths[who[leaves]] = path[leaves]
        stays = ~leaves & (path < PATH_MAX)
        who, depth, path = who[stays], depth[stays], path[stays]
        downwards, scatters = downwards[stays], ~hits[stays]
        downwards = np.where(scatters, scattered(downwards, anisotropy, random), downwards)
    return paths


def fresnel(cosine: Floats, refraction: float) -> Floats:
    """Share of unpolarised light that the surface throws back inside; 1 beyond the critical angle."""
    inside = np.clip(cosine, 0.0, 1.0)
    sine_out = refraction * np.sqrt(1 - inside**2)
    total = sine_out >= 1
    outside = np.sqrt(1 - np.minimum(sine_out, 1.0) ** 2)
    across = (refraction * inside - outside) / np.maximum(refraction * inside + outside, 1e-12)
    along = (inside - refraction * outside) / np.maximum(inside + refraction * outside, 1e-12)
    return np.where(total, 1.0, (across**2 + along**2) / 2)


def scattered(downwards: Floats, anisotropy: float, random: np.random.Generator) -> Floats:
    """New cosine with the inward normal after one scattering, by Henyey and Greenstein's phase function."""
    draws = random.random(len(downwards))
    if anisotropy == 0:
        turn = 2 * draws - 1
    else:
        part = (1 - anisotropy**2) / (1 - anisotropy + 2 * anisotropy * draws)
        turn = (1 + anisotropy**2 - part**2) / (2 * anisotropy)
    around = np.cos(2 * np.pi * random.random(len(downwards)))
    sines = np.sqrt(np.clip((1 - turn**2) * (1 - downwards**2), 0, None))
    return np.clip(downwards * turn + sines * around, -1.0, 1.0)


def reflectance_table(photons: int, *, seed: int) -> Callable[[Floats], Floats]:
    """Return the reflectance as a function of absorption / scattering, interpolated between 161 ratios."""
    ratios = np.logspace(-6, 1.5, 161)
    paths = walk(photons, anisotropy=ANISOTROPY, refraction=REFRACTION, seed=seed)
    left = paths[np.isfinite(paths)]
    values = np.array([np.exp(-ratio * left).sum() / photons for ratio in ratios])

    def reflectance(ratio: Floats) -> Floats:
        return np.interp(np.log(np.clip(ratio, ratios[0], ratios[-1])), np.log(ratios), values)

    return reflectance


def diffuse_reflectance(absorption: Floats, reduced_scattering: Floats) -> Floats:
    """Total diffuse reflectance of a half-space by diffusion theory (Flock et al. 1989, IEEE TBME 36, 1162).

    R = a' / (1 + 2k(1 - a') + (1 + 2k/3) sqrt(3(1 - a'))), a' the reduced albedo, k from the refraction index
    (Groenhuis et al. 1983, Appl. Opt. 22, 2456). Good where scattering is far stronger than absorption.
    """
    internal = -1.440 * REFRACTION**-2 + 0.710 / REFRACTION + 0.668 + 0.0636 * REFRACTION
    k = (1 + internal) / (1 - internal)
    albedo = reduced_scattering / (reduced_scattering + absorption)
    return albedo / (1 + 2 * k * (1 - albedo) + (1 + 2 * k / 3) * np.sqrt(3 * (1 - albedo)))
