"""Train the network on synthetic scans, in slices that can be resumed.

usage: train.py --heads HEADS --state STATE --minutes 19 [--slice-minutes 9.3] [--device cuda]
       train.py --heads HEADS --state NEXT --minutes 8.4 --rate 1e-3 --seed 20261124 --begin-with average.pt

The learning rate follows the share of `--minutes` that is used up, over all slices; a slice ends early
enough to write its state. Three runs, each beginning with the average of the one before, and 34 minutes on
one H200 made the network of this bundle, see CARD.md. Every scan has its own seed, so a resumed run sees the
scans that an unbroken one would have seen.
"""

import argparse
import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from anatomy import Head
from labels import CLASS_COUNT, CLASS_NAMES
from network import BrainNet
from synthesis import SIDE_VOXELS, UNKNOWN_CLASS, draw_batch, load_head, plain_scan
from torch import Tensor
from torch.nn import functional

# Name of a head map, how often it is drawn, and whether its tissue labels are trusted.
HEADS = (("colin27", 0.50, True), ("mni152", 0.32, True), ("meanhead", 0.18, False))
VALIDATION_HEAD = "validation"
SEED = 20261122
BATCH = 4
PEAK_RATE = 2e-3
WARM_UP_STEPS = 200
EMA_DECAY = 0.998
REPORT_EVERY_S = 40.0


@dataclass(slots=True)
class Progress:
    """How far the run is, over all slices."""

    step: int = 0
    spent_s: float = 0.0


class Run:
    """Network, its moving average and the optimiser, with the files they survive in."""

    def __init__(self, device: torch.device, *, seed: int) -> None:
        torch.manual_seed(seed)
        layout = torch.channels_last_3d if device.type == "cuda" else torch.preserve_format
        self.device = device
        self.network = BrainNet().to(device).to(memory_format=layout)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
        self.progress = Progress()

    def step(self, images: Tensor, truth: Tensor, *, rate: float) -> Tensor:
        """One update; the loss stays on the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        layout = torch.channels_last_3d if self.device.type == "cuda" else torch.preserve_format
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            scores = self.network(images.to(memory_format=layout))
        loss = segmentation_loss(scores.float(), truth)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.progress.step += 1
        self._follow()
        return loss.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(EMA_DECAY, (self.progress.step + 1) / (self.progress.step + 10))
        pairs = zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)
        for average, current in pairs:
            if average.dtype.is_floating_point:
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)

    def save(self, folder: Path) -> None:
        """Five files, none over 16 MiB; the average is the network to export."""
        folder.mkdir(parents=True, exist_ok=True)
        moments = self.optimiser.state_dict()["state"]
        torch.save(self.network.state_dict(), folder / "network.pt")
        torch.save(self.average.state_dict(), folder / "average.pt")
        torch.save({key: state["exp_avg"] for key, state in moments.items()}, folder / "moment1.pt")
        torch.save({key: state["exp_avg_sq"] for key, state in moments.items()}, folder / "moment2.pt")
        (folder / "progress.json").write_text(json.dumps(asdict(self.progress)))

    def load(self, folder: Path) -> None:
        """Go on where `save` stopped."""
        self.progress = Progress(**json.loads((folder / "progress.json").read_text()))
        first, second = self._read(folder, "moment1"), self._read(folder, "moment2")
        self.network.load_state_dict(self._read(folder, "network"))
        self.average.load_state_dict(self._read(folder, "average"))
        stored = self.optimiser.state_dict()
        step = torch.tensor(float(self.progress.step))
        stored["state"] = {
            k: {"step": step.clone(), "exp_avg": first[k], "exp_avg_sq": second[k]} for k in first
        }
        self.optimiser.load_state_dict(stored)

    def begin_with(self, weights: Path) -> None:
        """Start from a trained network; the optimiser starts anew."""
        trained = torch.load(weights, map_location=self.device, weights_only=True)
        self.network.load_state_dict(trained)
        self.average.load_state_dict(trained)

    def _read(self, folder: Path, name: str) -> dict[str, Tensor]:
        content: dict[str, Tensor] = torch.load(
            folder / f"{name}.pt", map_location=self.device, weights_only=True
        )
        return content


def segmentation_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy, mean class Dice, and half the Dice of the whole brain.

    Where the tissue is unknown, only "brain or not" counts.

    Args:
        scores: (batch, classes, x, y, z) before the softmax.
        truth: (batch, x, y, z), classes or `UNKNOWN_CLASS`.
    """
    logs = functional.log_softmax(scores, 1)
    chances = logs.exp()
    unknown = truth == UNKNOWN_CLASS
    known = ~unknown
    picked = logs.gather(1, torch.where(unknown, 0, truth)[:, None])[:, 0]
    brain_chance = 1 - chances[:, 0]
    entropy = -torch.where(unknown, torch.log(brain_chance.clamp(min=1e-5)), picked).mean()
    each = torch.arange(CLASS_COUNT, device=truth.device).view(1, -1, 1, 1, 1)
    wanted = (truth[:, None] == each).to(chances.dtype)
    axes = (0, 2, 3, 4)
    shared = (chances * wanted).sum(axes)
    total = (chances * known[:, None]).sum(axes) + wanted.sum(axes)
    dice = ((2 * shared + 100) / (total + 100)).mean()
    brain = (truth > 0).to(chances.dtype)
    brain_dice = (2 * (brain_chance * brain).sum() + 100) / (brain_chance.sum() + brain.sum() + 100)
    return entropy + (1 - dice) + 0.5 * (1 - brain_dice)


def learning_rate(progress: float, step: int, *, peak: float) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return peak * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))) + 1e-6


@torch.no_grad()
def describe(network: BrainNet, image: Tensor, truth: Tensor) -> str:
    """Dice on the validation head: whole brain, then each class."""
    with torch.autocast(image.device.type, dtype=torch.bfloat16):
        answer = network(image).argmax(1)[0]
    parts = [f"brain {dice(answer > 0, truth > 0):.4f}"]
    for index, name in enumerate(CLASS_NAMES[1:], 1):
        parts.append(f"{name} {dice(answer == index, truth == index):.3f}")
    return ", ".join(parts)


def dice(first: Tensor, second: Tensor) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum() + 1e-6))


def train(run: Run, heads: Sequence[Head], validation: Head | None, settings: argparse.Namespace) -> None:
    """Run until the slice or the whole time is used up; report now and then."""
    started = last = time.monotonic()
    before_s = run.progress.spent_s
    sight = plain_scan(validation) if validation else None
    losses: list[Tensor] = []
    while True:
        now = time.monotonic()
        run.progress.spent_s = before_s + now - started
        share = run.progress.spent_s / (60 * settings.minutes)
        if (
            share >= 1
            or now - started >= 60 * settings.slice_minutes
            or run.progress.step >= settings.steps_max
        ):
            break
        first = settings.seed * 1_000_003 + run.progress.step * settings.batch
        seeds = range(first, first + settings.batch)
        images, truth = draw_batch(heads, seeds, run.device)
        rate = learning_rate(share, run.progress.step, peak=settings.rate)
        losses.append(run.step(images, truth, rate=rate))
        if now - last >= REPORT_EVERY_S or run.progress.step in (1, 50):
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise FloatingPointError(f"step {run.progress.step}: loss is {loss}, wanted a finite number")
            seen = describe(run.average, *sight) if sight else ""
            print(
                f"{run.progress.spent_s:.0f} s step {run.progress.step} loss {loss:.4f} rate {rate:.5f}",
                seen,
                flush=True,
            )
            losses, last = [], now
    print(f"slice ends at step {run.progress.step}, {run.progress.spent_s:.0f} s")
    if sight:
        print("average:", describe(run.average, *sight), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", type=Path, required=True, help="folder of heads.py")
    parser.add_argument(
        "--state", type=Path, required=True, help="resumed from, if it holds a state; written at the end"
    )
    parser.add_argument("--minutes", type=float, default=19.0, help="training time over all slices")
    parser.add_argument("--slice-minutes", type=float, default=1e9, help="time of this slice")
    parser.add_argument("--steps-max", type=int, default=10**9)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rate", type=float, default=PEAK_RATE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--begin-with", type=Path, help="average.pt of a finished run, for a new run")
    parser.add_argument("--device", default="cuda")
    settings = parser.parse_args()
    device = torch.device(settings.device)
    torch.set_num_threads(2) if device.type == "cpu" else None
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    run = Run(device, seed=settings.seed)
    if (settings.state / "progress.json").exists():
        run.load(settings.state)
    elif settings.begin_with:
        run.begin_with(settings.begin_with)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{name}, torch {torch.__version__}, from step {run.progress.step}, volumes of {SIDE_VOXELS} voxels",
        flush=True,
    )
    heads = [
        load_head(settings.heads / f"{name}.npz", device, share=share, classes_known=known)
        for name, share, known in HEADS
    ]
    kept = settings.heads / f"{VALIDATION_HEAD}.npz"
    validation = load_head(kept, device, share=0.0) if kept.exists() else None
    train(run, heads, validation, settings)
    run.save(settings.state)


if __name__ == "__main__":
    main()
