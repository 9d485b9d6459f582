"""Measure the networks on drawn spectra they were not trained on, and on physics they were not trained with.

usage: evaluate.py --table tissue_optics.csv [--network model.int8.onnx]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from export import UNCERTAINTY_MAX, answer
from light import Floats, reflectance_table, walk
from tissue import NOISE_LEVELS, draw_other, draw_tissue, load_optics, measured

COUNT = 20_000
SEED = 4242


def rows(network: Path, table: Path) -> Iterator[str]:
    optics = load_optics(table)
    monte_carlo = reflectance_table(200_000, seed=SEED)
    both = ("background", "muscle")
    cases = [(f"Monte Carlo, noise {level:.1%}", monte_carlo, both, level) for level in NOISE_LEVELS]
    cases += [(f"diffusion theory, noise {level:.1%}", None, both, level) for level in (0.005, 0.02)]
    cases += [("Monte Carlo, scattering of fat, noise 0.5%", monte_carlo, ("fat",), 0.005)]
    yield f"| {COUNT} spectra each | known | mean error | RMS error | bias | claimed | within 2 sigma |"
    for name, reflectance, scatterers, level in cases:
        random = np.random.default_rng(SEED)
        share, spectra = draw_tissue(COUNT, optics, random, reflectance=reflectance, scatterers=scatterers)
        seen, unsure = answer(network, measured(spectra, random, noise=level))
        yield f"| {name} | {told(seen, unsure, 100 * share)} |"
    random = np.random.default_rng(SEED)
    _, unsure = answer(network, measured(draw_other(COUNT, random), random, noise=0.005))
    yield f"| no tissue | {(unsure <= UNCERTAINTY_MAX).mean():.1%} | – | – | – | – | – |"
    for name, count in (
        ("white", np.full(39, 0.95)),
        ("grey", np.full(39, 0.3)),
        ("ramp", np.linspace(0.2, 0.8, 39)),
    ):
        noisy = count[None] + 0.005 * np.random.default_rng(1).normal(size=(500, 39))
        _, unsure = answer(network, noisy.astype(np.float32))
        yield f"| {name} panel | {(unsure <= UNCERTAINTY_MAX).mean():.1%} | – | – | – | – | – |"


def told(seen: Floats, unsure: Floats, truth: Floats) -> str:
    known = unsure <= UNCERTAINTY_MAX
    error = (seen - truth)[known]
    return (
        f"{known.mean():.0%} | {np.abs(error).mean():.1f} | {np.sqrt((error**2).mean()):.1f} | "
        f"{error.mean():+.1f} | {unsure[known].mean():.1f} | "
        f"{(np.abs(error) <= 2 * unsure[known]).mean():.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--network", type=Path, default=Path(__file__).parent / "model.int8.onnx")
    chosen = parser.parse_args()
    paths = walk(100_000, anisotropy=0.0, refraction=1.5, seed=SEED)
    total = 0.04 + 0.96 * np.exp(-paths[np.isfinite(paths)] / 9).sum() / len(paths)
    print(
        f"half-space, albedo 0.9, isotropic, n 1.5: total reflectance {total:.4f} (Giovanelli 1955: 0.2600)"
    )
    for row in rows(chosen.network, chosen.table):
        print(row, flush=True)


if __name__ == "__main__":
    main()
