"""Synthetic test chests: each painted once, and scanned with thin, middling and thick slices.

usage: cases.py --out FOLDER --count 12 [--shape 176,176,176] [--device cpu]

Their seeds lie far from those of the training. A case is an npz: `image` int16 HU and `truth` uint8,
(x, y, z) with axes to the right, to the front and up at 1.5 mm; `nodules`, a JSON list; `thickness` in mm.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from chance import Chance, Shape
from nodules import Nodule
from scanner import HIGH_HU, LOW_HU, Protocol
from synthesis import paint_scene, take
from torch import Tensor
from views import shape_of

SEED = 88_000_000
THICKNESS_MM = (1.0, 2.5, 5.0)
NOISE_HU = (24.0, 16.0, 11.0)
SHAPE: Shape = (176, 176, 176)


@dataclass(frozen=True, slots=True)
class Case:
    """One scan of a test chest.

    Attributes:
        thickness_mm: Of its slices.
        image: (x, y, z), 0 to 1 as the network is given it.
        truth: (x, y, z) uint8: classes, or the number of a nodule, as in a scene.
        nodules: All that are there.
    """

    thickness_mm: float
    image: Tensor
    truth: Tensor
    nodules: tuple[Nodule, ...]


def draw_cases(number: int, device: torch.device, shape: Shape = SHAPE) -> Iterator[Case]:
    """Draw the scans of one chest."""
    chance = Chance(SEED + number, device)
    place = (chance.uniform(-25, 25), chance.uniform(-15, 15), chance.uniform(-40, 10))
    scene = paint_scene(chance, shape=shape, centre=place, nodules_max=12, mirrored_share=0.0)
    for thickness, noise in zip(THICKNESS_MM, NOISE_HU, strict=True):
        protocol = Protocol(thickness, thickness, 2, noise, 0.0)
        again = Chance(SEED + number, device)
        scan = take(scene, again, shape=shape, protocol=protocol, is_whole=True)
        yield Case(thickness, scan.image, scene.truth, scene.nodules)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--shape", type=shape_of, default=SHAPE)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for number in range(chosen.count):
        for case in draw_cases(number, torch.device(chosen.device), chosen.shape):
            nodules = [
                {"diameter_mm": one.diameter_mm, "place": one.place, "kind": one.kind, "site": one.site}
                for one in case.nodules
            ]
            np.savez_compressed(
                chosen.out / f"{number:03d}-{case.thickness_mm:g}mm.npz",
                image=(case.image * (HIGH_HU - LOW_HU) + LOW_HU).round().short().cpu().numpy(),
                truth=case.truth.cpu().numpy(),
                nodules=json.dumps(nodules),
                thickness=f"{case.thickness_mm:g}",
            )
        print(f"{number}: {len(nodules)} nodules", flush=True)


if __name__ == "__main__":
    main()
