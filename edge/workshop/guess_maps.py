"""Guesses about networks that answer for each pixel or voxel: maps of scores, and maps of labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.workshop.guessed import Guess, Said, Seen, exclusive, is_probability
from edge.workshop.network import Network


def volume(_network: Network, seen: Seen, basis: Any, said: Said) -> Guess | None:
    """Guess at a network that labels the voxels of a volume; None: it does not."""
    sides, answers = seen.sides, seen.answers
    for name, one in answers.items():
        if one.shape[1:] == sides and one.dtype == np.uint8:
            return _label_map("volume-segmentation", name, basis, each="voxel")
        first = one.ndim == len(sides) + 2 and one.shape[2:] == sides
        last = one.ndim == len(sides) + 2 and one.shape[1:-1] == sides
        if first or last:
            count = one.shape[1] if first else one.shape[-1]
            decoder, why = exclusive(seen.values(name), axis=1 if first else -1)
            has_chances = is_probability(seen.values(name))
            no_background = decoder == "softmax" and not has_chances and said.classes == count
            decoder = "sigmoid" if no_background else decoder
            decoders = ("probabilities", "sigmoid_in_graph") if has_chances else ("logits", "sigmoid")
            return Guess(
                task="volume-segmentation",
                decoder=decoders[decoder == "sigmoid"],
                outputs={"name": name},
                classes=count,
                because=(f"output {name} has {count} numbers for each voxel; {why}",),
                unsure=_background_or_nested(decoder, count, no_background=no_background),
                **basis,
            )
    return None


def mask(_network: Network, seen: Seen, basis: Any, said: Said) -> Guess | None:
    """Guess at a network that labels the pixels of a picture, or has a map for each point; None: neither."""
    sides, answers = seen.sides, seen.answers
    for name, one in answers.items():
        stride = _label_stride(one, sides)
        if stride:
            return _label_map("picture-segmentation", name, basis, each=_cell(stride), stride=stride)
    for name, one in answers.items():
        if one.ndim != 4 or one.dtype == np.uint8:
            continue
        layout, stride = next(
            (
                (kind, sides[0] // rows)
                for kind, (rows, columns) in (("NCHW", one.shape[2:]), ("NHWC", one.shape[1:3]))
                if rows > 1 and sides[0] % rows == 0 and sides[0] * columns == sides[1] * rows
            ),
            ("", 0),
        )
        if not layout:
            continue
        count = one.shape[1] if layout == "NCHW" else one.shape[-1]
        if said.task == "picture-keypoints":
            return Guess(
                task="picture-keypoints",
                decoder="heatmaps",
                outputs={"name": name},
                classes=count,
                because=(f"output {name} has {count} maps, one cell for {stride} pixels",),
                facts={"stride": stride, "layout": layout},
                **basis,
            )
        decoder, why = exclusive(seen.values(name), axis=1 if layout == "NCHW" else -1)
        no_background = decoder == "softmax" and said.classes == count
        background = decoder == "softmax" and not no_background
        return Guess(
            task="picture-segmentation",
            decoder="logits" if decoder == "softmax" else "sigmoid",
            outputs={"name": name},
            classes=count - background,
            because=(f"output {name} has {count} numbers for each {stride} x {stride} pixels; {why}",),
            unsure=_background_or_nested(decoder, count, no_background=no_background),
            facts={
                "has_background": background,
                "is_probability": is_probability(seen.values(name)),
                "layout": layout,
                "stride": stride,
            },
            **basis,
        )
    return None


def _label_map(task: str, name: str, basis: Any, *, each: str, **facts: Any) -> Guess:
    return Guess(
        task=task,
        decoder="labels",
        outputs={"name": name},
        classes=max(0, len(basis["names"]) - 1),
        because=(f"output {name} is one whole number for each {each}",),
        unsure=("how many labels there are is not in the file",),
        facts=facts,
        **basis,
    )


def _label_stride(one: NDArray[Any], sides: tuple[int, ...]) -> int:
    """Return how many pixels each whole number of a map of labels stands for; 0 where it is no such map."""
    shape = one.shape[-2:] if one.shape[:-2] in ((1,), (1, 1)) else one.shape[1:3]
    if one.dtype != np.uint8 or one.size != math.prod(shape) or len(shape) != 2 or shape[0] < 2:
        return 0
    stride = sides[0] // shape[0]
    return stride if (shape[0] * stride, shape[1] * stride) == sides else 0


def _cell(stride: int) -> str:
    return "pixel" if stride == 1 else f"{stride} x {stride} pixels"


def _background_or_nested(decoder: str, count: int, *, no_background: bool = False) -> tuple[str, ...]:
    """Say what a person must look at where each pixel or voxel has several scores.

    Args:
        decoder: `softmax` where they exclude each other.
        count: Scores of each.
        no_background: As many names were given, so none is that of the background.
    """
    if decoder == "softmax" and no_background:
        return (
            "as many names were given as there are channels, so every pixel gets one of them; where labels "
            "may lie within each other, the decoder is sigmoid",
        )
    if decoder == "softmax":
        return ("the first channel was taken for background",)
    named = (
        "as many names were given as there are channels, so none was taken for background, and each label "
        "stands by itself; where the first channel is background, the decoder is logits, and it has no name"
    )
    nested = (
        "labels may lie within each other: list the outermost first; each place gets the last one it has, so "
        "the whole is the sum of an outer label and those within it"
    )
    return (named,) * no_background + (nested,) * (count > 1)
