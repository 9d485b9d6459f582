"""A V4L2 device as OpenCV shows it, that gives pictures, nothing, or never comes back."""

from __future__ import annotations

import threading
import time
from typing import Any

import cv2
import numpy as np


class FakeVideoDevice:
    """Stands in for `cv2.VideoCapture`; `opens` is what a camera is given to open it."""

    def __init__(self, *, frames_per_s: float = 50.0, has_kernel_time: bool = True) -> None:
        self.is_there = True
        self.gives_pictures = True
        self.hangs = False
        self.released = threading.Event()
        self.wishes: dict[int, float] = {}
        self._has_kernel_time = has_kernel_time
        self._period_s = 1 / frames_per_s
        self._captured_ms = 0.0
        self._number = 0
        self._woken = threading.Event()

    def opens(self, device: str) -> FakeVideoDevice:
        assert device.startswith("/dev/video")
        return self

    def wake(self) -> None:
        """Come back."""
        self.hangs = False
        self._woken.set()

    def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
        return self.is_there

    def read(self) -> tuple[bool, Any]:
        if self.hangs:
            self._woken.wait(30.0)
        threading.Event().wait(self._period_s)
        if not self.gives_pictures:
            return False, None
        self._captured_ms = time.monotonic() * 1e3
        self._number += 1
        return True, np.full((48, 64, 3), (self._number % 200, 10, 250), np.uint8)

    def get(self, prop: int) -> float:
        known = {cv2.CAP_PROP_FPS: 1 / self._period_s}
        if self._has_kernel_time:
            known[cv2.CAP_PROP_POS_MSEC] = self._captured_ms
        return known.get(prop, 0.0)

    def set(self, prop: int, value: float) -> bool:
        self.wishes[prop] = value
        return True

    def release(self) -> None:
        self.released.set()
