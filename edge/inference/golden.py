"""The golden check: an input of the bundle, and whether the network still answers it as it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from edge.bundles.arrays import read_npz
from edge.bundles.store import Bundle
from edge.inference.deadline import Deadline
from edge.inference.session import Session


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near answers are to the golden ones.

    Attributes:
        numbers: What was compared, `union_dice`, and how near.
        shortfall: What the manifest asks for and is not reached, or "".
    """

    numbers: Mapping[str, float]
    shortfall: str


class Exam(Protocol):
    """What a network is asked at every start, one kind for each task."""

    def answers(self, session: Session, deadline: Deadline) -> list[NDArray[Any]]:
        """Ask everything, as a model would.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """

    def agreement(self, answers: list[NDArray[Any]]) -> Agreement:
        """Compare with what is right."""

    def against(self, answers: list[NDArray[Any]]) -> Exam:
        """Return the same questions with other answers as what is right: those of the reference here."""


def read_arrays(bundle: Bundle, *names: str) -> list[NDArray[Any]]:
    """Read arrays of the golden npz of a bundle.

    Raises:
        BundleRejectedError: It is none, or lacks one.
    """
    return read_npz(bundle.golden(), names, origin=golden_path(bundle))


def golden_path(bundle: Bundle) -> str:
    """Name the golden npz in errors."""
    return str(bundle.path / bundle.manifest.golden.file)
