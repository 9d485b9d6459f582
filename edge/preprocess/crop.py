"""Leave out what lies around everything that is bright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PictureRejectedError
from edge.domain.image import Volume

Voxels = NDArray[np.int16] | NDArray[np.float32]


def crop_foreground(volumes: Sequence[Volume], *, above: float, margin_voxels: int) -> tuple[Volume, ...]:
    """Cut every channel to the smallest box that holds whatever is bright in any of them.

    Args:
        volumes: Channels on one grid.
        above: Brighter than this is bright.
        margin_voxels: So many voxels around it stay, as far as there are any.

    Returns:
        The channels, cut; their affines say where the box lies.

    Raises:
        PictureRejectedError: Nothing is bright.
    """
    first = volumes[0]
    spans: list[tuple[int, int]] = []
    for axis, side in enumerate(first.voxels.shape):
        seen = np.flatnonzero(_reached(volumes, axis, above))
        if not seen.size:
            raise PictureRejectedError(
                f"volume of {first.voxels.shape} voxels: none is above {above:g}, wanted something to look at"
            )
        spans.append((max(0, int(seen[0]) - margin_voxels), min(side, int(seen[-1]) + 1 + margin_voxels)))
    box = tuple(slice(*span) for span in spans)
    shift = np.eye(4)
    shift[:3, 3] = [start for start, _ in reversed(spans)]
    return tuple(
        replace(
            one,
            voxels=cast(Voxels, np.ascontiguousarray(one.voxels[box])),
            patient_from_voxel=one.patient_from_voxel @ shift,
        )
        for one in volumes
    )


def _reached(volumes: Sequence[Volume], axis: int, above: float) -> NDArray[np.bool_]:
    """Return which layers across an axis hold something bright, in any channel."""
    others = tuple(n for n in range(3) if n != axis)
    return np.asarray(np.any([one.voxels.max(axis=others) > above for one in volumes], axis=0))
