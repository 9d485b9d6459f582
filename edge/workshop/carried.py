"""Some of the samples a bundle was calibrated on, which travel with it: devices compare forms on them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.domain.ports import Clock
from edge.inference.golden import Exam
from edge.workshop import questions
from edge.workshop.questions import Item
from edge.workshop.telling import telling

FILE: Final = "calibration.npz"
MOST: Final = {"volume-segmentation": 4, "spectra-regression": 256}  # each form of the network is asked all
PICTURES_MOST: Final = 16
BYTES_MAX: Final = 32_000_000  # of inputs and answers, before they are packed


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """Samples in the form of a golden check.

    Attributes:
        exam: Asks them; what is right is what fp32 answers.
        content: The npz.
        samples: How many there are.
    """

    exam: Exam
    content: bytes
    samples: int


def carried(
    manifest: Manifest, given: Sequence[Item], answers: Sequence[NDArray[Any]], clock: Clock
) -> Carried | str:
    """Choose samples that tell most, within what a bundle should weigh.

    Args:
        manifest: Of the bundle.
        given: What was calibrated on, as `questions.items` makes them.
        answers: Of fp32.
        clock: Times the exam.

    Returns:
        They; or why there are none.
    """
    each_bytes = _size(questions.arrays(manifest, given, answers)) / len(given)
    most = min(MOST.get(manifest.task, PICTURES_MOST), int(BYTES_MAX / each_bytes))
    if not most:
        return f"one sample has {each_bytes / 1e6:.3g} MB, wanted at most {BYTES_MAX / 1e6:.3g} MB"
    given, answers = telling(manifest, given, answers, most=most)
    reason = questions.nothing_proven(manifest, answers)
    if reason:
        return f"of those that tell most {reason}, which proves nothing"
    file = io.BytesIO()
    np.savez_compressed(file, **dict(questions.arrays(manifest, given, answers)))  # type: ignore[arg-type]  # its stub takes the names for its own options
    exam = questions.exam(manifest, given, clock).against(list(answers))
    return Carried(exam, file.getvalue(), len(given))


def _size(arrays: questions.Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())
