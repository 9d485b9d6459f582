"""What can be seen: volumes with their place in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """A regular grid of voxels and where it lies in the patient.

    Attributes:
        voxels: (k, j, i) int16 or float32, read-only: k slices, j rows, i columns.
        unit: `hounsfield`, `suv_bw`, `arbitrary` …
        spacing_mm: Distance of neighbouring voxels along (k, j, i).
        patient_from_voxel: (4, 4) float64, read-only; takes (i, j, k, 1), columns first as DICOM and
            NIfTI do, to millimetres in LPS, the patient's left, posterior and superior.
        modality: `CT`, `MR` …
    """

    voxels: NDArray[np.int16] | NDArray[np.float32]
    unit: str
    spacing_mm: tuple[float, float, float]
    patient_from_voxel: Matrix
    modality: str

    def __post_init__(self) -> None:
        assert self.voxels.ndim == 3, f"a volume has 3 axes, this one {self.voxels.ndim}"
        assert self.voxels.dtype in (np.int16, np.float32), f"voxels are {self.voxels.dtype}"
        assert self.patient_from_voxel.shape == (4, 4), "patient_from_voxel is a 4 by 4 matrix"
        self.voxels.flags.writeable = False
        self.patient_from_voxel.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """What a series shows once: one volume, or several on one grid (times, echoes, diffusion weightings).

    Attributes:
        volumes: At least one, all of one shape, spacing and place, in order of acquisition.
        times_ms: Acquisition time of each volume after the first, where the headers tell it; else ().
        name: What tells this scan from others of its series: `e2 phase`, or "" where it is the only one.
        notes: What was done on the way that a reader must know: `gantry tilt of 16.5° corrected`.
    """

    volumes: tuple[Volume, ...]
    times_ms: tuple[float, ...] = ()
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.volumes, "a scan has at least one volume"
        assert len({volume.voxels.shape for volume in self.volumes}) == 1, "volumes of one scan share a shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One connected piece of what was marked, as it was measured on the grid of the network.

    Attributes:
        volume_ml: Its volume.
        diameter_mm: The longest straight line across it within one slice of the volume that was asked about.
        centroid_mm: Its centre of mass, in the patient: mm in LPS.
        is_cut: Whether it reaches the edge of the field of view, so that it may be larger.
    """

    volume_ml: float
    diameter_mm: float
    centroid_mm: tuple[float, float, float]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The connected pieces of some labels, taken together; pieces touch each other nowhere.

    Attributes:
        largest: Measured one by one, the largest first.
        others: How many more there are.
        others_ml: Volume of those.
    """

    largest: tuple[Piece, ...] = ()
    others: int = 0
    others_ml: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """Which voxel is what, on the grid of the volume that was asked about.

    Attributes:
        labels: (k, j, i) uint8, read-only; 0 is background.
        names: Name of each label from 1 on; `names[0]` belongs to label 1.
        volume: The volume it was made for.
        raw_ml: Foreground volume before post-processing, in mL.
        largest_ml: Volume of its largest connected component, in mL.
        touched_faces: Faces of the field of view the foreground reaches, as patient directions out of
            `L R A P S I`: where it is cut, a total is a lower bound only.
        extent_mm: Size of the field of view along the patient's (left-right, front-back, up-down) axes.
        pieces: What counts one by one; empty where only the whole is looked at.
        latency_ms: Time per stage, in the order of the path: `preprocess`, `infer`, `decode`.
        statistics: What the network was given and said, as numbers by which drift is noticed.
    """

    labels: NDArray[np.uint8]
    names: tuple[str, ...]
    volume: Volume
    raw_ml: float
    largest_ml: float
    touched_faces: frozenset[str]
    extent_mm: tuple[float, float, float]
    pieces: Pieces = field(default_factory=Pieces)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.labels.shape == self.volume.voxels.shape, "labels lie on the grid of their volume"
        self.labels.flags.writeable = False

    def volume_ml(self, *labels: int) -> float:
        """Return the volume of all voxels that carry one of `labels`, in mL."""
        return float(np.isin(self.labels, labels).sum()) * self.voxel_ml

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, in mL."""
        return abs(float(np.linalg.det(self.volume.patient_from_voxel[:3, :3]))) / 1000.0
