"""Which pixels of one label are one thing: by touch, by borders, by peaks, or by where they point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from edge.bundles.mask_outputs import Boundary, CentreOffset, Components, Distance, Rectangles
from edge.inference.decoders.raw import Numbers, sigmoid
from edge.inference.decoders.rectangles import rectangles
from edge.inference.decoders.runs import Runs, without_gaps
from edge.inference.decoders.watershed import Mask, grow, join_shallow, peaks, pieces, seed_the_rest

Labels = NDArray[np.uint8]
Things = NDArray[np.int32]
Rule = Components | Boundary | Distance | CentreOffset | Rectangles


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the grid is on which things are told apart.

    Attributes:
        down: Its rows for each row of the network's input.
        right: Its columns for each column of the input.
        stride_px: Pixels of the input for each cell of the output.
    """

    down: float
    right: float
    stride_px: int

    @property
    def along(self) -> float:
        """Its pixels for each pixel of the input, along a line."""
        return math.sqrt(self.area)

    @property
    def area(self) -> float:
        """Its pixels for each pixel of the input."""
        return self.down * self.right


def part_things(
    labels: Labels, maps: list[Numbers], *, rule: Rule, area_min_px: int, fill_holes: bool, scale: Scale
) -> tuple[Labels, Things]:
    """Tell things apart, fill their holes, and drop the small ones.

    Args:
        labels: (height, width); 0 is background.
        maps: (height, width) each, as the rule names them.
        rule: Of the manifest.
        area_min_px: In pixels of the input.
        fill_holes: Whether background that one thing encloses becomes part of it.
        scale: Of this grid against the input.

    Returns:
        Labels, and the number of the thing of each pixel: from 1 on, without gaps; each thing has one label.
    """
    least = area_min_px * scale.area
    match rule:
        case Components():
            return _touching(labels, neighbours=rule.neighbours, fill_holes=fill_holes, least=least)
        case Boundary():
            things = _bordered(labels > 0, maps[0], rule, scale)
        case Distance():
            things = _peaked(labels > 0, maps[0], rule, scale)
        case CentreOffset():
            things = _pointing(labels > 0, maps, rule, scale)
        case Rectangles():
            labels, things = rectangles(
                labels,
                _touching(labels, neighbours=8, fill_holes=False, least=0)[1],
                grow_ratio=rule.grow_ratio,
                side_min_px=rule.side_min_px * scale.along,
            )
    if fill_holes:
        things = filled(things)
    areas = np.bincount(things.ravel())
    areas[0] = 0
    if len(areas) > 1 and areas[1:].min() < least:
        things = np.where(areas[things] >= least, things, 0).astype(np.int32)
        things = filled(things) if fill_holes else things
    things = counted(things)
    return _of_one_label(labels, things), things


def counted(things: Things) -> Things:
    """Number things anew, from 1 on without gaps."""
    there = np.bincount(things.ravel()) > 0
    there[0] = False
    if there[1:].all():
        return things
    return np.where(there, np.cumsum(there), 0).astype(np.int32)[things]


def filled(things: Things) -> Things:
    """Return things with the background that they enclose; where it touches two, or the rim, it stays."""
    runs = Runs.of(things)
    return np.asarray(runs.painted(runs.filled(runs.values), np.int32))


def _touching(labels: Labels, *, neighbours: int, fill_holes: bool, least: float) -> tuple[Labels, Things]:
    """Number the pieces of each label, without holes where they are filled, and those that are too small."""
    runs = Runs.of(labels)
    things = runs.pieces(neighbours=neighbours)
    kinds = np.zeros(len(things) + 1, np.uint8)
    kinds[things] = runs.values
    if fill_holes:
        things = runs.filled(things)
    areas = np.bincount(things, weights=runs.lengths)
    areas[0] = 0
    if len(areas) > 1 and areas[1:].min() < least:
        things = np.where(areas[things] >= least, things, 0)
        things = runs.filled(things) if fill_holes else things
    if not np.array_equal(kinds[things], runs.values):
        labels = runs.painted(kinds[things], np.uint8)
    return labels, runs.painted(without_gaps(things), np.int32)


def _bordered(inside: Mask, border: Numbers, rule: Boundary, scale: Scale) -> Things:
    """Grow what is no border over the border."""
    shares = sigmoid(border) if rule.border_is == "logits" else border
    seeds, _ = pieces(inside & (shares < rule.border_max), neighbours=4)
    small = np.bincount(seeds.ravel()) < rule.seed_min_px * scale.area
    seeds[small[seeds]] = 0
    return grow(seed_the_rest(seeds, inside), inside=inside, relief=shares)


def _peaked(inside: Mask, height: Numbers, rule: Distance, scale: Scale) -> Things:
    """Grow the peaks downhill."""
    if rule.smooth_px > 0:
        height = np.asarray(cv2.GaussianBlur(height, (0, 0), rule.smooth_px * scale.along), np.float32)
    seeds = peaks(
        height, inside=inside & (height >= rule.height_min), apart_px=rule.apart_min_px * scale.along
    )
    things = grow(seed_the_rest(seeds, inside), inside=inside, relief=-height)
    return join_shallow(things, height, prominence_min=rule.prominence_min) if rule.prominence_min else things


def _pointing(inside: Mask, maps: list[Numbers], rule: CentreOffset, scale: Scale) -> Things:
    """Give each pixel to the centre that is nearest to where it points (arXiv 1911.10194)."""
    centre, down, right = maps
    seeds = peaks(centre, inside=centre >= rule.centre_min, apart_px=rule.apart_min_px * scale.along)
    numbered = np.unique(seeds[seeds > 0])
    if not len(numbered):
        return pieces(inside, neighbours=8)[0]
    where = np.argwhere(seeds > 0)
    owners = np.searchsorted(numbered, seeds[seeds > 0])
    weights = np.bincount(owners)
    centres = np.stack([np.bincount(owners, where[:, axis]) / weights for axis in (0, 1)], axis=1)
    unit = scale.stride_px if rule.offset_unit == "cells" else 1
    pixels = np.argwhere(inside)
    reach = np.stack([down[inside] * (scale.down * unit), right[inside] * (scale.right * unit)], axis=1)
    things = np.zeros(inside.shape, np.int32)
    if len(pixels):
        things[inside] = cKDTree(centres).query(pixels + reach)[1] + 1
    return things


def _of_one_label(labels: Labels, things: Things) -> Labels:
    """Give each thing the label that most of its pixels have; what is no thing is background."""
    kinds = int(labels.max(initial=0)) + 1
    votes = np.bincount(
        things.ravel() * np.int64(kinds) + labels.ravel(), minlength=(int(things.max(initial=0)) + 1) * kinds
    )
    votes = votes.reshape(-1, kinds)
    votes[:, 0] = 0
    winner = votes.argmax(axis=1).astype(np.uint8)
    winner[0] = 0
    return np.asarray(winner[things], np.uint8)
