"""Sensitivity over false marks per scan, on synthetic chests never trained on; on the GPU, in torch.

usage: froc.py --weights average.pt [--count 60] [--processes 8] [--device cuda]

For each thickness of slices: the share of nodules found at some rates of false marks, and at one false mark a
scan the share for each size, with the error of the diameter. From the chances that it prints, `--chance-min`
of `export.py` is chosen.
"""

import argparse
import time
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import labels
import numpy as np
import scoring
import torch
from cases import SHAPE, Case, draw_cases
from chance import Shape
from network import LungNet, fold_batch_norms
from space import VOXEL_MM
from synthesis import FIRST_NODULE
from views import shape_of

MARKED_FROM = 0.1  # chances below this belong to no mark
SHIPPED = (0.3, 0.4, 0.5, 0.6, 0.7)  # chances that might decide in the graph


def drawn_in(case: Case) -> list[scoring.Drawn]:
    """The nodules of a case, as they are counted."""
    truth = case.truth.cpu().numpy()
    return [
        scoring.Drawn(one.diameter_mm, one.place, np.argwhere(truth == FIRST_NODULE + number))
        for number, one in enumerate(case.nodules)
    ]


@dataclass
class Result:
    """What some chests came to: for each thickness of slices, and for each bar of the chance."""

    curves: dict[float, scoring.Tally] = field(default_factory=lambda: defaultdict(scoring.Tally))
    decided: dict[tuple[float, float], scoring.Tally] = field(
        default_factory=lambda: defaultdict(scoring.Tally)
    )
    shared: np.ndarray = field(default_factory=lambda: np.zeros(labels.CLASS_COUNT))
    total: np.ndarray = field(default_factory=lambda: np.zeros(labels.CLASS_COUNT))


class Examiner:
    """A process's own network."""

    network: LungNet
    device: torch.device
    shape: Shape

    @classmethod
    def begin(cls, weights: Path, device: str, shape: Shape) -> None:
        """Open the network, once in each process."""
        torch.set_num_threads(1)
        cls.device, cls.shape = torch.device(device), shape
        network = LungNet()
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        cls.network = fold_batch_norms(network).to(cls.device)

    @classmethod
    @torch.no_grad()
    def examine(cls, number: int) -> Result:
        """Draw one chest, scan it with slices of each thickness, and count what is found."""
        found = Result()
        for case in draw_cases(number, cls.device, cls.shape):
            scores = cls.network(case.image[None, None])
            chance = scores.softmax(1)[0, labels.NODULE].cpu().numpy()
            answer = scores[0].argmax(0)
            for index in range(1, labels.NODULE):
                seen, wanted = answer == index, case.truth == index
                found.shared[index] += float((seen & wanted).sum())
                found.total[index] += float(seen.sum() + wanted.sum())
            there = drawn_in(case)
            tally = found.curves[case.thickness_mm] = scoring.Tally()
            scoring.count(tally, chance > MARKED_FROM, chance, there, VOXEL_MM)
            for bar in SHIPPED:
                tally = found.decided[case.thickness_mm, bar] = scoring.Tally()
                scoring.count(tally, chance >= bar, None, there, VOXEL_MM)
        found.curves, found.decided = dict(found.curves), dict(found.decided)
        return found


def add(found: Result, more: Result) -> None:
    """Add the count of one chest to that of the others."""
    found.shared += more.shared
    found.total += more.total
    for key, tally in more.curves.items():
        found.curves[key].add(tally)
    for bar, tally in more.decided.items():
        found.decided[bar].add(tally)


def describe(found: Result) -> None:
    """Print the tables of the card."""
    for index in range(1, labels.NODULE):
        dice = 2 * found.shared[index] / max(found.total[index], 1)
        print(f"{labels.CLASS_NAMES[index]}: Dice {dice:.4f}")
    for thickness, tally in sorted(found.curves.items()):
        print(f"slices of {thickness:g} mm: {tally.scans} scans, {len(tally.nodules)} nodules")
        for rate, _, share in scoring.curve(tally):
            print(f"  {rate:g} false marks a scan: {share:.3f} found")
    for (thickness, bar), tally in sorted(found.decided.items()):
        rate = len(tally.false_marks) / tally.scans
        print(f"slices of {thickness:g} mm, chance of {bar:g} and more: {rate:.2f} false marks a scan")
        print(*(f"  {line}" for line in scoring.by_size(tally)), sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=60.0, help="no chest is begun after this")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--shape", type=shape_of, default=SHAPE)
    parser.add_argument("--device", default="cuda")
    chosen = parser.parse_args()
    ends_s = time.monotonic() + 60 * chosen.minutes
    found = Result()
    with ProcessPoolExecutor(
        chosen.processes,
        get_context("spawn"),
        initializer=Examiner.begin,
        initargs=(chosen.weights, chosen.device, chosen.shape),
    ) as pool:
        waiting = {pool.submit(Examiner.examine, number) for number in range(chosen.count)}
        while waiting:
            done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            for one in done:
                if not one.cancelled():
                    add(found, one.result())
            if time.monotonic() > ends_s:
                for one in waiting:
                    one.cancel()
    describe(found)


if __name__ == "__main__":
    main()
