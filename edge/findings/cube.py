"""What may be said about a cube: its calibration, what is unlike the rest, which materials, which indices.

A cube that is not in the unit the policy needs is NOT_ASSESSED: numbers of a detector are no property of
tissue.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.domain.finding import Code, Measurement, Observation, Verdict
from edge.domain.spectral import NEAR_INFRARED_NM, Cube
from edge.findings.cube_policy import AnomalyRules, CubePolicy, MaterialRules
from edge.findings.cube_reading import Anomalies, CubeReading
from edge.findings.estimates import MEAN, PERCENTILES
from edge.findings.thermal import COUNT
from edge.findings.thermal_policy import Region
from edge.findings.thermal_regions import mask
from edge.preprocess.cube_bands import is_near_infrared

CALIBRATION = Code("99EDGE", "cube-calibration", "Calibration of a hyperspectral cube")
ANOMALIES = Code("99EDGE", "spectral-anomalies", "Pixels unlike the rest of the cube")
ANOMALY = Code("99EDGE", "spectral-anomaly", "Place unlike the rest of the cube")
MATERIAL = Code("99EDGE", "spectral-material", "Material recognised by its spectrum")
INDEX = Code("99EDGE", "spectral-index", "Spectral index")
SHARE = Code("99EDGE", "share-of-pixels", "Share of the assessed pixels")
SCORE = Code("99EDGE", "rx-score", "RX score")
BANDS = Code("99EDGE", "bands", "Number of bands")
NEAR_INFRARED_BANDS = Code("99EDGE", "near-infrared-bands", "Number of near-infrared bands")


def judge(reading: CubeReading, policy: CubePolicy) -> tuple[Observation, ...]:
    """Read what was measured of a cube.

    Returns:
        Its calibration; then for each thing the policy asks for PRESENT with its numbers, ABSENT where all
        pixels were looked at and it is not there, or NOT_ASSESSED with the reason.
    """
    said = [_calibration(reading.cube, policy)]
    doubt = "" if reading.cube.unit == policy.needs else _uncalibrated(reading.cube, policy)
    if policy.anomaly is not None:
        said += _anomalies(reading, policy.anomaly, policy.whole_share_min, doubt)
    for region in policy.regions:
        inside = _inside(reading, region)
        lack = doubt or _lack(reading, inside, region, policy.whole_share_min)
        if policy.materials is not None:
            said += _materials(reading, policy.materials, region, inside, lack)
        said += [
            _index(reading, index.name, region, inside, lack, policy.whole_share_min)
            for index in policy.indices
        ]
    return tuple(said)


def _calibration(cube: Cube, policy: CubePolicy) -> Observation:
    axis = cube.wavelengths_nm
    near = int(is_near_infrared(axis).sum())
    low, high = NEAR_INFRARED_NM
    words = [
        f"{cube.unit}" + (f" by {cube.calibration}" if cube.calibration else ""),
        f"{axis.size} bands from {axis[0]:g} to {axis[-1]:g} nm",
        f"{near} of them near infrared ({low:g} to {high:g} nm)",
        *cube.notes,
    ]
    return Observation(
        code=CALIBRATION,
        verdict=Verdict.PRESENT if cube.unit == policy.needs else Verdict.ABSENT,
        measurements=(
            Measurement(BANDS, float(axis.size), "1"),
            Measurement(NEAR_INFRARED_BANDS, float(near), "1"),
        ),
        reason="; ".join(words),
    )


def _uncalibrated(cube: Cube, policy: CubePolicy) -> str:
    hint = ", a white and a dark reference are missing" if cube.unit == "counts" else ""
    return f"the cube is in {cube.unit}, wanted {policy.needs}{hint}"


def _inside(reading: CubeReading, region: Region) -> NDArray[np.bool_]:
    height, width = reading.whole.shape
    return mask(region, (height, width))


def _lack(reading: CubeReading, inside: NDArray[np.bool_], region: Region, share_min: float) -> str:
    """Say why a region cannot be assessed, or ""."""
    pixels = int(inside.sum())
    share = float(reading.whole[inside].mean()) if pixels else 0.0
    if share >= share_min and share > 0:
        return ""
    return f"{region.name}: {share:.0%} of {pixels} pixels are whole, wanted {share_min:.0%}"


def _anomalies(
    reading: CubeReading, rules: AnomalyRules, share_min: float, doubt: str
) -> Iterator[Observation]:
    found = reading.anomalies
    share = float(reading.whole.mean())
    if not doubt and share < share_min:
        doubt = f"{share:.0%} of the pixels are whole, wanted {share_min:.0%}"
    if doubt or not isinstance(found, Anomalies):
        reason = doubt or str(found)
        yield Observation(code=ANOMALIES, verdict=Verdict.NOT_ASSESSED, reason=reason)
        return
    marked = float(found.marked.sum()) / float(reading.whole.sum())
    told = found.places[: rules.places_max]
    basis = f"RX above {found.limit:.1f}, {rules.area_min_px} or more pixels together"
    if len(told) < len(found.places):
        basis += f"; the {len(told)} largest of {len(found.places)} places are told"
    yield Observation(
        code=ANOMALIES,
        verdict=Verdict.PRESENT if found.places else Verdict.ABSENT,
        measurements=(
            Measurement(SHARE, 100 * marked, "%"),
            Measurement(COUNT, float(len(found.places)), "1"),
        ),
        reason=basis,
    )
    for place in told:
        yield Observation(
            code=ANOMALY,
            verdict=Verdict.PRESENT,
            measurements=(
                Measurement(COUNT, float(place.pixels), "{pixels}"),
                Measurement(SCORE, place.score, "1"),
            ),
            box_px=place.box_px,
        )


def _materials(
    reading: CubeReading, rules: MaterialRules, region: Region, inside: NDArray[np.bool_], lack: str
) -> Iterator[Observation]:
    classes = reading.classes
    why = lack or (classes if isinstance(classes, str) else "")
    for number, material in enumerate(rules.materials):
        segment = f"{material.name}, {region.name}"
        if why or not isinstance(classes, np.ndarray):
            yield Observation(code=MATERIAL, verdict=Verdict.NOT_ASSESSED, reason=why, segment=segment)
            continue
        known = classes[inside & (classes > -2)]
        share = float((known == number).mean()) if known.size else 0.0
        yield Observation(
            code=MATERIAL,
            verdict=Verdict.PRESENT if share >= rules.share_min and share > 0 else Verdict.ABSENT,
            measurements=(Measurement(SHARE, 100 * share, "%"),),
            reason=f"within {rules.angle_max_rad:g} rad of its spectrum",
            segment=segment,
        )


def _index(
    reading: CubeReading, name: str, region: Region, inside: NDArray[np.bool_], lack: str, share_min: float
) -> Observation:
    plane = reading.indices.get(name, "")
    segment = f"{name}, {region.name}"
    why = lack or (plane if isinstance(plane, str) else "")
    if not why and isinstance(plane, np.ndarray):
        values = plane[inside]
        known = values[np.isfinite(values)]
        if known.size > 0 and known.size >= share_min * values.size:
            spread = [Measurement(MEAN, float(known.mean(dtype=np.float64)), "1")]
            spread += [
                Measurement(code, float(np.percentile(known, percent)), "1")
                for percent, code in PERCENTILES.items()
            ]
            return Observation(
                code=INDEX, verdict=Verdict.PRESENT, measurements=tuple(spread), segment=segment
            )
        why = f"{region.name}: {known.size} of {values.size} pixels have this index"
    return Observation(code=INDEX, verdict=Verdict.NOT_ASSESSED, reason=why, segment=segment)
