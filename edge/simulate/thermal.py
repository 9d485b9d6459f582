"""A thermal camera that is not there: 16-bit pictures of a warm body, written into a folder as they come."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Final, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import ConfigurationError
from edge.domain.thermal import COUNTS, LinearScale, PlanckScale
from edge.simulate.pace import Pace
from edge.simulate.textures import Map, blurred, clouds

CENTIKELVIN: Final = LinearScale(kelvin_per_count=0.01)
HOT_SPOT_CELSIUS = 40.5
HOT_SPOT_S: Final = (4.0, 5.0, 9.0, 10.0, 14.0)  # it comes, is there, goes, is gone; then from the beginning
NOISE_K = 0.05
_ZERO_CELSIUS_K = 273.15
_ROOM_C, _CLOTH_C, _BODY_C, _HAND_C, _FINGERTIP_C = 22.0, 24.5, 34.0, 33.0, 29.0

FileKind = Literal["tiff", "png"]
Counts = NDArray[np.uint16]


class WarmScene:
    """A face, a trunk on a cloth, and a hand that moves; a spot on the trunk becomes hot and cools again."""

    def __init__(self, *, height_px: int = 240, width_px: int = 320, seed: int = 1) -> None:
        self._shape_px = height_px, width_px
        self._rng = np.random.default_rng(seed)
        self._still = self._drawn()

    @property
    def hot_spot_px(self) -> tuple[int, int]:
        """(row, column) of its middle."""
        height_px, width_px = self._shape_px
        return round(height_px * 0.68), round(width_px * 0.62)

    def hotness(self, at_s: float) -> float:
        """Return how much of the hot spot is there, 0 to 1."""
        return float(np.interp(at_s % HOT_SPOT_S[-1], HOT_SPOT_S, (0, 1, 1, 0, 0)))

    def celsius(self, at_s: float) -> Map:
        """Return (height, width) float32 degrees of one moment, with the noise of a detector."""
        height_px, width_px = self._shape_px
        warm = self._still.copy()
        row, column = self.hot_spot_px
        y, x = np.ogrid[:height_px, :width_px]
        spot = np.exp(-((((y - row) ** 2 + (x - column) ** 2) / (0.045 * height_px) ** 2) ** 2))
        warm += np.asarray(spot * self.hotness(at_s), np.float32) * (HOT_SPOT_CELSIUS - warm)
        self._draw_hand(warm, at_s)
        noise = self._rng.normal(0, NOISE_K, self._shape_px).astype(np.float32)
        return np.asarray(blurred(warm, 1.2) + noise, dtype=np.float32)

    def _drawn(self) -> Map:
        height_px, width_px = self._shape_px
        warm = np.full(self._shape_px, _ROOM_C, np.float32)
        cloth = np.array([(0, 0.3), (1, 0.26), (1, 1), (0, 1)]) * (width_px, height_px)
        cv2.fillPoly(warm, [cloth.round().astype(np.int32)], _CLOTH_C)
        trunk = self._patch((0.6, 0.78), (0.3, 0.34))
        face = self._patch((0.3, 0.25), (0.11, 0.17))
        neck = self._patch((0.42, 0.45), (0.09, 0.11))
        warmth = clouds(self._shape_px, cell_px=height_px / 5, octaves=3, rng=self._rng) * 1.6 - 0.8
        for patch, celsius in ((trunk, _BODY_C), (neck, _BODY_C + 0.6), (face, _BODY_C + 0.2)):
            warm += np.asarray(patch * (celsius + warmth - warm), dtype=np.float32)
        hair, nose = self._patch((0.3, 0.12), (0.11, 0.08)), self._patch((0.31, 0.27), (0.025, 0.045))
        warm += np.asarray(hair * (29.5 - warm) * 0.9 + nose * (31.0 - warm) * 0.8, dtype=np.float32)
        for column in (0.275, 0.335):
            warm += self._patch((column, 0.235), (0.014, 0.014)) * (36.2 - warm)
        return np.asarray(warm, dtype=np.float32)

    def _patch(self, middle: tuple[float, float], radii: tuple[float, float]) -> Map:
        """Return an ellipse from 0 to 1 with a soft edge, in shares of width and height."""
        height_px, width_px = self._shape_px
        drawn = np.zeros(self._shape_px, np.float32)
        at = round(middle[0] * width_px), round(middle[1] * height_px)
        axes = max(round(radii[0] * width_px), 1), max(round(radii[1] * height_px), 1)
        cv2.ellipse(drawn, at, axes, 0, 0, 360, 1.0, -1)
        return blurred(drawn, 1.5)

    def _draw_hand(self, warm: Map, at_s: float) -> None:
        height_px, width_px = self._shape_px
        x = width_px * (0.2 + 0.1 * math.sin(at_s * 0.9))
        y = height_px * (0.72 + 0.05 * math.cos(at_s * 0.7))
        thick = max(round(height_px * 0.09), 1)
        cv2.line(warm, (0, round(height_px * 1.0)), (round(x), round(y)), _HAND_C - 0.5, thick)
        cv2.circle(warm, (round(x), round(y)), thick * 3 // 4, _HAND_C, -1)
        for finger in range(4):
            turn = -1.0 + 0.34 * finger
            for share in np.linspace(0.5, 1.0, 6):  # fingers cool towards their tips
                far = height_px * 0.16 * share
                at = round(x + far * math.cos(turn)), round(y + far * math.sin(turn))
                cv2.circle(
                    warm, at, max(thick // 7, 1), _HAND_C + (_FINGERTIP_C - _HAND_C) * float(share), -1
                )


def to_counts(
    celsius: Map,
    scale: LinearScale | PlanckScale = CENTIKELVIN,
    *,
    emissivity: float = 1.0,
    reflected_celsius: float = 20.0,
) -> Counts:
    """Return what a camera would say, with no air in between.

    Args:
        celsius: (height, width) degrees of the surface.
        scale: What a count means. A linear one is of surface temperatures; the rest is for Planck constants.
        emissivity: Of the surface, above 0, up to 1.
        reflected_celsius: Of what the surface mirrors.

    Raises:
        ConfigurationError: The temperatures do not fit into 16 bits.
    """
    kelvin = celsius.astype(np.float64) + _ZERO_CELSIUS_K
    if isinstance(scale, LinearScale):
        counts = (kelvin - scale.zero_kelvin) / scale.kelvin_per_count
    else:
        mirrored = _planck(np.float64(reflected_celsius + _ZERO_CELSIUS_K), scale)
        counts = emissivity * _planck(kelvin, scale) + (1 - emissivity) * mirrored - scale.o
    if counts.min() < 1 or counts.max() > COUNTS - 2:
        raise ConfigurationError(
            f"{celsius.min():.1f} to {celsius.max():.1f} °C become counts of {counts.min():.0f} to "
            f"{counts.max():.0f}, wanted 1 to {COUNTS - 2}: another scale"
        )
    return np.asarray(counts.round(), dtype=np.uint16)


def _planck(kelvin: NDArray[np.float64] | np.float64, scale: PlanckScale) -> NDArray[np.float64]:
    return np.asarray(scale.r1 / (scale.r2 * (np.exp(scale.b_kelvin / kelvin) - scale.f)))


def write(path: Path, counts: Counts) -> None:
    """Write one picture so that nobody sees half of it; the name says TIFF or PNG."""
    is_done, encoded = cv2.imencode(path.suffix, counts)
    assert is_done, f"{path.suffix} can be encoded"
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_bytes(encoded.tobytes())
    unfinished.replace(path)


def record(
    folder: Path,
    scene: WarmScene,
    *,
    frames: int,
    fps: float = 9.0,
    scale: LinearScale | PlanckScale = CENTIKELVIN,
    kind: FileKind = "tiff",
) -> list[Path]:
    """Write a sequence at once, without waiting; return the files in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(frames):
        paths.append(folder / f"thermal-{number:08d}.{kind}")
        write(paths[-1], to_counts(scene.celsius(number / fps), scale))
    return paths


class ThermalCamera:
    """Writes pictures into a folder while its `with` lasts, and removes the oldest.

    Attributes:
        is_paused: Nothing is written, as of a camera that is switched off. Changed at any time.
        is_frozen: The same picture again and again.
        pace: How far it is, and what went wrong.
    """

    def __init__(
        self,
        folder: Path,
        *,
        scene: WarmScene | None = None,
        fps: float = 9.0,
        scale: LinearScale | PlanckScale = CENTIKELVIN,
        emissivity: float = 1.0,
        reflected_celsius: float = 20.0,
        kind: FileKind = "tiff",
        files_kept: int = 50,
        frames_max: int | None = None,
    ) -> None:
        """Choose what is written.

        Args:
            folder: Made if it is missing.
            scene: What the camera looks at.
            fps: Pictures a second, above 0 to 60.
            scale: What a count means.
            emissivity: See `to_counts`.
            reflected_celsius: See `to_counts`.
            kind: Of file.
            files_kept: How many of our files stay; 1 or more.
            frames_max: After how many it ends; None for no end.
        """
        self.is_paused = self.is_frozen = False
        self._folder, self._kind = folder, kind
        self._scene = scene or WarmScene()
        self._fps = fps
        self._scale, self._emissivity, self._reflected_celsius = scale, emissivity, reflected_celsius
        self._files_kept = files_kept
        self._written: deque[Path] = deque()  # never more than `files_kept`
        self._shown_s = 0.0
        self.pace = Pace(self._step, period_s=1 / fps, name=f"thermal {folder.name}", steps_max=frames_max)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.pace.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.pace.__exit__()

    def _step(self, number: int) -> None:
        if self.is_paused:
            return
        if not self.is_frozen:
            self._shown_s = number / self._fps
        counts = to_counts(
            self._scene.celsius(self._shown_s),
            self._scale,
            emissivity=self._emissivity,
            reflected_celsius=self._reflected_celsius,
        )
        path = self._folder / f"thermal-{number:08d}.{self._kind}"
        write(path, counts)
        self._written.append(path)
        while len(self._written) > self._files_kept:
            self._written.popleft().unlink(missing_ok=True)  # whoever reads the folder may have removed it
