"""Scenes move, differ from one another, and say where the endoscope is."""

from __future__ import annotations

import numpy as np
import pytest

from edge.simulate.scenes import CASE_S, SceneName, scene

SCENES: tuple[SceneName, ...] = ("bars", "theatre", "inside", "case")


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_moves_from_one_frame_to_the_next(name: SceneName) -> None:
    shown = scene(name, height_px=240, width_px=320)
    first, second = shown.picture(0.2).astype(int), shown.picture(0.24).astype(int)
    assert first.shape == (240, 320, 3)
    assert np.abs(first - second).mean() > 0.1


@pytest.mark.parametrize("name", SCENES)
def test_the_same_seed_gives_the_same_scene(name: SceneName) -> None:
    first, again = (scene(name, height_px=144, width_px=256, seed=4).picture(1.0) for _ in range(2))
    other = scene(name, height_px=144, width_px=256, seed=5).picture(1.0)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_inside_is_red_and_the_room_is_not() -> None:
    inside, room = (
        scene(name, height_px=240, width_px=320).picture(1.0)[60:180, 80:240].mean(axis=(0, 1))
        for name in ("inside", "theatre")
    )
    assert inside[0] > 1.8 * inside[1:].max()
    assert room[0] < 1.2 * room[1:].max()


def test_a_case_begins_outside_goes_in_and_comes_out() -> None:
    case = scene("case", height_px=144, width_px=256)
    outside_s, in_s, inside_s, out_s = CASE_S
    assert case.is_inside(outside_s / 2) is False
    assert case.is_inside((outside_s + in_s) / 2) is None
    assert case.is_inside((in_s + inside_s) / 2) is True
    assert case.is_inside((inside_s + out_s) / 2) is None
    assert case.is_inside(out_s + 0.1) is False


def test_the_other_scenes_stay_where_they_are() -> None:
    assert [scene(name, height_px=144, width_px=256).is_inside(7.5) for name in SCENES[:3]] == [
        False,
        False,
        True,
    ]


def test_a_case_shows_what_it_says() -> None:
    case = scene("case", height_px=240, width_px=320)
    redness = [float(np.subtract(*case.picture(at_s)[..., :2].mean(axis=(0, 1)))) for at_s in (2.0, 15.0)]
    assert redness[0] < 10 < redness[1]
