"""Bundles installed while the daemon runs: each takes the place of the one at work, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Protocol

from edge.bundles.likeness import changed_parts
from edge.bundles.signature import Trust
from edge.bundles.store import Bundle, find
from edge.domain.errors import EdgeError
from edge.domain.finding import ModelStamp
from edge.domain.ports import Alerts
from edge.inference.engine import Engine
from edge.kit.log import Log

UNDER_WAY: Final = "under way"
AT_WORK: Final = "at work"
AT_NEXT_START: Final = "at the next start"


class TakesOver(Protocol):
    """Brings to work what cannot simply be exchanged; `takeover.Takeover`."""

    def why_not(self, name: str) -> str:
        """Return why a bundle may not take over now, "" where it may."""

    def on_trial(self) -> str:
        """Return what the fleet has on trial, "" where nothing is."""

    def begin(self, bundle: Bundle) -> Future[ModelStamp]:
        """Let its pipelines begin anew with a bundle; returns its stamp once it speaks."""


class Exchange:
    """Answers `{"ask": "bundle", "name": …}`: brings the active version to work, and says how far that is.

    Args:
        engine: Whose models are exchanged.
        places: Where bundles lie, searched in this order.
        trust: Whom the site believes.
        alerts: Are raised while a version at work is unsigned.
        guards: Bundles that a gate goes by, which lets pictures out.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        places: Sequence[Path],
        trust: Trust,
        alerts: Alerts,
        guards: Collection[str] = (),
    ) -> None:
        self._engine = engine
        self._places = tuple(places)
        self._trust = trust
        self._alerts = alerts
        self._guards = frozenset(guards)
        self._pending: dict[str, tuple[tuple[str, str], Future[ModelStamp]]] = {}  # digest and signer
        self._takeover: TakesOver | None = None
        self._told: tuple[str, ...] = ()
        self._log = Log("exchange")

    def take_over_with(self, takeover: TakesOver) -> None:
        """Bring also what cannot simply be exchanged to work, from now on."""
        self._takeover = takeover

    def tell_signatures(self, names: Sequence[str]) -> None:
        """Warn of each bundle at work that is unsigned, and take back what was said of all others."""
        for name in dict.fromkeys((*names, *self._told)):
            is_at_work = name in names and name not in self._engine.refusals
            self._tell_signature(name, self._engine.stamp(name) if is_at_work else None)
        self._told = tuple(names)

    def answer(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say how a bundle is, after having begun what there is to do.

        Returns:
            `state`: `under way`, `at work` or `at the next start`, the last with `why`.

        Raises:
            EdgeError: It is refused; the version that was at work still is.
        """
        name = str(asked.get("name", ""))
        bundle = find(name, self._places, self._trust)
        try:
            at_work = self._engine.stamp(name)
        except EdgeError as reason:
            return self._taken_over(bundle, str(reason))
        if (at_work.sha256, at_work.signed_by) == (bundle.digest, bundle.signed_by):
            self._pending.pop(name, None)
            return {"state": AT_WORK, "version": at_work.version}
        differing = changed_parts(
            self._engine.bundle(name).manifest, bundle.manifest, guards_pixels=name in self._guards
        )
        if differing:
            why = f"{name}: its {', '.join(differing)} differ from those of the version at work"
            return self._taken_over(bundle, why)
        trial = self._takeover.on_trial() if self._takeover is not None else ""
        if trial and not self._is_begun(bundle):
            return {"state": AT_NEXT_START, "why": f"{name}: {trial}"}
        return self._advanced(bundle, self._swapped)

    def _is_begun(self, bundle: Bundle) -> bool:
        begun, _ = self._pending.get(bundle.manifest.name, (None, None))
        return begun == (bundle.digest, bundle.signed_by)

    def _taken_over(self, bundle: Bundle, why: str) -> Mapping[str, Any]:
        """Have pipelines begin anew with a bundle, where that disturbs nobody; else it waits."""
        takeover, name = self._takeover, bundle.manifest.name
        if takeover is None:
            return {"state": AT_NEXT_START, "why": why}
        if not self._is_begun(bundle):
            hindrance = takeover.why_not(name)
            if hindrance:
                return {"state": AT_NEXT_START, "why": f"{why}; {hindrance}"}
        return self._advanced(bundle, takeover.begin)

    def _advanced(self, bundle: Bundle, begin: Callable[[Bundle], Future[ModelStamp]]) -> Mapping[str, Any]:
        """Begin what there is to do, or say how far it is."""
        name = bundle.manifest.name
        asked_for = (bundle.digest, bundle.signed_by)
        begun, pending = self._pending.get(name, (None, None))
        if pending is None or begun != asked_for:
            self._pending[name] = (asked_for, self._begun(bundle, begin))
            return {"state": UNDER_WAY}
        if not pending.done():
            return {"state": UNDER_WAY}
        del self._pending[name]
        return {"state": AT_WORK, "version": pending.result().version}

    def _swapped(self, bundle: Bundle) -> Future[ModelStamp]:
        return self._engine.swap(bundle)

    def _begun(self, bundle: Bundle, begin: Callable[[Bundle], Future[ModelStamp]]) -> Future[ModelStamp]:
        name = bundle.manifest.name
        self._log.info("another version is tried", bundle=name, version=bundle.manifest.version)
        pending = begin(bundle)
        pending.add_done_callback(lambda done: self._came_to_work(name, done))
        return pending

    def _came_to_work(self, name: str, done: Future[ModelStamp]) -> None:
        if done.cancelled():
            return
        refusal = done.exception()
        if refusal is not None:
            self._log.error("the new version is refused, the old one goes on", bundle=name, because=refusal)
            return
        self._tell_signature(name, done.result())

    def _tell_signature(self, name: str, at_work: ModelStamp | None) -> None:
        alert = f"unsigned-bundle-{name}"
        if at_work is None or at_work.signed_by:
            self._alerts.clear_alert(alert)
            return
        what = f"{name} {at_work.version} is at work, and no key of bundles.trust has signed it"
        self._alerts.raise_alert(alert, f"{what}; this site allows that", severity="warning")
        self._log.warning("an unsigned bundle is at work", bundle=name, version=at_work.version)
