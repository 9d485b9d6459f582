"""One network, ready to answer: a session of either runtime behind one port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.bundles.pictures import PictureBundle
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import InferenceError
from edge.inference.deadline import Deadline

Answers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Wiring:
    """By which names and types a graph is addressed.

    Attributes:
        given: Name of its input.
        dtype: Of its input.
        answers: Names of its outputs that are read.
    """

    given: str
    dtype: Literal["float32", "float16", "uint8"]
    answers: tuple[str, ...]


class Session(Protocol):
    """What both runtimes offer; one caller at a time."""

    @property
    def runtime(self) -> str:
        """Name and version."""

    @property
    def provider(self) -> str:
        """What really runs it."""

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once.

        Args:
            given: Contiguous, of the type and shape the graph takes; it may be changed after the call.
            deadline: Of the whole answer.

        Returns:
            What was asked for, by the names of the graph's outputs; the caller's own.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """

    def close(self) -> None:
        """Free the network."""


def wiring(manifest: Manifest) -> Wiring:
    """Return how the graph of a bundle is addressed."""
    match manifest:
        case VolumeSegmentation():
            return Wiring(manifest.input.name, manifest.input.dtype, (manifest.output.name,))
        case PictureBundle():
            return Wiring(manifest.input.name, manifest.input.dtype, manifest.output.graph_outputs)
        case SpectraRegression(output=output):
            both = (output.name, output.uncertainty) if output.uncertainty else (output.name,)
            return Wiring(manifest.input.name, "float32", both)
        case _:
            assert_never(manifest)


def failed(
    name: str, given: NDArray[Any], *, wiring: Wiring, takes: Sequence[object], because: str
) -> InferenceError:
    """Return the error for a run that a runtime would not do.

    Args:
        name: Of the network.
        given: Its input.
        wiring: How it is addressed.
        takes: Sides of the input as the runtime knows them; a number where one is fixed.
        because: The runtime, and what it says.
    """
    seen = f"input {wiring.given!r} is {given.dtype} {given.shape}"
    is_like = len(takes) == given.ndim and all(
        not isinstance(side, int) or side == there for side, there in zip(takes, given.shape, strict=True)
    )
    if not is_like:
        wanted = ", ".join(str(side) if isinstance(side, int) else "?" for side in takes)
        return InferenceError(f"{name}: {seen}, the network takes ({wanted})")
    return InferenceError(f"{name}: {seen}, with which the network does not run; {because}")


def check_form(answer: NDArray[Any], *, shape: tuple[int, ...], dtype: type[np.generic], name: str) -> None:
    """Compare one output with what its manifest promises.

    Raises:
        InferenceError: Another shape or type, or numbers that are none.
    """
    if answer.shape != shape or answer.dtype != dtype:
        wanted = f"{np.dtype(dtype)} {shape}"
        raise InferenceError(f"output {name!r} is {answer.dtype} {answer.shape}, wanted {wanted}")
    if answer.dtype.kind == "f" and not np.isfinite(answer).all():
        raise InferenceError(f"output {name!r} holds NaN or infinity")
