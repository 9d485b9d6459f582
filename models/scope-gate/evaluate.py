"""Measure the bundle: rendered families one by one, real pictures from outside, sequences, agreement, speed.

usage: evaluate.py --bundle models/scope-gate [--each 150] [--real FOLDER_OR_VIDEO …] [--out numbers.json]

No real endoscopy is looked at anywhere: there was none. Real pictures are from outside only.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime
import scenes
from families import TEST, TRAINED, VALIDATION
from numpy.typing import NDArray
from scope import fitted

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.store import load
from edge.findings.gate import Gate, GateRules
from edge.preprocess.pictures import ASPECT_MAX
from edge.sources.camera_picture import Scaler, VideoPicture

SEED = 800_000_000
PRECISIONS = ("fp32", "int8")

Pictures = NDArray[np.uint8]
Scores = NDArray[np.float32]


class Networks:
    """The bundle's files under ONNX Runtime, one thread."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._sessions = {
            name: onnxruntime.InferenceSession(
                folder / f"model.{name}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in PRECISIONS
        }

    def inside(self, pictures: Pictures, precision: str) -> Scores:
        """Scores of `inside`, (n,), for (n, 3, height, width)."""
        session = self._sessions[precision]
        return np.array([session.run(None, {"image": one[None]})[0][0, 1] for one in pictures], np.float32)

    def best_ms(self, picture: Pictures, precision: str, runs: int = 200) -> float:
        """The fastest of some runs; the machine is shared."""
        times = []
        for _ in range(runs):
            began = time.perf_counter()
            self._sessions[precision].run(None, {"image": picture[None]})
            times.append(time.perf_counter() - began)
        return 1000 * min(times)


def rendered(networks: Networks, *, each: int, enter: float, stay: float) -> dict[str, Any]:
    """Each family by itself, and how well a score is a probability."""
    rows: dict[str, Any] = {}
    everything: list[tuple[str, bool, float, float]] = []
    for family in (*TRAINED, *VALIDATION, *TEST):
        drawn = [scenes.draw_from(family, SEED + n) for n in range(each)]
        pictures = np.stack([fitted(scene.picture).transpose(2, 0, 1) for scene in drawn])
        wanted = np.array([scene.is_inside for scene in drawn])
        exact, quick = (networks.inside(np.ascontiguousarray(pictures), name) for name in PRECISIONS)
        kind = "inside" if wanted.any() else "outside"
        counted = wanted if kind == "inside" else ~wanted
        rows[family] = {
            "kind": kind,
            "pictures": int(counted.sum()),
            **{
                f"called inside at {score:g}": round(float((quick[counted] >= score).mean()), 4)
                for score in (0.5, stay, enter)
            },
        }
        everything += zip([family] * each, wanted.tolist(), exact.tolist(), quick.tolist(), strict=True)
        print(family, rows[family], flush=True)
    return {"families": rows, **_sums(everything, enter=enter, stay=stay)}


def _sums(seen: list[tuple[str, bool, float, float]], *, enter: float, stay: float) -> dict[str, Any]:
    groups = {"learned from": TRAINED, "validation": VALIDATION, "test": TEST}
    sums: dict[str, Any] = {}
    for group, families in groups.items():
        labels = np.array([inside for family, inside, _, _ in seen if family in families])
        scores = np.array([quick for family, _, _, quick in seen if family in families])
        order = np.argsort(np.argsort(scores))
        count = int(labels.sum())
        auc = (order[labels].sum() - count * (count - 1) / 2) / max(count * (len(labels) - count), 1)
        sums[group] = {
            "auc": round(float(auc), 4),
            **{
                f"{name} called inside at {score:g}": round(float((scores[side] >= score).mean()), 4)
                for name, side in (("inside", labels), ("outside", ~labels))
                for score in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, stay, enter)
            },
        }
    exact, quick = (np.array([row[n] for row in seen]) for n in (2, 3))
    labels = np.array([row[1] for row in seen])
    off = np.abs(exact - quick)
    bins = np.clip((quick * 10).astype(int), 0, 9)
    return {
        "groups": sums,
        "int8 against fp32": {
            "mean": round(float(off.mean()), 4),
            "99 %": round(float(np.quantile(off, 0.99)), 4),
            "largest": round(float(off.max()), 4),
            "other side of the score to enter": round(
                float(((exact >= enter) != (quick >= enter)).mean()), 4
            ),
        },
        "calibration": [
            {
                "scores": f"{n / 10:g} to {(n + 1) / 10:g}",
                "pictures": int((bins == n).sum()),
                "mean score": round(float(quick[bins == n].mean()), 3),
                "inside": round(float(labels[bins == n].mean()), 3),
            }
            for n in range(10)
            if (bins == n).any()
        ],
    }


class Hand:
    """A clock that is moved by hand."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        """As far as it was moved."""
        return self.now_ns

    def utc_ns(self) -> int:
        """The same; nobody asks for the day."""
        return self.now_ns


def sequences(networks: Networks, *, each: int, enter: float, stay: float) -> dict[str, Any]:
    """How often the gate opens while the view wanders over one scene for 1.6 s, 12.5 frames a second."""
    opened: dict[str, list[bool]] = {"inside": [], "outside": []}
    rules = GateRules(
        enter_score_min=enter,
        stay_score_min=stay,
        enter_ms=1000,
        enter_frames_min=5,
        gap_max_ms=500,
        age_max_ms=400,
    )
    for family in (*TRAINED, *VALIDATION, *TEST):
        for n in range(each):
            clock = Hand()
            gate = Gate(rules, validation=None, clock=clock)
            was_open = False
            for picture in scenes.wander(family, SEED + 50_000 + n, frames=20):
                clock.now_ns += 80_000_000
                planes = np.ascontiguousarray(fitted(picture).transpose(2, 0, 1))
                score = float(networks.inside(planes[None], "int8")[0])
                seen = gate.look(score, bundle_sha256="0" * 64, captured_at_ns=clock.now_ns)
                was_open |= seen.side == "inside"
            opened["inside" if scenes.is_inside(family) else "outside"].append(was_open)
    row = {f"{side} sequences": len(seen) for side, seen in opened.items()}
    row |= {f"opened {side}": sum(seen) for side, seen in opened.items()}
    print("sequences", row, flush=True)
    return row


def real(networks: Networks, path: Path, *, enter: float, stay: float) -> dict[str, Any]:
    """Real pictures from outside, scaled as the product does it."""
    scored = [(name, float(networks.inside(planes[None], "int8")[0])) for name, planes in _real_planes(path)]
    scores = np.array([score for _, score in scored])
    row = {
        "pictures": len(scored),
        "called inside to enter": int((scores >= enter).sum()),
        "called inside to stay": int((scores >= stay).sum()),
        "highest": [(name, round(score, 3)) for name, score in sorted(scored, key=lambda s: -s[1])[:6]],
    }
    print(path.name, row, flush=True)
    return row


def _real_planes(path: Path) -> Iterator[tuple[str, Pictures]]:
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".jpeg", ".avi"})
    scaler = Scaler()
    for file in files if path.is_dir() else [path]:
        with av.open(str(file)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                is_odd = max(frame.width, frame.height) > ASPECT_MAX * min(frame.width, frame.height)
                if number % 5 or is_odd:
                    continue
                shown = VideoPicture(frame, scaler=scaler)
                yield f"{file.name} {number}", shown.planes(height_px=96, width_px=160)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--each", type=int, default=150)
    parser.add_argument("--sequences", type=int, default=8, help="of each family")
    parser.add_argument("--real", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args()
    manifest = load(settings.bundle.resolve()).manifest
    assert isinstance(manifest, PictureClassification)
    scores = {"enter": manifest.policy.enter_score_min, "stay": manifest.policy.stay_score_min}
    networks = Networks(settings.bundle)
    numbers: dict[str, Any] = {"real": {p.name: real(networks, p, **scores) for p in settings.real}}
    numbers |= rendered(networks, each=settings.each, **scores)
    numbers["sequences"] = sequences(networks, each=settings.sequences, **scores)
    picture = np.ascontiguousarray(fitted(scenes.draw(SEED).picture).transpose(2, 0, 1))
    numbers["best_ms"] = {name: round(networks.best_ms(picture, name), 3) for name in PRECISIONS}
    text = json.dumps(numbers, indent=1)
    print(text)
    if settings.out:
        settings.out.write_text(text)


if __name__ == "__main__":
    main()
