"""Train the network on spectra drawn without end; about twenty minutes on one shared CPU core, resumable.

usage: train.py --table tissue_optics.csv --out FOLDER [--steps 3000]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from light import Floats, reflectance_table
from network import OxygenNet, prepare
from tissue import WAVELENGTHS_NM, Optics, draw_other, draw_tissue, load_optics, measured
from torch import Tensor

SEED = 20261122
PHOTONS = 200_000
BATCH = 4096
OTHER_SHARE = 0.25  # of a batch is no tissue: its "oxygenation" is drawn, so that only being unsure pays
FLOOR = 0.002
RATE = 2e-3
SAVE_EVERY = 200


def draw_batch(
    optics: Optics, reflectance: Callable[[Floats], Floats], random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return prepared spectra, (batch, bands), and oxygenation in percent, (batch, 1)."""
    others = round(BATCH * OTHER_SHARE)
    share, tissue = draw_tissue(
        BATCH - others, optics, random, reflectance=reflectance, scatterers=("background", "muscle")
    )
    spectra = np.concatenate(
        [measured(tissue, random, noise=None), measured(draw_other(others, random), random, noise=None)]
    )
    target = np.concatenate([share, random.random(others)])
    return prepare(torch.from_numpy(spectra), FLOOR), torch.from_numpy(100 * target).float()[:, None]


def loss_of(percent: Tensor, uncertainty: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a Gaussian (Nix and Weigend 1994, IEEE ICNN, 55)."""
    return (((percent - target) / uncertainty) ** 2 / 2 + torch.log(uncertainty)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    optics = load_optics(chosen.table)
    reflectance = reflectance_table(PHOTONS, seed=SEED)
    network = OxygenNet(len(WAVELENGTHS_NM))
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    state, first = chosen.out / "state.pt", 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        average.load_state_dict(kept["average"])
        first = kept["step"]
    began = time.monotonic()
    for step in range(first, chosen.steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * step / chosen.steps)) + 1e-6
        spectra, target = draw_batch(optics, reflectance, np.random.default_rng((SEED, step)))
        percent, uncertainty = network(spectra)
        loss = loss_of(percent, uncertainty, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(network)
        if (step + 1) % SAVE_EVERY == 0:
            tissue = slice(0, BATCH - round(BATCH * OTHER_SHARE))
            error = (percent - target)[tissue].abs().mean().item()
            print(
                f"{step + 1}/{chosen.steps} loss {loss.item():.3f} tissue {error:.2f} % "
                f"unsure {uncertainty[tissue].mean().item():.2f} "
                f"/ {uncertainty[tissue.stop :].mean().item():.2f} % "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "average": average.state_dict(),
                    "step": step + 1,
                },
                state,
            )
    torch.save(average.module.state_dict(), chosen.out / "average.pt")


if __name__ == "__main__":
    main()
