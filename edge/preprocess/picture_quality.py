"""Is there anything to be seen? Frozen, black, blinded and blurred pictures, each noticed in a small luma.

Pure: time is what the caller says it is. Each fault has a threshold to come and another one to go, and a time
for which it must hold, so that a lamp that sweeps through the picture is no fault.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Fault = Literal["frozen", "black", "blinded", "blurred"]
FAULTS: tuple[Fault, ...] = ("frozen", "black", "blinded", "blurred")
HEIGHT_PX, WIDTH_PX = 180, 320

_MOVED_LEVELS = 16  # more than an encoder makes of a picture that stands still (measured: 5 at 3 Mb/s)
_MOVED_SHARE = 1e-3
# A still picture of a camera that lives has noise; one that is frozen comes out of the encoder unchanged but
# for its key frames. Measured at 720p25 and 0.5 to 3 Mb/s, lower quartile of the mean change between looks
# 0.2 s apart: frozen 0.005 to 0.010 levels, noise of 1 level 0.031 to 0.070.
_LIFELESS_LEVELS = 0.02
_LOOKS_KEPT = 256
_BLACK_PERCENTILE = 98
_BLINDED_LEVEL = 250
_PLAIN_VARIANCE = 4.0
_REFERENCE_UP_S, _REFERENCE_DOWN_S = 5.0, 600.0
_STEP_MAX_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLimits:
    """When a picture counts as faulty.

    Attributes:
        frozen_s: Nothing moved for this long, not even noise; 0: never looked for.
        black_level: 98 of 100 pixels are darker than this, 0 to 255.
        blinded_share: This share of the pixels is saturated.
        blurred_ratio: Sharpness beside what this source usually has.
        hold_s: So long must black, blinded and blurred last to count, and be gone to be over.
        known_after_s: Blur is judged once the source has been seen for this long.
    """

    frozen_s: float = 10.0
    black_level: float = 24.0
    blinded_share: float = 0.6
    blurred_ratio: float = 0.3
    hold_s: float = 2.0
    known_after_s: float = 10.0


class PictureQuality:
    """Follows one source."""

    def __init__(self, limits: QualityLimits) -> None:
        self._limits = limits
        self._still = _Stillness()
        self._sharpness = _Sharpness()
        hold_ns = round(limits.hold_s * 1e9)
        self._black = _Latch(hold_ns)
        self._blinded = _Latch(hold_ns)
        self._blurred = _Latch(hold_ns)

    def judge(self, luma: NDArray[np.uint8], *, at_ns: int) -> dict[Fault, str]:
        """Take in a look and return the faults that stand, each with its reason; the words stay the same.

        Args:
            luma: (height, width), 0 to 255; always of the same shape, a few looks a second.
            at_ns: When it was taken; never before the one before.
        """
        limits = self._limits
        faults: dict[Fault, str] = {}
        brightest = float(np.percentile(luma, _BLACK_PERCENTILE))
        saturated = float(np.count_nonzero(luma >= _BLINDED_LEVEL)) / luma.size
        if self._black.follow(_beyond(limits.black_level - brightest, limits.black_level / 3), at_ns=at_ns):
            faults["black"] = "the picture is black"
        if self._blinded.follow(_beyond(saturated - limits.blinded_share, 0.1), at_ns=at_ns):
            faults["blinded"] = "the picture is blinded: most of it is saturated"
        still_s = self._still.follow(luma, at_ns=at_ns)
        if limits.frozen_s and still_s >= limits.frozen_s and self._still.is_lifeless:
            faults["frozen"] = f"the picture is frozen: nothing in it has changed for {limits.frozen_s:g} s"
        can_see = not faults and not self._black.is_moving and not self._blinded.is_moving
        ratio = self._sharpness.follow(luma, at_ns=at_ns, may_learn=can_see)
        is_known = self._sharpness.known_s >= limits.known_after_s
        excess = limits.blurred_ratio - ratio if is_known and can_see else None
        if self._blurred.follow(_beyond(excess, limits.blurred_ratio / 2), at_ns=at_ns):
            faults["blurred"] = (
                f"the picture is blurred: under {limits.blurred_ratio:.0%} of its usual sharpness"
            )
        return faults

    def forget(self) -> None:
        """Begin anew, but keep what the source usually looks like: it was away."""
        self._still = _Stillness()
        for latch in (self._black, self._blinded, self._blurred):
            latch.forget()


class _Latch:
    """On when something has held for a time, off when it has been gone for as long."""

    def __init__(self, hold_ns: int) -> None:
        self._hold_ns = hold_ns
        self._is_on = False
        self._turning_ns: int | None = None

    @property
    def is_moving(self) -> bool:
        """What is seen is not what is said, for now."""
        return self._turning_ns is not None

    def follow(self, sees: Callable[[bool], bool | None], *, at_ns: int) -> bool:
        """Take in whether it is seen, asked with what holds now; None: cannot be told."""
        seen = sees(self._is_on)
        if seen is None:
            return self._is_on
        if seen == self._is_on:
            self._turning_ns = None
            return self._is_on
        self._turning_ns = at_ns if self._turning_ns is None else self._turning_ns
        if at_ns - self._turning_ns >= self._hold_ns:
            self._is_on, self._turning_ns = seen, None
        return self._is_on

    def forget(self) -> None:
        """Be off."""
        self._is_on, self._turning_ns = False, None


def _beyond(excess: float | None, gap: float) -> Callable[[bool], bool | None]:
    """Say how to tell, with hysteresis: it comes above 0, and goes below -gap."""

    def tell(is_on: bool) -> bool | None:
        if excess is None:
            return None
        return excess > (-gap if is_on else 0.0)

    return tell


class _Stillness:
    """How long nothing has moved, and whether there is noise in what does not move."""

    def __init__(self) -> None:
        self._anchor: NDArray[np.int16] | None = None
        self._before: NDArray[np.int16] | None = None
        self._since_ns = 0
        self._changes: deque[float] = deque(maxlen=_LOOKS_KEPT)

    def follow(self, luma: NDArray[np.uint8], *, at_ns: int) -> float:
        """Return for how many seconds nothing has moved."""
        now = luma.astype(np.int16)
        before, self._before = self._before, now
        if self._anchor is None or before is None or _has_moved(now, self._anchor):
            self._anchor, self._since_ns = now, at_ns
            self._changes.clear()
            return 0.0
        self._changes.append(float(np.abs(now - before).mean()))
        return (at_ns - self._since_ns) / 1e9

    @property
    def is_lifeless(self) -> bool:
        """There is no noise: looks are as like each other as an encoder makes what is the same."""
        return bool(self._changes) and float(np.percentile(self._changes, 25)) <= _LIFELESS_LEVELS


def _has_moved(now: NDArray[np.int16], anchor: NDArray[np.int16]) -> bool:
    moved = np.count_nonzero(np.abs(now - anchor) > _MOVED_LEVELS)
    return bool(moved > now.size * _MOVED_SHARE)


class _Sharpness:
    """Sharpness beside what it usually is; usual is what the better moments of the last minutes had."""

    def __init__(self) -> None:
        self.known_s = 0.0
        self._usual = 0.0
        self._last_ns: int | None = None

    def follow(self, luma: NDArray[np.uint8], *, at_ns: int, may_learn: bool) -> float:
        """Return the sharpness of a look as a part of the usual one; 1 where nothing is known yet."""
        sharpness = _sharpness(luma)
        elapsed_s = 0.0 if self._last_ns is None else min((at_ns - self._last_ns) / 1e9, _STEP_MAX_S)
        self._last_ns = at_ns
        if may_learn:
            settles_s = _REFERENCE_UP_S if sharpness > self._usual else _REFERENCE_DOWN_S
            share = 1.0 - float(np.exp(-elapsed_s / settles_s)) if self._usual else 1.0
            self._usual += (sharpness - self._usual) * share
            self.known_s += elapsed_s
        return sharpness / self._usual if self._usual else 1.0


def _sharpness(luma: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) over that of the picture.

    The quotient does not change with the light. A picture without any contrast has no sharpness.
    """
    now = luma.astype(np.int16)
    laplacian = 4 * now[1:-1, 1:-1] - now[:-2, 1:-1] - now[2:, 1:-1] - now[1:-1, :-2] - now[1:-1, 2:]
    variance = float(now.var(dtype=np.float32))
    return float(laplacian.var(dtype=np.float32)) / variance if variance > _PLAIN_VARIANCE else 0.0
