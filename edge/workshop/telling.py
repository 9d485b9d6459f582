"""Which of many inputs tell most about a network: what is kept where not all of them can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.bundles.picture_detection import PictureDetection
from edge.bundles.spectra_regression import SpectraRegression
from edge.workshop.questions import Item

NUMBERS: Final = ("picture-classification", "picture-regression", "picture-embedding")  # answers of one form
THINGS_MAX: Final = 20  # more of them tell no more


def telling(
    manifest: Manifest, given: Sequence[Item], answers: Sequence[NDArray[Any]], *, most: int
) -> tuple[list[Item], list[NDArray[Any]]]:
    """Keep the inputs that tell most, and their answers.

    Args:
        manifest: Of the bundle.
        given: Inputs, as `questions.items` makes them.
        answers: To them: one each; for spectra one array with a row for each.
        most: How many are kept.

    Returns:
        Where answers are numbers, those that differ most; else those with most in them. In the old order.
    """
    if isinstance(manifest, SpectraRegression):
        rows = _spread(np.nan_to_num(answers[0], nan=-1.0)[:, :1], most)
        return [given[row] for row in rows], [answers[0][rows]]
    if manifest.task in NUMBERS:
        kept = _spread(np.stack(answers), most)
    else:
        best = sorted(range(len(given)), key=lambda place: -_content(manifest, answers[place]))
        kept = sorted(best[:most])
    return [given[place] for place in kept], [answers[place] for place in kept]


def _content(manifest: Manifest, answer: NDArray[Any]) -> float:
    """Say how much there is in an answer: kinds of labels, things that were found."""
    if manifest.task in ("volume-segmentation", "picture-segmentation"):
        labels = answer if manifest.task == "volume-segmentation" else answer[0]
        marked = float((labels > 0).mean())
        return len(np.unique(labels)) + marked * (1 - marked)
    if isinstance(manifest, PictureDetection):
        least, slack = manifest.output.score_min, manifest.golden.score_error_max
        found, clear = (int((answer[:, 5] >= score).sum()) for score in (least, least + slack))
        return (0.1 * min(found, THINGS_MAX) + min(clear, THINGS_MAX)) / (1 + 0.01 * found)
    return float(answer[:, 2].sum())


def _spread(rows: NDArray[Any], count: int) -> list[int]:
    """Choose rows that are far from each other: always the one farthest from those chosen."""
    numbers = np.nan_to_num(rows.astype(np.float64), nan=-1.0)
    chosen = [int(numbers[:, 0].argmin())]
    away = np.linalg.norm(numbers - numbers[chosen[0]], axis=1)
    while len(chosen) < min(count, len(numbers)):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(numbers - numbers[chosen[-1]], axis=1))
        away[chosen] = -1
    return sorted(chosen)
