"""Two series of one patient in slices of two directions: what a model of two channels looks at together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.builders.series import CORONAL, stack, written

FRAME: dict[str, Any] = {"FrameOfReferenceUID": "1.2.3.4", "PatientPosition": "HFS", "PatientID": "somebody"}


def axial(folder: Path, **changes: Any) -> Path:
    """Twelve slices of 2 mm; a block of 12 x 10 x 8 mm around (0, 0, 12) mm is bright."""
    folder.mkdir(parents=True)
    pictures = np.zeros((12, 24, 24), np.int16)
    pictures[4:8, 7:17, 6:18] = 1000
    shots = stack(list(pictures), origin_mm=(-11.5, -11.5, 1.0), spacing_mm=2.0)
    written(shots, folder, pixel_spacing_mm=(1.0, 1.0), **{**FRAME, **changes})
    return folder


def coronal(folder: Path, **changes: Any) -> Path:
    """The same patient in slices of another direction: the block and more around it is bright."""
    folder.mkdir(parents=True)
    pictures = np.zeros((20, 24, 30), np.int16)
    pictures[3:17, 4:20, 5:25] = 1000
    shots = stack(list(pictures), orientation=CORONAL, origin_mm=(-14.5, 9.5, 23.5), step_mm=(0.0, -1.0, 0.0))
    written(shots, folder, orientation=CORONAL, pixel_spacing_mm=(1.0, 1.0), **{**FRAME, **changes})
    return folder
