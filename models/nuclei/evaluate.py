"""Score networks on labelled pictures as the product sees them: mean precision of the Bowl, and F1.

usage: evaluate.py --real DIR [--precision int8 fp32] [--folds DIR] [--out DIR]

Without `--folds` the bundle beside this script is scored on the pictures of the fold that it never saw. With
it, `DIR/fold-N/model.fp32.onnx` is scored on the pictures of fold N, for each N, and `DIR/fold-none`, which
learned from drawn pictures alone, on all. How pictures are cut is the manifest's; choose.py tries other ways.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import real
import scoring

from edge.bundles.manifest import parse
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.bundles.store import load
from edge.domain.answer import PictureMask
from edge.domain.finding import ModelStamp
from edge.inference.forms import Form, open_session
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.pictures import PictureReader
from edge.inference.session import Session, wiring
from edge.kit.clock import SystemClock
from edge.sources.still_pictures import picture_of

HERE = Path(__file__).resolve().parent
SHIPPED_FOLD = 0  # chosen before any network was trained; the bundle never saw its pictures
LIMIT_S = 120.0


def reader(manifest: PictureSegmentation, session: Session) -> PictureReader:
    """Return the product's model around a session."""
    stamp = ModelStamp(
        model_id=manifest.name,
        version=manifest.version,
        sha256="",
        precision="",
        runtime=session.runtime,
        provider=session.provider,
    )
    return PictureReader(manifest, sessions=[session], stamp=stamp, clock=SystemClock())


def fp32(manifest: PictureSegmentation, folder: Path) -> PictureReader:
    """Return the product's model around a network that is in no bundle."""
    network = (folder / "model.fp32.onnx").read_bytes()
    session = OnnxRuntimeSession(
        network, name=folder.name, wiring=wiring(manifest), provider="cpu", threads=2
    )
    return reader(manifest, session)


def score(
    model: PictureReader, pictures: Sequence[real.Labelled], *, out: Path | None = None
) -> list[tuple[str, float, tuple[int, int, int]]]:
    """Score each picture: its name, mean precision, and right, extra and missed nuclei at an IoU of 0.5."""
    rows = []
    for one in pictures:
        answer = model.look(picture_of(one.pixels), deadline_s=LIMIT_S)
        assert isinstance(answer, PictureMask)
        iou = scoring.overlaps(answer.things, one.things)
        rows.append((one.name, scoring.mean_precision(iou), scoring.hits(iou, 0.5)))
        if out is not None:
            draw(one, answer.things, out / f"{one.name}.png")
    return rows


def draw(one: real.Labelled, found: np.ndarray, path: Path) -> None:
    """Draw outlines: people's in green, the network's in magenta."""
    picture = cv2.convertScaleAbs(one.pixels[..., ::-1], alpha=255 / max(int(one.pixels.max()), 1))
    picture = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for things, colour in ((one.things, (0, 255, 0)), (found, (255, 0, 255))):
        large = cv2.resize(things.astype(np.float32), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        kernel = np.ones((3, 3), np.uint8)
        picture[cv2.dilate(large, kernel) != cv2.erode(large, kernel)] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def describe(title: str, rows: Sequence[tuple[str, float, tuple[int, int, int]]]) -> None:
    """Print a line for each picture, and one for all."""
    for name, precision, (right, extra, missed) in rows:
        print(f"{name}  AP {precision:.3f}  F1@0.5 {scoring.f1([(right, extra, missed)]):.3f}", flush=True)
    mean = np.mean([precision for _, precision, _ in rows])
    spread = np.std([precision for _, precision, _ in rows])
    total = scoring.f1([counts for _, _, counts in rows])
    print(f"{title}: {len(rows)} pictures, mean AP {mean:.3f} (sd {spread:.3f}), F1@0.5 {total:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=HERE)
    parser.add_argument("--precision", nargs="*", default=["fp32", "int8"])
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    pictures = real.read(chosen.real)
    folds = real.fold_of(pictures)
    if chosen.folds:
        manifest = parse((chosen.bundle / "manifest.yaml").read_text(), origin="manifest.yaml")
        assert isinstance(manifest, PictureSegmentation)
        rows = []
        for fold in range(real.FOLDS):
            model = fp32(manifest, chosen.folds / f"fold-{fold}")
            rows += score(model, [one for one in pictures if folds[one.name] == fold], out=chosen.out)
        describe("each by the network that never saw it, fp32", rows)
        describe("drawn pictures alone, fp32", score(fp32(manifest, chosen.folds / "fold-none"), pictures))
        return
    bundle = load(chosen.bundle)
    assert isinstance(bundle.manifest, PictureSegmentation)
    tested = [one for one in pictures if folds[one.name] == SHIPPED_FOLD]
    for precision in chosen.precision:
        runtime = "openvino" if precision == "int8" else "onnxruntime"
        session = open_session(bundle, Form(precision, runtime, "cpu"), threads=1)
        describe(f"{precision}, never shown", score(reader(bundle.manifest, session), tested, out=chosen.out))


if __name__ == "__main__":
    main()
