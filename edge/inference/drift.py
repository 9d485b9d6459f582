"""Drift: whether what models are shown, and what they say, is still like what their bundles were made for.

Of each model and source a window of answers is counted, and judged when it is full; the next one begins then.
What is kept of a window are sums and counts, so memory does not grow with it. Nothing here may slow the path
or break it: trouble is logged and counted.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.domain.answer import Embedding, PictureAnswer
from edge.domain.errors import EdgeError
from edge.domain.finding import ModelStamp
from edge.domain.image import Segmentation
from edge.domain.ports import Alerts, Clock
from edge.inference.drift_memory import read_memory, write_memory
from edge.inference.drift_reference import Reference
from edge.inference.drift_window import Judged, Window, judge
from edge.kit.log import Log

SOURCES_MAX: Final = 64  # of one model; whoever may call the door can invent names
SOURCES_TOLD_MAX: Final = 16
OTHERS: Final = "others"
STATES: Final = ("drifted", "steady", "collecting")  # what a person wants to hear of first comes first
FILE: Final = "drift.json"
TROUBLE: Final = (ArithmeticError, ValueError, KeyError, IndexError, TypeError)


@dataclass(slots=True)
class _Place:
    """One source of one model; only touched under the lock."""

    window: Window
    judged: Judged | None = None
    next_ns: int = 0


@dataclass(slots=True)
class _Watched:
    """One model; only touched under the lock."""

    stamp: ModelStamp
    reference: Reference | None
    places: dict[str, _Place] = field(default_factory=dict)
    troubles: int = 0


class Drift:
    """Counts what models were shown and said, judges each full window, and raises an alert where it differs.

    Args:
        state_folder: Where windows outlive a restart.
        alerts: Are raised while the last window of a source has drifted.
        clock: Says when.
    """

    def __init__(self, state_folder: Path, *, alerts: Alerts, clock: Clock) -> None:
        self._path = state_folder / FILE
        self._alerts = alerts
        self._clock = clock
        self._log = Log("drift")
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._remembered: dict[str, Any] | None = None
        self._listeners: list[Callable[[str], None]] = []
        self._is_changed = False

    def on_change(self, tell: Callable[[str], None]) -> None:
        """Tell somebody the name of each model whose window was judged, from the thread that saw it."""
        self._listeners.append(tell)

    def watch(self, stamp: ModelStamp, reference: Reference | None) -> None:
        """Watch a model from now on; of another version of its bundle everything begins anew.

        Args:
            stamp: Which weights speak.
            reference: Of its bundle; None: nothing can be said of drift, and that is what is said.
        """
        name = stamp.model_id
        with self._lock:
            before = self._watched.get(name)
            if before is not None and before.stamp.sha256 == stamp.sha256:
                return
            if self._remembered is None:
                self._remembered = read_memory(self._path)
            after = _Watched(stamp, reference)
            if reference is not None and before is None:
                after.places = self._recalled(stamp, reference)
            self._watched[name] = after
        for where in before.places if before else ():
            self._alerts.clear_alert(_alert(name, where))
        for where, place in after.places.items():
            self._tell(after, where, place.judged)

    def see(
        self,
        stamp: ModelStamp,
        where: str,
        answer: PictureAnswer | Segmentation,
    ) -> tuple[str, ...]:
        """Count one answer.

        Args:
            stamp: Who gave it.
            where: Name of the source or scanner.
            answer: With its statistics.

        Returns:
            What a reader of the finding must know: that pictures of this source have changed; else ().
        """
        slug = slug_of(where)
        full = None
        with self._lock:
            watched = self._watched.get(stamp.model_id)
            if watched is None or watched.reference is None or watched.stamp.sha256 != stamp.sha256:
                return ()
            slug, place = self._place(watched, slug)
            now_ns = self._clock.monotonic_ns()
            if now_ns >= place.next_ns:
                place.next_ns = now_ns + round(watched.reference.every_s * 1e9)
                full = self._count(watched, place, answer)
            judged = place.judged
        if full is not None:
            self._tell(watched, slug, full)
            self._call_listeners(stamp.model_id)
        return (_note(judged),) if judged is not None and judged.moved_since_ns else ()

    def about(self, model: str) -> dict[str, Any]:
        """Return how a model fares, as JSON holds it."""
        with self._lock:
            watched = self._watched.get(model)
            if watched is None or watched.reference is None:
                return {"state": "no reference", "window": None, "troubles": 0, "sources": [], "more": 0}
            sources = [self._said(watched.reference, *one) for one in sorted(watched.places.items())]
            sources.sort(key=lambda source: STATES.index(source["state"]))
            return {
                "state": sources[0]["state"] if sources else STATES[-1],
                "window": watched.reference.window,
                "troubles": watched.troubles,
                "sources": sources[:SOURCES_TOLD_MAX],
                "more": max(0, len(sources) - SOURCES_TOLD_MAX),
            }

    def write_down(self) -> None:
        """Write what is known to the state folder, if there is something new; it may wait for the disk."""
        with self._lock:
            if not self._is_changed:
                return
            self._is_changed = False
            known = (self._remembered or {}).items()
            document = {name: one for name, one in known if name not in self._watched}  # refused today
            document |= {
                name: {
                    "sha256": watched.stamp.sha256,
                    "places": {
                        where: {
                            "window": place.window.as_json(),
                            "judged": place.judged.as_json() if place.judged else None,
                        }
                        for where, place in watched.places.items()
                    },
                }
                for name, watched in self._watched.items()
                if watched.places
            }
        trouble = write_memory(self._path, document)
        if trouble:
            self._is_changed = True
            self._log.error("windows not written", file=self._path, because=trouble)

    # ── inside ──

    def _call_listeners(self, model: str) -> None:
        try:
            for listener in self._listeners:
                listener(model)
        except EdgeError as trouble:  # the engine is being closed
            self._log.error("drift not told", model=model, because=trouble)

    def _place(self, watched: _Watched, slug: str) -> tuple[str, _Place]:
        if slug not in watched.places and len(watched.places) >= SOURCES_MAX:
            slug = OTHERS
        if slug not in watched.places:
            assert watched.reference is not None, "only models with a reference have places"
            watched.places[slug] = _Place(Window.empty(watched.reference))
        return slug, watched.places[slug]

    def _count(self, watched: _Watched, place: _Place, answer: PictureAnswer | Segmentation) -> Judged | None:
        """Count one answer; return what is to be said of the window where it is full now."""
        reference = watched.reference
        assert reference is not None, "asked before"
        embedding = answer.vector if isinstance(answer, Embedding) else None
        try:
            vector = reference.vector(answer.statistics, embedding)
            place.window.add(vector, reference.places(vector), at_ns=self._clock.utc_ns())
            self._is_changed = True
            if place.window.answers < reference.window:
                return None
            before = place.judged.moved_since_ns if place.judged else 0
            place.judged = judge(place.window, reference, moved_since_ns=before)
            place.window = Window.empty(reference)
            return place.judged
        except TROUBLE as trouble:
            watched.troubles += 1
            if place.window.answers >= reference.window:  # it was full, and cannot be judged
                place.window = Window.empty(reference)
            if watched.troubles == 1:
                self._log.error("drift not counted", model=watched.stamp.model_id, because=repr(trouble))
            return None

    def _tell(self, watched: _Watched, where: str, judged: Judged | None) -> None:
        name, reference = watched.stamp.model_id, watched.reference
        if judged is None or reference is None:
            return
        if not judged.moved_since_ns:
            self._alerts.clear_alert(_alert(name, where))
            return
        text = (
            f"pictures of {where} are no longer like those that {name} {watched.stamp.version} was made for, "
            f"since {judged.since}: {judged.told(reference)}; has the scanner been changed? Findings go on, "
            "and say so"
        )
        self._alerts.raise_alert(_alert(name, where), text, severity="warning")

    def _said(self, reference: Reference, where: str, place: _Place) -> dict[str, Any]:
        judged = place.judged
        state = "collecting" if judged is None else "drifted" if judged.moved_since_ns else "steady"
        last = None if judged is None else judged.about(reference)
        return {"source": where, "state": state, "answers": place.window.answers, "last": last}

    def _recalled(self, stamp: ModelStamp, reference: Reference) -> dict[str, _Place]:
        """Return the places of a model as an earlier run left them; none where they do not fit."""
        known = (self._remembered or {}).get(stamp.model_id)
        if not isinstance(known, dict) or known.get("sha256") != stamp.sha256:
            return {}
        try:
            return {
                slug_of(where): _Place(
                    Window.of_json(place["window"], reference),
                    Judged.of_json(place["judged"], reference) if place["judged"] else None,
                )
                for where, place in list(known["places"].items())[: SOURCES_MAX + 1]
            }
        except (*TROUBLE, AttributeError) as trouble:
            self._log.error("windows begin anew", model=stamp.model_id, because=repr(trouble))
            return {}


def slug_of(where: str) -> str:
    """Return a name as a topic can hold it: small letters, digits and hyphens, at most 48."""
    return re.sub(r"[^a-z0-9]+", "-", where.lower()).strip("-")[:48] or "unnamed"


def _alert(model: str, where: str) -> str:
    return f"drift-{model}-{where}"


def _note(judged: Judged) -> str:
    return f"pictures of this source are no longer like those the model was made for, since {judged.since}"
