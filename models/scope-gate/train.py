"""Train the network on rendered scenes; many processes draw while the network learns; can be resumed.

usage: train.py --state STATE --minutes 3.3 [--slice-minutes 3.3] [--workers 15] [--device cuda]

Every scene has its own seed. Scenes go into a bank on the device as they are drawn, and batches are taken
from all that is there, each time flipped, cut and recoloured anew. The learning rate follows the share of
`--minutes` that is used up, over all slices. Families of `held_out.py` are watched and never learned from.
"""

import argparse
import copy
import json
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import held_out
import numpy as np
import scenes
import torch
from network import SEEN_SHAPE_PX, ScopeNet
from scope import fitted
from torch import Tensor
from torch.nn import functional

SEED = 20261123
BATCH = 48
PEAK_RATE = 2e-3
WARM_UP_STEPS = 150
EMA_DECAY = 0.997
OUTSIDE_WEIGHT = 1.5  # calling the room a body costs more than the other way round
SMOOTHING = 0.01
CHUNK = 16
BANK_MIN = 1024
WATCHED_EACH = 64
WATCHED_SEED = 900_000_000


def draw_chunk(first_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw some scenes in a process of its own."""
    cv2.setNumThreads(1)
    return _stacked([scenes.draw(first_seed + n) for n in range(CHUNK)])


def draw_family(family: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw what is watched, of one family."""
    cv2.setNumThreads(1)
    return _stacked([scenes.draw_from(family, WATCHED_SEED + n) for n in range(WATCHED_EACH)])


def _stacked(drawn: list[scenes.Scene]) -> tuple[np.ndarray, np.ndarray]:
    pictures = np.stack([fitted(scene.picture, SEEN_SHAPE_PX) for scene in drawn])
    return pictures, np.array([scene.is_inside for scene in drawn])


class Bank:
    """Scenes on the device, in channels-last bytes; a thread fills it while training takes from it."""

    def __init__(self, room: int, device: torch.device) -> None:
        self.pictures = torch.empty((room, *SEEN_SHAPE_PX, 3), dtype=torch.uint8, device=device)
        self.inside = torch.empty(room, dtype=torch.float32, device=device)
        self.drawn = 0
        self.trouble: BaseException | None = None
        self._stop = threading.Event()

    def restore(self, folder: Path) -> None:
        """Take back the scenes that an earlier slice kept."""
        pictures, inside = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pictures", "inside"))
        self.drawn = min(len(inside), len(self.inside) - CHUNK) // CHUNK * CHUNK
        self.pictures[: self.drawn] = torch.from_numpy(pictures[: self.drawn].copy())
        self.inside[: self.drawn] = torch.from_numpy(inside[: self.drawn].astype(np.float32))

    def keep(self, folder: Path) -> None:
        """Write the scenes down, so that the next slice need not draw them again."""
        there = min(self.drawn, len(self.inside) - CHUNK)
        np.save(folder / "pictures.npy", self.pictures[:there].cpu().numpy())
        np.save(folder / "inside.npy", self.inside[:there].cpu().numpy() > 0.5)

    def fill(self, pool: ProcessPoolExecutor, first_seed: int, ahead: int) -> None:
        """Draw until told to stop; when it is full, the oldest scenes make room."""
        try:
            seeds = iter(range(first_seed, first_seed + 10**8, CHUNK))
            waiting: list[Future[tuple[np.ndarray, np.ndarray]]] = [
                pool.submit(draw_chunk, next(seeds)) for _ in range(ahead)
            ]
            while not self._stop.is_set():
                pictures, labels = waiting.pop(0).result()
                waiting.append(pool.submit(draw_chunk, next(seeds)))
                at = self.drawn % (len(self.inside) - CHUNK)
                self.pictures[at : at + CHUNK] = torch.from_numpy(pictures).to(self.pictures.device)
                self.inside[at : at + CHUNK] = torch.from_numpy(labels).to(self.inside)
                self.drawn += CHUNK
            for future in waiting:
                future.cancel()
        except BaseException as trouble:  # noqa: BLE001  # told in the training thread
            self.trouble = trouble

    def stop(self) -> None:
        """End the filling."""
        self._stop.set()

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Take some scenes: (count, 3, height, width) float 0 to 255, and 1 for inside."""
        if self.trouble is not None:
            raise self.trouble
        there = min(self.drawn, len(self.inside) - CHUNK)
        chosen = torch.randint(there, (count,), device=self.inside.device)
        return self.pictures[chosen].permute(0, 3, 1, 2).float(), self.inside[chosen]


def vary(pictures: Tensor) -> Tensor:
    """Cut out, flip and recolour a batch; what is done to a picture does not depend on what it shows.

    The cut and the flips are the same for a batch, since batches are many; colours differ for each picture.
    """
    count, device = len(pictures), pictures.device
    zoom = float(1 - 0.3 * torch.rand(()))
    height, width = (round(side * zoom) for side in SEEN_SHAPE_PX)
    top = int(torch.randint(0, SEEN_SHAPE_PX[0] - height + 1, ()))
    left = int(torch.randint(0, SEEN_SHAPE_PX[1] - width + 1, ()))
    pictures = pictures[:, :, top : top + height, left : left + width]
    flips = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
    pictures = functional.interpolate(pictures.flip(flips), SEEN_SHAPE_PX, mode="bilinear")
    gain = 1 + 0.12 * torch.randn((count, 3, 1), device=device)
    gain = gain * torch.exp(0.2 * torch.randn((count, 1, 1), device=device))
    dull = 0.6 * torch.rand((count, 1, 1), device=device) ** 3
    colours = gain * ((1 - dull) * torch.eye(3, device=device) + dull / 3)
    pictures = torch.bmm(colours, pictures.flatten(2)).view_as(pictures)
    if torch.rand(()) < 0.3:
        pictures = pictures + 8 * torch.rand((count, 1, 1, 1), device=device) ** 2 * torch.randn_like(
            pictures
        )
    return pictures.clamp(0, 255).round()


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
        self.network = ScopeNet().to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=PEAK_RATE, weight_decay=0.02)
        self.progress = Progress()

    def step(self, pictures: Tensor, inside: Tensor, *, rate: float) -> Tensor:
        """One update; the loss stays on the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.network(pictures.contiguous(memory_format=torch.channels_last)).float()
        wanted = inside * (1 - 2 * SMOOTHING) + SMOOTHING
        weight = torch.where(inside > 0.5, 1.0, OUTSIDE_WEIGHT)
        loss = functional.binary_cross_entropy_with_logits(logits, wanted, weight=weight)
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


def _numbers(network: ScopeNet) -> list[Tensor]:
    """Weights, and the means and variances of batch norms; not the count of batches that these saw."""
    return [part for part in network.state_dict().values() if part.dtype.is_floating_point]


def learning_rate(share: float, step: int, *, peak: float) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    return (
        peak * min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))) + 1e-6
    )


@torch.no_grad()
def describe(network: ScopeNet, watched: dict[str, tuple[Tensor, Tensor]]) -> str:
    """How often each held-out family is judged rightly at a score of one half."""
    parts = []
    for family, (pictures, inside) in watched.items():
        logits = network(pictures.permute(0, 3, 1, 2).float())
        parts.append(f"{family} {((logits > 0) == (inside > 0.5)).float().mean():.3f}")
    return ", ".join(parts)


def train(
    run: Run, bank: Bank, watched: dict[str, tuple[Tensor, Tensor]], settings: argparse.Namespace
) -> None:
    """Run until the slice or the whole time is used up; report now and then."""
    while bank.drawn < BANK_MIN and bank.trouble is None:
        time.sleep(0.05)
    started = last = time.monotonic()
    before_s = run.progress.spent_s
    losses: list[Tensor] = []
    for now in _ticks():
        run.progress.spent_s = before_s + now - started
        share = run.progress.spent_s / (60 * settings.minutes)
        if share >= 1 or now - started >= 60 * settings.slice_minutes:
            break
        pictures, inside = bank.batch(settings.batch)
        rate = learning_rate(share, run.progress.step, peak=settings.rate)
        losses.append(run.step(vary(pictures), inside, rate=rate))
        if len(losses) % 50 == 0:
            losses[-1].item()  # keeps the queue of the device short, so that the clock is honest
        if now - last >= settings.report_s:
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise FloatingPointError(f"step {run.progress.step}: loss is {loss}, wanted a finite number")
            print(
                f"{run.progress.spent_s:.0f} s step {run.progress.step} bank {bank.drawn} loss {loss:.4f}",
                describe(run.average, watched),
                flush=True,
            )
            run.save(settings.state)
            losses, last = [], now
    run.progress.drawn = max(run.progress.drawn, bank.drawn)
    print(
        f"slice ends at step {run.progress.step}, {run.progress.spent_s:.0f} s, {run.progress.drawn} scenes"
    )
    print("average:", describe(run.average, watched), flush=True)


def _ticks() -> Iterator[float]:
    while True:
        yield time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--state", type=Path, required=True, help="resumed from, if it holds a state; written at the end"
    )
    parser.add_argument("--minutes", type=float, default=3.3, help="training time over all slices")
    parser.add_argument("--slice-minutes", type=float, default=1e9, help="time of this slice")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rate", type=float, default=PEAK_RATE)
    parser.add_argument("--report-s", type=float, default=20.0, help="the state is written as often")
    parser.add_argument("--workers", type=int, default=15)
    parser.add_argument("--bank", type=int, default=200_000, help="scenes that are kept, 12 kB each")
    parser.add_argument("--keep", type=Path, help="folder where the scenes of a slice lie for the next one")
    parser.add_argument("--device", default="cuda")
    settings = parser.parse_args()
    device = torch.device(settings.device)
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(1) if device.type == "cpu" else None
    run = Run(device)
    if (settings.state / "progress.json").exists():
        run.load(settings.state)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, from step {run.progress.step}", flush=True)
    bank = Bank(settings.bank, device)
    if settings.keep and (settings.keep / "inside.npy").exists():
        bank.restore(settings.keep)
    context = multiprocessing.get_context("fork" if device.type == "cpu" else "spawn")
    # Whoever draws steps back for whoever learns: else the one thread that feeds the device starves.
    with ProcessPoolExecutor(settings.workers, context, initializer=os.nice, initargs=(10,)) as pool:
        watched = {
            family: tuple(torch.from_numpy(part).to(device) for part in seen)
            for family, seen in zip(held_out.FAMILIES, pool.map(draw_family, held_out.FAMILIES), strict=True)
        }
        first = SEED * 1000 + max(run.progress.drawn, bank.drawn)
        filler = threading.Thread(
            target=bank.fill, args=(pool, first, 3 * settings.workers), name="filler", daemon=True
        )
        filler.start()
        train(run, bank, watched, settings)
        run.save(settings.state)
        bank.stop()
        filler.join()
        if settings.keep:
            bank.keep(settings.keep)
        pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    main()
