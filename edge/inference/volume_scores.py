"""From the scores of a network of volumes to labels: which class wins, which label passes its threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundles.volume_output import BY_LABEL, Output

Labels = NDArray[np.uint8]
Scores = NDArray[np.float32]


class Painter:
    """Turns scores into labels, as a manifest says.

    Args:
        output: Of the manifest; its decoder is not `labels`.
    """

    def __init__(self, output: Output) -> None:
        self.is_relative = output.decoder not in BY_LABEL
        """Whether scores are compared with each other only, so that a common factor does not matter."""
        self._channels = output.channels
        # A logit is compared with the logit of its threshold: no exponential for each voxel.
        self._limits: Sequence[float] = [
            threshold if output.decoder == "sigmoid_in_graph" else float(np.log(threshold / (1 - threshold)))
            for threshold in output.thresholds
        ]

    def __call__(self, scores: Scores) -> Labels:
        """Return the label of each voxel.

        Args:
            scores: (classes, d, h, w); background first where scores are relative, else none.

        Returns:
            (d, h, w): the class with the highest score; or the last label that reaches its threshold, so that
            a region within another one is listed after it.
        """
        if self.is_relative:
            return np.asarray(scores.argmax(axis=0), np.uint8)
        labels = np.zeros(scores.shape[1:], np.uint8)
        for number, (channel, limit) in enumerate(zip(self._channels, self._limits, strict=True), start=1):
            labels[scores[channel] >= np.float32(limit)] = number
        return labels
