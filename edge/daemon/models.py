"""What the appliance says about its models: on the broker at each change, and in the status file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from edge.fleet.report import BundleWish
from edge.inference.drift import Drift
from edge.inference.engine import Engine
from edge.inference.state import ModelState, row
from edge.ops.presence import Presence

Wishes = Mapping[str, BundleWish]
NO_WISH: Final = BundleWish()


class ModelVoice:
    """Speaks for every configured bundle.

    Args:
        bundles: Their names.
        engine: Open.
        drift: Is told of each model, and knows how its pictures are.
        presence: Tells the broker.
    """

    def __init__(self, bundles: Sequence[str], *, engine: Engine, drift: Drift, presence: Presence) -> None:
        self.bundles = tuple(bundles)
        self._engine = engine
        self._drift = drift
        self._presence = presence
        self._wishes: Wishes = {}

    def speak(self) -> None:
        """Tell how each model is, and from now on each change."""
        self._engine.on_change(self.tell)
        self._drift.on_change(lambda bundle: self.tell(self._engine.state(bundle)))
        for bundle in self.bundles:
            self.say(bundle)

    def speak_of(self, bundles: Sequence[str]) -> None:
        """Speak of these bundles from now on, and of no others."""
        before, self.bundles = self.bundles, tuple(dict.fromkeys(bundles))
        for bundle in before:
            if bundle not in self.bundles:
                self._presence.forget_model(bundle)
        for bundle in self.bundles:
            if bundle not in before:
                self.say(bundle)

    def heed(self, wishes: Wishes) -> None:
        """Tell of each bundle what the fleet wants of it, where that has changed.

        Args:
            wishes: By bundle.
        """
        before, self._wishes = self._wishes, wishes
        for bundle in self.bundles:
            if before.get(bundle) != wishes.get(bundle):
                self.say(bundle)

    def say(self, bundle: str) -> None:
        """Tell how one is, or why it is not used."""
        refusal = self._engine.refusals.get(bundle, "")
        if refusal:
            wish = self._wishes.get(bundle, NO_WISH)
            self._presence.model(
                bundle, active=None, why=refusal, latency_ms={}, desired=wish.desired, staged=wish.staged
            )
        else:
            self.tell(self._engine.state(bundle))

    def tell(self, state: ModelState) -> None:
        """Tell how one model is."""
        self._drift.watch(state.stamp, self._engine.reference(state.name))
        at_work = state.trials[0]
        is_timed = at_work.runs > 0
        wish = self._wishes.get(state.name, NO_WISH)
        self._presence.model(
            state.name,
            active=state.stamp,
            latency_ms={"p50": at_work.p50_ms, "p99": at_work.p99_ms} if is_timed else {},
            previous=state.previous,
            forms=[row(trial, is_chosen=trial is at_work) for trial in state.trials],
            measuring=asdict(state.doing) if state.doing else None,
            refused=state.refusal,
            drift=self._drift.about(state.name),
            desired=wish.desired,
            staged=wish.staged,
        )

    def about(self) -> list[dict[str, Any]]:
        """Return what the status file holds about each."""
        return [self._about(bundle) for bundle in self.bundles]

    def _about(self, bundle: str) -> dict[str, Any]:
        refusal = self._engine.refusals.get(bundle, "")
        if refusal:
            return {"name": bundle, "refusal": refusal}
        stamp = self._engine.state(bundle).stamp
        return {
            "name": bundle,
            "refusal": "",
            "version": stamp.version,
            "precision": stamp.precision,
            "runtime": stamp.runtime,
            "provider": stamp.provider,
            "drift": self._drift.about(bundle),
        }
