"""What the appliance says of its parts: the books of every stage, and how sources are; they come and go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from edge.domain.health import StageHealth

Health = Callable[[], StageHealth]
About = Callable[[], Mapping[str, Any]]


class Books:
    """The books of all stages that are there, in the order in which they came; safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: list[Health] = []
        self._sources: list[About] = []

    def keep(self, health: Health) -> Callable[[], None]:
        """Keep the books of a stage; return what lets go of them."""
        with self._lock:
            self._stages.append(health)
        return partial(self._let_go, self._stages, health)

    def know(self, about: About) -> Callable[[], None]:
        """Know how a source is; return what forgets it."""
        with self._lock:
            self._sources.append(about)
        return partial(self._let_go, self._sources, about)

    def health(self) -> list[StageHealth]:
        """Return the books as they stand."""
        with self._lock:
            stages = list(self._stages)
        return [health() for health in stages]

    def sources(self) -> Sequence[Mapping[str, Any]]:
        """Return how every source is."""
        with self._lock:
            sources = list(self._sources)
        return [about() for about in sources]

    def _let_go(self, kept: list[Any], one: object) -> None:
        with self._lock:
            kept.remove(one)
