"""Detectors that leave a map for each of their grids: boxes, scores and perhaps objectness apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.workshop.guess_detectors import found
from edge.workshop.guessed import ONE_STEP, Guess, Said, Seen
from edge.workshop.network import Network

STRIDE_MIN: Final = 4  # finer maps are those of a segmentation
DISTRIBUTION: Final = 4 * 16  # numbers of a box that is told as distributions
LABELS_MAX: Final = 5
OBJECT_WORDS: Final = ("ctr", "cent", "obj")
KINDS: Final = ("boxes", "scores", "objectness")


def levels(_network: Network, seen: Seen, basis: Any, said: Said) -> Guess | None:
    """Recognise several outputs of several sizes, of each size as many: FCOS, heads of YOLOX and YOLOv8.

    Of others it is said that they are a detector whose decoder is to be chosen: of RetinaNet, YOLOv5.
    """
    maps = {name: one for name, one in seen.answers.items() if one.ndim == 4 and one.dtype != np.uint8}
    grids: dict[int, dict[str, NDArray[Any]]] = {}
    for name, one in maps.items():
        stride = seen.sides[0] // one.shape[2] if one.shape[2] else 0
        grids.setdefault(stride, {})[name] = one
    kinds = {tuple(sorted(one.shape[1] for one in grid.values())) for grid in grids.values()}
    if len(maps) < len(seen.answers) or len(grids) < 2 or min(grids) < STRIDE_MIN or len(kinds) > 1:
        return None
    numbers = next(iter(kinds))
    because = f"outputs {', '.join(maps)} are maps for cells of {sorted(grids)} px"
    if len(numbers) in (2, 3) and 4 in numbers:
        return _apart(grids, seen, basis, said, because)
    bins = numbers[0] - (len(basis["names"]) or said.classes)
    if len(numbers) == 1 and bins == DISTRIBUTION:
        return _distributions(grids, seen, basis, because)
    if len(numbers) == 1 and numbers[0] <= LABELS_MAX:  # of a segmentation that was taught at several sizes
        return None
    unsure = (
        "how its outputs are read: raw heads of RetinaNet and SSD are for decoder anchors, those of YOLOv5 "
        "for yolov5, both with the boxes that they start from; see docs/bundle-format.md",
    )
    return found("", {}, 0, [because], unsure, {}, basis)


def _distributions(
    grids: Mapping[int, Mapping[str, NDArray[Any]]], seen: Seen, basis: Any, because: str
) -> Guess:
    """Return a raw YOLOv8: 16 numbers for each side of a box, then the classes."""
    strides = sorted(grids)
    named = {stride: next(iter(grids[stride])) for stride in strides}
    facts = {"layout": "maps", "form": "dfl", "strides_px": strides, "scores_are": "logits"}
    count = seen.answers[named[strides[0]]].shape[1] - DISTRIBUTION
    outputs = {f"tables {stride}": name for stride, name in named.items()}
    unsure = (f"{DISTRIBUTION} numbers of distances and {count} classes were taken",)
    return found("yolov8", outputs, count, [because], unsure, facts, basis)


def _apart(
    grids: Mapping[int, Mapping[str, NDArray[Any]]], seen: Seen, basis: Any, said: Said, because: str
) -> Guess:
    """Return a detector with boxes, scores and perhaps objectness apart: FCOS, or YOLOX."""
    strides = sorted(grids)
    named = [_kinds_of(grids[stride], said.classes) for stride in strides]
    outputs = {f"{kind} {stride}": of[kind] for stride, of in zip(strides, named, strict=True) for kind in of}
    count = grids[strides[0]][named[0]["scores"]].shape[1]
    scores = np.concatenate([seen.values(of["scores"]).ravel() for of in named])
    has_distances = min(float(seen.values(of["boxes"]).min()) for of in named) >= 0
    is_fcos = has_distances or "objectness" not in named[0]
    is_probability = scores.min() >= -ONE_STEP and scores.max() <= 1 + ONE_STEP
    facts: dict[str, Any] = {
        "layout": "maps",
        "form" if is_fcos else "decoded": "ltrb" if is_fcos else "false",
        "strides_px": strides,
        "scores_are": "probabilities" if is_probability else "logits",
    }
    if is_fcos and "objectness" in named[0]:
        facts["confidence"] = "geometric-mean"
    unsure = ["how boxes are coded: distances of the sides from the middle of a cell, in cells, were taken"]
    if not is_fcos:
        unsure = ["how boxes are coded: as YOLOX does was taken"]
    if not has_distances:
        unsure.append("they go below 0: of RetinaNet and SSD they are deltas, which decoder anchors reads")
    because = f"{because}: {', '.join(named[0])} of each"
    return found("yolov8" if is_fcos else "yolox", outputs, count, [because], unsure, facts, basis)


def _kinds_of(grid: Mapping[str, NDArray[Any]], classes: int) -> dict[str, str]:
    """Say which map of a grid is which: boxes have 4 numbers, objectness 1, scores as many as were named."""
    free = sorted(grid, key=lambda name: (grid[name].shape[1] != 4, grid[name].shape[1] == classes))
    answer = {"boxes": free.pop(0)}
    single = [name for name in free if grid[name].shape[1] == 1]
    called = [name for name in single if any(word in name.lower() for word in OBJECT_WORDS)]
    if len(free) > 1:
        answer["objectness"] = (called or single or free)[0]
        free.remove(answer["objectness"])
    answer["scores"] = free[0]
    return {kind: answer[kind] for kind in KINDS if kind in answer}
