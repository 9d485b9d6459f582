"""Train the network on drawn pictures and on labelled ones; processes draw while the network learns; resumes.

usage: train.py --real DIR --state STATE --minutes 5 [--fold N] [--slice-minutes 5] [--workers 3]

With `--fold N` the labelled pictures of that fold are kept for testing and never shown, and fold 0 ships;
with `--fold all` every one is learned from; with `--fold none` none is. Half of each batch is drawn, half is
cut out of labelled pictures, turned, bent, zoomed and relit anew each time.
"""

import argparse
import copy
import json
import math
import multiprocessing
import os
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import real
import torch
from network import NucleiNet
from synthesis import SIDE_PX, depth, draw
from torch import Tensor
from torch.nn import functional

SEED = 20261122
BATCH = 16
CROP_PX = 256
PEAK_RATE = 2e-3
WARM_UP_STEPS = 100
EMA_DECAY = 0.998
CHUNK = 8
BANK_MIN = 64
TRUTHS = 2  # nucleus or not, and depth


def draw_chunk(first_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw some pictures in a process of its own: (n, 3, side, side) uint8 and (n, 2, side, side) float16."""
    cv2.setNumThreads(1)
    drawn = [draw(first_seed + n) for n in range(CHUNK)]
    pictures = np.stack([one.pixels.transpose(2, 0, 1) for one in drawn])
    return pictures, np.stack([truth_of(one.things) for one in drawn])


def truth_of(things: np.ndarray) -> np.ndarray:
    """What the network should answer: (2, height, width) float16, nucleus and depth."""
    return np.stack([things > 0, depth(things)]).astype(np.float16)


class Bank:
    """Drawn pictures on the device; a thread fills it while training takes from it."""

    def __init__(self, room: int, device: torch.device) -> None:
        self.pictures = torch.empty((room, 3, SIDE_PX, SIDE_PX), dtype=torch.uint8, device=device)
        self.truths = torch.empty((room, TRUTHS, SIDE_PX, SIDE_PX), dtype=torch.float16, device=device)
        self.drawn = 0
        self.trouble: BaseException | None = None
        self._stop = threading.Event()

    def fill(self, pool: ProcessPoolExecutor, first_seed: int, ahead: int) -> None:
        """Draw until told to stop; when it is full, the oldest pictures make room."""
        try:
            seeds = iter(range(first_seed, first_seed + 10**8, CHUNK))
            waiting: list[Future[tuple[np.ndarray, np.ndarray]]] = [
                pool.submit(draw_chunk, next(seeds)) for _ in range(ahead)
            ]
            while not self._stop.is_set():
                pictures, truths = waiting.pop(0).result()
                waiting.append(pool.submit(draw_chunk, next(seeds)))
                at = self.drawn % (len(self.pictures) - CHUNK)
                self.pictures[at : at + CHUNK] = torch.from_numpy(pictures).to(self.pictures.device)
                self.truths[at : at + CHUNK] = torch.from_numpy(truths).to(self.truths.device)
                self.drawn += CHUNK
            for future in waiting:
                future.cancel()
        except BaseException as trouble:  # noqa: BLE001  # told in the training thread
            self.trouble = trouble

    def stop(self) -> None:
        """End the filling."""
        self._stop.set()

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Take some: (count, 3, crop, crop) float 0 to 255, and (count, 2, crop, crop)."""
        if self.trouble is not None:
            raise self.trouble
        there = min(self.drawn, len(self.pictures) - CHUNK)
        chosen = torch.randint(there, (count,), device=self.pictures.device)
        top, left = (int(torch.randint(0, SIDE_PX - CROP_PX + 1, ())) for _ in range(2))
        rows, columns = slice(top, top + CROP_PX), slice(left, left + CROP_PX)
        pictures = self.pictures[chosen][..., rows, columns].float()
        truths = self.truths[chosen][..., rows, columns].float()
        axes = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
        return pictures.flip(axes), truths.flip(axes)


class Labelled:
    """Labelled pictures on the device, of which pieces are cut out, each time otherwise."""

    def __init__(self, pictures: list[real.Labelled], device: torch.device) -> None:
        self._device = device
        self._all = [
            torch.cat(
                [
                    torch.from_numpy(one.pixels.transpose(2, 0, 1).astype(np.float32)),
                    torch.from_numpy(truth_of(one.things).astype(np.float32)),
                ]
            ).to(device)[None]
            for one in pictures
        ]
        areas = [np.bincount(one.things.ravel())[1:] for one in pictures]
        self._radius_px = [float(np.sqrt(np.median(a[a > 0]) / np.pi)) for a in areas]
        bright = np.array([one.pixels.mean() > real.BRIGHT_MEAN for one in pictures])
        share = np.where(bright, 0.4 / max(bright.sum(), 1), 0.6 / max((~bright).sum(), 1))
        self._share = torch.from_numpy(share / share.sum())

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Cut out some: (count, 3, crop, crop) float 0 to 255, and (count, 2, crop, crop)."""
        chosen = torch.multinomial(self._share, count, replacement=True).tolist()
        cut = torch.cat([self._cut(number) for number in chosen])
        return relit(cut[:, :3]), cut[:, 3:].clamp(0, 1)

    def _cut(self, number: int) -> Tensor:
        """Cut one piece, (1, 5, crop, crop): turned, flipped, zoomed, bent; mirrored beyond the edge."""
        picture = self._all[number]
        height, width = picture.shape[2:]
        wanted_px = float(torch.empty(()).uniform_(math.log(4.5), math.log(24)).exp())
        free = math.log(wanted_px / self._radius_px[number])
        zoom = math.exp(max(-0.7, min(0.7, free)) if torch.rand(()) < 0.7 else 0.15 * float(torch.randn(())))
        angle = 2 * math.pi * float(torch.rand(()))
        squeeze = 1 + 0.1 * float(torch.randn(()))
        cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
        flip = -1.0 if torch.rand(()) < 0.5 else 1.0
        at_x, at_y = (2 * float(torch.rand(())) - 1 for _ in range(2))
        grid = torch.linspace(-1, 1, CROP_PX, device=self._device) * (CROP_PX / 2)
        down, along = torch.meshgrid(grid, grid, indexing="ij")
        bend = functional.interpolate(
            (4 / zoom) * torch.randn((1, 2, 6, 6), device=self._device), (CROP_PX, CROP_PX), mode="bicubic"
        )[0] * float(torch.rand(()) < 0.5)
        x = flip * (cos * along - sin * down) * squeeze + bend[0]
        y = sin * along + cos * down + bend[1]
        where = torch.stack((at_x + 2 * x / width, at_y + 2 * y / height), -1)[None]
        return functional.grid_sample(
            picture, where, mode="bilinear", padding_mode="reflection", align_corners=False
        )


def relit(pictures: Tensor) -> Tensor:
    """Relight labelled pieces: brightness, contrast, colour, blur, noise; whole numbers as a camera gives."""
    count, device = len(pictures), pictures.device

    def rand(*shape: int) -> Tensor:
        return torch.rand((count, *shape, 1, 1), device=device)

    dark = (pictures.mean((1, 2, 3), keepdim=True) < real.BRIGHT_MEAN).float()
    peak = pictures.amax((1, 2, 3), keepdim=True).clamp_min(8)
    gamma = torch.exp(0.35 * torch.randn((count, 1, 1, 1), device=device))
    bent = peak * (pictures / peak).clamp(0, 1) ** torch.where(rand(1) < 0.5, gamma, torch.ones_like(gamma))
    aim = 16 * torch.exp(rand(1) * math.log(255 / 16))
    gain = dark * torch.where(rand(1) < 0.6, aim / peak, torch.ones_like(aim)) + (1 - dark)
    tint = 1 + (1 - dark) * 0.12 * torch.randn((count, 3, 1, 1), device=device)
    shift = (1 - dark) * 14 * torch.randn((count, 3, 1, 1), device=device)
    made = bent * gain * tint + shift
    grey = (1 - dark) * (rand(1) < 0.1).float()
    made = (1 - grey) * made + grey * made.mean(1, keepdim=True)
    if torch.rand(()) < 0.25:
        made = functional.avg_pool2d(made, 3, 1, 1)
    grain = (rand(1) ** 3) * 0.06 * gain * peak
    return (made + grain * torch.randn_like(made)).clamp(0, 255).round()


def loss_of(answer: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of both maps, and the overlap of the first (Dice)."""
    nucleus = functional.binary_cross_entropy_with_logits(answer[:, 0], truth[:, 0])
    weight = 1 + 3 * truth[:, 0]
    deep = functional.binary_cross_entropy_with_logits(answer[:, 1], truth[:, 1], weight=weight)
    chance = answer[:, 0].sigmoid()
    both = (chance * truth[:, 0]).sum((1, 2))
    dice = (2 * both + 50) / (chance.sum((1, 2)) + truth[:, 0].sum((1, 2)) + 50)
    return nucleus + deep + 0.5 * (1 - dice.mean())


@dataclass(slots=True)
class Progress:
    """How far the run is, over all slices."""

    step: int = 0
    spent_s: float = 0.0
    drawn: int = 0


class Run:
    """Network, its moving average and the optimiser, with the files they survive in."""

    def __init__(self, device: torch.device) -> None:
        torch.manual_seed(SEED)
        self.device = device
        self.network = NucleiNet().to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=PEAK_RATE, weight_decay=0.02)
        self.progress = Progress()

    def step(self, pictures: Tensor, truth: Tensor, *, rate: float) -> Tensor:
        """One update; the loss stays on the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            answer = self.network(pictures.contiguous(memory_format=torch.channels_last)).float()
        loss = loss_of(answer, truth)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.progress.step += 1
        self._follow()
        return loss.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(EMA_DECAY, (self.progress.step + 1) / (self.progress.step + 10))
        torch._foreach_lerp_(_numbers(self.average), _numbers(self.network), 1 - decay)

    def save(self, folder: Path) -> None:
        """The average is the network to export."""
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.network.state_dict(), folder / "network.pt")
        torch.save(self.average.state_dict(), folder / "average.pt")
        torch.save(self.optimiser.state_dict(), folder / "optimiser.pt")
        (folder / "progress.json").write_text(json.dumps(asdict(self.progress)))

    def load(self, folder: Path) -> None:
        """Go on where `save` stopped."""
        self.progress = Progress(**json.loads((folder / "progress.json").read_text()))
        for part, name in (
            (self.network, "network"),
            (self.average, "average"),
            (self.optimiser, "optimiser"),
        ):
            part.load_state_dict(
                torch.load(folder / f"{name}.pt", map_location=self.device, weights_only=True)
            )


def _numbers(network: NucleiNet) -> list[Tensor]:
    """Weights, and the means and variances of batch norms; not the count of batches that these saw."""
    return [part for part in network.state_dict().values() if part.dtype.is_floating_point]


def learning_rate(share: float, step: int, *, peak: float) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    return (
        peak * min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))) + 1e-6
    )


def train(run: Run, bank: Bank, labelled: Labelled | None, settings: argparse.Namespace) -> None:
    """Run until the slice or the whole time is used up; report now and then."""
    while bank.drawn < BANK_MIN and bank.trouble is None:
        time.sleep(0.05)
    started = last = time.monotonic()
    before_s = run.progress.spent_s
    losses: list[Tensor] = []
    while True:
        now = time.monotonic()
        run.progress.spent_s = before_s + now - started
        share = run.progress.spent_s / (60 * settings.minutes)
        if share >= 1 or now - started >= 60 * settings.slice_minutes:
            break
        own = settings.batch // 2 if labelled else 0
        parts = [bank.batch(settings.batch - own), *([labelled.batch(own)] if labelled else [])]
        pictures, truth = (torch.cat([part[n] for part in parts]) for n in range(2))
        losses.append(
            run.step(pictures, truth, rate=learning_rate(share, run.progress.step, peak=settings.rate))
        )
        if len(losses) % 50 == 0:
            losses[-1].item()  # keeps the queue of the device short, so that the clock is honest
        if now - last >= settings.report_s:
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise FloatingPointError(f"step {run.progress.step}: loss is {loss}, wanted a finite number")
            print(
                f"fold {settings.fold}: {run.progress.spent_s:.0f} s step {run.progress.step} "
                f"bank {bank.drawn} loss {loss:.4f}",
                flush=True,
            )
            run.save(settings.state)
            losses, last = [], now
    run.progress.drawn = max(run.progress.drawn, bank.drawn)
    print(f"fold {settings.fold}: ends at step {run.progress.step}, {run.progress.spent_s:.0f} s", flush=True)


def learned_from(pictures: list[real.Labelled], fold: str) -> list[real.Labelled]:
    """Return the labelled pictures that a fold learns from."""
    if fold == "none":
        return []
    folds = real.fold_of(pictures)
    return [one for one in pictures if fold == "all" or folds[one.name] != int(fold)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, required=True, help="the labelled pictures")
    parser.add_argument("--state", type=Path, required=True, help="resumed from; written at the end")
    parser.add_argument("--fold", default="all", help="0 to 4, all, or none")
    parser.add_argument("--minutes", type=float, default=5.0, help="training time over all slices")
    parser.add_argument("--slice-minutes", type=float, default=1e9, help="time of this slice")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rate", type=float, default=PEAK_RATE)
    parser.add_argument("--report-s", type=float, default=30.0, help="the state is written as often")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--bank", type=int, default=6000, help="drawn pictures that are kept, 0.6 MB each")
    parser.add_argument("--device", default="cuda")
    settings = parser.parse_args()
    device = torch.device(settings.device)
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(1) if device.type == "cpu" else None
    run = Run(device)
    if (settings.state / "progress.json").exists():
        run.load(settings.state)
    mine = learned_from(real.read(settings.real), settings.fold)
    print(f"fold {settings.fold}: {len(mine)} labelled, from step {run.progress.step}", flush=True)
    bank = Bank(settings.bank, device)
    context = multiprocessing.get_context("spawn")
    # Whoever draws steps back for whoever learns: else the one thread that feeds the device starves.
    with ProcessPoolExecutor(settings.workers, context, initializer=os.nice, initargs=(10,)) as pool:
        filler = threading.Thread(
            target=bank.fill,
            args=(pool, SEED * 1000 + run.progress.drawn, 3 * settings.workers),
            name="filler",
            daemon=True,
        )
        filler.start()
        train(run, bank, Labelled(mine, device) if mine else None, settings)
        run.save(settings.state)
        bank.stop()
        filler.join()
        pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    main()
