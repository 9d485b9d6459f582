"""Choose how depth is cut into nuclei: for each fold by the pictures of the others, so that a test stays one.

usage: choose.py --real DIR --folds DIR

Cross-validation of the whole way, choice included. Every picture is shown once to the network that never saw
it, `DIR/fold-N/model.fp32.onnx`, and its answer is cut in every way of the grid. Then the best way of all is
said, and what the manifest has; a value from the middle of the good ones is to be shipped, not the best.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import real
import scoring
from evaluate import HERE, reader, score
from numpy.typing import NDArray

from edge.bundles.manifest import parse
from edge.bundles.mask_outputs import Distance
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.inference.deadline import Deadline
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.session import Answers, Session, wiring

SMOOTH_PX = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0)
PROMINENCE_MIN = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
AREA_MIN_PX = (16, 24, 32, 48)

Way = tuple[float, float, int]
Scored = tuple[float, tuple[int, int, int]]  # mean precision; right, extra and missed at an IoU of 0.5


class Remembering:
    """A session that answers a picture which it has seen without asking the network again."""

    def __init__(self, asked: Session) -> None:
        self._asked = asked
        self._answers: dict[bytes, Answers] = {}
        self.runtime, self.provider = asked.runtime, asked.provider

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Ask once, then remember."""
        key = np.array(given.shape).tobytes() + given.tobytes()
        if key not in self._answers:
            self._answers[key] = self._asked.run(given, deadline)
        return {name: answer.copy() for name, answer in self._answers[key].items()}

    def close(self) -> None:
        """Free the network."""
        self._asked.close()


def cut_so(manifest: PictureSegmentation, way: Way) -> PictureSegmentation:
    """Return the manifest with other values of what is chosen."""
    smooth_px, prominence_min, area_min_px = way
    rule = manifest.output.things.model_copy(
        update={"smooth_px": smooth_px, "prominence_min": prominence_min}
    )
    output = manifest.output.model_copy(update={"things": rule, "area_min_px": area_min_px})
    return manifest.model_copy(update={"output": output})


def try_all(
    manifest: PictureSegmentation, ways: Sequence[Way], pictures: list[real.Labelled], root: Path
) -> dict[Way, dict[str, Scored]]:
    """Score every way on every picture, by the network that never saw it."""
    folds = real.fold_of(pictures)
    table: dict[Way, dict[str, Scored]] = {way: {} for way in ways}
    for fold in range(real.FOLDS):
        path = root / f"fold-{fold}" / "model.fp32.onnx"
        network = OnnxRuntimeSession(
            path.read_bytes(), name=path.parent.name, wiring=wiring(manifest), provider="cpu", threads=2
        )
        session = Remembering(network)
        tested = [one for one in pictures if folds[one.name] == fold]
        for way in ways:
            rows = score(reader(cut_so(manifest, way), session), tested)
            table[way] |= {name: (precision, counts) for name, precision, counts in rows}
    return table


def summary(scored: Sequence[Scored]) -> str:
    """Say what some pictures come to."""
    precisions = [precision for precision, _ in scored]
    f1 = scoring.f1([counts for _, counts in scored])
    return f"mean AP {np.mean(precisions):.3f} (sd {np.std(precisions):.3f}), F1@0.5 {f1:.3f}"


def best_on(table: dict[Way, dict[str, Scored]], names: Sequence[str]) -> Way:
    """Return the way with the highest mean precision on some pictures; of equal ones the first."""
    return max(table, key=lambda way: float(np.mean([table[way][name][0] for name in names])))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, default=HERE / "manifest.yaml")
    chosen = parser.parse_args()
    pictures = real.read(chosen.real)
    folds = real.fold_of(pictures)
    manifest = parse(chosen.manifest.read_text(), origin=chosen.manifest.name)
    assert isinstance(manifest, PictureSegmentation)
    rule = manifest.output.things
    assert isinstance(rule, Distance)
    shipped = (rule.smooth_px, rule.prominence_min, manifest.output.area_min_px)
    ways = list(itertools.product(SMOOTH_PX, PROMINENCE_MIN, AREA_MIN_PX))
    table = try_all(manifest, list(dict.fromkeys([*ways, shipped])), pictures, chosen.folds)
    nested: list[Scored] = []
    for fold in range(real.FOLDS):
        way = best_on(table, [name for name in folds if folds[name] != fold])
        nested += [table[way][name] for name in folds if folds[name] == fold]
        print(f"without fold {fold} one takes smooth_px, prominence_min, area_min_px {way}")
    print(f"chosen on the other folds: {summary(nested)}")
    for said, way in (("best of all", best_on(table, list(folds))), ("of the manifest", shipped)):
        print(f"{said}, {way}, seen all: {summary(list(table[way].values()))}")


if __name__ == "__main__":
    main()
