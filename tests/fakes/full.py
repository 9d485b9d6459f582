"""A disk that is full for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from edge.domain.errors import StorageFullError


class Full:
    """Stands for a call that fails for want of room, and works after `times` failures."""

    def __init__(self, call: Callable[..., Any], *, times: int) -> None:
        self._call = call
        self.times = times
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        with self._lock:
            if self.times:
                self.times -= 1
                raise StorageFullError("no room")
        return self._call(*arguments, **options)
