"""Write synthetic test chests: each painted once, and scanned with thin, middling and thick slices.

usage: cases.py --out FOLDER --count 40 [--side 176] [--device cuda]

Their seeds lie far from those of the training. A case is an npz: `image` int16 HU and `truth` uint8,
(x, y, z) with axes to the right, to the front and up at 1.5 mm; `nodules`, a JSON list; `thickness` in mm.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from chance import Chance
from scanner import HIGH_HU, LOW_HU, Protocol
from synthesis import paint_scene, take

SEED = 88_000_000
THICKNESS_MM = (1.0, 2.5, 5.0)
NOISE_HU = (24.0, 16.0, 11.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--side", type=int, default=176)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    device = torch.device(chosen.device)
    for number in range(chosen.count):
        chance = Chance(SEED + number, device)
        place = (chance.uniform(-25, 25), chance.uniform(-15, 15), chance.uniform(-40, 10))
        scene = paint_scene(chance, side_voxels=chosen.side, centre=place, nodules_max=12)
        nodules = [
            {"diameter_mm": n.diameter_mm, "place": n.place, "kind": n.kind, "site": n.site}
            for n in scene.nodules
        ]
        for thickness, noise in zip(THICKNESS_MM, NOISE_HU, strict=True):
            protocol = Protocol(thickness, thickness, 2, noise, 0.0)
            scan = take(
                scene,
                Chance(SEED + number, device),
                side_voxels=chosen.side,
                protocol=protocol,
                is_whole=True,
            )
            image = (scan.image * (HIGH_HU - LOW_HU) + LOW_HU).round().short().cpu().numpy()
            np.savez_compressed(
                chosen.out / f"{number:03d}-{thickness:g}mm.npz",
                image=image,
                truth=scene.truth.cpu().numpy(),
                nodules=json.dumps(nodules),
                thickness=f"{thickness:g}",
            )
        print(f"{number}: {len(nodules)} nodules", flush=True)


if __name__ == "__main__":
    main()
