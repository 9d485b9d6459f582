"""A network of volumes asked: any layout in, and an answer whose form was checked out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.volume_input import Input
from edge.bundles.volume_output import Output
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import InferenceError
from edge.inference.deadline import Deadline
from edge.inference.session import Session, check_form
from edge.inference.tiling import segment
from edge.inference.volume_scores import Labels, Painter, Scores

Picture = NDArray[np.float32]

LABEL_DTYPES: Final = (np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.int64))
ROUNDING = 1e-2  # float16 and int8 leave a probability this near its ends


def look(session: Session, picture: Picture, manifest: VolumeSegmentation, deadline: Deadline) -> Labels:
    """Label a prepared picture of any size, in one pass, tile by tile or slice by slice.

    Args:
        session: Warm.
        picture: (channels, d, h, w), float32, contiguous; in the order of the layout.
        manifest: Of the bundle.
        deadline: Of the whole answer.

    Returns:
        (d, h, w).

    Raises:
        DeadlineExceededError: It took too long.
        InferenceError: The runtime failed, or the answer is not what was promised.
    """
    given, output = manifest.input, manifest.output
    return segment(picture, given, lambda tile: ask(session, tile, given, output, deadline), Painter(output))


def ask(
    session: Session, picture: Picture, given: Input, output: Output, deadline: Deadline
) -> Labels | Scores:
    """Run a network once and check that the answer has the form its manifest promises.

    Args:
        session: Warm.
        picture: (channels, d, h, w), prepared; contiguous; d is 1 where the network sees slices.
        given: Of the manifest.
        output: Of the manifest.
        deadline: Of the whole answer.

    Returns:
        Labels, (d, h, w) uint8; or scores, (classes, d, h, w) float32.

    Raises:
        DeadlineExceededError: It took too long.
        InferenceError: The runtime failed, or the answer is not what was promised.
    """
    tensor = picture[:, 0] if given.slices else picture
    if given.is_channel_last:
        tensor = np.moveaxis(tensor, 0, -1)
    tensor = np.ascontiguousarray(tensor, given.dtype)[None]
    answer = session.run(tensor, deadline)[output.name]
    sides = picture.shape[2:] if given.slices else picture.shape[1:]
    if output.decoder == "labels":
        return _labels(answer, sides, output).reshape(picture.shape[1:])
    scores = _scores(answer, sides, given, output)
    return scores.reshape(output.classes, *picture.shape[1:])


def _labels(answer: NDArray[Any], sides: tuple[int, ...], output: Output) -> Labels:
    """Return a map of labels, without the axes of length 1 that a graph may leave around it."""
    forms = ((1, *sides), (1, 1, *sides), (1, *sides, 1))
    if answer.dtype not in LABEL_DTYPES or answer.shape not in forms:
        raise InferenceError(
            f"output {output.name!r} is {answer.dtype} {answer.shape}, "
            f"wanted uint8, int32 or int64 {forms[0]}"
        )
    classes = 1 + len(output.labels)
    lowest = int(answer.min()) if answer.dtype.kind == "i" else 0
    highest = int(answer.max())
    if lowest < 0 or highest >= classes:
        seen = lowest if lowest < 0 else highest
        raise InferenceError(f"output {output.name!r} holds label {seen}, wanted below {classes}")
    return np.asarray(answer, np.uint8).reshape(sides)


def _scores(answer: NDArray[Any], sides: tuple[int, ...], given: Input, output: Output) -> Scores:
    """Return scores, class by class, as float32."""
    classes = output.classes
    shape = (1, *sides, classes) if given.is_channel_last else (1, classes, *sides)
    dtype = np.float16 if answer.dtype == np.float16 else np.float32
    check_form(answer, shape=shape, dtype=dtype, name=output.name)
    if output.decoder in ("probabilities", "sigmoid_in_graph"):
        low, high = float(answer.min()), float(answer.max())
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise InferenceError(f"output {output.name!r} holds {low:g} to {high:g}, wanted probabilities")
    by_class = np.moveaxis(answer[0], -1, 0) if given.is_channel_last else answer[0]
    return np.ascontiguousarray(by_class, np.float32)
