"""What is measured of a cube before anything is said: scores, places, classes, indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from edge.domain.errors import PictureRejectedError
from edge.domain.spectral import Cube
from edge.findings.cube_policy import AnomalyRules, CubePolicy, Index, Material, MaterialRules
from edge.preprocess.cube_anomaly import rx, rx_limit
from edge.preprocess.cube_components import mnf
from edge.preprocess.cube_indices import normalised_difference, ratio
from edge.preprocess.cube_pixels import is_whole
from edge.preprocess.cube_similarity import classes_of, spectral_angles

_BANDS_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Connected pixels that are unlike the rest.

    Attributes:
        box_px: left, top, width, height.
        pixels: How many.
        score: The highest of them.
    """

    box_px: tuple[float, float, float, float]
    pixels: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anomalies:
    """Pixels unlike the rest.

    Attributes:
        scores: (height, width) RX, NaN where a pixel is not whole.
        limit: What counts as unlike.
        marked: (height, width) above the limit, in places large enough.
        places: The largest first.
    """

    scores: NDArray[np.float32]
    limit: float
    marked: NDArray[np.bool_]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CubeReading:
    """What was measured; a word in place of a result says why there is none.

    Attributes:
        cube: What it was measured of.
        whole: (height, width) which pixels have a value in every band.
        anomalies: None: not asked for.
        classes: (height, width) number of the material, −1 for none, −2 for not measured; None: not
            asked for.
        indices: By name.
    """

    cube: Cube
    whole: NDArray[np.bool_]
    anomalies: Anomalies | str | None
    classes: NDArray[np.int16] | str | None
    indices: dict[str, NDArray[np.float32] | str]


def read(cube: Cube, policy: CubePolicy) -> CubeReading:
    """Measure what a policy asks for.

    Args:
        cube: In the unit the policy needs; else only what its pixels are is measured.
        policy: What is asked.
    """
    whole = is_whole(cube.values)
    if cube.unit != policy.needs:
        return CubeReading(cube=cube, whole=whole, anomalies=None, classes=None, indices={})
    anomalies: Anomalies | str | None = None
    classes: NDArray[np.int16] | str | None = None
    if policy.anomaly is not None:
        try:
            anomalies = find_anomalies(cube, policy.anomaly)
        except PictureRejectedError as trouble:
            anomalies = str(trouble)
    if policy.materials is not None:
        try:
            classes = classify(cube, policy.materials)
        except PictureRejectedError as trouble:
            classes = str(trouble)
    return CubeReading(
        cube=cube,
        whole=whole,
        anomalies=anomalies,
        classes=classes,
        indices={index.name: _index(cube, index) for index in policy.indices},
    )


def find_anomalies(cube: Cube, rules: AnomalyRules) -> Anomalies:
    """Find pixels unlike the rest.

    Raises:
        PictureRejectedError: Too few pixels for the bands, or bands that say the same.
    """
    values = cube.values
    if rules.components is not None and rules.components < values.shape[2]:
        values = mnf(values, components=rules.components).of(values)
    scores = rx(values, trim_share=rules.trim_share, shrink=rules.shrink)
    limit = rx_limit(bands=values.shape[2], quantile=rules.quantile)
    with np.errstate(invalid="ignore"):
        above = scores > limit
    runs, count = label(above, structure=np.ones((3, 3)))
    pixels = np.bincount(runs.ravel(), minlength=count + 1)
    is_large = pixels >= rules.area_min_px
    is_large[0] = False
    places = [
        _place(number, box, int(pixels[number]), scores, runs)
        for number, box in enumerate(find_objects(runs), start=1)
        if box is not None and is_large[number]
    ]
    return Anomalies(
        scores=scores,
        limit=limit,
        marked=is_large[runs],
        places=tuple(sorted(places, key=lambda place: (-place.pixels, -place.score, place.box_px))),
    )


def classify(cube: Cube, rules: MaterialRules) -> NDArray[np.int16]:
    """Give each pixel its material, by the bands that all materials and the cube have.

    Raises:
        PictureRejectedError: The cube does not cover enough of a material's wavelengths.
    """
    axis = cube.wavelengths_nm
    for material in rules.materials:
        _check_coverage(axis, material, rules.coverage_min)
    low = max(material.wavelengths_nm[0] for material in rules.materials)
    high = min(material.wavelengths_nm[-1] for material in rules.materials)
    used = np.flatnonzero((axis >= low) & (axis <= high))
    if used.size < _BANDS_MIN:
        raise PictureRejectedError(
            f"{used.size} bands from {low:g} to {high:g} nm, where all materials are known, "
            f"wanted {_BANDS_MIN}"
        )
    part = slice(int(used[0]), int(used[-1]) + 1)
    references = np.stack(
        [np.interp(axis[part], material.wavelengths_nm, material.values) for material in rules.materials]
    )
    if not (references > 0).any(axis=1).all():
        raise PictureRejectedError("a material without a value in the bands of the cube, wanted some")
    return classes_of(spectral_angles(cube.values[..., part], references), angle_max=rules.angle_max_rad)


def _check_coverage(axis: NDArray[np.float64], material: Material, coverage_min: float) -> None:
    low, high = material.wavelengths_nm[0], material.wavelengths_nm[-1]
    covered = max(0.0, min(high, float(axis[-1])) - max(low, float(axis[0]))) / (high - low)
    if covered < coverage_min:
        raise PictureRejectedError(
            f"the cube reaches from {axis[0]:g} to {axis[-1]:g} nm and covers {covered:.0%} of "
            f"{material.name} ({low:g} to {high:g} nm), wanted {coverage_min:.0%}"
        )


def _index(cube: Cube, index: Index) -> NDArray[np.float32] | str:
    measure = normalised_difference if index.kind == "normalised-difference" else ratio
    try:
        return measure(cube, first_nm=index.first_nm, second_nm=index.second_nm, width_nm=index.width_nm)
    except PictureRejectedError as trouble:
        return str(trouble)


def _place(
    number: int,
    box: tuple[slice, ...],
    pixels: int,
    scores: NDArray[np.float32],
    runs: NDArray[np.signedinteger[Any]],
) -> Place:
    rows, columns = box
    inside = scores[rows, columns][runs[rows, columns] == number]
    return Place(
        box_px=(
            float(columns.start),
            float(rows.start),
            float(columns.stop - columns.start),
            float(rows.stop - rows.start),
        ),
        pixels=pixels,
        score=float(inside.max()),
    )
