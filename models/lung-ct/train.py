"""Train the network on synthetic chests, in slices that can be resumed.

usage: train.py --state STATE --minutes 9 [--slice-minutes 9] [--device cuda]

The learning rate follows the share of `--minutes` that is used up, over all slices. Each step's scans follow
from the seed and the step's number, so a resumed run sees what an unbroken one would have seen. On a GPU the
next step's scans are painted beside the training of this one.
"""

import argparse
import contextlib
import copy
import json
import math
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import labels
import torch
from chance import Shape
from network import LungNet
from stock import AGES, Batch, Stock
from torch import Tensor
from torch.nn import functional
from views import SHAPES, shape_of

SEED = 20261123
VALIDATION_SEED = 999_331
VALIDATION_STEPS = 4
VALIDATION_APART = 37  # steps, more than a scene is kept; odd, so that it takes turns with the shapes
PEAK_RATE = 2e-3
WARM_UP_STEPS = 150
EMA_DECAY = 0.998
REPORT_EVERY_S = 40.0
SHORT = ("right", "left", "trachea", "nodule")  # classes, in reports
MISSED_SHARE = 0.65  # of the two mistakes, a missed voxel of a nodule counts so much


@dataclass(slots=True)
class Progress:
    """How far the run is, over all slices."""

    step: int = 0
    spent_s: float = 0.0


class Run:
    """Network, its moving average and the optimiser, with the files they survive in."""

    def __init__(self, device: torch.device, *, seed: int) -> None:
        torch.manual_seed(seed)
        self.device = device
        self._layout = torch.channels_last_3d if device.type == "cuda" else torch.preserve_format
        self.network = LungNet().to(device).to(memory_format=self._layout)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
        self.progress = Progress()

    def step(self, batch: Batch, *, rate: float) -> Tensor:
        """One update; the loss stays on the device."""
        images, truth, weight = batch
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            scores = self.network(images.to(memory_format=self._layout))
        loss = segmentation_loss(scores.float(), truth, weight)
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
        torch._foreach_lerp_(_numbers(self.average), _numbers(self.network), 1 - decay)

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


def _numbers(network: LungNet) -> list[Tensor]:
    """Weights, and the means and variances of batch norms; not the count of batches that these saw."""
    return [part for part in network.state_dict().values() if part.dtype.is_floating_point]


def segmentation_loss(scores: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy, Dice of lungs and trachea by scan, and an overlap of nodules that hates misses.

    Args:
        scores: (batch, classes, x, y, z) before the softmax.
        truth: (batch, x, y, z), classes or `labels.UNKNOWN`, which does not count.
        weight: (batch, x, y, z).
    """
    logs = functional.log_softmax(scores, 1)
    known = truth != labels.UNKNOWN
    weight = weight * known
    sure = torch.where(known, truth, 0)
    picked = logs.gather(1, sure[:, None])[:, 0]
    focus = (1 - picked.detach().exp()) ** 0.5
    entropy = -(focus * weight * picked).sum() / known.sum().clamp(min=1)
    chances = logs.exp() * known[:, None]
    axes = (2, 3, 4)  # each scan by itself: in one of the belly, the little lung that it holds counts in full
    wanted = torch.stack([(truth == one) for one in range(1, labels.CLASS_COUNT)], 1).to(chances.dtype)
    shared = (chances[:, 1:4] * wanted[:, :3]).sum(axes)
    total = chances[:, 1:4].sum(axes) + wanted[:, :3].sum(axes)
    dice = ((2 * shared + 100) / (total + 100)).mean()
    nodule, there = chances[:, labels.NODULE], wanted[:, labels.NODULE - 1] * weight
    hit = (nodule * there).sum()
    missed = ((1 - nodule) * there).sum()
    invented = (nodule * (1 - wanted[:, labels.NODULE - 1])).sum() * 3
    overlap = (hit + 50) / (hit + MISSED_SHARE * missed + (1 - MISSED_SHARE) * invented + 50)
    return 2 * entropy + (1 - dice) + (1 - overlap)


def learning_rate(progress: float, step: int, *, peak: float) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return peak * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))) + 1e-6


@torch.no_grad()
def describe(network: LungNet, batches: list[Batch]) -> str:
    """Dice of each class over scans that are never trained on, for each shape of scans."""
    shared: dict[Shape, Tensor] = defaultdict(lambda: torch.zeros(labels.CLASS_COUNT))
    total: dict[Shape, Tensor] = defaultdict(lambda: torch.zeros(labels.CLASS_COUNT))
    for images, truth, _ in batches:
        shape = tuple(truth.shape[1:])
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            answer = torch.cat([network(image[None]).argmax(1) for image in images])
        for index in range(1, labels.CLASS_COUNT):
            seen, wanted = (answer == index) & (truth != labels.UNKNOWN), truth == index
            shared[shape][index] += float((seen & wanted).sum())
            total[shape][index] += float(seen.sum() + wanted.sum())
    parts = []
    for shape, found in sorted(shared.items()):
        dice = 2 * found / total[shape].clamp(min=1)
        told = ", ".join(f"{name} {one:.3f}" for name, one in zip(SHORT, dice[1:].tolist(), strict=True))
        parts.append(f"{shape[0]} wide: {told}")
    return "; ".join(parts)


class Ahead:
    """Draws the next step's batch while this one is learned from, on a stream of its own."""

    def __init__(self, stock: Stock, device: torch.device) -> None:
        self._stock = stock
        # Of priority: painting waits for many small results, and each would queue behind the training.
        self._stream = torch.cuda.Stream(device, priority=-1) if device.type == "cuda" else None

    def draw(self, step: int) -> Batch:
        """Draw a batch beside whatever the device is doing."""
        with torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            return self._stock.batch(step)

    def hand_over(self, batch: Batch) -> Batch:
        """Let the training wait until a batch is drawn."""
        if self._stream:
            current = torch.cuda.current_stream()
            current.wait_stream(self._stream)
            for part in batch:
                part.record_stream(current)
        return batch


def train(run: Run, settings: argparse.Namespace) -> None:
    """Run until the slice or the whole time is used up; report now and then."""
    stock = Stock(run.device, seed=settings.seed, shapes=settings.shapes, painted=settings.painted)
    apart = Stock(run.device, seed=VALIDATION_SEED, shapes=settings.shapes)
    sight = [apart.batch(VALIDATION_APART * (1 + number)) for number in range(settings.sights)]
    ahead = Ahead(stock, run.device)
    batch = ahead.draw(run.progress.step)
    started = last = time.monotonic()
    before_s, first_step = run.progress.spent_s, run.progress.step
    losses: list[Tensor] = []
    while True:
        now = time.monotonic()
        run.progress.spent_s = before_s + now - started
        share = run.progress.spent_s / (60 * settings.minutes)
        is_late = now - started >= 60 * settings.slice_minutes
        if share >= 1 or is_late or run.progress.step >= settings.steps_max:
            break
        rate = learning_rate(share, run.progress.step, peak=settings.rate)
        losses.append(run.step(ahead.hand_over(batch), rate=rate))
        batch = ahead.draw(run.progress.step)
        if now - last >= settings.report_s or run.progress.step == 50:
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise FloatingPointError(f"step {run.progress.step}: loss is {loss}, wanted a finite number")
            pace = (now - started) / max(1, run.progress.step - first_step)
            print(
                f"{run.progress.spent_s:.0f} s step {run.progress.step} ({1000 * pace:.0f} ms each) "
                f"loss {loss:.4f} rate {rate:.5f}; {describe(run.average, sight)}",
                flush=True,
            )
            run.save(settings.state)
            losses, last = [], now
    print(f"slice ends at step {run.progress.step}, {run.progress.spent_s:.0f} s")
    print("average:", describe(run.average, sight), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, required=True, help="resumed from; written at the end")
    parser.add_argument("--minutes", type=float, default=9.0, help="training time over all slices")
    parser.add_argument("--slice-minutes", type=float, default=1e9, help="time of this slice")
    parser.add_argument("--steps-max", type=int, default=10**9)
    parser.add_argument(
        "--shapes", type=shape_of, nargs="+", default=SHAPES, help="of scans; steps take turns with them"
    )
    parser.add_argument(
        "--sights", type=int, default=VALIDATION_STEPS, help="validation batches of six scans"
    )
    parser.add_argument("--rate", type=float, default=PEAK_RATE)
    parser.add_argument("--painted", type=int, choices=tuple(AGES), default=2, help="new scenes a step")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--report-s", type=float, default=REPORT_EVERY_S)
    parser.add_argument("--begin-with", type=Path, help="average.pt of a finished run, for a new run")
    parser.add_argument("--device", default="cuda")
    settings = parser.parse_args()
    device = torch.device(settings.device)
    torch.set_num_threads(1) if device.type == "cpu" else None
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
        f"{name}, torch {torch.__version__}, from step {run.progress.step}, "
        f"scans of {' and '.join(' × '.join(map(str, shape)) for shape in settings.shapes)} voxels",
        flush=True,
    )
    train(run, settings)
    run.save(settings.state)


if __name__ == "__main__":
    main()
