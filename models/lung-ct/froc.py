"""Sensitivity over false marks per scan, on synthetic chests never trained on; on the GPU, in torch.

usage: froc.py --weights average.pt [--count 60] [--device cuda]

For each thickness of slices: the share of nodules found at some rates of false marks, and at one false mark a
scan the share for each size, with the error of the diameter. From the chances that it prints, `--chance-min`
of `export.py` is chosen.
"""

import argparse
from pathlib import Path

import labels
import numpy as np
import scoring
import torch
from cases import SIDE_VOXELS, Case, draw_cases
from network import LungNet, fold_batch_norms
from space import VOXEL_MM
from synthesis import FIRST_NODULE

MARKED_FROM = 0.1  # chances below this belong to no mark
SHIPPED = (0.3, 0.4, 0.5, 0.6, 0.7)  # chances that might decide in the graph


def drawn_in(case: Case) -> list[scoring.Drawn]:
    """The nodules of a case, as they are counted."""
    truth = case.truth.cpu().numpy()
    return [
        scoring.Drawn(one.diameter_mm, one.place, np.argwhere(truth == FIRST_NODULE + number))
        for number, one in enumerate(case.nodules)
    ]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--side", type=int, default=SIDE_VOXELS)
    parser.add_argument("--device", default="cuda")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    network = LungNet()
    network.load_state_dict(torch.load(chosen.weights, map_location="cpu", weights_only=True))
    network = fold_batch_norms(network).to(device)
    curves: dict[float, scoring.Tally] = {}
    decided: dict[tuple[float, float], scoring.Tally] = {}
    shared, total = torch.zeros(labels.CLASS_COUNT), torch.zeros(labels.CLASS_COUNT)
    for number in range(chosen.count):
        for case in draw_cases(number, device, chosen.side):
            scores = network(case.image[None, None])
            chance = scores.softmax(1)[0, labels.NODULE].cpu().numpy()
            answer = scores[0].argmax(0)
            for index in range(1, labels.NODULE):
                seen, wanted = answer == index, case.truth == index
                shared[index] += float((seen & wanted).sum())
                total[index] += float(seen.sum() + wanted.sum())
            there = drawn_in(case)
            tally = curves.setdefault(case.thickness_mm, scoring.Tally())
            scoring.count(tally, chance > MARKED_FROM, chance, there, VOXEL_MM)
            for bar in SHIPPED:
                tally = decided.setdefault((case.thickness_mm, bar), scoring.Tally())
                scoring.count(tally, chance >= bar, None, there, VOXEL_MM)
    for index in range(1, labels.NODULE):
        print(f"{labels.CLASS_NAMES[index]}: Dice {float(2 * shared[index] / total[index].clamp(min=1)):.4f}")
    for thickness, tally in curves.items():
        print(f"slices of {thickness:g} mm: {tally.scans} scans, {len(tally.nodules)} nodules")
        for rate, _, share in scoring.curve(tally):
            print(f"  {rate:g} false marks a scan: {share:.3f} found")
    for (thickness, bar), tally in decided.items():
        rate = len(tally.false_marks) / tally.scans
        print(f"slices of {thickness:g} mm, chance of {bar:g} and more: {rate:.2f} false marks a scan")
        print(*(f"  {line}" for line in scoring.by_size(tally)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
