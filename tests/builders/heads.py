"""Small series that a tiny network finds something in: a bright ball in the dark."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.simulate.series import write_series
from tests.builders.volumes import volume


def ball(*, slices: int = 10, side: int = 32) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """A ball of radius 12 mm in the middle of a grid of 3 mm slices with 2 mm pixels."""
    k, j, i = np.indices((slices, side, side))
    far_mm = np.sqrt(
        ((k - slices / 2) * 3.0) ** 2 + ((j - side / 2) * 2.0) ** 2 + ((i - side / 2) * 2.0) ** 2
    )
    return np.where(far_mm < 12, 900, 20).astype(np.int16)


def ball_series(folder: Path, *, name: str, slices: int = 10) -> list[Path]:
    """Write an MR series of its own study, one file a slice."""
    grid = volume(ball(slices=slices), spacing_mm=(3.0, 2.0, 2.0), origin_mm=(-32.0, -32.0, 0.0))
    return write_series(grid, folder, patient=f"TEST^{name}", description=name)
