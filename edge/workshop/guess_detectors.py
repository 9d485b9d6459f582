"""Which family a detector belongs to: by the number of its cells, and by what its boxes do on noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import BundleRejectedError
from edge.workshop.guessed import ONE_STEP, Guess, Said, Seen
from edge.workshop.network import Network, whole_numbers

STRIDES: Final = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (8, 16), (16, 32), (8,), (16,), (32,))
ALIKE: Final = 0.8  # correlation from which on a column follows the cells
RELATIVE_MAX: Final = 2.0  # boxes in shares of the picture do not leave it by more
ROWS_MAX: Final = 1000
ROLES: Final = {
    "boxes": ("box", "loc", "dets"),
    "scores": ("score", "conf", "logit", "prob"),
    "labels": ("label", "class", "cls"),
    "count": ("num", "count"),
}
AXES_MAX: Final = {"labels": 2, "count": 2}  # one number for each thing; scores of each class have more
CORNERS: Final = 0.9  # of boxes that are corners, at least such a share has none crossed
DELTA: Final = 0.5  # boxes that leave the picture by more, in shares of it or pixels, may be deltas


def cells(sides: tuple[int, ...], strides: Sequence[int]) -> int:
    """Count the cells of the grids of a detector."""
    return sum((sides[0] // stride) * (sides[1] // stride) for stride in strides)


def detector(network: Network, seen: Seen, basis: Any, said: Said) -> Guess | None:
    """Recognise a single output with a row, or a column, for each cell of its grids."""
    sides, answers = seen.sides, seen.answers
    meta = network.metadata.get("task", "")
    if meta in ("segment", "obb"):
        raise BundleRejectedError(
            f"an Ultralytics network for {meta!r}: not read here, wanted detect or classify"
        )
    name, one = next(iter(answers.items()))
    if len(answers) > 1 or one.ndim != 3 or one.shape[0] != 1 or one.dtype == np.uint8:  # a map of labels
        return None
    for strides in STRIDES:
        count = cells(sides, strides)
        for each, is_columns in ((one[0], False), (one[0].T, True)):
            if each.shape[1] > 4 and each.shape[0] == count:
                return _one_per_cell(
                    name, each, sides, strides, basis, network, is_columns=is_columns, said=said
                )
            if each.shape[1] > 5 and each.shape[0] == 3 * count and count > 1:
                return _with_anchors(name, each, strides, basis, is_columns=is_columns)
    if one.shape[2] == 6 and one.shape[1] <= ROWS_MAX:
        return _rows(name, one, basis)
    return None


def _one_per_cell(
    name: str,
    table: NDArray[Any],
    sides: tuple[int, ...],
    strides: Sequence[int],
    basis: Any,
    network: Network,
    *,
    is_columns: bool,
    said: Said,
) -> Guess:
    named, numbers = len(basis["names"]) or said.classes, table.shape[1]
    is_plain = network.metadata.get("author") == "Ultralytics" or is_columns
    has_objectness = not is_plain and numbers - 4 != named
    family = "yolox" if has_objectness else "yolov8"
    follows = _follows(table[:, :4], sides, strides)
    points = whole_numbers(network.metadata, "kpt_shape")
    point_numbers = points[0] * points[1] if len(points) == 2 else 0
    classes = numbers - 4 - has_objectness - point_numbers
    facts: dict[str, Any] = {"layout": "columns" if is_columns else "rows", "scores_are": _form(table[:, 4:])}
    if point_numbers:
        facts["points"], facts["point_numbers"] = points
    if tuple(strides) != STRIDES[0]:
        facts["strides_px"] = list(strides)
    seen = [f"output {name} has {numbers} numbers for each of the {len(table)} cells of strides {strides} px"]
    if family == "yolox":
        facts["decoded"] = "true" if follows[0] else "false"
        seen.append(
            "the first follows the cells, so boxes are decoded"
            if follows[0]
            else "boxes are relative to cells"
        )
        unsure = (
            ()
            if named
            else (f"objectness and {classes} classes were taken; or it is yolov8 with {classes + 1}",)
        )
    else:
        facts["form"] = "xyxy" if follows[0] and follows[2] else "cxcywh"
        facts["unit"] = "relative" if np.abs(table[:, :4]).max() <= RELATIVE_MAX else "px"
        seen.append(
            "the third number follows the cells, too" if follows[2] else "the third number is a width"
        )
        unsure = () if named else (f"{classes} classes and no objectness were taken",)
    return found(family, {"name": name}, classes, seen, unsure, facts, basis)


def _with_anchors(
    name: str,
    table: NDArray[Any],
    strides: Sequence[int],
    basis: Any,
    *,
    is_columns: bool,
) -> Guess:
    is_relative = np.abs(table[:, :4]).max() <= RELATIVE_MAX
    facts = {
        "form": "decoded",
        "unit": "relative" if is_relative else "px",
        "layout": "columns" if is_columns else "rows",
        "scores_are": _form(table[:, 4:]),
    }
    seen = [f"output {name} has {table.shape[1]} numbers for 3 boxes in each cell of strides {strides} px"]
    unsure = ("decoded boxes were taken; raw ones need form and anchors_px, see docs/bundle-format.md",)
    return found("yolov5", {"name": name}, table.shape[1] - 5, seen, unsure, facts, basis)


def _rows(name: str, one: NDArray[Any], basis: Any) -> Guess:
    facts = {"unit": _unit(one[..., :4]), "columns": "[x0, y0, x1, y1, score, class]"}
    seen = [f"output {name} has {one.shape[1]} rows of 6: box, score and class, already suppressed"]
    return found(
        "boxes", {"table": name}, len(basis["names"]), seen, ("the order of the six numbers",), facts, basis
    )


def boxes(_network: Network, seen: Seen, basis: Any, said: Said) -> Guess | None:
    """Recognise graphs that end in boxes and scores, by the names of their outputs and a last axis of 4."""
    answers = seen.answers
    named = _roles(answers)
    if "boxes" not in named or "scores" not in named:
        return None
    box, score = named["boxes"], named["scores"]
    scores, facts = answers[score], {"unit": _unit(answers[box])}
    if scores.ndim == 3 and "labels" not in named:
        width = scores.shape[2]
        classes = len(basis["names"]) or width
        has_background = (len(basis["names"]) or said.classes) == width - 1
        facts["scores_are"] = {"logits": "softmax" if has_background else "sigmoid"}.get(
            _form(seen.values(score)), "probabilities"
        )
        facts["background"] = "first or last" if has_background else "none" if said.classes == width else ""
        because = [f"outputs {box} and {score}: {scores.shape[1]} boxes with {width} scores each"]
        unsure = ("how scores and boxes are coded", *_maybe_deltas(box, seen.values(box)))
        return found("candidates", named, classes, because, unsure, facts, basis)
    facts["is_tensorflow"] = str(box.lower().startswith("detection_boxes"))
    because = [f"outputs {', '.join(named.values())} are things with their boxes, already suppressed"]
    unsure = ("the order of the four numbers",)
    return found("boxes", named, len(basis["names"]), because, unsure, facts, basis)


def _roles(answers: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Say which output holds what: by their names, else boxes and scores by rows that are as many."""
    lower = {name.lower(): name for name in answers}
    answer: dict[str, str] = {}
    for role, words in ROLES.items():
        free = [name for name in lower if lower[name] not in answer.values()]
        one = next((lower[name] for word in words for name in free if word in name), None)
        if one is not None and answers[one].ndim <= AXES_MAX.get(role, 4):
            answer[role] = one
    tables = {name: one for name, one in answers.items() if one.ndim == 3 and one.dtype != np.uint8}
    if len(tables) == len(answers) == 2 and len({one.shape[:2] for one in tables.values()}) == 1:
        first, second = sorted(tables, key=lambda name: tables[name].shape[2] != 4)
        answer.setdefault("boxes", first if answer.get("scores") != first else second)
        answer.setdefault("scores", second if answer["boxes"] == first else first)
    box = answers[answer["boxes"]] if "boxes" in answer else None
    return answer if box is not None and box.ndim >= 2 and box.shape[-1] == 4 else {}


def centres(_network: Network, seen: Seen, basis: Any, _said: Said) -> Guess | None:
    """Recognise maps of centres (CenterNet, CenterFace): one of heat, others of what lies there."""
    maps = {name: one for name, one in seen.answers.items() if one.ndim == 4}
    if len(maps) < 2 or len(maps) < len(seen.answers) or len({one.shape[2:] for one in maps.values()}) > 1:
        return None
    lower = {name.lower(): name for name in maps}

    def first(words: Sequence[str], channels: int) -> str | None:
        fitting = [name for name in lower if maps[lower[name]].shape[1] == channels]
        return next((lower[name] for word in words for name in fitting if word in name), None)

    pairs = [name for name, one in maps.items() if one.shape[1] == 2]
    heat = next((name for name in maps if any(word in name.lower() for word in ("heat", "hm", "cls"))), None)
    heat = heat or next((name for name in maps if name not in pairs), None)
    size = first(("size", "wh", "scale"), 2) or next(iter(pairs), None)
    if heat is None or size is None or heat == size:
        return None
    offset = first(("off", "reg"), 2) or next((name for name in pairs if name not in (heat, size)), None)
    stride = seen.sides[0] // maps[heat].shape[2]
    facts = {"stride_px": stride, "scores_are": _form(seen.values(heat))}
    named = {"heat": heat, "size": size, "offset": offset}
    because = [f"outputs {', '.join(maps)} are maps, a cell for {stride} pixels: centres and what lies there"]
    unsure = ("how sizes are coded, and which of the maps of two channels is which",)
    outputs = {role: name for role, name in named.items() if name is not None}
    return found("centres", outputs, maps[heat].shape[1], because, unsure, facts, basis)


def _follows(columns: NDArray[Any], sides: tuple[int, ...], strides: Sequence[int]) -> list[bool]:
    """Say for each of the four numbers whether it follows the cells along x, x, or y: then it is a place."""
    x = np.concatenate([_grid(sides, stride, axis=1) for stride in strides])
    y = np.concatenate([_grid(sides, stride, axis=0) for stride in strides])
    return [_correlation(columns[:, n], (x, y, x, y)[n]) >= ALIKE for n in range(4)]


def _grid(sides: tuple[int, ...], stride: int, *, axis: int) -> NDArray[np.float64]:
    rows, columns = np.indices((sides[0] // stride, sides[1] // stride))
    return np.asarray(((rows, columns)[axis].ravel() + 0.5) * stride, np.float64)


def _correlation(one: NDArray[Any], other: NDArray[np.float64]) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _maybe_deltas(name: str, numbers: NDArray[Any]) -> tuple[str, ...]:
    """Say so where boxes may be deltas, for decoded ones hardly leave the picture; or distances of sides."""
    if numbers.size == 0:
        return ()
    if numbers.min() >= -DELTA:
        corners = (numbers[..., 2:] >= numbers[..., :2]).all(axis=-1).mean()
        other = (
            f"{name} holds no corners: cxcywh, or distances of the sides (FCOS), which decoder anchors reads"
        )
        return () if corners >= CORNERS else (f"{other} with coding ltrb",)
    said = f"{name} goes down to {numbers.min():.3g}, which boxes in a picture do not"
    return (f"{said}: of SSD, RetinaNet and their like they are deltas, which decoder anchors reads",)


def _unit(corners: NDArray[Any]) -> str:
    return "relative" if corners.size and np.abs(corners).max() <= RELATIVE_MAX else "px"


def _form(scores: NDArray[Any]) -> str:
    is_probability = bool(scores.size) and scores.min() >= -ONE_STEP and scores.max() <= 1 + ONE_STEP
    return "probabilities" if is_probability else "logits"


def found(
    family: str,
    outputs: Mapping[str, str],
    classes: int,
    because: Sequence[str],
    unsure: Sequence[str],
    facts: Mapping[str, Any],
    basis: Any,
) -> Guess:
    """Return a guess of a detector: its decoder, the outputs by their roles, and what else its text needs."""
    return Guess(
        task="picture-detection",
        decoder=family,
        outputs=outputs,
        classes=classes,
        because=(*because, f"that is {family}") if family else tuple(because),
        unsure=tuple(unsure),
        facts=facts,
        **basis,
    )
