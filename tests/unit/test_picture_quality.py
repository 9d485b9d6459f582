"""What is noticed in a small luma, and that it takes more than a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edge.preprocess.picture_quality import HEIGHT_PX, WIDTH_PX, PictureQuality, QualityLimits
from edge.simulate.scenes import scene

LIMITS = QualityLimits()
LOOK_S = 0.2

Luma = NDArray[np.uint8]
Shown = Callable[[int], Luma]


def theatre() -> Shown:
    """Return a room in which something moves."""
    drawn = scene("theatre", height_px=HEIGHT_PX, width_px=WIDTH_PX)
    return lambda number: np.asarray(
        cv2.cvtColor(drawn.picture(number * LOOK_S), cv2.COLOR_RGB2GRAY), np.uint8
    )


def plain(level: int) -> Shown:
    rng = np.random.default_rng(0)
    return lambda _: np.clip(level + rng.normal(0, 1, (HEIGHT_PX, WIDTH_PX)), 0, 255).astype(np.uint8)


def still(shown: Shown, *, noise: float) -> Shown:
    rng = np.random.default_rng(0)
    picture = shown(0)
    return lambda _: np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).round().astype(np.uint8)


def blurred(shown: Shown, sigma_px: float) -> Shown:
    return lambda number: np.asarray(cv2.GaussianBlur(shown(number), (0, 0), sigma_px), np.uint8)


def follow(quality: PictureQuality, shown: Shown, numbers: Iterable[int]) -> list[tuple[float, list[str]]]:
    """Return when which faults stood, wherever that changed."""
    changes: list[tuple[float, list[str]]] = []
    for number in numbers:
        faults: list[str] = sorted(quality.judge(shown(number), at_ns=round(number * LOOK_S * 1e9)))
        if not changes or changes[-1][1] != faults:
            changes.append((round(number * LOOK_S, 1), faults))
    return changes


def test_a_room_with_people_in_it_has_no_fault() -> None:
    assert follow(PictureQuality(LIMITS), theatre(), range(200)) == [(0.0, [])]


@pytest.mark.parametrize(
    ("shown", "fault", "after_s"),
    [
        (plain(4), "black", 2.0),
        (plain(255), "blinded", 2.0),
        (still(theatre(), noise=0.0), "frozen", 10.0),
        (blurred(theatre(), 6.0), "blurred", 2.0),
    ],
)
def test_a_fault_is_noticed_after_its_time_and_over_after_its_time(
    shown: Shown, fault: str, after_s: float
) -> None:
    quality, room = PictureQuality(LIMITS), theatre()
    assert follow(quality, room, range(100)) == [(0.0, [])]
    (_, none), (came_s, faults) = follow(quality, shown, range(100, 180))
    assert (none, faults) == ([], [fault])
    assert 0 <= came_s - 20.0 - after_s <= 0.4
    assert follow(quality, room, range(180, 260))[-1][1] == []


def test_a_moment_in_the_dark_is_no_fault() -> None:
    quality = PictureQuality(LIMITS)
    follow(quality, theatre(), range(50))
    assert follow(quality, plain(4), range(50, 59)) == [(10.0, [])]
    assert follow(quality, theatre(), range(59, 100)) == [(11.8, [])]


def test_a_still_room_seen_by_a_camera_that_lives_is_not_frozen() -> None:
    assert follow(PictureQuality(LIMITS), still(theatre(), noise=1.0), range(150)) == [(0.0, [])]


def test_frozen_is_not_looked_for_where_the_site_says_so() -> None:
    quality = PictureQuality(QualityLimits(frozen_s=0.0))
    assert follow(quality, still(theatre(), noise=0.0), range(150)) == [(0.0, [])]


def test_a_source_that_was_away_begins_anew() -> None:
    quality, frozen = PictureQuality(LIMITS), still(theatre(), noise=0.0)
    follow(quality, frozen, range(48))
    quality.forget()
    assert follow(quality, frozen, range(48, 90)) == [(9.6, [])]


@given(
    pictures=st.lists(
        arrays(np.uint8, (HEIGHT_PX // 20, WIDTH_PX // 20), elements=st.sampled_from([0, 16, 128, 250, 255])),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_is_shown_has_faults_with_reasons_or_none(pictures: list[Luma]) -> None:
    quality = PictureQuality(QualityLimits(hold_s=0.0, frozen_s=1.0, known_after_s=0.0))
    for number, picture in enumerate(pictures):
        faults = quality.judge(picture, at_ns=number * 200_000_000)
        assert all(faults.values())
        assert not {"black", "blinded"} <= faults.keys()
