"""From a label map on the model's grid to a segmentation of the volume that was asked about."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.bundles.volume_output import FieldOfView, Output
from edge.bundles.volume_policy import Components
from edge.domain.image import Pieces, Segmentation, Volume
from edge.inference.components import Rims, field_rims, masks_of, measure, without_small
from edge.inference.voxel_runs import Places, holes, strays
from edge.preprocess.orient import directions, onto

Labels = NDArray[np.uint8]

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
    framed = np.pad(np.ascontiguousarray(raw), 1)  # background all around: its rim leads out of every mask
    labels = framed[1:-1, 1:-1, 1:-1]
    marked = framed > 0
    stray, largest_voxels = strays(marked)
    _clean(framed, stray, grid, output)
    rims = field_rims(grid, source)
    touched = _touched(labels, grid, output.field_of_view, output.names, rims)
    if output.fill_holes:
        _fill_holes(framed)
    return Segmentation(
        labels=onto(labels, placed=grid.patient_from_voxel, grid=source),
        names=output.names,
        volume=source,
        raw_ml=float(np.count_nonzero(marked)) * voxel_ml,
        largest_ml=largest_voxels * voxel_ml,
        touched_faces=touched,
        extent_mm=_extent_mm(source),
        pieces=_pieces(labels, grid, source, output, components, rims),
    )


def _clean(framed: Labels, stray: Places, grid: Volume, output: Output) -> None:
    """Leave out what the manifest does not want to keep, in place.

    Args:
        framed: Labels with background all around.
        stray: Places of whatever is marked and does not belong to the largest piece.
        grid: Of the labels.
        output: Of the manifest.
    """
    flat = framed.reshape(-1)
    by_label = output.pieces_of == "label"
    if output.largest_component_only and by_label:
        for mask in masks_of(framed, by_label=True):
            flat[strays(mask)[0]] = 0
    elif output.largest_component_only:
        flat[stray] = 0
    elif output.component_min_ml:
        framed[:] = without_small(framed, grid=grid, least_ml=output.component_min_ml, by_label=by_label)


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


def _fill_holes(framed: Labels) -> None:
    """Give enclosed background the label that is the fewest steps away, in place."""
    flat = framed.reshape(-1)
    row, slab = framed.shape[2], framed.shape[1] * framed.shape[2]
    hole = holes(framed > 0)
    while len(hole):
        near = np.max([flat[hole + step] for step in (1, -1, row, -row, slab, -slab)], axis=0)
        flat[hole] = near
        hole = hole[near == 0]


def _touched(
    labels: Labels, grid: Volume, rule: FieldOfView, names: tuple[str, ...], rims: Rims
) -> frozenset[str]:
    """Return the faces that labels reach with some area, those aside that leave the picture by nature."""
    counts = np.ones(256, np.bool_)
    counts[[0, *(names.index(name) + 1 for name in rule.continuing_labels)]] = False
    reached = set()
    for axis, way in enumerate(directions(grid)):
        layers = max(1, round(rule.margin_mm / grid.spacing_mm[axis]))
        voxel_mm2 = math.prod(grid.spacing_mm) / grid.spacing_mm[axis]
        across = np.moveaxis(labels, axis, 0)
        for end, (face, rim) in enumerate(((OPPOSITE[way], across[:layers]), (way, across[-layers:]))):
            if (axis, end) not in rims:
                continue
            area_mm2 = np.count_nonzero(counts[rim].any(axis=0)) * voxel_mm2
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
