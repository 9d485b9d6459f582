"""What a network was given and what it said, as a few numbers by which drift is noticed.

All are pure and cheap: of large pictures every n-th line is looked at. The first word of a name is the kind
of number, which says what a difference worth noticing is (`resolution`); the rest says of what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.domain.answer import Detections, Embedding, Estimates, Keypoints, PictureAnswer, PictureMask, Scores
from edge.domain.image import Segmentation, Volume
from edge.inference.picture_canvas import Canvas

Lines = NDArray[np.float32]
Numbers = dict[str, float]

PICTURE_VALUES: Final = 6_000
VOLUME_VALUES: Final = 60_000
TAIL: Final = 0.02  # `low` and `high` are so far from the ends
CLASSES_MAX: Final = 4
SIGMA_OF_MAD: Final = 1.4826  # of a normal distribution
SECOND_DIFFERENCE: Final = 6**0.5  # of white noise of standard deviation 1
TONES: Final = ("mean", "contrast", "low", "high", "noise", "red", "blue", "tilt")
SHARES: Final = ("lowest", "highest", "foreground", "known", "score", "entropy")
SHARE: Final = 0.01
ESTIMATE: Final = "estimate of "  # only there where the model knows
RELATIVE: Final = 0.01
TROUBLE: Final = (ArithmeticError, ValueError, IndexError)


def of_picture(canvas: Canvas, answer: PictureAnswer, *, source_shape_px: tuple[int, int]) -> Numbers:
    """Return the numbers of one picture.

    Args:
        canvas: As the network was given it; still filled.
        answer: What was said.
        source_shape_px: (height, width) of the picture as it was captured.

    Returns:
        Nothing where they cannot be had: that never costs an answer.
    """
    try:
        planes = canvas.shown
        step = max(1, round(planes.shape[1] * planes.shape[2] / PICTURE_VALUES))
        lines = planes[:, step // 2 :: step].astype(np.float32)
        numbers = _tones(lines.mean(axis=0), "") | _colours(lines, canvas.channels)
        numbers |= {"height": float(source_shape_px[0]), "width": float(source_shape_px[1])}
        return numbers | of_answer(answer)
    except TROUBLE:
        return {}


def of_volume(
    sources: Sequence[Volume], picture: NDArray[np.float32], answer: Segmentation, *, roles: Sequence[str]
) -> Numbers:
    """Return the numbers of one volume, or of several that were looked at together.

    Args:
        sources: As they came, one for each channel.
        picture: (channels, d, h, w), as the network was given it.
        answer: What was said.
        roles: Of the channels.

    Returns:
        Nothing where they cannot be had: that never costs an answer.
    """
    numbers: Numbers = {}
    try:
        for role, source, prepared in zip(roles, sources, picture, strict=True):
            of = f" of {role}" if len(roles) > 1 else ""
            seen = _tones(_lines(prepared), of)
            raw = _tones(_lines(source.voxels), f"{of or ' of'} source")
            numbers |= seen | {name: one for name, one in raw.items() if not name.startswith(ENDS)}
        spacing, shape = sources[0].spacing_mm, sources[0].voxels.shape
        for axis, (space_mm, side) in enumerate(zip(spacing, shape, strict=True)):
            numbers |= {f"spacing {'kji'[axis]}": space_mm, f"extent {'kji'[axis]}": space_mm * side}
        numbers["foreground"] = float(np.count_nonzero(answer.labels)) / answer.labels.size
    except TROUBLE:
        return {}
    return numbers


def of_spectra(spectra: NDArray[np.float32], estimates: NDArray[np.float32], names: Sequence[str]) -> Numbers:
    """Return the numbers of many spectra that were read together.

    Args:
        spectra: (spectra, bands), at least 3 bands.
        estimates: (spectra, quantities), NaN where the model does not know.
        names: Of the quantities.

    Returns:
        Nothing where they cannot be had: that never costs an answer.
    """
    try:
        step = max(1, spectra.size // VOLUME_VALUES)
        lines = spectra[step // 2 :: step]
        third = max(1, lines.shape[1] // 3)
        numbers = _tones(lines, "") | {"tilt": float(lines[:, -third:].mean() - lines[:, :third].mean())}
        numbers["known"] = float(np.isfinite(estimates).mean())
        for name, column in zip(names, estimates.T, strict=True):
            known = column[np.isfinite(column)]
            numbers |= {f"{ESTIMATE}{name}": float(np.median(known))} if known.size else {}
        return numbers
    except TROUBLE:
        return {}


def of_answer(answer: PictureAnswer) -> Numbers:
    """Return what was said about a picture as numbers; an embedding is judged as a vector."""
    match answer:
        case Scores():
            return _scores(answer)
        case Detections():
            top = float(answer.scores[0]) if len(answer.scores) else 0.0
            return {"things": float(len(answer.scores)), "score of the surest": top}
        case Keypoints():
            return {"score of points": float(answer.scores.mean())}
        case PictureMask():
            step = max(1, round((answer.labels.size / VOLUME_VALUES) ** 0.5))
            marked = float((answer.labels[::step, ::step] > 0).mean())
            return {"foreground": marked, "things": float(answer.things.max(initial=0))}
        case Estimates():
            row = answer.values[0]
            known = {"known": float(np.isfinite(row).mean())}
            pairs = zip(answer.names, row, strict=True)
            return known | {f"{ESTIMATE}{name}": float(one) for name, one in pairs if np.isfinite(one)}
        case Embedding():
            return {}


def resolutions(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> NDArray[np.float64]:
    """Return for each number the difference that is worth noticing.

    It is 0.01 for shares and scores, a hundredth of the usual contrast for tones, and a hundredth of itself
    for all else.

    Args:
        rows: Of the samples of the reference.
        names: Which numbers, in this order.
    """
    found = []
    for name in names:
        kind, _, of = name.partition(" ")
        values = np.array([row[name] for row in rows])
        contrast = f"contrast {of}".strip()
        if kind in SHARES:
            found.append(SHARE)
        elif kind in TONES and contrast in rows[0]:
            found.append(RELATIVE * float(np.median([row[contrast] for row in rows])))
        else:
            found.append(RELATIVE * max(abs(float(np.median(values))), float(values.std())))
    return np.array(found, np.float64).clip(1e-9)


ENDS: Final = ("lowest", "highest")


def _tones(lines: Lines, of: str) -> Numbers:
    """Describe tones along lines, (n, at least 3).

    `sharpness` is the energy of differences of neighbours over that of all, which no gain changes; `noise`
    the median absolute second difference, in standard deviations of white noise.
    """
    flat = lines.ravel()
    mean, contrast = float(flat.mean()), float(flat.std())
    places = (int(TAIL * (flat.size - 1)), int((1 - TAIL) * (flat.size - 1)))
    ordered = np.partition(flat, places)
    first = lines[:, 1:] - lines[:, :-1]
    bend = np.abs(first[:, 1:] - first[:, :-1]).ravel()
    middle = bend.size // 2
    noise = float(np.partition(bend, middle)[middle]) * SIGMA_OF_MAD / SECOND_DIFFERENCE
    energy = float(np.einsum("ij,ij->", first, first)) / first.size
    numbers = {
        "mean": mean,
        "contrast": contrast,
        "low": float(ordered[places[0]]),
        "high": float(ordered[places[1]]),
        "lowest": float(np.count_nonzero(flat == flat.min())) / flat.size,
        "highest": float(np.count_nonzero(flat == flat.max())) / flat.size,
        "sharpness": energy / contrast**2 if contrast > 0 else 0.0,
        "noise": noise,
    }
    return {f"{name}{of}": value for name, value in numbers.items()}


def _colours(lines: Lines, channels: str) -> Numbers:
    """Say how far red and blue are from the mean of all; nothing of a grey picture."""
    if len(lines) < 3:
        return {}
    means = lines.mean(axis=(1, 2), dtype=np.float64)
    of_all = float(means.mean())
    return {
        "red": float(means[channels.index("R")]) - of_all,
        "blue": float(means[channels.index("B")]) - of_all,
    }


def _scores(answer: Scores) -> Numbers:
    if len(answer.names) <= CLASSES_MAX:
        return {f"score of {name}": float(one) for name, one in zip(answer.names, answer.values, strict=True)}
    shares = answer.values.astype(np.float64).clip(1e-9)
    shares /= shares.sum()
    entropy = -float((shares * np.log(shares)).sum()) / float(np.log(len(shares)))
    return {"score of the surest": float(answer.values.max()), "entropy": entropy}


def _lines(voxels: NDArray[Any]) -> Lines:
    """Take whole lines of a volume, spread over all of it."""
    rows = voxels.reshape(-1, voxels.shape[-1])
    step = max(1, voxels.size // VOLUME_VALUES) | 1  # odd, so that it goes through all places of a slice
    return rows[step // 2 :: step].astype(np.float32)
