"""Bundles at work that are gone from the store: fetched again, beside everything else, and put to work again.

The document of the fleet that was committed still says which package it was. What somebody at the box has put
in use in its place stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from edge.daemon.fleet import LOOK_S, FleetDevice
from edge.daemon.jobs import Work
from edge.daemon.parts import bundles_of
from edge.daemon.takeover import admitted, put_to_work
from edge.daemon.works import Works
from edge.domain.errors import DocumentRefusedError
from edge.domain.ports import Clock
from edge.fleet.documents import BundleWanted
from edge.fleet.install import Stager
from edge.fleet.ports import Wanted
from edge.fleet.progress import Progress
from edge.inference.making import Made
from edge.kit.backoff import Backoff
from edge.kit.log import Log

SAFE_POINT_S: Final = 1.0  # so often it is looked whether something may be changed

Bundles = Mapping[str, BundleWanted]


class Mending:
    """Looks after the bundles of the wish that is at work; `look` is called by the thread of the agent.

    Args:
        device: Knows the wish.
        works: What may become another.
        stager: Brings bundles here.
        clock: Time.
        is_frozen: The site takes nothing, also nothing that was here before.
        backoff: Pauses after it did not succeed.
    """

    def __init__(
        self,
        device: FleetDevice,
        works: Works,
        stager: Stager,
        *,
        clock: Clock,
        is_frozen: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        self._device = device
        self._works = works
        self._stager = stager
        self._clock = clock
        self._is_frozen = is_frozen
        self._backoff = backoff or Backoff(min_s=60.0, max_s=3600.0)
        self._work: Work | None = None
        self._gone: Bundles = {}
        self._trouble = ""
        self._failures = 0
        self._again_ns = 0
        self._log = Log("fleet")

    def look(self, progress: Progress) -> None:
        """Begin to mend where something is gone; give way to a version that is under way. Never waits.

        Args:
            progress: How far all documents are.
        """
        if self._work is not None and self._work.done():
            self._conclude(self._work)
        wanted = self._device.wanted
        if self._work is not None:
            if progress.under_way is not None:
                self._work.cancel()
            return
        if wanted is None or progress.under_way is not None or self._is_frozen:
            return
        gone = {name: one for name, one in wanted.bundles.items() if self._is_missed(name, wanted)}
        if gone != self._gone:
            self._gone, self._trouble, self._failures, self._again_ns = gone, "", 0, 0
        if gone and self._clock.monotonic_ns() >= self._again_ns:
            self._log.warning("gone, brought back", bundles=",".join(gone))
            self._work = Work("mending", partial(self._mend, wanted, gone), code="admission")

    def doing(self, name: str) -> str:
        """Return what is done about a bundle that is gone, "" where it is not; for any thread."""
        gone = self._gone.get(name)
        if gone is None:
            return ""
        is_back = self._stager.folder_of(name, gone) is not None
        how = "is back in the store, and is not at work yet" if is_back else "is gone from the store"
        said = {} if self._work is None else self._work.progress()
        share = f" ({said['done']} of {said['of']} bytes)" if said.get("of", 0) > 1 else ""
        now = f"is brought back: {said['doing']}{share}" if said else ""
        return "; ".join(part for part in (how, now, self._trouble) if part)

    def close(self, *, within_s: float) -> None:
        """Let what is under way end; at the stop of the appliance."""
        if self._work is not None:
            self._work.cancel()
            if not self._work.wait(within_s):
                self._log.warning("left behind", work="mending")

    def _conclude(self, work: Work) -> None:
        self._work = None
        try:
            work.result()
        except DocumentRefusedError as refusal:
            self._failures += 1
            self._trouble = str(refusal)
            pause_s = 0.0 if refusal.code == "superseded" else self._backoff.pause_s(self._failures)
            self._again_ns = self._clock.monotonic_ns() + round(pause_s * 1e9)
            self._log.warning("not brought back", bundles=",".join(self._gone), because=refusal)
        else:
            self._log.info("brought back", bundles=",".join(self._gone))
            self._gone, self._trouble, self._failures = {}, "", 0

    def _is_missed(self, name: str, wanted: Wanted) -> bool:
        """Return whether a bundle is gone, or was and has not come to work since it is back."""
        one = wanted.bundles[name]
        if self._stager.is_gone(name, one):
            return True
        is_ours = self._gone.get(name) == one and self._stager.is_in_use(name, one)
        return is_ours and bool(self._silent({name: one}, wanted))

    # ── the work ──────────────────────────────────────────────────────────────────────────────────────────

    def _mend(self, wanted: Wanted, gone: Bundles, work: Work) -> None:
        job = self._stager.again(gone)
        while not job.wait(LOOK_S):
            work.say(job.progress())
            if work.is_cancelled_within(0):
                job.cancel()
        job.result()
        with self._alone(wanted, work):
            self._stager.use_again(gone)
        models: list[Made] = []
        try:
            for name in self._silent(gone, wanted):
                work.say({"doing": f"trying {name} {gone[name].version}", "done": 0, "of": 1})
                models.append(admitted(self._works, self._stager.bundle(name, gone[name])))
                work.check()
            if models:
                self._wait(work)
                with self._alone(wanted, work):
                    put_to_work(self._works, models, go_on=work.check)
        finally:
            for made in models:
                made.active.model.close()

    def _silent(self, gone: Bundles, wanted: Wanted) -> Sequence[str]:
        """Return those whose model does not speak; one that was loaded before it was gone does."""
        refused, used = self._works.engine.refusals, bundles_of(self._works.config)
        return [
            name
            for name in gone
            if name in used and (name in refused or not self._device.is_at_work(name, wanted))
        ]

    def _wait(self, work: Work) -> None:
        """Wait for the safe point, for as long as that takes: nobody asked for a deadline."""
        while why := self._device.unsafe():
            work.say({"doing": f"waiting: {why}", "done": 0, "of": 1})
            if work.is_cancelled_within(SAFE_POINT_S):
                work.check()

    @contextmanager
    def _alone(self, wanted: Wanted, work: Work) -> Iterator[None]:
        """Keep everybody else from changing what is at work.

        Raises:
            DocumentRefusedError: superseded: another wish is at work by now.
        """
        while not self._works.alone.acquire(timeout=LOOK_S):
            work.check()
        try:
            work.check()
            if self._device.wanted is not wanted:
                raise DocumentRefusedError("superseded", "another version is at work by now")
            yield
        finally:
            self._works.alone.release()
