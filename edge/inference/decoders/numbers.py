"""Quantities and features of a whole picture."""

from __future__ import annotations

import numpy as np

from edge.bundles.picture_outputs import LinearOutput, VectorOutput
from edge.domain.errors import InferenceError
from edge.inference.decoders.raw import Numbers, Outputs, numbers_of, wrong_shape


def decode_linear(outputs: Outputs, part: LinearOutput) -> Numbers:
    """Return (1, quantities) values; NaN where one is outside of what it can be.

    Args:
        outputs: Of the graph.
        part: Of the manifest.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    array, count = numbers_of(outputs, part.name), len(part.quantities)
    if array.size != count or not (array.ndim == 0 or count in array.shape):
        raise wrong_shape(array, name=part.name, wanted=f"float (1, {count})")
    row = array.reshape(1, count).astype(np.float64)
    row = row * [one.scale for one in part.quantities] + [one.offset for one in part.quantities]
    low, high = [one.value_min for one in part.quantities], [one.value_max for one in part.quantities]
    return np.where((row >= low) & (row <= high), row, np.nan).astype(np.float32)


def decode_vector(outputs: Outputs, part: VectorOutput) -> Numbers:
    """Return (features,), of length 1 where the manifest says so.

    Args:
        outputs: Of the graph.
        part: Of the manifest.

    Raises:
        InferenceError: The outputs are not what the manifest promises, or a vector of zeros has no direction.
    """
    array, count = numbers_of(outputs, part.name), part.features
    wanted = {
        "NC": f"float (1, {count})",
        "NCHW": f"float (1, {count}, rows, columns)",
        "NHWC": f"float (1, rows, columns, {count})",
    }[part.layout]
    one = array[0] if array.ndim > 1 and array.shape[0] == 1 else array
    if part.layout == "NC":
        one = one.reshape(-1) if count in one.shape else one
        if one.shape != (count,):
            raise wrong_shape(array, name=part.name, wanted=wanted)
        vector = one.astype(np.float64)
    else:
        axis = 0 if part.layout == "NCHW" else 2
        if one.ndim != 3 or one.shape[axis] != count or not one.size:
            raise wrong_shape(array, name=part.name, wanted=wanted)
        vector = np.moveaxis(one, axis, 0).reshape(count, -1).mean(axis=1, dtype=np.float64)
    if not part.normalize:
        return vector.astype(np.float32)
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise InferenceError(f"output {part.name!r} is all zero, wanted a vector with a direction")
    return (vector / length).astype(np.float32)
