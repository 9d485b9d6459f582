"""What a network seems to do, as far as somebody could tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["NCHW", "NHWC", "NCDHW", "NDHWC", "NC"]
Arrays = Mapping[str, NDArray[Any]]

ONE_STEP: Final = 1e-3  # a probability may leave 0 to 1 by so much


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a network seems to do.

    Attributes:
        task: Of the format: `picture-detection` …
        decoder: How its outputs are read: `softmax`, `yolox`, `logits` …
        outputs: Which output of the graph has which role.
        classes: How many things it tells apart; 0 where that is not known.
        names: Of the classes, as the exporter left them, or ().
        layout: Of the input.
        channels: Of the input.
        sides: Rows and columns, or the three sides of a volume; 0 where free.
        licence: As the exporter left it, or "".
        exporter: Who made the file, or "".
        side_usual: The longer side it was made for, where sides are free; 0 where not known.
        multiple: Sides must be a multiple of it, as far as was tried.
        because: What was seen, one sentence each.
        unsure: What a person must look at, one sentence each.
        facts: Further keys of the decoder.
    """

    task: str
    decoder: str
    outputs: Mapping[str, str]
    classes: int
    names: tuple[str, ...] = ()
    layout: Layout
    channels: int
    sides: tuple[int, ...]
    multiple: int = 1
    licence: str = ""
    exporter: str = ""
    side_usual: int = 0
    because: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """What the person who asks has said of a network, before anything was seen.

    Attributes:
        task: What it does; None leaves it to the shapes.
        classes: How many classes were named, without background; 0 where none was.
    """

    task: str | None = None
    classes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a network answered when it was tried.

    Attributes:
        sides: Of the input it was tried with.
        answers: About noise.
        others: About inputs of other brightness, of the same size: all black, all white, bytes.
    """

    sides: tuple[int, ...]
    answers: Arrays
    others: tuple[Arrays, ...] = ()

    def values(self, name: str) -> NDArray[Any]:
        """Return all that one output ever answered, one trial after the other along the first axis."""
        return np.concatenate([one[name] for one in (self.answers, *self.others)])


def exclusive(one: NDArray[Any], *, axis: int) -> tuple[str, str]:
    """Tell by the numbers whether classes exclude each other."""
    low, high = float(one.min()), float(one.max())
    if one.shape[axis] == 1:
        return ("sigmoid", "a single one, so it is judged by itself")
    if low >= -ONE_STEP and high <= 1 + ONE_STEP:
        if np.abs(one.sum(axis=axis) - 1).max() < 10 * ONE_STEP:
            return ("softmax", "they sum up to 1, so the softmax is in the graph")
        return ("sigmoid", "all lie in 0 to 1 and do not sum up to 1, so a sigmoid is in the graph")
    return ("softmax", f"they go from {low:.3g} to {high:.3g}, so they are no probabilities yet")


def is_probability(values: NDArray[Any]) -> bool:
    """Return whether all values lie in 0 to 1, as after a softmax or a sigmoid."""
    return bool(values.min() >= -ONE_STEP and values.max() <= 1 + ONE_STEP)
