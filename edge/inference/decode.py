"""From a label map on the model's grid to a segmentation of the volume that was asked about."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edge.bundles.volume_segmentation import FieldOfView, Output
from edge.domain.image import Segmentation, Volume
from edge.preprocess.orient import directions, onto

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

STEPS = np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))


def decode(raw: Labels, *, grid: Volume, source: Volume, output: Output) -> Segmentation:
    """Clean up a label map, measure it, and carry it to the source's grid.

    Args:
        raw: (d, h, w) on `grid`.
        grid: The prepared volume the network has seen.
        source: The volume that was asked about.
        output: Of the manifest: what to clean up, and the labels.
    """
    voxel_ml = math.prod(grid.spacing_mm) / 1000
    foreground = raw > 0
    largest, largest_voxels = _largest(foreground)
    kept = largest if output.largest_component_only else foreground
    labels = np.where(kept, raw, 0).astype(np.uint8)
    names = tuple(label.name for label in output.labels)
    touched = _touched(labels, grid, output.field_of_view, names)
    if output.fill_holes:
        _fill_holes(labels)
    return Segmentation(
        labels=onto(labels, placed=grid.patient_from_voxel, grid=source),
        names=names,
        volume=source,
        raw_ml=float(np.count_nonzero(foreground)) * voxel_ml,
        largest_ml=largest_voxels * voxel_ml,
        touched_faces=touched,
        extent_mm=_extent_mm(source),
    )


def _largest(mask: Mask) -> tuple[Mask, int]:
    """Return the largest piece of a mask, and its voxels; neighbours share a face."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask, int(np.count_nonzero(mask))
    sizes = np.bincount(pieces[mask])
    largest = int(sizes.argmax())
    return pieces == largest, int(sizes[largest])


def _fill_holes(labels: Labels) -> None:
    """Give enclosed background the label that is the fewest steps away, in place."""
    boxes = ndimage.find_objects((labels > 0).astype(np.uint8))
    if not boxes:
        return
    inside = labels[boxes[0]]
    pieces, _ = ndimage.label(np.pad(inside == 0, 1, constant_values=True))
    holes = np.argwhere(pieces[1:-1, 1:-1, 1:-1] > 1)  # piece 1 holds the corner: all that is outside
    while len(holes):
        near = np.max([inside[tuple((holes + step).T)] for step in STEPS], axis=0)
        inside[tuple(holes.T)] = near
        holes = holes[near == 0]


def _touched(labels: Labels, grid: Volume, rule: FieldOfView, names: tuple[str, ...]) -> frozenset[str]:
    """Return the faces that labels reach with some area, those aside that leave the picture by nature."""
    continuing = [names.index(name) + 1 for name in rule.continuing_labels]
    counted = (labels > 0) & ~np.isin(labels, continuing)
    reached = set()
    for axis, way in enumerate(directions(grid)):
        layers = max(1, round(rule.margin_mm / grid.spacing_mm[axis]))
        voxel_mm2 = math.prod(grid.spacing_mm) / grid.spacing_mm[axis]
        across = np.moveaxis(counted, axis, 0)
        for face, rim in ((OPPOSITE[way], across[:layers]), (way, across[-layers:])):
            area_mm2 = np.count_nonzero(rim.any(axis=0)) * voxel_mm2
            if area_mm2 > 0 and area_mm2 >= rule.contact_min_mm2:
                reached.add(face)
    return frozenset(reached)


def _extent_mm(volume: Volume) -> tuple[float, float, float]:
    """Field of view along the patient's left-right, front-back and up-down axes, nearest."""
    along = {
        way: float(side * spacing)
        for way, side, spacing in zip(directions(volume), volume.voxels.shape, volume.spacing_mm, strict=True)
    }
    width, depth, height = (next(along[way] for way in pair if way in along) for pair in ("LR", "AP", "SI"))
    return width, depth, height
