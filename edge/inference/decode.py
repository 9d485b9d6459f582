"""From a label map on the model's grid to a segmentation of the volume that was asked about."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edge.bundles.volume_output import FieldOfView, Output
from edge.bundles.volume_policy import Components
from edge.domain.image import Pieces, Segmentation, Volume
from edge.inference.components import Rims, field_rims, masks_of, measure, without_small
from edge.preprocess.orient import directions, onto

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

STEPS = np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))


def decode(
    raw: Labels, *, grid: Volume, source: Volume, output: Output, components: Components | None = None
) -> Segmentation:
    """Clean up a label map, measure it, and carry it to the source's grid.

    Args:
        raw: (d, h, w) on `grid`.
        grid: The prepared volume the network has seen.
        source: The volume that was asked about.
        output: Of the manifest: what to clean up, and the labels.
        components: Of the manifest: which labels are measured piece by piece; None: none.
    """
    voxel_ml = math.prod(grid.spacing_mm) / 1000
    foreground = raw > 0
    largest, largest_voxels = _largest(foreground)
    labels = _cleaned(raw, foreground, largest, grid, output)
    rims = field_rims(grid, source)
    touched = _touched(labels, grid, output.field_of_view, output.names, rims)
    if output.fill_holes:
        _fill_holes(labels)
    return Segmentation(
        labels=onto(labels, placed=grid.patient_from_voxel, grid=source),
        names=output.names,
        volume=source,
        raw_ml=float(np.count_nonzero(foreground)) * voxel_ml,
        largest_ml=largest_voxels * voxel_ml,
        touched_faces=touched,
        extent_mm=_extent_mm(source),
        pieces=_pieces(labels, grid, source, output, components, rims),
    )


def _cleaned(raw: Labels, foreground: Mask, largest: Mask, grid: Volume, output: Output) -> Labels:
    """Leave out what the manifest does not want to keep; the result may be written to."""
    by_label = output.pieces_of == "label"
    if output.largest_component_only:
        each = [_largest(mask)[0] for mask in masks_of(raw, by_label=True)] if by_label else [largest]
        kept = each[0] if len(each) == 1 else np.any(each, axis=0) if each else np.zeros_like(foreground)
        return np.multiply(raw, kept, dtype=np.uint8)
    if output.component_min_ml:
        return without_small(raw, grid=grid, least_ml=output.component_min_ml, by_label=by_label)
    return raw.copy()


def _pieces(
    labels: Labels,
    grid: Volume,
    source: Volume,
    output: Output,
    components: Components | None,
    rims: Rims,
) -> Pieces:
    if components is None:
        return Pieces()
    wanted = [number for number, name in enumerate(output.names, start=1) if name in components.labels]
    mask = np.isin(labels, wanted)
    return measure(mask, grid=grid, source=source, rims=rims, pieces_max=components.components_max)


def _largest(mask: Mask) -> tuple[Mask, int]:
    """Return the largest piece of a mask, and its voxels; neighbours share a face."""
    box = _box(mask)
    if box is None:
        return mask, 0
    inside = mask[box]
    pieces, count = ndimage.label(inside)
    if count == 1:
        return mask, int(np.count_nonzero(inside))
    sizes = np.bincount(pieces[inside])
    largest = int(sizes.argmax())
    kept = np.zeros_like(mask)
    np.equal(pieces, largest, out=kept[box])
    return kept, int(sizes[largest])


def _fill_holes(labels: Labels) -> None:
    """Give enclosed background the label that is the fewest steps away, in place."""
    box = _box(labels > 0)
    if box is None:
        return
    inside = np.pad(labels[box], 1)
    enclosed = np.stack([_enclosed(picture) for picture in inside == 0])
    near_holes = _box(enclosed)
    if near_holes is None:
        return
    # What is enclosed in all three axes is enclosed in each slice too, and reaches nothing that is not.
    around = tuple(slice(one.start - 1, one.stop + 1) for one in near_holes)
    part, within = inside[around], enclosed[around]
    beyond = (part == 0) & ~within
    pieces, count = ndimage.label(within)
    is_open = np.zeros(count + 1, np.bool_)  # within a slice nothing leads out: only to the next one
    is_open[pieces[1:][beyond[:-1]]] = is_open[pieces[:-1][beyond[1:]]] = is_open[0] = True
    holes = np.argwhere(~is_open[pieces])
    while len(holes):
        near = np.max([part[tuple((holes + step).T)] for step in STEPS], axis=0)
        part[tuple(holes.T)] = near
        holes = holes[near == 0]
    labels[box] = inside[1:-1, 1:-1, 1:-1]


def _enclosed(background: Mask) -> Mask:
    """Return what of a slice no way leads to from its corner; its rim is background."""
    picture = background.astype(np.uint8)
    cv2.floodFill(picture, None, (0, 0), 0)
    return picture.astype(np.bool_)


def _box(mask: Mask) -> tuple[slice, ...] | None:
    """Return the smallest box around a mask, or None where it is empty."""
    sides = []
    for axis in range(mask.ndim):
        seen = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not len(seen):
            return None
        sides.append(slice(int(seen[0]), int(seen[-1]) + 1))
    return tuple(sides)


def _touched(
    labels: Labels, grid: Volume, rule: FieldOfView, names: tuple[str, ...], rims: Rims
) -> frozenset[str]:
    """Return the faces that labels reach with some area, those aside that leave the picture by nature."""
    continuing = [names.index(name) + 1 for name in rule.continuing_labels]
    counted = (labels > 0) & ~np.isin(labels, continuing)
    reached = set()
    for axis, way in enumerate(directions(grid)):
        layers = max(1, round(rule.margin_mm / grid.spacing_mm[axis]))
        voxel_mm2 = math.prod(grid.spacing_mm) / grid.spacing_mm[axis]
        across = np.moveaxis(counted, axis, 0)
        for end, (face, rim) in enumerate(((OPPOSITE[way], across[:layers]), (way, across[-layers:]))):
            area_mm2 = np.count_nonzero(rim.any(axis=0)) * voxel_mm2
            if (axis, end) in rims and area_mm2 > 0 and area_mm2 >= rule.contact_min_mm2:
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
