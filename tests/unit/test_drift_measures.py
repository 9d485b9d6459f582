"""What is measured of a window of answers: against the formulas themselves, and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from edge.bundles.parts import Drift as DriftPart
from edge.inference.drift_measures import (
    chance_distance,
    chance_index,
    distance,
    shares_of,
    shrunk_covariance,
    stability_index,
)
from edge.inference.drift_reference import Reference, reference_of
from edge.inference.drift_window import Judged, Window, judge
from edge.workshop.drift_reference import edges_of, reference_arrays

NAMES = ("mean", "contrast", "low", "things", "lowest")
Rows = NDArray[np.float64]


def drawn(rng: np.random.Generator, count: int) -> Rows:
    """Answers as bundles have them: related, skewed, whole numbers, and one nearly always the same."""
    common = rng.normal(size=count)
    mean, contrast = 100 + 10 * common + 5 * rng.normal(size=count), np.exp(0.4 * rng.normal(size=count))
    low = mean - 8 * contrast + rng.normal(size=count)
    things, lowest = rng.poisson(1.5, count), 0.02 * rng.random(count) * (rng.random(count) < 0.2)
    return np.column_stack([mean, contrast, low, things, lowest]).astype(np.float64)


def reference_from(rows: Rows, *, window: int, false_alarms: float = 0.001) -> Reference:
    part = DriftPart(
        file="drift.npz", sha256="0" * 64, statistics=NAMES, window=window, false_alarms=false_alarms
    )
    numbers = [dict(zip(NAMES, row, strict=True)) for row in rows.tolist()]
    return reference_of(part, reference_arrays(numbers, NAMES, window=window), origin="test")


def judged(rows: Rows, reference: Reference) -> Judged:
    window = Window.empty(reference)
    for row in rows:
        window.add(row, reference.places(row), at_ns=1)
    return judge(window, reference, moved_since_ns=0)


def test_the_stability_index_is_the_formula() -> None:
    seen, then = np.array([[0.1, 0.2, 0.7]]), np.array([[0.3, 0.3, 0.4]])
    wanted = sum((p - q) * np.log(p / q) for p, q in zip(seen[0], then[0], strict=True))
    assert stability_index(seen, then)[0] == pytest.approx(wanted)
    both = stats.entropy(seen[0], then[0]) + stats.entropy(then[0], seen[0])
    assert stability_index(seen, then)[0] == pytest.approx(both)


def test_an_empty_bin_is_not_infinitely_far() -> None:
    shares = shares_of(np.array([[0, 10, 0], [5, 5, 0]]), np.array([3, 2]))
    np.testing.assert_allclose(shares, [[0.5 / 11.5, 10.5 / 11.5, 0.5 / 11.5], [0.5, 0.5, 0.0]])
    assert np.isfinite(stability_index(shares, shares[::-1] * 0 + shares)).all()


def test_the_distance_is_that_of_mahalanobis() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
    precision = np.asarray(np.linalg.inv(np.cov(rows.T)), np.float64)
    off = rows[0] - rows.mean(axis=0)
    wanted = np.sqrt(off @ precision @ off)
    assert distance(rows[0], reference=rows.mean(axis=0), precision=precision) == pytest.approx(wanted)


def test_limits_of_chance_are_the_quantiles_of_their_distributions() -> None:
    bins = np.array([5, 10])
    index = chance_index(bins, answers=50, samples=200, false_alarms=0.01)
    np.testing.assert_allclose(index, stats.chi2.isf(0.01, bins - 1) * (1 / 50 + 1 / 200))
    away = chance_distance(numbers=4, answers=50, samples=100, false_alarms=0.01)
    t_squared = 4 * 99 / 96 * stats.f.isf(0.01, 4, 96)
    assert away == pytest.approx(np.sqrt(t_squared * (1 / 50 + 1 / 100)))


def test_a_covariance_of_few_samples_is_shrunk_and_can_be_inverted() -> None:
    rng = np.random.default_rng(2)
    rows = np.column_stack([rng.normal(size=(12, 10)), np.ones(12)])
    covariance = shrunk_covariance(rows, resolution=np.full(11, 0.1))
    raw = np.cov(rows.T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    np.testing.assert_allclose(np.diag(covariance), np.diag(raw) + 0.01)
    away = ~np.eye(11, dtype=bool)
    assert np.abs(covariance[away]).sum() < 0.7 * np.abs(raw[away]).sum()


def test_correlations_that_many_samples_show_stay() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2000, 3)) @ np.array([[1, 0.8, 0], [0, 1, 0.5], [0, 0, 1.0]])
    covariance = shrunk_covariance(rows, resolution=np.full(3, 1e-6))
    np.testing.assert_allclose(covariance, np.cov(rows.T), atol=0.02)


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([3.0] * 40, [0, 1, 2]),  # always the same: below, there, above
        ([0.0] * 30 + [1.0] * 10, [0, 1, 3]),  # two values, and what never was
    ],
)
def test_numbers_with_few_values_have_bins_around_them(values: list[float], places: list[int]) -> None:
    edges = edges_of(np.array(values), resolution=0.1, bins=10)
    asked = [min(values) - 1, min(values), max(values) + 1]
    assert [int((one >= edges).sum()) for one in asked] == places


def false_alarms(samples: int, window: int, *, references: int, windows: int) -> float:
    """Return the share of windows without a change that are called drifted, where 0.01 is allowed."""
    rng = np.random.default_rng(samples)
    alarms = 0
    for _ in range(references):
        reference = reference_from(drawn(rng, samples), window=window, false_alarms=0.01)
        alarms += sum(bool(judged(drawn(rng, window), reference).moved_since_ns) for _ in range(windows))
    return alarms / (references * windows)


def test_windows_without_a_change_are_called_drifted_as_rarely_as_is_said() -> None:
    assert false_alarms(100, 50, references=20, windows=20) <= 0.01


@pytest.mark.proof
@pytest.mark.parametrize(("samples", "window"), [(60, 50), (300, 200)])
def test_so_it_is_over_many_references(samples: int, window: int) -> None:
    assert false_alarms(samples, window, references=40, windows=50) <= 0.01


@pytest.mark.parametrize(
    ("gain", "offset"),
    [
        ([1.3, 1.3, 1.3, 1, 1], [0, 0, 0, 0, 0]),
        ([1, 1, 1, 1, 1], [20, 0, 20, 0, 0]),
        ([1, 1, 1, 1, 1], [0, 0, 6, 0, 0]),  # against what goes with it
        ([1, 1, 1, 1, 1], [0, 0, 0, 3, 0]),
        ([1, 1, 1, 1, 1], [0, 0, 0, 0, 0.3]),
    ],
)
def test_a_change_is_seen_within_one_window(gain: list[float], offset: list[float]) -> None:
    rng = np.random.default_rng(5)
    reference = reference_from(drawn(rng, 200), window=50)
    changed = drawn(rng, 50) * np.array(gain) + np.array(offset)
    assert judged(changed, reference).moved_since_ns
