"""The reference for drift out of a bundle: what its numbers were like when it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.arrays import read_npz
from edge.bundles.parts import Drift
from edge.bundles.store import Bundle
from edge.bundles.verify import read_verified
from edge.domain.errors import BundleRejectedError
from edge.inference.drift_measures import Array, chance_distance, chance_index, shares_of
from edge.inference.drift_statistics import ESTIMATE

ARRAYS: Final = ("edges", "shares", "mean", "covariance", "samples", "centre", "directions")
EMBEDDING: Final = "embedding"
SPARE: Final = 5  # so many more samples than numbers there must be
BINS_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What a bundle's numbers were like when it was made, and from where on a window is called drifted.

    Attributes:
        names: Of the numbers.
        samples: From how many it was made.
        window: So many answers are judged together.
        every_s: Of each source one answer in so many seconds counts.
        edges: (numbers, bins - 1) rising; infinite where a number has fewer bins.
        bins: (numbers,) how many each has.
        shares: (numbers, bins), above 0, except 0 where there is no bin.
        mean: (numbers,).
        deviation: (numbers,) of single answers.
        precision: (numbers, numbers) inverse of the covariance of single answers.
        index_max: (numbers,) limits of the population stability index.
        distance_max: Limit of the Mahalanobis distance.
        centre: (features,) of an embedding; none: (0,).
        directions: (features, directions) along which an embedding is judged.
    """

    names: tuple[str, ...]
    samples: int
    window: int
    every_s: float
    edges: Array
    bins: NDArray[np.int64]
    shares: Array
    mean: Array
    deviation: Array
    precision: Array
    index_max: Array
    distance_max: float
    centre: Array
    directions: Array

    def vector(self, statistics: Mapping[str, float], embedding: NDArray[np.float32] | None) -> Array:
        """Return the numbers of one answer in their order, (numbers,).

        Raises:
            KeyError: One is missing.
            ValueError: One is not finite, or the embedding has another length.
        """
        known = dict(statistics)
        if self.directions.size:
            if embedding is None or embedding.shape != self.centre.shape:
                raise ValueError(f"wanted an embedding of {len(self.centre)} features")
            known |= embedding_numbers(embedding, centre=self.centre, directions=self.directions)
        usual = dict(zip(self.names, self.mean, strict=True))
        unknown = {name: one for name, one in usual.items() if name.startswith(ESTIMATE)}
        known = unknown | known  # what the model did not know is told by `known`, and moves nothing else
        vector = np.array([known[name] for name in self.names], np.float64)
        if not np.isfinite(vector).all():
            raise ValueError("a number is not finite")
        return vector

    def places(self, vector: Array) -> NDArray[np.int64]:
        """Return the bin of each number, (numbers,)."""
        return np.asarray((vector[:, None] >= self.edges).sum(axis=1), np.int64)


def embedding_numbers(vector: NDArray[Any], *, centre: Array, directions: Array) -> dict[str, float]:
    """Return where an embedding lies along some directions, and how far it is off them."""
    off = vector.astype(np.float64) - centre
    along = off @ directions
    beside = float(np.sqrt(max(0.0, float(off @ off) - float(along @ along))))
    numbers = {f"{EMBEDDING} {n + 1}": float(one) for n, one in enumerate(along)}
    return numbers | {f"{EMBEDDING} beside": beside}


def read_reference(bundle: Bundle) -> Reference | None:
    """Read the reference of a bundle; None where it has none.

    Raises:
        BundleRejectedError: It is not what the format says.
    """
    part = bundle.manifest.drift
    if part is None:
        return None
    origin = str(bundle.path / part.file)
    content = read_verified(bundle.path, part.file, sha256=part.sha256)
    arrays = dict(zip(ARRAYS, read_npz(content, ARRAYS, origin=origin), strict=True))
    return reference_of(part, arrays, origin=origin)


def reference_of(part: Drift, arrays: Mapping[str, NDArray[Any]], *, origin: str) -> Reference:
    """Make a reference of what the manifest and its file say.

    Raises:
        BundleRejectedError: It is not what the format says.
    """
    numbers = len(part.statistics)
    _check_forms(arrays, numbers, origin)
    edges, shares, mean, covariance = (np.array(arrays[name], np.float64) for name in ARRAYS[:4])
    samples = int(arrays["samples"])
    bins = np.asarray(1 + np.isfinite(edges).sum(axis=1), np.int64)
    is_there = np.arange(shares.shape[1]) < bins[:, None]
    rising = bool((edges[:, 1:] >= edges[:, :-1]).all()) and not np.isnan(edges).any()
    is_whole = np.allclose(shares.sum(axis=1), 1.0, atol=1e-6) and bool((shares >= 0).all())
    if not rising or not is_whole or shares[~is_there].any() or bins.min() < 2:
        raise BundleRejectedError(f"{origin}: wanted rising edges, and shares that add up to 1")
    if samples < numbers + SPARE:
        raise BundleRejectedError(f"{origin}: {samples} samples for {numbers} numbers, wanted {SPARE} more")
    try:
        np.linalg.cholesky(covariance)
        precision = np.linalg.inv(covariance)
    except np.linalg.LinAlgError as error:
        raise BundleRejectedError(f"{origin}: the covariance is not positive definite") from error
    chance = part.false_alarms / 2  # for the indices, and for the distance
    by_chance = chance_index(bins, answers=part.window, samples=samples, false_alarms=chance / numbers)
    off = chance_distance(numbers=numbers, answers=part.window, samples=samples, false_alarms=chance)
    return Reference(
        names=part.statistics,
        samples=samples,
        window=part.window,
        every_s=part.every_s,
        edges=edges,
        bins=bins,
        shares=shares_of(shares * samples, bins),
        mean=mean,
        deviation=np.sqrt(np.diag(covariance)),
        precision=np.asarray(precision, np.float64),
        index_max=np.maximum(part.psi_max, by_chance),
        distance_max=max(part.distance_max, off),
        centre=np.array(arrays["centre"], np.float64),
        directions=np.array(arrays["directions"], np.float64),
    )


def _check_forms(arrays: Mapping[str, NDArray[Any]], numbers: int, origin: str) -> None:
    bins = arrays["shares"].shape[-1] if arrays["shares"].ndim == 2 else 0
    features = len(arrays["centre"]) if arrays["centre"].ndim == 1 else -1
    wanted: dict[str, tuple[int, ...]] = {
        "edges": (numbers, bins - 1),
        "shares": (numbers, bins),
        "mean": (numbers,),
        "covariance": (numbers, numbers),
        "samples": (),
        "centre": (features,),
        "directions": (features, *arrays["directions"].shape[1:]),
    }
    for name, shape in wanted.items():
        seen = arrays[name]
        if seen.shape != shape or seen.dtype.kind not in "fi" or bins > BINS_MAX or bins < 2:
            raise BundleRejectedError(f"{origin}: {name} is {seen.dtype} {seen.shape}, wanted {shape}")
        if name != "edges" and not np.isfinite(seen).all():
            raise BundleRejectedError(f"{origin}: {name} holds NaN or infinity")
    if arrays["directions"].ndim != 2:
        raise BundleRejectedError(f"{origin}: directions are {arrays['directions'].shape}, wanted 2 axes")
