"""One network, ready to answer: a session of either runtime, and every answer checked."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundles.manifest import Output
from edge.domain.errors import InferenceError
from edge.inference.deadline import Deadline


class Session(Protocol):
    """What both runtimes offer; one caller at a time."""

    @property
    def runtime(self) -> str:
        """Name and version."""

    @property
    def provider(self) -> str:
        """What really runs it."""

    def run(self, picture: NDArray[np.float32], deadline: Deadline) -> NDArray[Any]:
        """Run once; (1, 1, d, h, w) in.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """

    def close(self) -> None:
        """Free the network."""


def ask(
    session: Session, picture: NDArray[np.float32], output: Output, deadline: Deadline
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Run a network and check that the answer has the form its manifest promises.

    Args:
        session: Warm.
        picture: (d, h, w), prepared; contiguous.
        output: Of the manifest.
        deadline: Of the whole answer.

    Returns:
        Labels, (d, h, w) uint8; or logits, (1 + labels, d, h, w) float32.

    Raises:
        DeadlineExceededError: It took too long.
        InferenceError: The runtime failed, or the answer is not what was promised.
    """
    answer = session.run(picture[None, None], deadline)
    classes = 1 + len(output.labels)
    if output.decoder == "labels":
        _check_form(answer, (1, *picture.shape), np.dtype(np.uint8), output.name)
        if answer.size and int(answer.max()) >= classes:
            raise InferenceError(f"output {output.name!r} holds label {answer.max()}, wanted below {classes}")
        return np.asarray(answer[0], np.uint8)
    _check_form(answer, (1, classes, *picture.shape), np.dtype(np.float32), output.name)
    if not np.isfinite(answer).all():
        raise InferenceError(f"output {output.name!r} holds NaN or infinity")
    return np.asarray(answer[0], np.float32)


def _check_form(answer: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    if answer.shape != shape or answer.dtype != dtype:
        raise InferenceError(f"output {name!r} is {answer.dtype} {answer.shape}, wanted {dtype} {shape}")
