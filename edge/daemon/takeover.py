"""Models that take over while everything runs: those whose pipelines must begin anew for it, and how."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from edge.bundles.likeness import changed_parts
from edge.bundles.store import Bundle
from edge.config.cameras import VideoPipeline
from edge.config.pipelines import LivePipeline, PipelineWithBundle
from edge.config.schema import Config
from edge.daemon.parts import bundles_of, live_callers_of
from edge.daemon.works import Works
from edge.domain.errors import BundleRejectedError, EdgeError
from edge.domain.finding import ModelStamp
from edge.inference.making import Made

LOOK_S: Final = 0.05


class Takeover:
    """Brings a bundle that somebody at the box has installed to work, where that disturbs nobody.

    Args:
        works: What becomes another.
        busy: Returns why nothing may be changed now, "" where it may.
        trial: Returns what the fleet has on trial, "" where nothing is.
    """

    def __init__(self, works: Works, *, busy: Callable[[], str], trial: Callable[[], str]) -> None:
        self._works = works
        self._busy = busy
        self._trial = trial
        self._is_closed = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="takeover")

    def close(self) -> None:
        """Begin nothing more; what is under way ends when the works are closed."""
        self._is_closed = True
        self._worker.shutdown(wait=False, cancel_futures=True)

    def why_not(self, name: str) -> str:
        """Return why a bundle may not take over now, "" where it may."""
        looking = [one for one in self._works.config.pipelines if getattr(one, "bundle", None) == name]
        if not looking:
            return "no pipeline looks with it"
        is_speaking = name not in self._works.engine.refusals
        if is_speaking and any(isinstance(one, LivePipeline) for one in looking):
            return "what a camera shows would be told as other events"
        return self._busy()

    def on_trial(self) -> str:
        """Return what is on trial, "" where nothing is: what is proved must be what is then committed."""
        return self._trial()

    def begin(self, bundle: Bundle) -> Future[ModelStamp]:
        """Let a bundle prove itself, and its pipelines begin anew with it between two items.

        Returns:
            Its stamp once it speaks; a BundleRejectedError where it does not pass, an EdgeError where
            what was at work was brought back.
        """
        return self._worker.submit(self._take_over, bundle)

    def _take_over(self, bundle: Bundle) -> ModelStamp:
        name, works = bundle.manifest.name, self._works
        models = [admitted(works, bundle)]
        try:
            with self._alone(name):
                put_to_work(works, models, go_on=lambda: self._check(name))
        finally:
            for made in models:
                made.active.model.close()
        return works.engine.stamp(name)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Keep everybody else from changing what is at work; a case and the fleet go first.

        Raises:
            BundleRejectedError: It may not take over any more.
        """
        while not self._works.alone.acquire(timeout=LOOK_S):
            self._check(name)
        try:
            self._check(name)
            yield
        finally:
            self._works.alone.release()

    def _check(self, name: str) -> None:
        """Go on, unless something has come between.

        Raises:
            BundleRejectedError: It has.
        """
        why = "the appliance is stopping" if self._is_closed else self.why_not(name)
        if why:
            raise BundleRejectedError(f"{name}: {why}")


def admitted(works: Works, bundle: Bundle, *, callers: int | None = None) -> Made:
    """Let a bundle prove itself on this device while everything goes on.

    Args:
        works: At work.
        bundle: Whose files are in order.
        callers: How many live pipelines will ask at once; None: as many as do now.

    Raises:
        BundleRejectedError: It does not pass, or the engine is being closed.
    """
    callers = live_callers_of(works.config) if callers is None else callers
    try:
        return works.engine.admit(bundle, callers=callers).result()
    except CancelledError as ending:
        raise BundleRejectedError(f"{bundle.manifest.name}: the engine is being closed") from ending


def put_to_work(works: Works, models: list[Made], *, go_on: Callable[[], None]) -> None:
    """Let models answer from now on under the configuration at work; all of them, or none.

    Args:
        works: Of the appliance.
        models: Admitted; those that nobody took are left in the list, and are the caller's to close.
        go_on: Asked while a series is waited for; ends that by what it raises.

    Raises:
        EdgeError: It does not work; what did is at work again.
    """
    former, config = works.former(), works.config
    anew = pipelines_with(frozenset(differing(works, models)), config)
    try:
        works.change(config, models=models, anew=anew, former=former, go_on=go_on)
    except EdgeError:
        brought = set(former.models)
        works.undo(former, anew=anew)  # which closes what was brought
        models[:] = [made for made in models if made.active.bundle.manifest.name not in brought]
        raise
    models.clear()
    former.release()


def differing(works: Works, models: Sequence[Made]) -> list[str]:
    """Return the bundles that differ in more than may be exchanged between two items."""
    engine, config = works.engine, works.config
    guards = {one.bundle for one in config.pipelines if isinstance(one, VideoPipeline) and one.gate}
    found = []
    for made in models:
        manifest = made.active.bundle.manifest
        name = manifest.name
        has_none = name in engine.refusals or name not in bundles_of(config)
        if has_none or changed_parts(engine.bundle(name).manifest, manifest, guards_pixels=name in guards):
            found.append(name)
    return found


def pipelines_with(bundles: Collection[str], config: Config) -> frozenset[str]:
    """Return the pipelines that look with one of these bundles."""
    pipelines: Mapping[str, str] = {
        one.name: one.bundle for one in config.pipelines if isinstance(one, PipelineWithBundle)
    }
    return frozenset(name for name, bundle in pipelines.items() if bundle in bundles)
